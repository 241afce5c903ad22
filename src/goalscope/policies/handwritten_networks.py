"""Networks with weights set by hand, of which it is known whether they plan: controls of every test of planning.

`ValueIteration` plans, and its plan is an explicit map: `sweep@k` holds at every square what the cheese is worth from
there, as far as it was told in k + 1 sweeps, and `plan` which move that makes best; what is written there is obeyed.
(After Tamar et al. 2016, "Value Iteration Networks", with nothing learnt.) `LocalPatterns` does not plan: each square
looks up its neighbours in a table. Its map `plan` says no less well what the mouse will do on each square, which is why
such a map alone shows nothing.
"""

from __future__ import annotations

import torch
from numpy import ndarray
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.thinker import encode_maze
from goalscope.worlds.maze import Move
from goalscope.worlds.maze.kernels import MOVE_COLUMNS, MOVE_ROWS

TOP = 4096.0
"""worth of the cheese, in steps: more than there are squares, and a whole number that float32 tells from its neighbours"""
SHARPNESS = 20.0
"""logits are so many times what they compare: a step more or less decides"""
CHEESE, HERE = 16, 5
"""in a pattern's code: times 1 + the Move that takes the cheese; `HERE` where it lies on the square itself"""


def _after_each_move(moves: int) -> nn.Conv2d:
    """[N, 1, H, W] to [N, moves, H, W]: what stands at the square that each Move leads to, zero outside the world."""
    conv = nn.Conv2d(1, moves, 3, padding=1, bias=False).requires_grad_(False)
    conv.weight.zero_()
    for move in range(moves):
        conv.weight[move, 0, 1 + MOVE_ROWS[move], 1 + MOVE_COLUMNS[move]] = 1
    return conv


class Sweep(nn.Module):
    """One sweep of value iteration: a square is worth a step less than its best neighbour; walls are worth nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.neighbours = _after_each_move(4)
        self.relu = nn.ReLU()

    def forward(self, worth: Tensor, cheese: Tensor, free: Tensor) -> Tensor:
        """Worth [N, 1, H, W], the cheese's own, and which squares are free, each of that shape, to the new worth."""
        best = self.neighbours(worth).amax(1, keepdim=True)
        return torch.maximum(cheese, self.relu(best - 1)) * free


class ValueIteration(nn.Module):
    """Plans a shortest path to the cheese, exactly, where it is at most `ticks` + 1 steps away.

    Farther off all moves are alike, and so they are where there is no cheese. The value is the discounted one of the path, 1
    one step before the cheese, 0 where none is known.

    Args:
        ticks: sweeps; the attribute can be set to another number afterwards.
        discount: of the value.
    """

    def __init__(self, ticks: int = 64, discount: float = 0.97):
        super().__init__()
        self.ticks, self.discount = ticks, discount
        self.sweep = Sweep()
        self.plan = _after_each_move(5)

    def encode(self, observations: ndarray) -> Tensor:
        """[N, 3, H, W] uint8 planes to float32."""
        return encode_maze(observations, self.plan.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """Planes [N, 3, H, W] of walls, mouse and cheese to logits [N, 5] and value [N]."""
        return _read(self.everywhere(x), x)

    def everywhere(self, x: Tensor) -> PolicyOutput:
        """The same for a mouse on every square: logits [N, 5, H, W] and value [N, H, W].

        Raises:
            ValueError: fewer than one tick.
        """
        if self.ticks < 1:
            raise ValueError(f"ticks must be 1 or more, got {self.ticks}")
        free, cheese = 1 - x[:, :1], TOP * x[:, 2:]
        worth = cheese
        for _ in range(self.ticks):
            worth = self.sweep(worth, cheese, free)
        after = self.plan(worth)
        best = after.amax(1)
        value = self.discount ** (TOP - best).clamp(0, TOP)
        return PolicyOutput(SHARPNESS * (after - best[:, None]), torch.where(best > 0, value, 0.0))


class LocalPatterns(nn.Module):
    """Looks up what lies beside each square: to the cheese where it lies there, else up or right where that is free.

    It sees no farther than one step, and remembers nothing; its value is 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Conv2d(2, 1, 3, padding=1, bias=False).requires_grad_(False)
        self.code.weight.zero_()
        for move in range(5):
            row, column = 1 + MOVE_ROWS[move], 1 + MOVE_COLUMNS[move]
            self.code.weight[0, 0, row, column] = 2**move if move < 4 else 0
            self.code.weight[0, 1, row, column] = CHEESE * (1 + move)
        self.table = nn.Embedding((1 + HERE) * CHEESE, 5).requires_grad_(False)
        for code in range((1 + HERE) * CHEESE):
            self.table.weight[code] = SHARPNESS * _preferred(code)
        self.plan = nn.Identity()

    def encode(self, observations: ndarray) -> Tensor:
        """[N, 3, H, W] uint8 planes to float32."""
        return encode_maze(observations, self.table.weight.device)

    def forward(self, x: Tensor) -> PolicyOutput:
        """Planes [N, 3, H, W] of walls, mouse and cheese to logits [N, 5] and value [N]."""
        return _read(self.everywhere(x), x)

    def everywhere(self, x: Tensor) -> PolicyOutput:
        """The same for a mouse on every square: logits [N, 5, H, W] and value [N, H, W]."""
        code = self.code(torch.cat([1 - x[:, :1], x[:, 2:]], 1))[:, 0]
        logits = self.plan(self.table(code.round().long()).permute(0, 3, 1, 2))
        return PolicyOutput(logits, torch.zeros_like(code))


def _preferred(code: int) -> Tensor:
    """[5]: 1 for the moves that a pattern's code calls for."""
    cheese, free = divmod(code, CHEESE)
    if cheese:
        wanted = [cheese - 1]
    else:
        open_moves = [move for move in range(4) if free >> move & 1]
        wanted = [m for m in open_moves if m in (Move.UP, Move.RIGHT)] or open_moves or [int(Move.STAY)]
    return torch.zeros(5).index_fill(0, torch.tensor(wanted), 1.0)


def _read(everywhere: PolicyOutput, x: Tensor) -> PolicyOutput:
    """What stands at the mouse's square."""
    mouse = x[:, 1:2]
    return PolicyOutput((everywhere.logits * mouse).sum((2, 3)), (everywhere.value * mouse[:, 0]).sum((1, 2)))
