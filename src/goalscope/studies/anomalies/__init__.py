"""Can a changed mechanism of a mouse be told from new but harmless mazes, and by more than what its outputs show?

`study.py` the story; `measure.py` runs of unchanged and changed networks on usual and new mazes, and the scores that every
detector gives them; `findings.py`; `figures.py`; `words.py`.
"""
