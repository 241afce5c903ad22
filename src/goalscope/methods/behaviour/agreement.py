"""Value-policy agreement: is the most probable move the one that leads to the highest value?

A policy that plans with its own value would agree everywhere; a policy and a value head that were merely
trained beside each other need not. What is that to be compared with? Two things, which answer differently:

- `shuffled`: the expected agreement when the values of a level are shuffled among its squares, worked out exactly. It
  says what a value without any structure gives, and nothing more: real values are smooth over squares and rise the
  same way in level after level, and so do probabilities of moves, so a network whose two heads have never been told
  of each other differs from it by luck, the surer the more levels are looked at.
- `readouts`: the agreement of other value heads on the same network, random directions in the features that the value
  head reads. They are as smooth as the value, over squares and over levels, and are evaluated with the same policy.
  An untrained head is itself such a direction, so among R + 1 its rank is uniform: the p-value is exact, whatever
  the number of levels (Phipson and Smyth 2010, "Permutation p-values should never be zero").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.stats import RESAMPLES, Estimate, bootstrap_clustered, bootstrap_ratio

TOLERANCE = 1e-9  # values closer than this count as equal
READOUTS = 199
_BLOCK = 1 << 21  # next values at a time


@dataclass(frozen=True)
class Readouts:
    """What value heads that know nothing of the policy give: R random readouts of the same features."""

    __repr__, _repr_html_ = text, drawing

    shares: np.ndarray
    """[R] agreement of each, as `Agreement.agreement` counts it"""
    p: float
    """chance that a random readout agrees as often as the value head: (1 + those that do) / (1 + R), one-sided"""
    low: float
    """of `shares`: 2.5% are below"""
    high: float
    """of `shares`: 2.5% are above"""


@dataclass(frozen=True)
class Agreement:
    """Agreement over squares, every square weighing the same; intervals resample levels."""

    __repr__, _repr_html_ = text, drawing

    agreement: Estimate
    """share of the squares whose most probable move leads to the highest next value"""
    shuffled: Estimate
    """the same share expected when the values of each level are shuffled among its squares (exact)"""
    difference: Estimate
    """agreement minus shuffled on the same squares"""
    squares: int
    """number of squares counted"""
    agrees: np.ndarray
    """[K] credit of each square in 0..1, NaN where it was not counted"""
    readouts: Readouts | None
    """random readouts of the features, None where none were given; without them nothing is known about whether the
    policy and the value have to do with each other"""


def value_policy_agreement(
    probs: np.ndarray,
    value: np.ndarray,
    next: np.ndarray,
    goal: np.ndarray,
    level: np.ndarray,
    *,
    goal_value: float,
    mask: np.ndarray | None = None,
    features: np.ndarray | None = None,
    readouts: int = READOUTS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Agreement:
    """How often the most probable move is one of the highest next value.

    A move's next value is the value of the square that it leads to: the own square's where it is blocked or
    stays, `goal_value` where it reaches the goal. A square gets credit 1 where the most probable move's next
    value is within 1e-9 of the highest among all moves (moves to one square are thus one choice, and a tie of
    values is no disagreement); of several equally probable moves each counts its part.

    Args:
        probs: [K, A] probability of each move on each square.
        value: [K] the value head's estimate on each square (that of goal squares is not read).
        next: [K, A] int, the square after each move, in the same level.
        goal: [K] bool. Goal squares are never counted: no move is made there.
        level: [K] int, the level of each square.
        goal_value: worth of a move into the goal in units of the next value. A move is worth
            reward + discount * V(next), and at the goal the episode is over, so this is reward / discount.
        mask: [K] bool, the squares to count (decision squares, say); None counts all. The shuffled control
            draws from all squares of the level all the same.
        features: [K, H] what the last layer of the value head reads on each square (the input of the linear layer
            that gives the value), for `Agreement.readouts`; None leaves those out. Rows of goal squares are not read.
        readouts: R, so many random directions are drawn, each with independent normal weights, as the weights of an
            untrained linear layer are. A move into the goal is worth as much among the readout's values as
            `goal_value` is among the values: its rank is kept.
        seed: seed of the resampling and of the readouts.
        resamples: number of resamples of levels.

    Raises:
        ValueError: shapes that do not fit, NaN, `next` out of range or in another level, nothing to count, fewer
            than 19 readouts (none could then be rare at 5%).
    """
    probs, value = np.asarray(probs, dtype=np.float64), np.asarray(value, dtype=np.float64)
    next, goal, level = np.asarray(next), np.asarray(goal), np.asarray(level)
    counted = _checked(probs, value, next, goal, level, goal_value, mask)
    likely = probs >= probs.max(axis=1, keepdims=True) - 1e-12
    credit = _credit(likely, np.where(goal, goal_value, value)[next])
    chance = _shuffled_credit(likely, value, next, goal, level, goal_value, counted)
    return Agreement(
        *_over_levels(credit[counted], chance[counted], level[counted], seed, resamples),
        squares=int(counted.sum()),
        agrees=np.where(counted, credit, np.nan),
        readouts=None
        if features is None
        else _readouts(
            likely, value, next, goal, goal_value, counted, np.asarray(features), float(credit[counted].mean()),
            np.random.default_rng(seed).normal(size=(_enough(readouts), np.shape(features)[-1])),
        ),
    )  # fmt: skip


def _over_levels(
    credit: np.ndarray, chance: np.ndarray, level: np.ndarray, seed: int, resamples: int
) -> tuple[Estimate, Estimate, Estimate]:
    """The agreement of the counted squares, that of shuffled values, and the difference."""
    share, gain = (0.0, 1.0), (-1.0, 1.0)
    mine, shuffled = (
        bootstrap_clustered(part, level, bounds=share, seed=seed, resamples=resamples)
        for part in (credit, chance)
    )
    units = np.unique(level, return_inverse=True)[1]
    sums, sizes = np.bincount(units, weights=credit - chance), np.bincount(units)
    difference = bootstrap_ratio(sums, sizes, bounds=gain, seed=seed, resamples=resamples)
    return mine, shuffled, difference


def _credit(likely: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """[.., K] share of the most probable moves [K, A] that are of the highest worth [.., K, A]."""
    optimal = worth >= worth.max(axis=-1, keepdims=True) - TOLERANCE
    return (likely & optimal).sum(axis=-1) / likely.sum(axis=-1)


def _enough(readouts: int) -> int:
    if readouts < 19:
        raise ValueError(f"readouts must be at least 19, or none can be rare at 5%, got {readouts}")
    return readouts


def _readouts(
    likely: np.ndarray,
    value: np.ndarray,
    next: np.ndarray,
    goal: np.ndarray,
    goal_value: float,
    counted: np.ndarray,
    features: np.ndarray,
    own: float,
    directions: np.ndarray,
) -> Readouts:
    """The agreement of the directions [R, H] in place of the value head, whose own is `own`."""
    if features.ndim != 2 or len(features) != len(goal):
        raise ValueError(f"features must be [K, H] with K = {len(goal)} squares, got {features.shape}")
    if not np.isfinite(features[~goal]).all():
        raise ValueError("features must be finite on every square but the goal")
    features = np.where(goal[:, None], 0.0, features)
    rank = int(np.searchsorted(np.sort(value[~goal]), goal_value))
    moves, chosen = next[counted], likely[counted]
    shares = []
    rows = max(1, _BLOCK // moves.size)
    for first in range(0, len(directions), rows):
        values = directions[first : first + rows] @ features.T  # [r, K]
        ordered = np.sort(values[:, ~goal], axis=1)
        ordered = np.pad(ordered, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
        # Between its neighbours in rank; below all or above all where goal_value is.
        values[:, goal] = ordered[:, rank : rank + 2].mean(axis=1)[:, None]
        shares.append(_credit(chosen, values[:, moves]).mean(axis=1))
    every = np.concatenate(shares)
    low, high = np.quantile(every, (0.025, 0.975))
    p = (1 + int((every >= own - TOLERANCE).sum())) / (1 + len(every))
    return Readouts(every, p, float(low), float(high))


def _checked(
    probs: np.ndarray,
    value: np.ndarray,
    next: np.ndarray,
    goal: np.ndarray,
    level: np.ndarray,
    goal_value: float,
    mask: np.ndarray | None,
) -> np.ndarray:
    """[K] bool, the squares that count."""
    if (
        probs.ndim != 2
        or next.shape != probs.shape
        or {value.shape, goal.shape, level.shape} != {probs.shape[:1]}
    ):
        raise ValueError(
            "expected probs and next [K, A], value, goal and level [K], "
            f"got {probs.shape}, {next.shape}, {value.shape}, {goal.shape}, {level.shape}"
        )
    if goal.dtype != bool or not np.issubdtype(next.dtype, np.integer):
        raise ValueError(f"goal must be bool and next integer, got {goal.dtype} and {next.dtype}")
    if next.size and (next.min() < 0 or next.max() >= len(goal)):
        raise ValueError(f"next must lie in 0..{len(goal) - 1}, got {next.min()}..{next.max()}")
    if (level[next] != level[:, None])[~goal].any():
        row, move = np.argwhere((level[next] != level[:, None]) & ~goal[:, None])[0]
        raise ValueError(f"next[{row}, {move}] = {next[row, move]} lies in another level")
    for name, array in (("probs", probs), ("value", value)):
        if not np.isfinite(array[~goal]).all():
            raise ValueError(f"{name} must be finite on every square but the goal")
    if np.isnan(goal_value):
        raise ValueError("goal_value is NaN: pass the reward at the goal over the discount")
    counted = ~goal
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape != goal.shape or mask.dtype != bool:
            raise ValueError(f"mask must be bool [K] = {goal.shape}, got {mask.dtype} {mask.shape}")
        counted = counted & mask
    if not counted.any():
        raise ValueError("no square to count: the mask leaves nothing but goal squares")
    return counted


def _shuffled_credit(
    likely: np.ndarray,
    value: np.ndarray,
    next: np.ndarray,
    goal: np.ndarray,
    level: np.ndarray,
    goal_value: float,
    counted: np.ndarray,
) -> np.ndarray:
    """[K] expected credit of each counted square when a level's values are shuffled among its squares."""
    first = np.stack([(next[:, :a] != next[:, [a]]).all(axis=1) for a in range(next.shape[1])], axis=1)
    to_goal = goal[next]
    plain = (first & ~to_goal).sum(axis=1)  # [K] different squares, the goal aside, that can be moved to
    square, move = np.nonzero(likely & counted[:, None])
    wins = to_goal[square, move]
    rivals = np.where(wins, plain[square], plain[square] - 1)
    case = np.where(wins, 2, to_goal.any(axis=1)[square])
    _, index = np.unique(level, return_inverse=True)
    table = _chances(value, goal, index, goal_value, int(rivals.max()))
    chance = np.bincount(square, weights=table[index[square], rivals, case], minlength=len(goal))
    return chance / likely.sum(axis=1)


def _chances(
    value: np.ndarray, goal: np.ndarray, index: np.ndarray, goal_value: float, most: int
) -> np.ndarray:
    """[L, most + 1, 3] chance that a move is a best one against r rival squares with shuffled values.

    The last axis: a move to a square; the same with the goal as one more rival; the move into the goal.
    Values are drawn without replacement, so against r rivals the i-th value wins with chance
    C(c_i - 1, r) / C(n - 1, r), where c_i of the n values are not above it.
    """
    order = np.lexsort((value, index))
    order = order[~goal[order]]
    ends = np.cumsum(np.bincount(index[order], minlength=index.max() + 1))
    table = np.zeros((len(ends), most + 1, 3))
    for i, values in enumerate(np.split(value[order], ends[:-1])):
        n = len(values)
        if n == 0:
            continue
        below = np.searchsorted(values, values + TOLERANCE, side="right") - 1.0
        under_goal = float(np.searchsorted(values, goal_value + TOLERANCE, side="right"))
        beats_goal = values >= goal_value - TOLERANCE
        wins, goal_wins = np.ones((most + 1, n)), 1.0
        for rivals in range(most + 1):
            table[i, rivals, 2] = goal_wins
            if rivals < most:
                wins[rivals + 1] = wins[rivals] * np.maximum(below - rivals, 0) / max(n - 1 - rivals, 1)
            goal_wins = goal_wins * max(under_goal - rivals, 0) / max(n - rivals, 1)
        table[i, :, 0] = wins.sum(1) / n
        table[i, :, 1] = (wins * beats_goal).sum(1) / n
    return table
