"""Many studies and trainings, named in one file: each a run folder like any other, made once.

`grid.py` the file: its checks, and the cells that it names; `content.py` what decides a cell's outcome, as the digits of its
folder's name; `cell.py` one cell, made or found; `run.py` all of them, on a pool of processes or a Ray cluster; `table.py`
what they say together.
"""
