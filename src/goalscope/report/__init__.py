"""A run folder as one HTML file; reads files only."""

from goalscope.report.html import write_report

__all__ = ["write_report"]
