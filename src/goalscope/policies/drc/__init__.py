"""Recurrent policies of convolutional LSTM layers that tick several times a step.

`network.py` the policy and what thinking is, made of `cell.py` (one layer at one tick) and `head.py` (logits and value
from the features of a board, which the residual networks share).
"""

from goalscope.policies.drc.cell import Carry, Cell, Pool
from goalscope.policies.drc.network import DRC, RecurrentOutput, think

__all__ = ["DRC", "Carry", "Cell", "Pool", "RecurrentOutput", "think"]
