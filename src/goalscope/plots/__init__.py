"""Arrays as static SVG: mazes with vector fields, and charts with intervals and controls.

`boards/` and `charts/` draw, `terminal/` prints boards as text; `figure.py` a drawing with its words, `palette.py` colours,
`svg.py` the pieces of text that all share.
"""

from goalscope.plots.boards.maze import Board, difference, maze_svg, panel_grid
from goalscope.plots.charts import Bars, Line, bars, curves, forest, heat
from goalscope.plots.figure import Figure, write_figures

__all__ = [
    "Bars",
    "Board",
    "Figure",
    "Line",
    "bars",
    "curves",
    "difference",
    "forest",
    "heat",
    "maze_svg",
    "panel_grid",
    "write_figures",
]
