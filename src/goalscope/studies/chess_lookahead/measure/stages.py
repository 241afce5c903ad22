"""The slow stages of the chess study as arrays that a run folder can store, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import chess
import numpy as np

from goalscope.methods.chess.engine import check_line
from goalscope.methods.chess.square_patch import SquareEffects
from goalscope.methods.chess.twins import Twin
from goalscope.studies.chess_lookahead.measure.patches import (
    Case,
    branch_cases,
    case_squares,
    find_cases,
    lookahead_lines,
    other_twins,
    patch_cases,
)
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.studies.chess_lookahead.measure.probes import measure_mate, measure_probes
from goalscope.studies.chess_lookahead.setup import Table
from goalscope.worlds.chess.puzzles import Puzzle

BRANCHES, SHUFFLED = "branches", "shuffled"
LEAST_MATES = 24
"""lines that end in mate, and that do not, which the probe for mate needs"""
LEAST_LINES = 48
"""lines of three plies, different ones, which the probe for the third move needs"""
_NUMBERS = ("divergence", "weak_fall", "value_fall", "probability", "candidates")


def twins_stage(
    puzzles: Sequence[Puzzle], qualified: np.ndarray, strong: Player, weak: Player, most: int, seed: int
) -> dict[str, np.ndarray]:  # fmt: skip
    """The search for twins, of puzzles and of positions with two mates; see `restored_cases`."""
    cases, tried = find_cases(puzzles, qualified, strong, weak, most=most, seed=seed)
    branches, branches_tried = branch_cases(puzzles, strong, weak, seed)
    arrays = {"tried": np.array(tried), "branches_tried": np.array(branches_tried)}
    for name, found in ({**cases, BRANCHES: branches}).items():
        arrays |= {f"{name}.{key}": values for key, values in _packed(found).items()}
    return arrays


def engine_stage(
    puzzles: Sequence[Puzzle], index: np.ndarray, command: str, nodes: int
) -> dict[str, np.ndarray]:
    """Whether a UCI engine confirms the lines of some puzzles: each move of the solver the best by a pawn, or mate.

    Returns:
        index: [K]. confirmed: [K] bool. engine: its name.
    """
    checks = [check_line(puzzles[i].board, puzzles[i].line, command=command, nodes=nodes) for i in index]
    return {
        "index": np.asarray(index),
        "confirmed": np.array([check.confirmed() for check in checks], bool),
        "engine": np.array(checks[0].engine if checks else ""),
    }


def _packed(cases: Sequence[Case]) -> dict[str, np.ndarray]:
    changed = np.full((len(cases), 2), -1)
    for i, case in enumerate(cases):
        changed[i, : len(case.twin.changed)] = case.twin.changed
    return {
        "puzzle": np.array([case.puzzle for case in cases], int),
        "board": np.array([case.board.fen(en_passant="fen") for case in cases], str),
        "line": np.array([" ".join(move.uci() for move in case.line) for case in cases], str),
        "twin": np.array([case.twin.board.fen(en_passant="fen") for case in cases], str),
        "other": np.array([case.other for case in cases], int),
        "changed": changed,
        "numbers": np.array([[getattr(case.twin, name) for name in _NUMBERS] for case in cases]).reshape(
            -1, 5
        ),
    }


def restored_cases(arrays: Mapping[str, np.ndarray], name: str) -> list[Case]:
    """The cases of a rule, or of BRANCHES, from what `twins_stage` stored."""
    columns = ("puzzle", "board", "line", "twin", "other", "changed", "numbers")
    found = []
    for puzzle, board, line, twin, other, changed, numbers in zip(
        *(arrays[f"{name}.{column}"] for column in columns), strict=True
    ):
        squares = tuple(int(square) for square in changed if square >= 0)
        values = [*map(float, numbers[:4]), int(numbers[4])]
        made = Twin(chess.Board(str(twin)), squares, *values)
        moves = tuple(chess.Move.from_uci(word) for word in str(line).split())
        found.append(Case(int(puzzle), chess.Board(str(board)), moves, made, int(other)))
    return found


def patches_stage(
    cases: Sequence[Case], offsets: np.ndarray, players: Mapping[str, Player], sites: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """Effects of every slot on each network, under its key, and on 'strong' with other cases' twins, under `SHUFFLED`;
    see `restored_effects`."""
    squares = np.stack([case_squares(case, offsets, seed) for case in cases])
    arrays = {}
    for key, player in players.items():
        arrays |= _effect_arrays(key, patch_cases(player, cases, squares, sites))
    strong = players["strong"]
    order = other_twins(strong, cases, seed)
    twins = [cases[k if k >= 0 else i].twin.board for i, k in enumerate(order)]
    foreign = np.where(order[:, None] >= 0, squares, -1)
    return arrays | _effect_arrays(SHUFFLED, patch_cases(strong, cases, foreign, sites, twins=twins))


def branches_stage(
    cases: Sequence[Case], offsets: np.ndarray, strong: Player, sites: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """'single' as `patches_stage`; 'both' with the squares of either mate patched together."""
    squares = np.stack([case_squares(case, offsets, seed) for case in cases])
    mates = np.array([[case.line[2].to_square, case.other] for case in cases])
    single = patch_cases(strong, cases, squares, sites)
    both = patch_cases(strong, cases, mates, sites, together=True)
    return _effect_arrays("single", single) | _effect_arrays("both", both)


def _effect_arrays(key: str, effects: SquareEffects) -> dict[str, np.ndarray]:
    names = ("squares", "clean", "corrupted", "effect")
    return {f"{key}.{name}": getattr(effects, name) for name in names}


def restored_effects(arrays: Mapping[str, np.ndarray], key: str, sites: Sequence[str]) -> SquareEffects:
    """The effects that `patches_stage` stored under a key."""
    return SquareEffects(
        tuple(sites), *(arrays[f"{key}.{name}"] for name in ("squares", "clean", "corrupted", "effect"))
    )


def probed_puzzles(puzzles: Sequence[Puzzle], most: int, seed: int) -> np.ndarray:
    """[N] puzzles that the probe for the third move sees: lines with a third square of their own, `most` at most."""
    index = np.flatnonzero(lookahead_lines(puzzles))
    return np.sort(np.random.default_rng(seed).permutation(index)[:most])


def probes_stage(
    strong: Player, blank: Player, puzzles: Sequence[Puzzle], table: Table, index: np.ndarray, sites: Sequence[str],
    most: int, seed: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Probes for the third move on the puzzles `index`, and for mate on at most `most` of all.

    Returns:
        'third.NAME' of `measure_probes`, 'mate.NAME' of `measure_mate` where there are mates and others, 'mate.index'.
    """
    motifs = {name: has[index] for name, has in table.motifs.items()}
    third = measure_probes(strong, blank, puzzles, index, table.level[index], motifs, sites, seed)
    arrays: dict[str, Any] = {f"third.{name}": values for name, values in third.items()}
    rows = np.sort(np.random.default_rng(seed).permutation(len(puzzles))[:most])
    mate = table.mate[rows]
    arrays["mate.index"] = rows
    if min(mate.sum(), (~mate).sum()) >= LEAST_MATES:
        motifs = {name: has[rows] for name, has in table.motifs.items() if not name.startswith("mate")}
        motifs |= {name: has[rows] for name, has in table.motifs.items() if name.startswith("mateIn")}
        site = str(third["site"])
        found = measure_mate(strong, blank, puzzles, rows, table.level[rows], mate, motifs, site, seed)
        arrays |= {f"mate.{name}": values for name, values in found.items()}
    return arrays


def part(arrays: Mapping[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `start` and a dot, without it."""
    return {name.removeprefix(f"{start}."): a for name, a in arrays.items() if name.startswith(f"{start}.")}
