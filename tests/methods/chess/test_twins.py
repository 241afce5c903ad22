"""Twins by the published rule, on networks whose answer is known; and the filter of puzzles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.methods.chess.twins import (
    PuzzleRule,
    TwinRule,
    changed_boards,
    corrupted_twins,
    jensen_shannon,
    keep_puzzles,
)

# Mate on the back rank, which rests on the pawns g7 and h7.
BOARD = chess.Board("6k1/5ppp/8/8/8/8/4P3/R3K3 w - - 0 1")
BEST = chess.Move.from_uci("a1a8")


def index(board: chess.Board, move: chess.Move) -> int:
    return 64 * move.from_square + move.to_square


def scores(boards: Sequence[chess.Board], prefer: bool) -> tuple[np.ndarray, np.ndarray]:
    """Uniform over the legal moves; where `prefer`, the best move gets 0.9 in positions in which it mates."""
    logs, values = np.full((len(boards), 4096), -np.inf), np.zeros(len(boards))
    for i, board in enumerate(boards):
        moves = [index(board, m) for m in board.legal_moves]
        mating = False
        if board.is_legal(BEST):
            after = board.copy()
            after.push(BEST)
            mating = after.is_checkmate()
        share = np.full(len(moves), 1 / len(moves))
        if prefer:
            share = np.full(len(moves), 0.1 / (len(moves) - 1)) if mating else share
            best = moves.index(index(board, BEST)) if board.is_legal(BEST) else 0
            share[best] = 0.9 if mating else 0.001
            share /= share.sum()
            values[i] = 0.9 if mating else 0.0
        logs[i, moves] = np.log(share)
    return logs, values


def strong(boards: Sequence[chess.Board]) -> tuple[np.ndarray, np.ndarray]:
    return scores(boards, True)


def weak(boards: Sequence[chess.Board]) -> tuple[np.ndarray, np.ndarray]:
    return scores(boards, False)


def test_every_change_is_small_legal_and_named() -> None:
    found = changed_boards(BOARD, BEST)
    assert len(found) > 100
    for board, changed in found:
        assert board.is_valid() and board.is_legal(BEST) and 1 <= len(changed) <= 2
        differing = {s for s in chess.SQUARES if board.piece_at(s) != BOARD.piece_at(s)}
        assert differing == set(changed)
        assert board.king(chess.WHITE) == chess.E1 and board.king(chess.BLACK) == chess.G8
    some = changed_boards(BOARD, BEST, most=20, seed=3)
    assert len(some) == 20 and [b.fen() for b, _ in some] == [
        b.fen() for b, _ in changed_boards(BOARD, BEST, most=20, seed=3)
    ]


def test_the_twin_lets_the_king_out_and_nothing_else_moves_the_weak_network() -> None:
    (twin,) = corrupted_twins(BOARD, BEST, weak, strong, index)
    assert twin is not None
    after = twin.board.copy()
    after.push(BEST)
    assert not after.is_checkmate()
    assert twin.probability < 0.1 and twin.value_fall > 0.1 and twin.weak_fall < 0.2
    # Least divergence among all changes that keep the rule, by brute force.
    rest = []
    for board, _ in changed_boards(BOARD, BEST):
        if not scores([board], True)[1][0]:
            rest.append(float(jensen_shannon(weak([BOARD])[0], weak([board])[0])[0]))
    assert twin.divergence == pytest.approx(min(rest))


def test_the_twin_of_least_divergence_is_taken_wherever_it_stands_among_the_changes() -> None:
    """The weak network is moved less, the later a change is tried; the first change that keeps the rule is not it."""
    place = {board.fen(): i for i, (board, _) in enumerate(changed_boards(BOARD, BEST))}

    def drawn(boards: Sequence[chess.Board]) -> tuple[np.ndarray, np.ndarray]:
        logs, values = weak(boards)
        for row, board in zip(logs, boards, strict=True):
            best = index(board, BEST)
            share = 0.3 + 0.6 * (1 - place.get(board.fen(), len(place)) / len(place))
            others = np.isfinite(row) & (np.arange(len(row)) != best)
            row[others], row[best] = np.log((1 - share) / others.sum()), np.log(share)
        return logs, values

    (twin,) = corrupted_twins(BOARD, BEST, drawn, strong, index)
    keeping = [board for board, _ in changed_boards(BOARD, BEST) if not scores([board], True)[1][0]]
    divergences = jensen_shannon(drawn([BOARD])[0], drawn(keeping)[0])
    assert twin is not None and len(keeping) > 3 and divergences.argmin() > 0
    assert twin.divergence == pytest.approx(float(divergences.min()))


def test_a_strong_network_that_sees_nothing_has_no_twin() -> None:
    assert corrupted_twins(BOARD, BEST, weak, weak, index) == [None]


def test_a_twin_must_be_worth_less_to_the_strong_network() -> None:
    def unmoved(boards: Sequence[chess.Board]) -> tuple[np.ndarray, np.ndarray]:
        logs, values = strong(boards)
        return logs, np.full_like(values, 0.5)

    assert corrupted_twins(BOARD, BEST, weak, unmoved, index) == [None]


def test_a_weak_network_that_sees_as_much_keeps_no_published_rule() -> None:
    published, relaxed = corrupted_twins(
        BOARD, BEST, strong, strong, index, rules=[TwinRule(), TwinRule(weak_fall=np.inf)]
    )
    assert published is None and relaxed is not None and relaxed.weak_fall > 0.2


def test_divergence_of_known_distributions() -> None:
    with np.errstate(divide="ignore"):
        p, q = np.log([[1.0, 0, 0]]), np.log([[0, 0.5, 0.5], [1, 0, 0], [0.5, 0.5, 0]])
    expected = [np.log(2), 0, (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)) / 2]
    np.testing.assert_allclose(jensen_shannon(p, q), expected, atol=1e-12)


def test_filter_takes_each_threshold_by_itself() -> None:
    kept = keep_puzzles(
        plies=np.array([3, 1, 3, 3, 3, 3]),
        mate_in_one=np.array([False, True, False, False, False, False]),
        weak_first=np.array([0.01, 0.01, 0.06, 0.01, 0.01, 0.04]),
        strong_own=np.array([0.6, 0.6, 0.6, 0.4, 0.6, 0.51]),
        weak_reply=np.array([0.8, np.nan, 0.8, 0.8, 0.6, 0.71]),
    )
    assert kept.all.tolist() == [True, False, False, False, False, True]
    assert kept.weak_misses.tolist() == [True, True, False, True, True, True]
    assert kept.forced.tolist() == [True, False, True, True, False, True]
    everything = PuzzleRule(least_plies=1, weak_first=2, strong_own=-1, weak_reply=-1)
    one, none = np.array([1.0]), np.array([0.0])
    assert keep_puzzles(np.array([1]), np.array([False]), one, none, none, everything).all.all()


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="a1a8 is illegal"):
        corrupted_twins(chess.Board(), BEST, weak, strong, index)
    with pytest.raises(ValueError, match="at least one TwinRule"):
        corrupted_twins(BOARD, BEST, weak, strong, index, rules=[])
    good = np.array([0.5])
    with pytest.raises(ValueError, match="weak_first must hold probabilities"):
        keep_puzzles(np.array([3]), np.array([False]), good + 1, good, good)
    with pytest.raises(ValueError, match="of one length"):
        keep_puzzles(np.array([3, 3]), np.array([False]), good, good, good)
