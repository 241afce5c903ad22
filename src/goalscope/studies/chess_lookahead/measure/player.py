"""What is run for the chess study along the lines of the puzzles: probabilities and values, one network at a time.

Networks are compared in one numbering of moves (that of `worlds/chess/world.py`), whatever their input format. Everything
is measured in batches, so memory does not grow with the number of puzzles but by the few numbers that are kept of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import chess
import numpy as np
import torch

from goalscope.policies.checkpoint import Policy
from goalscope.policies.lc0.moves import MOVES, SQUARES, LegalMoves, legal_moves
from goalscope.worlds.chess.planes import InputFormat
from goalscope.worlds.chess.state import DEPTH, from_boards

DEEP_FORMATS = (InputFormat.V2, InputFormat.V2_ARMAGEDDON)
DEEP = 102
"""positions that these formats may look back: the fifty-move count and one"""
BATCH = 256
"""positions in one forward"""


@dataclass(frozen=True)
class Seen:
    """What a network makes of N positions."""

    log_probs: np.ndarray
    """[N, 1858] float32 over the legal moves by `ChessMove` number, -inf where illegal"""
    value: np.ndarray
    """[N] float32, expected result of the side to move, -1 to 1"""


class Player:
    """A chess policy that looks at boards of python-chess.

    Args:
        policy: its module has `encode` (of a ChessState), `transforms` and a forward that gives `logits` and `value`.

    Raises:
        ValueError: the policy is no chess network.
    """

    def __init__(self, policy: Policy):
        module: Any = policy.module
        if missing := [name for name in ("encode", "transforms") if not hasattr(module, name)]:
            raise ValueError(
                f"{policy.name} is no chess network: it has no `{missing[0]}` of a ChessState, as those of Leela-format "
                "files have (goalscope.policies.lc0), such as maia-1900"
            )
        self.policy, self.module, self.name, self.sha256 = policy, module, policy.name, policy.sha256
        self.depth = DEEP if getattr(module, "input_format", None) in DEEP_FORMATS else DEPTH

    def look(self, boards: Sequence[chess.Board]) -> Seen:
        """Moves and value of boards with their histories.

        Raises:
            ValueError: a position without legal moves.
        """
        parts = [self._look(boards[i : i + BATCH]) for i in range(0, len(boards), BATCH)]
        return Seen(np.concatenate([p.log_probs for p in parts]), np.concatenate([p.value for p in parts]))

    def __call__(self, boards: Sequence[chess.Board]) -> tuple[np.ndarray, np.ndarray]:
        """(log-probabilities, value), as the search for twins asks for them."""
        seen = self.look(boards)
        return seen.log_probs, seen.value

    def values(self, boards: Sequence[chess.Board]) -> np.ndarray:
        """[N] value alone; positions without legal moves are allowed, the caller knows their result."""
        found = []
        with torch.inference_mode():
            for i in range(0, len(boards), BATCH):
                state = from_boards(boards[i : i + BATCH], self.depth)
                found.append(self.module(self.module.encode(state)).value.float().cpu().numpy())
        return np.concatenate(found) if found else np.empty(0, np.float32)

    def _look(self, boards: Sequence[chess.Board]) -> Seen:
        state = from_boards(boards, self.depth)
        with torch.inference_mode():
            output = self.module(self.module.encode(state))
            turned = self.module.transforms(state)
            plain = legal_moves(boards)
            own = legal_moves(boards, turned) if turned.any() else plain
            scores = _common_logits(output.logits.float().cpu(), boards, own, plain)
        return Seen(scores.log_softmax(1).numpy(), output.value.float().cpu().numpy())


def _common_logits(
    logits: torch.Tensor, boards: Sequence[chess.Board], own: LegalMoves, plain: LegalMoves
) -> torch.Tensor:
    """[N, 1858] legal logits by `ChessMove` number (`plain`), -inf where illegal, from a network's numbering (`own`)."""
    over = [i for i, moves in enumerate(own.moves) if not moves]
    if over:
        raise ValueError(f"no legal move (mate or stalemate) in {boards[over[0]].fen()}")
    scores = torch.full((len(boards), MOVES), -torch.inf)
    row = torch.from_numpy(own.row)
    scores[row, torch.from_numpy(plain.index)] = logits[row, torch.from_numpy(own.index)]
    return scores


def network_squares(squares: np.ndarray, turn: bool, transform: int) -> np.ndarray:
    """Board squares (a1 = 0) as the network numbers them: row * 8 + column of its planes; -1 stays -1."""
    squares = np.asarray(squares, int)
    mine = squares if turn else squares ^ 56
    return np.where(squares < 0, -1, SQUARES[transform][mine.clip(0)])
