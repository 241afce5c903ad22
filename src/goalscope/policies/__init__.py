"""What acts: plain torch modules, each with the encoding of its observations beside it.

`given.py` the one rule by which anything that acts is taken; `names.py` names, paths and what is packaged, without torch;
`checkpoint.py` files to modules and back, with `weights.py` (tensors of a file), `foreign.py` (which project a file is of),
`layers.py` (the layers of such a file, each taken once), `architectures.py` (networks that a config names) and
`download.py` (policies that are not packaged). Networks: `compact.py`, `impala/` and `thinker.py` of mazes, `grid.py`
(ours) and `starter.py` (public agents) of MiniGrid, `drc/` and `resnet.py` of Sokoban, `learned_planner/` and
`emergent_planning/` its published planners, `lc0/` and `maia3/` of chess, `games/` of FourRooms, Gomoku and Reversi,
`sb3/` of Stable-Baselines3; `handwritten.py` policies whose goals are known, `handwritten_networks.py` networks of which it
is known whether they plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class PolicyOutput(NamedTuple):
    """What a policy's forward returns."""

    logits: Tensor
    """[N, A]: unnormalised log-probabilities of the actions"""
    value: Tensor
    """[N]: estimated discounted return"""
