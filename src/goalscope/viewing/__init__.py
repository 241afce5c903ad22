"""One level through a policy's eyes.

`sokoban.py` an episode, `plan_reader.py` the plan in its memory, `chess.py` a position.
"""
