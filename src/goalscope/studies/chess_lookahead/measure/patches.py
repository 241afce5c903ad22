"""Which puzzles are patched, their corrupted twins, and what each square of the line does for the first move.

All of it is on bare positions, without the game before them: a twin has no game, so neither may the position that it is
compared with. A *case* is one puzzle; where its line is longer than three plies only the first three count here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import chess
import numpy as np
import torch
from torch import Tensor

from goalscope.activations.hooks import sites as all_sites
from goalscope.methods.chess.square_patch import SQUARES, SquareEffects, matched_squares, patch_squares
from goalscope.methods.chess.twins import Twin, TwinRule, corrupted_twins
from goalscope.policies.lc0.moves import legal_moves
from goalscope.progress import counted
from goalscope.studies.chess_lookahead.measure.lines import mates_by
from goalscope.studies.chess_lookahead.measure.player import Player, network_squares
from goalscope.worlds.chess.puzzles import Puzzle
from goalscope.worlds.chess.state import from_boards
from goalscope.worlds.chess.world import move_number

MATCHED = 3
"""matched squares for each target"""
CANDIDATES: int | None = None
"""changed positions tried for a twin, drawn at random; None tries all (some 240)"""
TARGETS = ("first", "reply", "third")
"""the squares where the first three plies of a line end"""
RULES = {"published": TwinRule(), "relaxed": TwinRule(weak_fall=np.inf)}
"""for twins: as published, and without the clause on the weak network, which two networks that are nearly equally
strong hardly ever keep"""
LEAST_CONFIDENCE = 0.3
"""a puzzle is patched where the strong network gives the first move more than this: who does not see a move cannot
show why"""
_LAYER = re.compile(r"(.*\.)?(blocks|encoders|layers)\.\d+")


@dataclass(frozen=True)
class Case:
    """A puzzle that is patched, with its twin."""

    puzzle: int
    """its index"""
    board: chess.Board
    """without history"""
    line: tuple[chess.Move, ...]
    """at least three plies"""
    twin: Twin
    other: int = -1
    """square of a second mate that would do as well as the line's third move, or -1"""


def lookahead_lines(puzzles: Sequence[Puzzle]) -> np.ndarray:
    """[N] bool: lines of three plies or more whose third move ends on a square of its own.

    A third move that ends where the first or the reply started or ended (a recapture, say) would make the square special
    without any look-ahead.
    """
    found = np.zeros(len(puzzles), bool)
    for i, puzzle in enumerate(puzzles):
        if len(puzzle.line) >= 3:
            first, reply, third = puzzle.line[:3]
            taken = (first.from_square, first.to_square, reply.from_square, reply.to_square)
            found[i] = third.to_square not in taken
    return found


def find_cases(
    puzzles: Sequence[Puzzle],
    chosen: np.ndarray,
    strong: Player,
    weak: Player,
    *,
    most: int,
    seed: int = 0,
) -> tuple[dict[str, list[Case]], np.ndarray]:
    """Twins of the chosen puzzles, at most `most` of them drawn at random.

    Args:
        puzzles: all N.
        chosen: [N] bool, those to try.
        strong, weak: the networks of the rule.
        most: cases tried at most.
        seed: of the draw and of the changes that are tried.

    Returns:
        For each of `RULES` the cases that have a twin, in the order of the puzzles; and the puzzles [K] that were tried.
    """
    order = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(chosen))[:most])
    cases: dict[str, list[Case]] = {name: [] for name in RULES}
    for i in counted(order.tolist(), "corrupted twins", "puzzles tried"):
        for name, case in _cases(i, puzzles[i].board, puzzles[i].line, strong, weak, seed).items():
            cases[name].append(case)
    return cases, order


def _cases(
    puzzle: int, board: chess.Board, line: tuple[chess.Move, ...], strong: Player, weak: Player, seed: int,
    other: int = -1,
) -> dict[str, Case]:  # fmt: skip
    bare = board.copy(stack=False)
    twins = corrupted_twins(
        bare, line[0], weak, strong, move_number, rules=list(RULES.values()), most_candidates=CANDIDATES,
        seed=seed + puzzle,
    )  # fmt: skip
    return {
        name: Case(puzzle, bare, line, twin, other)
        for name, twin in zip(RULES, twins, strict=True)
        if twin is not None and _turned_alike(strong, bare, twin.board)
    }


def _turned_alike(player: Player, board: chess.Board, twin: chess.Board) -> bool:
    """Whether the input format shows both boards the same way round, so that their squares can be exchanged."""
    turned = player.module.transforms(from_boards([board, twin], player.depth))
    return bool(turned[0] == turned[1])


def two_mates(puzzles: Sequence[Puzzle]) -> list[tuple[int, chess.Board, tuple[chess.Move, ...], int]]:
    """Where either of two mates suffices: (puzzle, position three plies before the end, line, the other mate's square).

    The line ends in mate, and on its last position a second move mates on another square.
    """
    found = []
    for i, puzzle in enumerate(puzzles):
        if len(puzzle.line) < 3:
            continue
        boards = puzzle.boards()
        if not boards[-1].is_checkmate():
            continue
        before, last = boards[-2], puzzle.line[-1]
        squares = [m.to_square for m in before.legal_moves if before.gives_check(m) and mates_by(before, m)]
        others = [square for square in squares if square != last.to_square]
        if others:
            found.append((i, boards[-4], puzzle.line[-3:], others[0]))
    return found


def branch_cases(
    puzzles: Sequence[Puzzle], strong: Player, weak: Player, seed: int
) -> tuple[list[Case], int]:
    """The cases of `two_mates` that have a twin by the relaxed rule, and how many were tried."""
    tried = two_mates(puzzles)
    found = [
        _cases(i, board, line, strong, weak, seed, other)
        for i, board, line, other in counted(tried, "twins of lines with two mates", "puzzles tried")
    ]
    return [case["relaxed"] for case in found if "relaxed" in case], len(tried)


def layer_sites(player: Player) -> list[str]:
    """The residual stream after each block: sites named `...blocks.N` (or encoders, layers) that are boards.

    Raises:
        ValueError: the network has none.
    """
    x = player.module.encode(from_boards([chess.Board()], player.depth))
    shapes = all_sites(player.module, x)
    found = [
        name
        for name, shape in shapes.items()
        if _LAYER.fullmatch(name) and (shape[2:] == (8, 8) or (len(shape) == 3 and shape[1] == SQUARES))
    ]
    if not found:
        raise ValueError(
            f"{player.name} has no sites named blocks.N, encoders.N or layers.N of shape [N, C, 8, 8] or [N, 64, C]; "
            f"its sites begin with {', '.join(list(shapes)[:8])}"
        )
    return found


def board_features(board: chess.Board, first: chess.Move) -> tuple[np.ndarray, np.ndarray]:
    """What squares are matched by: [64, 3] occupation, attacked by the solver and by the opponent; [64] distance.

    The distance is that of a king to where the first move ends.
    """
    kind = np.zeros((SQUARES, 3), int)
    distance = np.array([chess.square_distance(square, first.to_square) for square in range(SQUARES)])
    for square in range(SQUARES):
        colour = board.color_at(square)
        kind[square, 0] = 0 if colour is None else 1 if colour == board.turn else 2
        kind[square, 1] = board.is_attacked_by(board.turn, square)
        kind[square, 2] = board.is_attacked_by(not board.turn, square)
    return kind, distance


def usual_offsets(puzzles: Sequence[Puzzle], rows: np.ndarray) -> np.ndarray:
    """[15, 15] how often third moves end (ranks + 7, files + 7) away from where first ones end, from the solver's side."""
    table = np.zeros((15, 15))
    for i in rows:
        line, turn = puzzles[i].line, puzzles[i].board.turn
        if len(line) >= 3:
            rank, file = _offset(line[0].to_square, line[2].to_square, turn)
            table[rank, file] += 1
    return table


def _offset(start: int, end: int, turn: bool) -> tuple[int, int]:
    ranks = chess.square_rank(end) - chess.square_rank(start)
    return (ranks if turn else -ranks) + 7, chess.square_file(end) - chess.square_file(start) + 7


def case_squares(case: Case, offsets: np.ndarray, seed: int) -> np.ndarray:
    """[S] board squares of one case: the three targets, MATCHED of each, the usual third square, the other mate.

    -1 where there is none: a target that the twin changed, or one without a match.
    """
    first, reply, third = (move.to_square for move in case.line[:3])
    changed, turn = set(case.twin.changed), case.board.turn
    targets = [square if square not in changed else -1 for square in (first, reply, third)]
    line = {square for move in case.line[:3] for square in (move.from_square, move.to_square)}
    exclude = line | changed | ({case.other} if case.other >= 0 else set())
    kind, distance = board_features(case.board, case.line[0])
    matched = matched_squares(
        targets, kind, distance, sorted(exclude), most=MATCHED, seed=seed + case.puzzle
    ).squares
    score = np.array([offsets[_offset(first, s, turn)] if s not in exclude else -1.0 for s in range(SQUARES)])
    # Of equally usual squares, one that is occupied as the third move's is.
    usual = int(np.argmax(score + 0.5 * (kind[:, 0] == kind[third, 0])))
    return np.array([*targets, *matched.ravel(), usual, case.other])


SLOTS = {name: i for i, name in enumerate(TARGETS)} | {"usual": 3 + 3 * MATCHED, "other": 4 + 3 * MATCHED}


def matched_slots(target: str) -> list[int]:
    """Slots of `case_squares` that hold the matched squares of a target."""
    first = 3 + MATCHED * TARGETS.index(target)
    return list(range(first, first + MATCHED))


def patch_cases(
    player: Player,
    cases: Sequence[Case],
    squares: np.ndarray,
    sites: Sequence[str],
    *,
    together: bool = False,
    twins: Sequence[chess.Board] | None = None,
) -> SquareEffects:
    """Patches squares [N, S] (board numbering) of each case; the metric is the log-odds of the right first move.

    Args:
        player, cases, squares, sites, together: as in `patch_squares`.
        twins: the boards whose activations are taken, one a case; None takes each case's own twin.

    Raises:
        ValueError: the network's input format turns a twin another way than its position, so their squares differ.
    """
    boards = [case.board for case in cases]
    twins = [case.twin.board for case in cases] if twins is None else list(twins)
    states = from_boards(boards, player.depth), from_boards(twins, player.depth)
    turned = [player.module.transforms(state) for state in states]
    if (turned[0] != turned[1]).any():
        first = int((turned[0] != turned[1]).argmax())
        raise ValueError(f"case {first}: {player.name} turns the twin another way than {boards[first].fen()}")
    own = np.stack(
        [network_squares(s, b.turn, int(t)) for s, b, t in zip(squares, boards, turned[0], strict=True)]
    )
    legal = legal_moves(boards, turned[0])
    mask, starts = legal.mask(), np.searchsorted(legal.row, np.arange(len(cases)))
    right = [legal.index[at + legal.moves[i].index(cases[i].line[0])] for i, at in enumerate(starts.tolist())]

    def log_odds(output: object, rows: np.ndarray) -> Tensor:
        logits = output.logits.double().cpu()  # type: ignore[attr-defined]
        scores = logits.masked_fill(~mask[torch.from_numpy(rows)], -torch.inf).log_softmax(1)
        mine = scores[torch.arange(len(rows)), torch.tensor([int(right[r]) for r in rows])]
        return mine - torch.log(-torch.expm1(mine.clamp(max=-1e-9)))

    clean, corrupted = (player.module.encode(state) for state in states)
    return patch_squares(player.module, clean, corrupted, sites, own, log_odds, together=together)


def other_twins(player: Player, cases: Sequence[Case], seed: int) -> np.ndarray:
    """[N] for each case another one, whose twin stands in for its own; -1 where none is turned as it is.

    All are in one circle, drawn at random, so that each twin is used once: what is left of an effect with them asks for no
    more than foreign activations on the square.
    """
    turned = player.module.transforms(from_boards([case.board for case in cases], player.depth))
    order = np.full(len(cases), -1)
    rng = np.random.default_rng([seed, 5])
    for way in np.unique(turned):
        same = rng.permutation(np.flatnonzero(turned == way))
        if len(same) > 1:
            order[same] = np.roll(same, -1)
    return order
