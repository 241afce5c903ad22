"""Recurrent policies of convolutional LSTM layers that tick several times a step.

`network.py` the policy and what thinking is, made of `cell.py` (one layer at one tick) and `head.py` (logits and value
from the features of a board, which the residual networks share).

`DRC(3, 3, 32, planes=3, size=10, hidden=256, kernel=4)` has as many parameters as the network of Taufeeque et al. 2024,
"Planning in a recurrent neural network that plays Sokoban", 1,285,125, one for one, but is *not the same function*. As the
packaged policies have it, it differs from theirs in seven things, the first four of which are arguments:

1. The encoder has a ReLU after each of its two convolutions; theirs has none (`encoder="linear"`).
2. h is sigmoid(o) tanh(c); theirs is tanh(o) tanh(c) (`output="tanh"`).
3. The boundary plane is 1 on the outermost squares of the board, zeros around it; theirs is 1 on a ring of squares
   outside the board (`boundary="ring"`).
4. The head reads h of the top layer; theirs reads h plus the encoded observation (`skip="add"`).
5. The head flattens channels, rows, columns; theirs rows, columns, channels: `policies/learned_planner/` reorders.
6. The pool's two weights are of mean and maximum; theirs of maximum and mean: reordered likewise.
7. With `size=None` the head reads the player's square, means and maxima; theirs has no such head.
"""

from goalscope.policies.drc.cell import Carry, Cell, Pool
from goalscope.policies.drc.network import DRC, RecurrentOutput, think

__all__ = ["DRC", "Carry", "Cell", "Pool", "RecurrentOutput", "think"]
