"""Tactical motifs of a line of chess moves, each with a witness: the move and the squares that show it.

Every motif is a function of a position and a line (the solver's move first, then the reply, in turn) that gives
a `Witness`, or None where the line does not have it. The names are the themes of Lichess puzzles, whose one-sentence
definitions (lichess.org/training/themes) are made exact here by geometry and material, without any search. `tests/real`
states with which precision and recall each agrees with Lichess. `MOTIFS` lists them all, `motifs` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import chess

WORTH = {
    chess.PAWN: 1, chess.KNIGHT: 3, chess.BISHOP: 3, chess.ROOK: 5, chess.QUEEN: 9, chess.KING: 100,
}  # fmt: skip
"""pawns; a king is worth more than everything else together"""
SLIDERS = (chess.BISHOP, chess.ROOK, chess.QUEEN)


@dataclass(frozen=True)
class Witness:
    """What shows that a line has a motif."""

    motif: str
    """name of the theme"""
    ply: int
    """index into the line of the move that shows it, 0 is the solver's first"""
    squares: tuple[int, ...]
    """squares (a1 = 0), as each function's docstring orders them"""

    def __str__(self) -> str:
        return f"{self.motif} at ply {self.ply}: {' '.join(chess.square_name(s) for s in self.squares)}"


@dataclass(frozen=True)
class _Turn:
    """One move of the solver: the boards around it, and the solver's boards before."""

    ply: int
    move: chess.Move
    before: chess.Board
    after: chess.Board


Motif = Callable[[chess.Board, Sequence[chess.Move]], Witness | None]


def mate(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The line ends in the opponent's checkmate. Squares: the king, then the checkers."""
    after = list(_boards(board, line))[-1]
    if len(line) % 2 == 0 or not after.is_checkmate():
        return None
    return Witness("mate", len(line) - 1, (_king(after), *after.checkers()))


def mate_in(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The same, named after its number of the solver's moves: 'mateIn2'. Squares: as `mate`."""
    found = mate(board, line)
    return found and Witness(f"mateIn{found.ply // 2 + 1}", found.ply, found.squares)


def fork(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """A moved piece attacks two or more targets at once and cannot be taken for less.

    A target is the king, a piece worth more than the attacker, or one that is not defended and cannot take the
    attacker. The last move of a line is no fork: nothing is won by it any more. Squares: the attacker, the targets.
    """
    for turn in _turns(board, line[:-1]):
        square, after = turn.move.to_square, turn.after
        attacker = after.piece_type_at(square)
        if attacker is None or attacker == chess.KING or _loses(after, square):
            continue
        targets = [
            target
            for target in after.attacks(square) & after.occupied_co[after.turn]
            if _is_target(after, square, attacker, target)
        ]
        if len(targets) > 1:
            return Witness("fork", turn.ply, (square, *targets))
    return None


def pin(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """An enemy piece that stands before its king may not leave the line, and that matters.

    It matters where the pinned piece could otherwise take something of worth, or where it is itself attacked
    with gain and would have moves but for the pin. Squares: the pinning piece, the pinned one, the king.
    """
    for turn in _turns(board, line):
        after = turn.after
        enemy, king = after.turn, _king(after)
        for square in chess.SquareSet(after.occupied_co[enemy] & ~after.kings):
            ray = after.pin(enemy, square)
            if len(ray) == 64:
                continue
            pinner = [s for s in ray & after.occupied_co[not enemy] if after.piece_type_at(s) in SLIDERS]
            if pinner and (_cannot_take(after, square, ray) or _cannot_flee(after, square, ray)):
                return Witness("pin", turn.ply, (pinner[0], square, king))
    return None


def skewer(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """A piece steps out of a slider's line and what stood behind it is taken.

    The piece in front is worth more than the one behind, or is the king; the slider is not lost for less.
    Squares: the slider, front, behind.
    """
    turns = list(_turns(board, line))
    for earlier, turn in pairwise(turns):
        move, reply = turn.move, line[turn.ply - 1]
        captured = turn.before.piece_type_at(move.to_square)
        fled = turn.before.piece_type_at(reply.to_square)
        if captured is None or fled is None or turn.before.piece_type_at(move.from_square) not in SLIDERS:
            continue
        in_line = reply.from_square in chess.SquareSet(chess.between(move.from_square, move.to_square))
        stood = earlier.move.to_square == move.from_square or earlier.after.piece_type_at(move.from_square)
        if in_line and stood and reply.to_square != move.to_square and WORTH[fled] > WORTH[captured]:
            behind = earlier.after.piece_type_at(move.to_square)
            pays = WORTH[captured] >= _worth_at(turn.after, move.to_square)
            if behind == captured and (pays or not _loses(turn.after, move.to_square)):
                return Witness("skewer", earlier.ply, (move.from_square, reply.from_square, move.to_square))
    return None


def discovered_attack(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """A piece moves off the line of a slider behind it, which checks at once or takes with its next move.

    Squares: the slider, the square that was cleared, the target.
    """
    turns = list(_turns(board, line))
    for i, turn in enumerate(turns):
        cleared = turn.move.from_square
        for checker in turn.after.checkers():
            line_to_king = chess.SquareSet(chess.between(checker, _king(turn.after)))
            if checker != turn.move.to_square and cleared in line_to_king:
                return Witness("discoveredAttack", turn.ply, (checker, cleared, _king(turn.after)))
        if i + 1 == len(turns):
            break
        taking = turns[i + 1]
        slider, target = taking.move.from_square, taking.move.to_square
        if taking.before.piece_type_at(slider) not in SLIDERS or slider == turn.move.to_square:
            continue
        opened = cleared in chess.SquareSet(chess.between(slider, target))
        recapture = line[taking.ply - 1].to_square == target
        if opened and not recapture and turn.after.color_at(target) == turn.after.turn:
            return Witness("discoveredAttack", turn.ply, (slider, cleared, target))
    return None


def double_check(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """Two pieces give check at once. Squares: the king, the two checkers."""
    for turn in _turns(board, line):
        if len(turn.after.checkers()) > 1:
            return Witness("doubleCheck", turn.ply, (_king(turn.after), *turn.after.checkers()))
    return None


def back_rank_mate(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """Mate along the king's home rank, where nothing but its own pieces keeps it from going forward.

    Squares: the king, the checker, the pieces in its way.
    """
    found = mate(board, line)
    if found is None:
        return None
    after = list(_turns(board, line))[-1].after
    loser, king = after.turn, found.squares[0]
    home = 0 if loser == chess.WHITE else 7
    checkers = [s for s in found.squares[1:] if chess.square_rank(s) == home]
    ahead = [s for s in chess.SquareSet(chess.BB_KING_ATTACKS[king]) if chess.square_rank(s) != home]
    walled = all(after.color_at(s) == loser and not after.is_attacked_by(not loser, s) for s in ahead)
    if chess.square_rank(king) != home or not checkers or not walled:
        return None
    return Witness("backRankMate", found.ply, (king, checkers[0], *ahead))


def smothered_mate(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """Mate by a knight, every square around the king taken by its own pieces. Squares: the king, the knight."""
    found = mate(board, line)
    if found is None:
        return None
    after = list(_turns(board, line))[-1].after
    around = chess.SquareSet(chess.BB_KING_ATTACKS[found.squares[0]])
    by_knight = all(after.piece_type_at(s) == chess.KNIGHT for s in found.squares[1:])
    if by_knight and all(after.color_at(s) == after.turn for s in around):
        return Witness("smotheredMate", found.ply, found.squares[:2])
    return None


def hanging_piece(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The first move takes an undefended piece, and the gain stands after the solver's second move.

    Not where it takes back no more than the opponent's last move took on that square. Squares: the taker, the piece.
    """
    turns = list(_turns(board, line))
    if not turns or board.is_en_passant(turns[0].move):
        return None
    move = turns[0].move
    taken = board.piece_type_at(move.to_square)
    if taken is None or taken == chess.PAWN or turns[0].after.is_attacked_by(not board.turn, move.to_square):
        return None
    if _last_taken(board, move.to_square) >= WORTH[taken]:
        return None
    later = turns[min(1, len(turns) - 1)].after
    kept = _balance(later, board.turn) - _balance(board, board.turn) >= WORTH[taken]
    return Witness("hangingPiece", 0, (move.from_square, move.to_square)) if kept else None


def sacrifice(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """After a later move of the solver it is still down by two pawns' worth or more against the start.

    Exchanges are taken back at once and are none; nor is what pays for a promotion of the opponent.
    Squares: where what was given stood.
    """
    if any(move.promotion for move in line[1::2]):
        return None
    start = _balance(board, board.turn)
    for turn in list(_turns(board, line))[1:]:
        if _balance(turn.after, board.turn) - start <= -2:
            return Witness("sacrifice", turn.ply - 2, (line[turn.ply - 1].to_square,))
    return None


def attraction(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """An enemy piece takes what the solver put on a square, and the next move makes use of it there.

    A king is checked; a queen or rook is attacked, and taken on that square by the move after.
    Squares: the square, where the enemy piece came from, where the next move ends.
    """
    boards = list(_boards(board, line))
    for ply in range(1, len(line) - 1, 2):
        square, follow = line[ply].to_square, line[ply + 1].to_square
        piece = boards[ply].piece_type_at(line[ply].from_square)
        if line[ply - 1].to_square != square or square not in boards[ply + 2].attacks(follow):
            continue
        taken = (
            piece in (chess.QUEEN, chess.ROOK) and ply + 3 < len(line) and line[ply + 3].to_square == square
        )
        if piece == chess.KING or taken:
            return Witness("attraction", ply - 1, (square, line[ply].from_square, follow))
    return None


def promotion(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The solver promotes a pawn. Squares: from, to."""
    for turn in _turns(board, line):
        if turn.move.promotion:
            return Witness("promotion", turn.ply, (turn.move.from_square, turn.move.to_square))
    return None


def under_promotion(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The solver promotes to another piece than a queen. Squares: from, to."""
    for turn in _turns(board, line):
        if turn.move.promotion not in (None, chess.QUEEN):
            return Witness("underPromotion", turn.ply, (turn.move.from_square, turn.move.to_square))
    return None


def en_passant(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The solver takes en passant. Squares: from, to."""
    for turn in _turns(board, line):
        if turn.before.is_en_passant(turn.move):
            return Witness("enPassant", turn.ply, (turn.move.from_square, turn.move.to_square))
    return None


def advanced_pawn(board: chess.Board, line: Sequence[chess.Move]) -> Witness | None:
    """The solver pushes a pawn onto one of the last two ranks. Squares: from, to."""
    for turn in _turns(board, line):
        rank = chess.square_rank(turn.move.to_square)
        if turn.before.piece_type_at(turn.move.from_square) == chess.PAWN and (
            rank >= 6 if board.turn == chess.WHITE else rank <= 1
        ):
            return Witness("advancedPawn", turn.ply, (turn.move.from_square, turn.move.to_square))
    return None


MOTIFS: dict[str, Motif] = {
    "mate": mate,
    "fork": fork,
    "pin": pin,
    "skewer": skewer,
    "discoveredAttack": discovered_attack,
    "doubleCheck": double_check,
    "backRankMate": back_rank_mate,
    "smotheredMate": smothered_mate,
    "hangingPiece": hanging_piece,
    "sacrifice": sacrifice,
    "attraction": attraction,
    "promotion": promotion,
    "underPromotion": under_promotion,
    "enPassant": en_passant,
    "advancedPawn": advanced_pawn,
}
"""by Lichess theme; `mate_in` gives 'mateIn1' and on"""


def motifs(board: chess.Board, line: Sequence[chess.Move]) -> dict[str, Witness]:
    """All motifs of a line, by name, `mateInN` among them.

    Raises:
        ValueError: a move of the line is illegal, or there is none.
    """
    if not line:
        raise ValueError("a line needs at least one move, got none")
    found = {name: witness for name, motif in MOTIFS.items() if (witness := motif(board, line))}
    ending = mate_in(board, line)
    return found if ending is None else {**found, ending.motif: ending}


def _boards(board: chess.Board, line: Sequence[chess.Move]) -> Iterator[chess.Board]:
    """The position before the line and after each of its moves."""
    now = board.copy(stack=1)
    yield now.copy(stack=1)
    for ply, move in enumerate(line):
        if not now.is_legal(move):
            raise ValueError(f"move {ply + 1} of the line, {move.uci()}, is illegal in {now.fen()}")
        now.push(move)
        yield now.copy(stack=1)


def _turns(board: chess.Board, line: Sequence[chess.Move]) -> Iterator[_Turn]:
    """The solver's moves in their order."""
    boards = list(_boards(board, line))
    for ply in range(0, len(line), 2):
        yield _Turn(ply, line[ply], boards[ply], boards[ply + 1])


def _king(board: chess.Board) -> int:
    """The square of the king of the side to move; -1 in a position without one."""
    square = board.king(board.turn)
    return -1 if square is None else square


def _balance(board: chess.Board, side: chess.Color) -> int:
    """Material of a side minus that of the other, in pawns."""
    return sum(
        WORTH[kind] * (len(board.pieces(kind, side)) - len(board.pieces(kind, not side)))
        for kind in range(chess.PAWN, chess.KING)
    )


def _worth_at(board: chess.Board, square: int) -> int:
    kind = board.piece_type_at(square)
    return 0 if kind is None else WORTH[kind]


def _loses(board: chess.Board, square: int) -> bool:
    """Whether the side to move can take on `square` with gain: it is undefended, or taken by something of less worth."""
    takers = [move.from_square for move in board.legal_moves if move.to_square == square]
    if not takers:
        return False
    defended = board.is_attacked_by(not board.turn, square)
    return not defended or min(_worth_at(board, s) for s in takers) < _worth_at(board, square)


def _is_target(board: chess.Board, attacker_square: int, attacker: int, target: int) -> bool:
    kind = board.piece_type_at(target)
    if kind is None or kind == chess.PAWN:
        return False
    undefended = not board.is_attacked_by(board.turn, target)
    return WORTH[kind] > WORTH[attacker] or (undefended and attacker_square not in board.attacks(target))


def _cannot_take(board: chess.Board, pinned: int, ray: chess.SquareSet) -> bool:
    """The pinned piece attacks something off the ray that it would gain by taking."""
    solver = not board.turn
    for target in board.attacks(pinned) & board.occupied_co[solver]:
        if target in ray:
            continue
        gain = _worth_at(board, target) > _worth_at(board, pinned)
        if gain or not board.is_attacked_by(solver, target):
            return True
    return False


def _cannot_flee(board: chess.Board, pinned: int, ray: chess.SquareSet) -> bool:
    """The pinned piece is attacked with gain, and has squares to go to but for the pin."""
    solver, worth = not board.turn, _worth_at(board, pinned)
    attackers = board.attackers(solver, pinned)
    if not attackers:
        return False
    cheaper = min(_worth_at(board, s) for s in attackers) < worth
    undefended = not board.is_attacked_by(board.turn, pinned)
    elsewhere = board.attacks(pinned) & ~chess.SquareSet(board.occupied_co[board.turn]) & ~ray
    return (cheaper or undefended) and bool(elsewhere)


def _last_taken(board: chess.Board, square: int) -> int:
    """Worth of what the last move took on a square; 0 where it took nothing there."""
    if not board.move_stack or board.peek().to_square != square:
        return 0
    before = board.copy(stack=1)
    before.pop()
    return _worth_at(before, square)
