"""A network whose memory holds a plan that is known: what the solver would do, with errors at a known rate."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.plots.boards.sokoban import STEPS
from goalscope.policies import PolicyOutput
from goalscope.studies.sokoban_plan.measure.shortcuts import Shortcuts
from goalscope.worlds.sokoban import Sokoban, SokobanState, solved
from goalscope.worlds.sokoban.solver import solve

NEVER = 4
FELT = 0.02
"""a change of the plan below this is not noticed"""


class Planner(nn.Module):
    """Ten planes at `plan` hold on every square where the player and a box next leave it (one plane a label), the
    eleventh is noise. A share of the squares holds another label instead. It does what was planned; where the planes are
    changed it follows the change, the player's first, then a box's.

    Args:
        errors: share of squares that hold another label.
        plans: False holds nothing and does the same everywhere.
        reads: "ahead" goes where a way of two squares at least (or one and a box) begins beside the player and never looks
            at the player's own square; "own" looks at no other square and makes the move that stands there.
    """

    def __init__(self, errors: float = 0.1, plans: bool = True, reads: str = "ahead"):
        super().__init__()
        self.plan = nn.Identity()
        self.errors, self.plans, self.reads = errors, plans, reads
        self.known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float()

    def forward(self, x: Tensor) -> PolicyOutput:
        boards = x.numpy() > 0.5
        planted = np.stack([self._planted(board) for board in boards])
        held = self.plan(torch.from_numpy(planted)).numpy()
        logits = np.zeros((len(boards), 4), np.float32)
        if self.plans:
            for i, board in enumerate(boards):
                logits[i, self._move(board, held[i] - planted[i])] = 5
        return PolicyOutput(torch.from_numpy(logits), torch.zeros(len(x)))

    def _planted(self, board: np.ndarray) -> np.ndarray:
        planes = np.zeros((11, *board.shape[1:]), np.float32)
        rng = np.random.default_rng(zlib.crc32(board.tobytes()))
        planes[10] = 4 * rng.standard_normal(board.shape[1:])
        if self.plans:
            wrong = rng.random((2, *board.shape[1:])) < self.errors
            shift = rng.integers(1, 5, wrong.shape)
            for k, labels in enumerate(self.future(board)):
                said = np.where(wrong[k], (labels + shift[k]) % 5, labels)
                for label in range(5):
                    planes[5 * k + label] = said == label
        return planes

    def future(self, board: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[H, W] labels of player and box; the same solution is followed all along."""
        if board.tobytes() not in self.known:
            walls, goals, boxes, player = board
            here = np.argwhere(player).astype(np.int16)
            state = SokobanState(walls[None], goals[None], boxes[None], here)
            moves = () if solved(state)[0] else solve(state, 3_000).actions
            world, states = Sokoban(*(int(n) for n in walls.shape)), [state]  # type: ignore[misc]
            for move in moves:
                states.append(world.step(states[-1], np.array([move], np.int64)).state)
            agent, box = np.full(walls.shape, NEVER), np.full(walls.shape, NEVER)
            for t in range(len(moves), -1, -1):
                if t < len(moves):
                    agent[tuple(states[t].player[0])] = moves[t]
                    if (states[t].boxes != states[t + 1].boxes).any():
                        box[tuple(states[t + 1].player[0])] = moves[t]
                key = world.observe(states[t])[0].astype(bool).tobytes()
                self.known.setdefault(key, (agent.copy(), box.copy()))
        return self.known[board.tobytes()]

    def _move(self, board: np.ndarray, change: np.ndarray) -> int:
        here = tuple(np.argwhere(board[3])[0])
        felt = change[:4].max(0) > np.maximum(FELT, change[5:9].max(0))
        way = np.where(felt, change[:4].argmax(0), NEVER)
        if self.reads == "own":
            return int(way[here]) if way[here] != NEVER else int(self.future(board)[0][here]) % 4
        lengths = [_length(board, way, here, (here[0] + dr, here[1] + dc)) for dr, dc in STEPS]
        if max(lengths) > 1:
            return int(np.argmax(lengths))
        for box in np.argwhere(board[2]):
            r, c = map(int, box)
            if change[5:9, r, c].max() > FELT:
                move = int(change[5:9, r, c].argmax())
                step = _towards(board, here, (r - STEPS[move][0], c - STEPS[move][1]))
                return move if step is None else step
        return int(self.future(board)[0][here]) % 4


def _length(board: np.ndarray, way: np.ndarray, start: tuple[int, ...], square: tuple[int, ...]) -> int:
    """Squares of the way that begins at `square` and does not lead back; a box that it pushes in the end is one more."""
    seen = {tuple(map(int, start))}
    while way[square] != NEVER and not (board[0] | board[2])[square] and square not in seen:
        seen.add(square)
        dr, dc = STEPS[way[square]]
        square = (square[0] + dr, square[1] + dc)
    if len(seen) == 2 and square in seen:
        return 0
    return len(seen) - 1 + int(len(seen) > 1 and board[2][square])


class Forgetful(Planner):
    """A planner whose memory has another code while it is empty: the planes of labels are then one further on."""

    def initial_carry(self, n: int) -> tuple[Tensor]:
        return (torch.ones(n, 1),)

    def forward(self, x: Tensor, carry: tuple[Tensor]) -> tuple:  # type: ignore[override]
        boards = x.numpy() > 0.5
        planted = np.stack([self._planted(board) for board in boards])
        empty = carry[0][:, 0].numpy() > 0
        planted[empty, :5] = np.roll(planted[empty, :5], 1, 1)
        planted[empty, 5:10] = np.roll(planted[empty, 5:10], 1, 1)
        self.plan(torch.from_numpy(planted))
        logits = np.zeros((len(boards), 4), np.float32)
        for i, board in enumerate(boards):
            logits[i, self._move(board, np.zeros_like(planted[i]))] = 5
        return torch.from_numpy(logits), torch.zeros(len(x)), (torch.zeros_like(carry[0]),)


def _towards(board: np.ndarray, start: tuple[int, ...], end: tuple[int, int]) -> int | None:
    """The first move of a shortest walk to `end`; None where the player is there, or cannot get there."""
    if tuple(map(int, start)) == end:
        return None
    free, queue, seen = ~(board[0] | board[2]), [end], {end}
    for r, c in queue:
        for move, (dr, dc) in enumerate(STEPS):
            before = (r - dr, c - dc)
            if before == tuple(map(int, start)) and free[r, c]:
                return move
            if before not in seen and free[before] and free[r, c]:
                seen.add(before)
                queue.append(before)
    return None


def first_shortcuts(family, count: int) -> list[Shortcuts]:
    """The first levels of a family, on boards of 8 x 8 with two boxes."""
    return [level for level, _ in zip(family(8, 2, 3), range(count), strict=False)]
