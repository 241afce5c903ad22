"""Charts as SVG, one a file: `forest.py`, `curves.py`, `bars.py`, `heat.py`.

They stand on `axes.py` (scales and ticks), `layout.py` (width and labels) and `marks.py` (what is drawn).
"""

from goalscope.plots.charts.bars import Bars, bars
from goalscope.plots.charts.curves import Line, curves
from goalscope.plots.charts.forest import forest
from goalscope.plots.charts.heat import heat

__all__ = ["Bars", "Line", "bars", "curves", "forest", "heat"]
