"""The command line, one file a noun; `main.py` puts them together. Nothing heavy is imported before a command runs.

`study.py`, `sweep.py`, `train.py`, `play.py`, `bound.py`, `app.py` (the page), `findings.py` (and arguments), `forecast.py`;
`parser.py` makes options and help of their parameters and docstrings, `shown.py` shows progress.
"""
