"""A chess position with a network's moves as text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from goalscope.plots.boards.chess import placement

SYMBOLS = dict(zip("KQRBNPkqrbnp", "♔♕♖♗♘♙♚♛♜♝♞♟", strict=True))
BAR = 24
"""characters of a bar that stands for certainty"""


def show_chess(
    pieces: str,
    white_to_move: bool,
    moves: Sequence[tuple[str, float]],
    value: float,
    *,
    outcomes: tuple[float, float, float] | None = None,
    moves_left: float | None = None,
    number: int = 5,
) -> str:
    """The board, the most probable moves with bars, and what the network expects.

    Args:
        pieces: the first word of a FEN.
        white_to_move: whose turn it is.
        moves: (name, probability), the likeliest first; empty where there is none.
        value: expected result of the side to move, -1 to 1.
        outcomes: probability of win, draw and loss for the side to move, where the network gives them.
        moves_left: expected number of moves to the end, likewise.
        number: of moves that are shown.

    Raises:
        ValueError: `pieces` is no placement.
    """
    placed = placement(pieces)
    rows = []
    for row in range(8):
        squares = [SYMBOLS.get(placed.get((row, column), ""), "·") for column in range(8)]
        rows.append(f"{8 - row} {' '.join(squares)}")
    rows += ["  a b c d e f g h", f"{'White' if white_to_move else 'Black'} to move", ""]
    width = max((len(name) for name, _ in moves[:number]), default=0)
    for name, share in moves[:number]:
        rows.append(f"{name:{width}} {share:6.1%} {'█' * round(BAR * share)}")
    rest = sum(share for _, share in moves[number:])
    if len(moves) > number:
        rows.append(f"{len(moves) - number} other moves: {rest:.1%}")
    said = f"value {value:+.3f} (win minus loss for the side to move)"
    if outcomes is not None:
        win, draw, loss = outcomes
        said += f": win {win:.1%}, draw {draw:.1%}, loss {loss:.1%}"
    rows += ["", said]
    if moves_left is not None:
        rows.append(f"about {moves_left:.0f} moves to the end")
    return "\n".join(rows)
