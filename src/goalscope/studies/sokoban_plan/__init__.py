"""Does a Sokoban player plan, does the plan cause its moves, and what does thinking longer buy?

`study.py` the story and `setup.py` what the parts share. In `measure/`: `play.py` episodes, `probes.py` what of the plan can
be read, `writing.py` plans written into the memory, on the levels of `shortcuts.py`, `solving.py` looks at the start; in
`findings/` their estimates. `figures.py` and `words.py`.
"""
