"""Every move of the lines, and the value of the positions after every first move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import chess
import numpy as np

from goalscope.progress import counted
from goalscope.studies.chess_lookahead.measure.player import BATCH, Player
from goalscope.worlds.chess.puzzles import Puzzle
from goalscope.worlds.chess.world import move_number

SUCCESSOR_PUZZLES = 150
"""puzzles of which every legal move's position is valued, drawn at random"""


def measure_lines(player: Player, puzzles: Sequence[Puzzle]) -> dict[str, np.ndarray]:
    """One row for each ply of each line: what the network gives the move that was played, and its value there.

    Returns:
        puzzle, ply: [P] int. probability: [P] of the line's move. top: [P] bool, it is more probable than any other;
        where it mates, any mate will do, as Lichess accepts it. value: [P] of the side to move.
    """
    rows: dict[str, list] = {name: [] for name in ("puzzle", "ply", "probability", "top", "value")}
    groups = -(-sum(len(puzzle.line) for puzzle in puzzles) // BATCH)
    for part in counted(_chunks(_plies(puzzles), BATCH), "moves of the lines", f"groups of {BATCH}", groups):
        seen = player.look([board for _, _, board, _ in part])
        for i, (puzzle, ply, board, move) in enumerate(part):
            scores = seen.log_probs[i]
            mine = scores[move_number(board, move)]
            right = [move_number(board, m) for m in _as_good(board, move)]
            rows["puzzle"].append(puzzle)
            rows["ply"].append(ply)
            rows["probability"].append(float(np.exp(mine)))
            rows["top"].append(bool(scores[right].max() > np.delete(scores, right).max()))
            rows["value"].append(float(seen.value[i]))
    kinds = {"puzzle": np.int32, "ply": np.int16, "probability": np.float64, "top": bool, "value": np.float64}
    return {name: np.array(values, kinds[name]) for name, values in rows.items()}


def _plies(puzzles: Sequence[Puzzle]) -> Iterator[tuple[int, int, chess.Board, chess.Move]]:
    for i, puzzle in enumerate(puzzles):
        board = puzzle.board.copy()
        for ply, move in enumerate(puzzle.line):
            yield i, ply, board.copy(), move
            board.push(move)


def _as_good(board: chess.Board, move: chess.Move) -> list[chess.Move]:
    """The moves that solve a puzzle here as `move` does: every mate where it mates, else it alone."""
    if not mates_by(board, move):
        return [move]
    return [m for m in board.legal_moves if board.gives_check(m) and mates_by(board, m)]


def mates_by(board: chess.Board, move: chess.Move) -> bool:
    """Whether a legal move is checkmate."""
    board.push(move)
    over = board.is_checkmate()
    board.pop()
    return over


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(items)
    while part := list(islice(source, size)):
        yield part


def measure_successors(player: Player, puzzles: Sequence[Puzzle], seed: int = 0) -> dict[str, np.ndarray]:
    """Whether the most probable first move is the one whose position the value head likes best.

    Returns:
        index: [N] int, the puzzles that were drawn.
        agrees: [N] share in 0..1 of the most probable moves that lead to a best value (ties share).
        chance: [N] the same when the values are shuffled among the moves: one over the number of moves.
        regret: [N] the best next value minus that after the most probable move, from the solver's side, 0..2.
        shuffled_regret: [N] the best next value minus the mean of all.
    """
    agrees, chance, regret, shuffled = [], [], [], []
    index = np.sort(np.random.default_rng(seed).permutation(len(puzzles))[:SUCCESSOR_PUZZLES])
    for puzzle in counted([puzzles[i] for i in index], "values after every first move", "puzzles"):
        board = puzzle.board
        scores = player.look([board]).log_probs[0]
        moves = list(board.legal_moves)
        likely = np.array([scores[move_number(board, move)] for move in moves])
        after = []
        for move in moves:
            following = board.copy()
            following.push(move)
            after.append(following)
        worth = -player.values(after).astype(np.float64)
        for k, following in enumerate(after):
            if not any(following.generate_legal_moves()):
                worth[k] = 1.0 if following.is_check() else 0.0
        best, chosen = worth >= worth.max() - 1e-9, likely >= likely.max()
        agrees.append((best & chosen).sum() / chosen.sum())
        chance.append(best.mean())
        regret.append(worth.max() - worth[chosen].mean())
        shuffled.append(worth.max() - worth.mean())
    columns = (("agrees", agrees), ("chance", chance), ("regret", regret), ("shuffled_regret", shuffled))
    return {"index": index, **{name: np.array(values, np.float64) for name, values in columns}}


def first_moves(rows: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    """What a line-by-line measurement says of each of N puzzles.

    Returns:
        first, reply, third: [N] probability of plies 0, 1, 2; NaN where the line is shorter.
        own: [N] least probability of a move of the solver. solved: [N] bool, all of the solver's moves come first.
        later: [N] mean probability of the solver's moves after the first; NaN where there is none.
        drift: [N] value at the solver's last move minus at its first; NaN where there is one alone.
    """
    found = {name: np.full(n, np.nan) for name in ("first", "reply", "third", "later", "drift")}
    for ply, name in enumerate(("first", "reply", "third")):
        here = rows["ply"] == ply
        found[name][rows["puzzle"][here]] = rows["probability"][here]
    solver = rows["ply"] % 2 == 0
    puzzle, p = rows["puzzle"][solver], rows["probability"][solver]
    own, solved = np.ones(n), np.ones(n, bool)
    np.minimum.at(own, puzzle, p)
    np.logical_and.at(solved, puzzle, rows["top"][solver])
    after = rows["ply"][solver] > 0
    count = np.bincount(puzzle[after], minlength=n)
    some = count > 0
    found["later"][some] = np.bincount(puzzle[after], p[after], n)[some] / count[some]
    last = np.zeros(n, int)
    np.maximum.at(last, puzzle, rows["ply"][solver])
    ends = rows["value"][solver][rows["ply"][solver] == last[puzzle]]
    starts = rows["value"][solver][rows["ply"][solver] == 0]
    found["drift"][some] = (ends - starts)[some]
    return {**found, "own": own, "solved": solved}
