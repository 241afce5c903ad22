"""Sokoban players: `recipe.py` trains the packaged ones, `teachers.py` says which moves are good."""
