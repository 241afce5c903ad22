"""How a policy comes about: `ppo.py` and `imitation.py` for any world; recipes by world: `maze/`, `minigrid/`, `sokoban/`.

`loop.py` is the course of a run, whatever is trained; `saved_state.py` is what its folder holds, so that a killed one goes
on; `precision.py` says which numbers are quick on this machine; `curve.py` is the table of a model card.
"""
