"""Boards as SVG: `maze.py`, `sokoban.py`, `chess.py`, from shared `parts.py` and `glyphs.py` (`chess_glyphs.py`: pieces)."""
