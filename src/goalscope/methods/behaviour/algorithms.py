"""Which algorithm is it? Hand-written policies and mixtures of them, judged on levels they have not seen.

A hand-written policy gives each move a score at every step; its probabilities are the softmax of score over
temperature, with the temperature fitted on some levels. A *mixture* says that each level is played by one of
its members throughout, drawn by fitted weights: that is what "sometimes cheese, sometimes corner" means. All
are compared on other levels by log-likelihood per step (nats), beside two that know no goal: the uniform
policy, and a lookup of the moves made at each local pattern of walls.

A mixture holds each of its members as a special case, and a lookup can imitate much. So the verdict is not
simply the best score: among the models that held-out levels cannot tell from the best one, it is the
simplest, and if two are equally simple there is none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.stats import RESAMPLES, Estimate, bootstrap_ratio

NOT_DISTINGUISHABLE = "not distinguishable"

_RESERVED = ("uniform", "lookup", NOT_DISTINGUISHABLE)
_EM_STEPS = 200
_EM_GAIN = 1e-7  # nats a step, below which EM has converged


@dataclass(frozen=True)
class AlgorithmModel:
    """One candidate and how it does on the held-out levels."""

    __repr__, _repr_html_ = text, drawing

    name: str
    """the algorithm's name, "uniform", "lookup", or the members of a mixture joined by " + " """
    members: tuple[str, ...]
    """the K algorithms in it; empty for uniform and lookup"""
    temperatures: tuple[float, ...]
    """[K] in units of the member's score; inf is uniform"""
    weights: tuple[float, ...]
    """[K] share of levels that each member plays, sums to 1"""
    log_likelihood: Estimate
    """held out, nats a step; the interval resamples levels"""
    behind: Estimate
    """the best model's log-likelihood minus this one's on the same levels, nats a step; 0 for the best"""


@dataclass(frozen=True)
class AlgorithmComparison:
    """Candidates from best to worst, and what may be concluded."""

    __repr__, _repr_html_ = text, drawing

    models: tuple[AlgorithmModel, ...]
    """sorted by held-out log-likelihood, best first"""
    verdict: str
    """name of the simplest model that is not behind the best one (the interval of `behind` holds 0), or "not
    distinguishable" where several are equally simple. From simple to less so: uniform, one algorithm, a
    mixture by its number of members, lookup"""
    tied: tuple[str, ...]
    """the models that are not behind the best one, best first"""
    train_levels: int
    """levels that temperatures, weights and the lookup were fitted on"""
    held_out_levels: int
    """levels that the models are compared on"""
    held_out_steps: int
    """steps in the held-out levels"""

    def __getitem__(self, name: str) -> AlgorithmModel:
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(_unknown(name, [model.name for model in self.models]))


def compare_algorithms(
    scores: Mapping[str, np.ndarray],
    actions: np.ndarray,
    level: np.ndarray,
    *,
    train: np.ndarray,
    pattern: np.ndarray | None = None,
    mixtures: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> AlgorithmComparison:
    """Fit every candidate on the training levels and compare them on the others.

    Args:
        scores: by name, [M, A] the score that the algorithm gives each move at each step, in its own
            situation (place, heading, what it has visited) there. Higher is better; a constant row has no
            opinion.
        actions: [M] int, the moves that were made (sampled from the policy).
        level: [M] int, the level of each step.
        train: [M] bool, the steps to fit on; whole levels, the others are held out.
        pattern: [M] int ids of what the walls around look like, for the lookup; None leaves the lookup out.
        mixtures: the sets of names to mix; None is one mixture of all algorithms, () is none.
        seed: seed of the resampling.
        resamples: number of resamples of the held-out levels.

    Raises:
        ValueError: shapes that do not fit, scores that are not finite, actions outside 0..A-1, a level
            on both sides of the split or nothing on one of them, a mixture of fewer than two different
            members, a name that is taken.
        KeyError: a mixture of unknown names.
    """
    names = list(scores)
    tables, actions, index, train_level = _checked(scores, actions, level, train)
    mixtures = ([names] if len(names) > 1 else []) if mixtures is None else mixtures
    for members in mixtures:
        _check_members(members, names)
    steps = np.bincount(index)
    chosen = train_level.astype(np.float64)
    fits: list[tuple[str, tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]] = []
    none = np.zeros(0)
    fits.append(("uniform", (), none, none, -steps * np.log(tables.shape[2])))
    data = [_summary(table, actions, index) for table in tables]
    sharpness, likelihood = np.zeros(len(names)), np.zeros((len(names), len(steps)))
    for k, name in enumerate(names):
        sharpness[k], likelihood[k] = _fit_sharpness(data[k], chosen, 0.0)
        fits.append((name, (name,), sharpness[[k]], np.ones(1), likelihood[k]))
    for members in mixtures:
        which = [names.index(name) for name in members]
        beta, weights, per_level = _fit_mixture(
            [data[k] for k in which], train_level, sharpness[which], likelihood[which]
        )
        fits.append((" + ".join(members), tuple(members), beta, weights, per_level))
    if pattern is not None:
        per_step = _lookup(np.asarray(pattern), actions, train_level[index], tables.shape[2])
        fits.append(("lookup", (), none, none, np.bincount(index, weights=per_step)))
    return _compare(fits, steps, ~train_level, seed, resamples)


def best_variant(
    variants: Sequence[np.ndarray], actions: np.ndarray, level: np.ndarray, *, train: np.ndarray
) -> int:
    """Index of the variant of one algorithm that describes the training levels best, each at its own temperature.

    So a rule's parameter is fitted as its temperature is: held-out levels have no say in it.

    Args:
        variants: [V] of [M, A] scores, as in `compare_algorithms`.
        actions: [M]. level: [M]. train: [M] bool, as there.

    Raises:
        ValueError: as `compare_algorithms`.
    """
    named = {str(v): table for v, table in enumerate(variants)}
    tables, actions, index, train_level = _checked(named, actions, level, train)
    weight = train_level.astype(np.float64)
    fits = [_fit_sharpness(_summary(table, actions, index), weight, 0.0)[1] for table in tables]
    return int(np.argmax([likelihood @ weight for likelihood in fits]))


def _compare(
    fits: list, steps: np.ndarray, held_out: np.ndarray, seed: int, resamples: int
) -> AlgorithmComparison:
    count = steps[held_out]
    fits = sorted(fits, key=lambda fit: -fit[-1][held_out].sum())
    best = fits[0][-1][held_out]
    models = []
    for name, members, beta, weights, per_level in fits:
        here = per_level[held_out]
        with np.errstate(divide="ignore"):
            temperatures = tuple(float(1 / b) if b > 0 else np.inf for b in beta)
        models.append(
            AlgorithmModel(
                name,
                members,
                temperatures,
                tuple(map(float, weights)),
                bootstrap_ratio(here, count, seed=seed, resamples=resamples),
                bootstrap_ratio(best - here, count, seed=seed, resamples=resamples),
            )
        )
    # A difference of rounding size is none, however steady its sign.
    tied = [model for model in models if not (model.behind.low > 0 and model.behind.estimate > 1e-9)]
    simplest = min(_complexity(model) for model in tied)
    verdict = [model.name for model in tied if _complexity(model) == simplest]
    return AlgorithmComparison(
        models=tuple(models),
        verdict=verdict[0] if len(verdict) == 1 else NOT_DISTINGUISHABLE,
        tied=tuple(model.name for model in tied),
        train_levels=int((~held_out).sum()),
        held_out_levels=int(held_out.sum()),
        held_out_steps=int(count.sum()),
    )


def _complexity(model: AlgorithmModel) -> float:
    return np.inf if model.name == "lookup" else len(model.members)


def _checked(
    scores: Mapping[str, np.ndarray], actions: np.ndarray, level: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores [K, M, A], actions [M], level as 0..N-1 [M], and which levels are for training [N]."""
    actions, level, train = np.asarray(actions), np.asarray(level), np.asarray(train)
    if not scores:
        raise ValueError("scores is empty: give at least one algorithm")
    shape = np.shape(next(iter(scores.values())))
    for name, table in scores.items():
        if name in _RESERVED or " + " in name:
            raise ValueError(f"the name {name!r} is taken: call the algorithm something else")
        if len(np.shape(table)) != 2 or np.shape(table) != shape or shape[0] != len(actions):
            raise ValueError(
                f"scores[{name!r}] must be [M, A] with M = {len(actions)} actions, got {np.shape(table)}"
            )
        if not np.isfinite(table).all():
            row = int(np.argwhere(~np.isfinite(table))[0, 0])
            raise ValueError(
                f"scores[{name!r}] is not finite at step {row}: give a low score instead of -inf"
            )
    if actions.ndim != 1 or level.shape != actions.shape or train.shape != actions.shape:
        raise ValueError(
            f"actions, level and train must be [M], got {actions.shape}, {level.shape} and {train.shape}"
        )
    if not np.issubdtype(actions.dtype, np.integer) or train.dtype != bool:
        raise ValueError(f"actions must be integer and train bool, got {actions.dtype} and {train.dtype}")
    if actions.size and (actions.min() < 0 or actions.max() >= shape[1]):
        raise ValueError(f"actions must lie in 0..{shape[1] - 1}, got {actions.min()}..{actions.max()}")
    if train.all() or not train.any():
        raise ValueError("train must hold some levels and leave others out")
    levels, index = np.unique(level, return_inverse=True)
    fitted = np.bincount(index, weights=train) / np.bincount(index)
    if ((fitted > 0) & (fitted < 1)).any():
        mixed = levels[(fitted > 0) & (fitted < 1)][0]
        raise ValueError(f"level {mixed} is partly in train: a level is fitted on or held out as a whole")
    tables = np.stack([np.asarray(table, dtype=np.float64) for table in scores.values()])
    return tables, actions.astype(np.int64), index.astype(np.int64), fitted == 1


def _check_members(members: Sequence[str], names: list[str]) -> None:
    for name in members:
        if name not in names:
            raise KeyError(_unknown(name, names))
    if isinstance(members, str) or len(set(members)) != len(members) or len(members) < 2:
        raise ValueError(f"a mixture needs at least two different names, got {members!r}")


def _unknown(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(names)}"
    return f"no algorithm {name!r}: {hint}"


@dataclass(frozen=True)
class _Summary:
    """What the likelihood of one algorithm needs of the data.

    Hand-written scores take few different values, so the M steps have few different rows: U of them.
    """

    rows: np.ndarray
    """[U, A] different rows of scores below the best move's, sorted"""
    row: np.ndarray
    """[M] the row of each step"""
    index: np.ndarray
    """[M] level of each step"""
    made: np.ndarray
    """[N] sum over a level's steps of the made move's score below the best move's"""


def _summary(score: np.ndarray, actions: np.ndarray, index: np.ndarray) -> _Summary:
    below = score - score.max(axis=1, keepdims=True)
    made = np.bincount(index, weights=below[np.arange(len(below)), actions])
    below = np.sort(below, axis=1)
    code = np.zeros(len(below), np.int64)
    for column in below.T:  # numbering by column is far faster than np.unique on whole rows
        values, place = np.unique(column, return_inverse=True)
        _, first, code = np.unique(code * len(values) + place, return_index=True, return_inverse=True)
    return _Summary(below[first], code, index, made)


def _fit_sharpness(data: _Summary, weight: np.ndarray, start: float) -> tuple[float, np.ndarray]:
    """Inverse temperature >= 0 of the highest weighted log-likelihood, and its log-likelihood [N] by level.

    One more step, spread evenly over all steps and moves, is counted in: it stands for the exception that
    the training levels happened not to show, without which a faultless fit would be infinitely sure.

    Args:
        weight: [N] of each level, 0 where it is held out.
        start: where to begin.
    """
    rows = data.rows
    spread = -float(rows.min())
    steps = np.bincount(data.row, weights=weight[data.index] + 1 / len(data.row), minlength=len(rows))
    even = np.bincount(data.row, minlength=len(rows)) @ rows.mean(axis=1) / len(data.row)
    made = weight @ data.made + even
    low, high, beta = 0.0, np.inf, start if spread > 0 else 0.0
    for _ in range(200):
        odds = np.exp(beta * rows)
        odds /= odds.sum(axis=1, keepdims=True)
        mean = (odds * rows).sum(axis=1)
        slope = made - steps @ mean
        curvature = steps @ np.maximum((odds * np.square(rows)).sum(axis=1) - np.square(mean), 0)
        if beta == 0 and (slope <= 0 or spread == 0):
            break
        low, high = (beta, high) if slope > 0 else (low, beta)
        # Newton on a concave function, kept inside the bracket that the slopes have shown.
        proposed = beta + slope / curvature if curvature > 0 else np.inf
        if proposed <= low == 0:
            proposed = 0.0
        elif not low < proposed < high:
            proposed = (low + high) / 2 if np.isfinite(high) else max(2 * beta, 1 / spread)
        elif not np.isfinite(high):
            proposed = min(proposed, max(4 * beta, 4 / spread))
        if abs(proposed - beta) <= 1e-7 * beta:
            break
        beta = proposed
    normaliser = np.log(np.exp(beta * rows).sum(axis=1))
    return beta, beta * data.made - np.bincount(data.index, weights=normaliser[data.row])


def _fit_mixture(
    data: Sequence[_Summary], train: np.ndarray, sharpness: np.ndarray, likelihood: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EM over which member plays each level: sharpness [K], weights [K], log-likelihood [N] by level.

    Args:
        data: [K]. train: [N] bool.
        sharpness: [K] of each member alone. likelihood: [K, N] by level of each member alone.
    """
    # A member that plays some levels is blurred by the others when fitted alone. So beside an even start, a
    # second one gives each level to the member that describes it best; the better end is kept.
    nearest = np.arange(len(data))[:, None] == np.argmax(likelihood, axis=0)
    starts = (np.full(likelihood.shape, 1 / len(data)), 0.9 * nearest + 0.1 / len(data))
    ends = [_expectation_maximisation(data, train, sharpness, start) for start in starts]
    return max(ends, key=lambda end: end[2][train].sum())


def _expectation_maximisation(
    data: Sequence[_Summary], train: np.ndarray, sharpness: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the share [K, N] of each member in each level to what `_fit_mixture` returns."""
    beta, by_member = sharpness.copy(), np.zeros(share.shape)
    enough = _EM_GAIN * train[data[0].index].sum()
    before = -np.inf
    for _ in range(_EM_STEPS):
        weights = share[:, train].mean(axis=1)
        for k, table in enumerate(data):
            if weights[k] > _EM_GAIN:  # a member that plays no level keeps the sharpness that it had
                beta[k], by_member[k] = _fit_sharpness(table, share[k] * train, beta[k])
        joint = by_member + np.log(np.maximum(weights, 1e-300))[:, None]
        top = joint.max(axis=0)
        per_level = top + np.log(np.exp(joint - top).sum(axis=0))
        share = np.exp(joint - per_level)
        total = float(per_level[train].sum())
        if total - before < enough:
            break
        before = total
    return beta, weights, per_level


def _lookup(pattern: np.ndarray, actions: np.ndarray, train: np.ndarray, moves: int) -> np.ndarray:
    """[M] log-probability of each move by what was done at the same pattern in training.

    Counts are smoothed by one step for each move, spread like the moves of all patterns together (plus one
    each), which is also the prediction for a pattern that was never met.
    """
    if pattern.shape != actions.shape:
        raise ValueError(f"pattern must be [M] like actions {actions.shape}, got {pattern.shape}")
    _, at = np.unique(pattern, return_inverse=True)
    overall = np.bincount(actions[train], minlength=moves) + 1.0
    overall /= overall.sum()
    table = np.zeros((at.max() + 1, moves))
    np.add.at(table, (at[train], actions[train]), 1)
    table = (table + moves * overall) / (table.sum(axis=1, keepdims=True) + moves)
    return np.log(table[at, actions])
