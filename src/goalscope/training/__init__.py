"""How a policy comes about: `ppo.py` and `imitation.py` for any world; recipes by world in `maze/` and `sokoban/`.

`saved_state.py` is what the folder of a training holds, so that a killed one goes on.
"""
