"""What does a maze policy pursue, and how did that come about over its training?

`study.py` the story; in `measure/`: `fields.py` the policy in the mazes and what follows exactly, `far_corners.py` cheese in
the far corners, by size and distance from the border; `findings/` a file for each question; `figures.py`; `words.py`.
"""
