"""A run folder as one HTML file; reads files only.

`html.py` the report, `scoreboard.py` forecasts, `argument_page.py` an argument: each fills its `*.html.j2`, and all wear
`style.css` (`templates.py` reads both). `reading.py` reads a run folder, `cells.py` tells a
finding in the cells of a table, `inline.py` makes figures safe to stand in a page.
"""

from goalscope.report.html import write_report

__all__ = ["write_report"]
