"""Boards as SVG: `maze.py`, `sokoban.py`, `chess.py`, `grid.py` (any world of squares), laid out by `panels.py`.

`parts.py` and `glyphs.py` draw what is in a maze, `chess_glyphs.py` pieces.
"""
