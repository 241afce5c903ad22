"""What does a maze policy pursue?

`study.py` the story; `measure.py` fields and what follows exactly; `far_corners.py` cheese in the far corners, by size and
distance from the border; `findings.py`; `figures.py`; `words.py`; `training.py` asks the same over the snapshots of its
training.
"""
