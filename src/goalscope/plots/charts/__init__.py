"""Charts as SVG: `charts.py`, on `axes.py` and with `marks.py`."""

from goalscope.plots.charts.charts import Bars, Line, bars, curves, forest, heat

__all__ = ["Bars", "Line", "bars", "curves", "forest", "heat"]
