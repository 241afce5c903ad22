"""What can be read off a network's squares: where the third move will end, and whether the line ends in mate.

A probe gives every square of a position a score, the same weights on all 64; the answer is the square of the highest one,
right or wrong. It is fitted on the discovery half of the puzzles and judged on the other; the layer is chosen within the
discovery half. Beside it stand the same probe on the raw planes and on an untrained network, and one that knows no
network at all but the first move: how third moves usually lie to first ones (co-occurrence).
"""

from __future__ import annotations

from collections.abc import Sequence

import chess
import numpy as np
import torch
from torch import Tensor

from goalscope.activations.hooks import capture
from goalscope.methods.chess.square_patch import SQUARES
from goalscope.methods.reading.probe import fit_probe
from goalscope.progress import counted
from goalscope.studies.chess_lookahead.measure.patches import board_features
from goalscope.studies.chess_lookahead.measure.player import BATCH, Player, network_squares
from goalscope.worlds.chess.puzzles import Puzzle
from goalscope.worlds.chess.state import from_boards

NEGATIVES = 11
"""squares of a puzzle that are not the target and that a fit sees; judging always uses all 64"""
PENALTY = 1e-3
OBSERVATION, USUAL, RANDOM = "observation", "co-occurrence", "random labels"
LEAST_MOTIF = 12
"""held-out puzzles of a motif that it takes to leave it out of training"""


def square_features(
    player: Player, puzzles: Sequence[Puzzle], index: np.ndarray, sites: Sequence[str]
) -> dict[str, Tensor]:
    """Activations [N, 64, D] of bare positions at some sites, and the planes under OBSERVATION.

    Squares are in the order of the solver's board, a1 first, whatever the input format.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in (*sites, OBSERVATION)}
    for first in counted(range(0, len(index), BATCH), "activations for the probes", f"groups of {BATCH}"):
        boards = [puzzles[i].board.copy(stack=False) for i in index[first : first + BATCH]]
        state = from_boards(boards, player.depth)
        x, turned = player.module.encode(state), player.module.transforms(state)
        order = np.stack([network_squares(np.arange(SQUARES), True, int(t)) for t in turned])
        found = capture(player.module, x, sites) | {OBSERVATION: x}
        for name, value in found.items():
            rows = value.flatten(2).movedim(1, 2) if value.ndim == 4 else value
            rows = rows[torch.arange(len(boards))[:, None], torch.from_numpy(order)]
            parts[name].append(rows.float().cpu())
    return {name: torch.cat(rows) for name, rows in parts.items()}


def usual_features(puzzles: Sequence[Puzzle], index: np.ndarray) -> Tensor:
    """[N, 64, 91] what the first move alone says of a square: how it lies to the move's two ends, and what is on it.

    Ranks, files and steps to either end as one-hot codes, the piece, and whether either side attacks the square.
    """
    made = np.zeros((len(index), SQUARES, 2 * 38 + 13 + 2), np.float32)
    squares = np.arange(SQUARES)
    for n, i in enumerate(index):
        board, first = puzzles[i].board, puzzles[i].line[0]
        flip = 0 if board.turn else 56
        for column, end in ((0, first.to_square ^ flip), (38, first.from_square ^ flip)):
            ranks, files = squares // 8 - end // 8, squares % 8 - end % 8
            made[n, squares, column + ranks + 7] = 1
            made[n, squares, column + 15 + files + 7] = 1
            made[n, squares, column + 30 + np.maximum(abs(ranks), abs(files))] = 1
        for square, piece in board.piece_map().items():
            made[n, square ^ flip, 76 + piece.piece_type + (0 if piece.color == board.turn else 6)] = 1
        kind, _ = board_features(board, first)
        made[n, squares ^ flip, 76] = kind[:, 0] == 0
        made[n, squares ^ flip, 89], made[n, squares ^ flip, 90] = kind[:, 1], kind[:, 2]
    return torch.from_numpy(made)


def targets(puzzles: Sequence[Puzzle], index: np.ndarray, ply: int) -> np.ndarray:
    """[N] square of the solver's board where the move at `ply` ends."""
    boards = [(puzzles[i].line[ply].to_square, puzzles[i].board.turn) for i in index]
    return np.array([square if turn == chess.WHITE else square ^ 56 for square, turn in boards])


def read_square(
    features: Tensor, target: np.ndarray, train: np.ndarray, level: np.ndarray, seed: int
) -> np.ndarray:
    """[N] the square that a probe, fitted on `train` [N] bool, finds most likely to be the target.

    Args:
        features: [N, 64, D].
        target: [N] square.
        train: [N] bool.
        level: [N] int, equal positions have equal numbers.
        seed: of the squares that are drawn as negatives.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(train)
    others = np.stack([rng.permutation(np.delete(np.arange(SQUARES), target[n]))[:NEGATIVES] for n in rows])
    squares = np.concatenate([target[rows, None], others], axis=1)
    x = features[torch.from_numpy(rows)[:, None], torch.from_numpy(squares)].flatten(0, 1)
    y = np.tile(np.arange(1 + NEGATIVES) == 0, len(rows)).astype(int)
    fitted = fit_probe(x, y, np.repeat(level[rows], 1 + NEGATIVES), penalty=PENALTY)
    weight, bias = fitted.directions.float(), fitted.bias.float()
    scores = features @ (weight[1] - weight[0]) + (bias[1] - bias[0])
    return scores.argmax(1).numpy()


def choose_site(
    features: dict[str, Tensor],
    sites: Sequence[str],
    target: np.ndarray,
    train: np.ndarray,
    level: np.ndarray,
    seed: int,
) -> str:
    """The site whose probe does best within the discovery half: fitted on half of it, judged on the rest."""
    inner = train & halves(level, seed + 1)
    judged = train & ~inner
    share = {
        site: (read_square(features[site], target, inner, level, seed) == target)[judged].mean()
        for site in sites
    }
    return max(sites, key=lambda site: share[site])


def halves(level: np.ndarray, seed: int) -> np.ndarray:
    """[N] bool, half of the different levels; rows of one level stay together."""
    names, index = np.unique(level, return_inverse=True)
    first = np.zeros(len(names), bool)
    first[np.random.default_rng(seed).permutation(len(names))[: len(names) // 2]] = True
    return first[index]


def measure_probes(
    strong: Player, blank: Player, puzzles: Sequence[Puzzle], index: np.ndarray, level: np.ndarray,
    motifs: dict[str, np.ndarray], sites: Sequence[str], seed: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Everything that the probes answer, one number a puzzle.

    Args:
        strong, blank: the network and its untrained twin, with the same sites.
        puzzles: all.
        index: [N] puzzles to use.
        level: [N] number of the position, equal where positions are.
        motifs: name -> [N] bool.
        sites: of the residual stream.
        seed: of splits, negatives and random labels.

    Returns:
        train: [N] bool. site: the chosen one.
        hit.NAME: [N] bool for every site, 'untrained', the controls, 'first' and 'first untrained' (the first move's square
        at the chosen site), 'without.MOTIF' (trained on puzzles without the motif) and 'dropped.MOTIF' (trained on as many
        puzzles, drawn at random from all).
    """
    train = halves(level, seed)
    third, first = targets(puzzles, index, 2), targets(puzzles, index, 0)
    features = square_features(strong, puzzles, index, sites)
    features[USUAL] = usual_features(puzzles, index)
    site = choose_site(features, sites, third, train, level, seed)
    shuffled = third.copy()
    shuffled[train] = np.random.default_rng([seed, 3]).permutation(third[train])
    found = {
        f"hit.{name}": read_square(values, third, train, level, seed) == third
        for name, values in features.items()
    }
    found[f"hit.{RANDOM}"] = read_square(features[site], shuffled, train, level, seed) == third
    found["hit.first"] = read_square(features[site], first, train, level, seed) == first
    rng = np.random.default_rng([seed, 4])
    for name, has in motifs.items():
        without = train & ~has
        if (has & ~train).sum() >= LEAST_MOTIF and without.sum() >= LEAST_MOTIF:
            dropped = np.zeros(len(train), bool)
            dropped[rng.permutation(np.flatnonzero(train))[: without.sum()]] = True
            for kind, rows in (("without", without), ("dropped", dropped)):
                found[f"hit.{kind}.{name}"] = read_square(features[site], third, rows, level, seed) == third
    del features
    untrained = square_features(blank, puzzles, index, [site])[site]
    found["hit.untrained"] = read_square(untrained, third, train, level, seed) == third
    found["hit.first untrained"] = read_square(untrained, first, train, level, seed) == first
    return {"train": train, "site": np.array(site), **found}


def measure_mate(
    strong: Player, blank: Player, puzzles: Sequence[Puzzle], index: np.ndarray, level: np.ndarray,
    mate: np.ndarray, motifs: dict[str, np.ndarray], site: str, seed: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Log-odds [N] that the line ends in mate, read off the mean and the maximum over the squares.

    Args:
        strong, blank, puzzles, index, level, site, seed: as in `measure_probes`.
        mate: [N] bool, the line ends in mate.
        motifs: name -> [N] bool; each with enough held-out mates is left out of training once.

    Returns:
        train: [N] bool. score.network, score.observation, score.untrained: [N]; score.without.MOTIF,
        score.observation.without.MOTIF, score.untrained.without.MOTIF: [N], each with the motif left out of training.
    """
    train = halves(level, seed)
    own = square_features(strong, puzzles, index, [site])
    sources = {"network": own[site], OBSERVATION: own[OBSERVATION]}
    sources["untrained"] = square_features(blank, puzzles, index, [site])[site]
    pooled = {name: torch.cat([x.mean(1), x.amax(1)], 1) for name, x in sources.items()}

    def scores(x: Tensor, rows: np.ndarray) -> np.ndarray:
        fitted = fit_probe(x[torch.from_numpy(rows)], mate[rows].astype(int), level[rows], penalty=1e-2)
        out = fitted(x)
        return (out[:, 1] - out[:, 0]).numpy()

    found = {f"score.{name}": scores(x, train) for name, x in pooled.items()}
    for name, has in motifs.items():
        rows = train & ~has
        if (has & mate & ~train).sum() >= LEAST_MOTIF and len(np.unique(mate[rows])) == 2:
            for source, x in pooled.items():
                kind = "" if source == "network" else f"{source}."
                found[f"score.{kind}without.{name}"] = scores(x, rows)
    return {"train": train, **found}
