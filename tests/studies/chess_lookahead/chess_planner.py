"""Hand-built chess networks that know some positions by heart, and what they decide by; puzzles for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.checkpoint import Policy
from goalscope.worlds.chess.planes import encode
from goalscope.worlds.chess.puzzles import Puzzle
from goalscope.worlds.chess.state import ChessState, from_boards, to_boards
from goalscope.worlds.chess.world import ChessGame, ChessMove, move_number

FIRST, THIRD, NUMBER = 0, 1, 2
"""what a known position gets: a mark on the square of its move, one on that of the move after next, and on every
square which move it is"""


class Output(NamedTuple):
    logits: Tensor
    value: Tensor


class Recall(nn.Module):
    """Adds three channels to the twelve of the present pieces; zero where the position is not known."""

    known: Tensor
    marks: Tensor

    def __init__(self, known: Tensor, marks: Tensor):
        super().__init__()
        self.register_buffer("known", known)
        self.register_buffer("marks", marks)

    def forward(self, x: Tensor) -> Tensor:
        pieces = x[:, :12].flatten(1)
        shared = pieces @ self.known.T
        same = (shared == pieces.sum(1, keepdim=True)) & (shared == self.known.sum(1))
        marks = (same.float() @ self.marks.flatten(1)).view(-1, 3, 8, 8)
        return torch.cat([x[:, :12], marks], 1)


class Planner(nn.Module):
    """Chooses the move that it recalls, as far as the mark that it decides by is on the board; else all are equal."""

    def __init__(self, known: Tensor, marks: Tensor, reads: int):
        super().__init__()
        self.blocks = nn.ModuleList([Recall(known, marks), nn.Identity()])
        self.reads = reads

    def encode(self, state: ChessState) -> Tensor:
        return torch.from_numpy(encode(state))

    def transforms(self, state: ChessState) -> np.ndarray:
        return np.zeros(len(state), np.uint8)

    def forward(self, x: Tensor) -> Output:
        for block in self.blocks:
            x = block(x)
        sure = x[:, 12 + self.reads].flatten(1).sum(1).clamp(0, 1)
        number = x[:, 12 + NUMBER].flatten(1).amax(1)
        chosen = (torch.arange(len(ChessMove)) + 1 == number[:, None]).float()
        return Output(8 * sure[:, None] * chosen, 0.9 * sure)


def planner(name: str, puzzles: Sequence[Puzzle], *, plans: bool, plies: Sequence[int] = (0, 2)) -> Policy:
    """A network that knows the moves of some plies of the lines.

    Args:
        name: of the policy.
        puzzles: what it knows by heart.
        plans: the first move is decided by the mark on the third one's square; otherwise by that on its own.
        plies: those that it knows.
    """
    boards, rows = [], []
    for puzzle in puzzles:
        for ply in plies:
            board, move = puzzle.boards()[ply].copy(stack=False), puzzle.line[ply]
            later = puzzle.line[2] if plans and ply == 0 else move
            flip = 0 if board.turn else 56
            marks = torch.zeros(3, 64)
            marks[FIRST, move.to_square ^ flip] = 1
            if plans:
                marks[THIRD, later.to_square ^ flip] = 1
            marks[NUMBER] = move_number(board, move) + 1
            boards.append(board)
            rows.append(marks)
    known = (
        torch.from_numpy(encode(from_boards(boards)))[:, :12].flatten(1) if boards else torch.zeros(0, 768)
    )
    marks = torch.stack(rows) if rows else torch.zeros(0, 3, 64)
    return Policy(Planner(known, marks, THIRD if plans else FIRST).eval(), name, "", {})


def made_puzzles(count: int) -> list[Puzzle]:
    """Random positions with random lines of three plies whose third move ends on a square of its own."""
    puzzles = []
    seed = 0
    while len(puzzles) < count:
        rng = np.random.default_rng(seed)
        (board,) = to_boards(ChessGame().generate([seed]))
        seed += 1
        line, now = [], board.copy()
        for _ in range(3):
            moves = list(now.legal_moves)
            if not moves:
                break
            line.append(moves[rng.integers(len(moves))])
            now.push(line[-1])
        if len(line) < 3 or len(board.piece_map()) < 14:
            continue
        taken = {square for move in line[:2] for square in (move.from_square, move.to_square)}
        if line[2].to_square not in taken:
            puzzles.append(Puzzle(f"made{seed}", board, tuple(line), 1500, frozenset()))
    return puzzles
