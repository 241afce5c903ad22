"""One chess position through a network's eyes: its likeliest moves and what it expects, as text."""

from __future__ import annotations

import torch

from goalscope.plots.terminal.chess import show_chess
from goalscope.policies.checkpoint import Policy
from goalscope.policies.lc0.moves import legal_moves, move_probabilities
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.worlds.chess.state import from_boards
from goalscope.worlds.chess.world import parse_board


def show_position(policy: Policy, text: str, number: int = 5) -> str:
    """The board with a network's likeliest moves, its value and, where it has them, win, draw, loss and moves left.

    Args:
        policy: a chess network.
        text: 'FEN' or 'FEN moves e2e4 ...'.
        number: of moves that are shown.

    Raises:
        ValueError: an illegal FEN or move, a policy that is no chess network, a position without legal moves (says
            whether it is mate or stalemate).
    """
    player, board = Player(policy), parse_board(text)
    if not any(board.generate_legal_moves()):
        end = "checkmate" if board.is_check() else "stalemate"
        raise ValueError(f"there is no legal move: {board.fen()} is {end}")
    state = from_boards([board], player.depth)
    with torch.inference_mode():
        output = player.module(player.module.encode(state))
    legal = legal_moves([board], player.module.transforms(state))
    chosen = [(board.san(move), share) for move, share in move_probabilities(output.logits, legal)[0]]
    wdl, left = getattr(output, "wdl", None), getattr(output, "moves_left", None)
    outcomes = None if wdl is None else tuple(wdl[0].tolist())
    return show_chess(
        board.board_fen(), board.turn, chosen, float(output.value[0]), outcomes=outcomes,
        moves_left=None if left is None else float(left[0]), number=number,
    )  # fmt: skip
