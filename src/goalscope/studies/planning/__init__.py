"""Does a mouse plan its way, does the plan form while it thinks and cause its moves, and what does thinking longer buy?

`study.py` the story and `setup.py` what the parts share. In `measure/`: `ways.py` right moves on every square, `windows.py`
what a window around a square can tell for certain, `reading.py` what of the way can be read, moment by moment, `writing.py`
other ways written into the state, `thinking.py` ticks and closed walls; `findings.py` their estimates. `figures.py` and
`words.py`.
"""
