"""What can be acted in: batches of states that can be written as text, edited and drawn.

`contract.py` is the one Protocol and its test `check_world`, `abilities.py` what a world may offer beside it, `batch.py`
picks and joins levels; `named.py` a world by its name; `factory.py` functions of a user's own file; `gym.py` any world as
gymnasium environments, `foreign/` any Gymnasium environment as a world. A world of ours is a room: `maze/`, `procgen/`
(games of the real Procgen), `minigrid/`, `sokoban/`, `chess/`, `boards/` (Gomoku and Reversi). In each, `state.py` is what a
level is, `world.py` its rules, and the other files are named after what they add.
"""
