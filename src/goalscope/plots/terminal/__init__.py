"""Boards as terminal text: `maze.py`, `sokoban.py`, `chess.py`."""
