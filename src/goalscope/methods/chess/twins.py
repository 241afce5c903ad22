"""Corrupted twins of chess positions by search, and the filter that keeps puzzles worth patching.

A twin differs from its position by one small change of the board (a piece moved, removed, or a pawn added), after
which the right move is wrong, while a weak network hardly notices: what a patch from twin to position changes is then
what only the strong network saw. The rules and thresholds are those of Jenner, Kapur, Georgiev, Allen, Emmons and
Russell 2024, "Evidence of Learned Look-Ahead in a Chess-Playing Neural Network" (section 2 and its appendix on
the puzzle data set). Networks come as plain callables, so any engine or model can stand in for either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import chess
import numpy as np

from goalscope.showing import drawing, text

Network = Callable[[Sequence[chess.Board]], tuple[np.ndarray, np.ndarray]]
"""boards [N] -> (log-probabilities [N, A] of moves by a fixed numbering, -inf where illegal; value [N] of the side
to move, win minus loss)"""
MoveIndex = Callable[[chess.Board, chess.Move], int]
"""the number of a move in that numbering"""


@dataclass(frozen=True)
class TwinRule:
    """When a changed position counts as a twin; the defaults are the published ones."""

    __repr__, _repr_html_ = text, drawing

    weak_fall: float = 0.2
    """the weak network's log-odds of the right move fall by less than this (or rise)"""
    value_fall: float = 0.1
    """the strong network's value falls by more than this"""
    most_probable: float = 0.1
    """the strong network gives the right move less than this in the twin"""


@dataclass(frozen=True)
class Twin:
    """The best twin of a position."""

    __repr__, _repr_html_ = text, drawing

    board: chess.Board
    """without history: what came before led to another position"""
    changed: tuple[int, ...]
    """squares that differ (a1 = 0)"""
    divergence: float
    """Jensen-Shannon divergence in nats between the weak network's moves in position and twin"""
    weak_fall: float
    """of the log-odds of the right move"""
    value_fall: float
    """of the strong network"""
    probability: float
    """that the strong network gives the right move in the twin"""
    candidates: int
    """changed positions that were tried"""


@dataclass(frozen=True)
class PuzzleRule:
    """Which puzzles are kept; the defaults are the published ones."""

    __repr__, _repr_html_ = text, drawing

    least_plies: int = 3
    """of the line; a mate in one is never kept"""
    weak_first: float = 0.05
    """the weak network gives the first move less than this"""
    strong_own: float = 0.5
    """the strong network gives every move of the solver more than this"""
    weak_reply: float = 0.7
    """the weak network gives the first reply more than this: it is forced"""


@dataclass(frozen=True)
class Kept:
    """Which of N puzzles pass each part of a `PuzzleRule`, and all of them."""

    __repr__, _repr_html_ = text, drawing

    long: np.ndarray
    """[N] bool: enough plies and no mate in one"""
    weak_misses: np.ndarray
    """[N] bool"""
    strong_finds: np.ndarray
    """[N] bool"""
    forced: np.ndarray
    """[N] bool: the reply is the one that the weak network expects"""

    @property
    def all(self) -> np.ndarray:
        """[N] bool: every part holds."""
        return self.long & self.weak_misses & self.strong_finds & self.forced


def keep_puzzles(
    plies: np.ndarray,
    mate_in_one: np.ndarray,
    weak_first: np.ndarray,
    strong_own: np.ndarray,
    weak_reply: np.ndarray,
    rule: PuzzleRule | None = None,
) -> Kept:
    """The published filter, part by part.

    Args:
        plies: [N] length of each line.
        mate_in_one: [N] bool, the first move mates.
        weak_first: [N] probability that the weak network gives the first move.
        strong_own: [N] the least probability that the strong network gives a move of the solver along the line.
        weak_reply: [N] probability that the weak network gives the first reply; NaN where there is none.
        rule: thresholds; the published ones where None.

    Raises:
        ValueError: arrays of different shapes, or probabilities outside 0..1.
    """
    rule = rule or PuzzleRule()
    shapes = {np.shape(a) for a in (plies, mate_in_one, weak_first, strong_own, weak_reply)}
    if len(shapes) != 1:
        raise ValueError(f"all arrays must be [N] of one length, got shapes {sorted(shapes)}")
    for name, array in (("weak_first", weak_first), ("strong_own", strong_own), ("weak_reply", weak_reply)):
        if ((array < 0) | (array > 1 + 1e-6)).any():
            raise ValueError(f"{name} must hold probabilities: from {np.nanmin(array)} to {np.nanmax(array)}")
    return Kept(
        long=(plies >= rule.least_plies) & ~mate_in_one,
        weak_misses=weak_first < rule.weak_first,
        strong_finds=strong_own > rule.strong_own,
        forced=np.nan_to_num(weak_reply, nan=0.0) > rule.weak_reply,
    )


def changed_boards(
    board: chess.Board, best: chess.Move, *, most: int | None = None, seed: int = 0
) -> list[tuple[chess.Board, tuple[int, ...]]]:
    """Small changes of a position in which the right move is still legal: (board, squares that differ).

    One piece that is neither a king nor the one that moves is removed, or moved to an empty square within two
    squares; or a pawn of either side is put on an empty square. Boards have no history and no en passant; both sides
    keep the castling rights that king and rooks still allow; positions that the rules exclude are left out.

    Args:
        board: the position.
        best: the right move.
        most: so many are drawn at random; None gives all (some 240).
        seed: of the draw.
    """
    base = board.copy(stack=False)
    base.ep_square = None
    if not base.is_legal(best):
        return []
    edits = list(_edits(base, best))
    if most is not None:
        edits = [edits[i] for i in np.random.default_rng(seed).permutation(len(edits))]
    found = []
    for removed, added, piece in edits:
        edited = base.copy(stack=False)
        if removed is not None:
            edited.remove_piece_at(removed)
        if added is not None:
            edited.set_piece_at(added, piece)
        edited.castling_rights = edited.clean_castling_rights()
        if edited.is_valid() and edited.is_legal(best):
            found.append((edited, tuple(s for s in (removed, added) if s is not None)))
            if most is not None and len(found) >= most:
                break
    return found


def _edits(
    board: chess.Board, best: chess.Move
) -> Iterator[tuple[int | None, int | None, chess.Piece | None]]:
    """(square emptied, square filled, with what) of every change, legal or not."""
    empty = ~chess.SquareSet(board.occupied)
    for square in chess.SquareSet(board.occupied & ~board.kings):
        if square == best.from_square:
            continue
        piece = board.piece_at(square)
        yield square, None, None
        for target in empty:
            if chess.square_distance(square, target) <= 2 and _may_stand(piece, target):
                yield square, target, piece
    for side in chess.COLORS:
        pawn = chess.Piece(chess.PAWN, side)
        for square in empty:
            if _may_stand(pawn, square):
                yield None, square, pawn


def _may_stand(piece: chess.Piece | None, square: int) -> bool:
    return piece is None or piece.piece_type != chess.PAWN or 0 < chess.square_rank(square) < 7


def corrupted_twins(
    board: chess.Board,
    best: chess.Move,
    weak: Network,
    strong: Network,
    index: MoveIndex,
    *,
    rules: Sequence[TwinRule] = (TwinRule(),),
    most_candidates: int | None = None,
    seed: int = 0,
) -> list[Twin | None]:
    """For each rule the twin that changes the weak network's moves least, or None where no change keeps the rule.

    Args:
        board: the position; its history is left out, as no twin can have it.
        best: the right move.
        weak, strong: see `Network`.
        index: see `MoveIndex`.
        rules: thresholds; the published ones by default.
        most_candidates: changes tried at most, drawn at random; None tries all (some 240).
        seed: of that draw.

    Raises:
        ValueError: `best` is illegal on `board`, or there is no rule.
    """
    if not board.is_legal(best):
        raise ValueError(f"the right move {best.uci()} is illegal in {board.fen()}")
    if not rules:
        raise ValueError("no rule: pass at least one TwinRule")
    found = changed_boards(board, best, most=most_candidates, seed=seed)
    twins: list[Twin | None] = [None] * len(rules)
    if not found:
        return twins
    bare = board.copy(stack=False)
    number = index(bare, best)
    weak_before, _ = weak([bare])
    _, value_before = strong([bare])
    # The weak network goes first, and the strong one is asked in the order of what it says, until every rule is kept.
    after, _ = weak([b for b, _ in found])
    fall = _log_odds(weak_before[0, number]) - _log_odds(after[:, number])
    divergence = jensen_shannon(weak_before, after)
    order = np.argsort(divergence, kind="stable")
    order = order[fall[order] < max(rule.weak_fall for rule in rules)]
    for first in range(0, len(order), _STRONG_BATCH):
        part = order[first : first + _STRONG_BATCH]
        log_probs, value = strong([found[i][0] for i in part])
        probability, value_fall = np.exp(log_probs[:, number]), value_before[0] - value
        for r, rule in enumerate(rules):
            kept = (probability < rule.most_probable) & (value_fall > rule.value_fall)
            kept &= fall[part] < rule.weak_fall
            if twins[r] is None and kept.any():
                k = int(np.argmax(kept))
                i = part[k]
                said = (divergence[i], fall[i], value_fall[k], probability[k])
                twins[r] = Twin(*found[i], *map(float, said), candidates=len(found))
        if all(twin is not None for twin in twins):
            break
    return twins


_STRONG_BATCH = 32
"""changes that the strong network sees at a time, in the order of divergence: most searches end in the first"""


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[N] divergence in nats between log-probabilities [1 or N, A] and [N, A]; -inf is probability 0."""
    p, q = np.exp(np.asarray(first, np.float64)), np.exp(np.asarray(second, np.float64))
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / middle), 0) + np.where(q > 0, q * np.log(q / middle), 0)
    return terms.sum(1) / 2


def _log_odds(log_p: np.ndarray) -> np.ndarray:
    """log p - log(1 - p), finite for p of 0 and 1 in float32."""
    p = np.clip(np.exp(np.asarray(log_p, np.float64)), 1e-12, 1 - 1e-7)
    return np.log(p) - np.log1p(-p)
