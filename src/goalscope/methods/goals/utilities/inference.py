"""One utility, several that are gated by a context, or none? By held-out likelihood, with description lengths paid.

A utility bids for its best moves: its policy makes each of them exp(sharpness) times as likely as any other, in every
state. A gated pair lets one utility bid where a context holds and another elsewhere. All are judged by the likelihood of
the policy's own moves, in expectation and so without sampling, in levels that neither the sharpness nor the choice of the
pair was fitted on. A longer description must be paid for in the same currency: bits.

The posterior is proportional to 2^-length times the held-out likelihood (Grunwald 2007, "The Minimum Description Length
Principle", chapter 1). It takes every step for an observation of its own; so what may be concluded goes by levels instead: a
model is behind another only where the interval over levels says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goalscope.showing import drawing, text
from goalscope.stats import Estimate, bootstrap_ratio

ALIKE = 0.02
"""bits a step: models that are no further apart explain as much"""
LEAST_SHARE = 0.2
"""of what uniform moves leave to explain: who explains less has not found what the policy acts for"""
GATE_SHARE = 0.05
"""of the same: a second utility that explains no more than this beyond the first is no second goal"""
SHARPEST = 60.0
"""the greatest sharpness"""


@dataclass(frozen=True)
class Model:
    """One explanation of the moves, and how it does in the held-out levels."""

    __repr__, _repr_html_ = text, drawing

    name: str
    """the utility, or 'INSIDE where GATE, else OUTSIDE'"""
    length: float
    """bits of its description"""
    sharpness: float
    """log of how much likelier a best move is than another; fitted on the training levels"""
    gain: Estimate
    """bits a step above uniform moves, held out"""
    behind: Estimate
    """bits a step by which the best model is ahead, with the difference of the lengths paid; 0 of the best"""
    posterior: float
    """of all that are compared, with the gated pair and uniform moves among them"""
    parts: tuple[str, ...]
    """(gate, inside, outside) of a gated pair; empty for a single utility"""


@dataclass(frozen=True)
class Inference:
    """What the moves say of the utilities."""

    __repr__, _repr_html_ = text, drawing

    verdict: str
    """'one', 'several', 'cannot tell' or 'none'"""
    best: Model
    """the best single utility; what 'one' names"""
    singles: tuple[Model, ...]
    """the U utilities, best first; of equals the shortest"""
    gated: Model | None
    """the pair that was chosen on the training levels; None where no context was given"""
    gate_gain: Estimate | None
    """bits a step by which the gated pair is ahead of every single utility, length paid, held out; a single one may choose
    among its equally good moves as the pair does: a route is no second goal"""
    tied: tuple[str, ...]
    """single utilities that cannot be told from the best one, itself left out"""
    same: tuple[str, ...]
    """of these, the ones with the same best moves in every state that counts: nobody's moves could tell them apart"""
    whole: Estimate
    """bits a step by which the policy's own probabilities are ahead of uniform moves, held out: what there is to explain"""
    train_levels: int
    """levels that were fitted on"""
    held_out_levels: int
    """levels that were judged on"""


@dataclass(frozen=True)
class _Tables:
    """What the likelihoods need: in level n and where context c holds (c = 0: everywhere), of utility u."""

    wanted: np.ndarray
    """[C, U, N] weight of the policy's moves that are among the best ones"""
    steps: np.ndarray
    """[C, U, N, A] weight of the states with 1 to A best moves"""


def infer_utility(
    best: np.ndarray,
    moves: np.ndarray,
    weight: np.ndarray,
    level: np.ndarray,
    *,
    train: np.ndarray,
    names: Sequence[str],
    lengths: Sequence[float],
    about: Sequence[str] | None = None,
    contexts: np.ndarray | None = None,
    context_names: Sequence[str] = (),
    context_lengths: Sequence[float] = (),
    seed: int = 0,
) -> Inference:
    """Which utility, or pair of utilities, explains the moves.

    Args:
        best: [U, K, A] bool, the best moves of each utility in each state, as `best_moves` gives them.
        moves: [K, A] probabilities, the policy's.
        weight: [K] how much each state counts, at least 0: how often play comes there, at most once a level.
        level: [K] int.
        train: [N] bool by level, those to fit on; the others are held out.
        names: [U] of the utilities. lengths: [U] bits of their descriptions.
        about: [U] what each is about ('cheese'); '' for one that is about nothing in particular. Utilities of the same
            name here are forms of one goal, and a tie between them leaves no doubt which. None: each is about itself.
        contexts: [C, K] bool, where a gate is open. context_names: [C]. context_lengths: [C] bits.
        seed: of the resampling of levels.

    Raises:
        ValueError: shapes that do not fit, rows that do not sum to 1, no level or no weight on a side of the split, names
            given twice.
    """
    best, moves = np.asarray(best), np.asarray(moves, np.float64)
    contexts = np.zeros((0, len(moves)), bool) if contexts is None else np.asarray(contexts)
    _check(best, moves, weight, level, train, names, lengths, contexts, context_names, context_lengths)
    about, cost = list(names if about is None else about), np.asarray(lengths, np.float64)
    tables = _tables(best, moves, np.asarray(weight, np.float64), level, len(train), contexts)
    steps = tables.steps[0, 0].sum(1)
    judged = _Judged(steps, ~train, moves.shape[1], seed)
    sharpness = _sharpness(tables.wanted[0][:, train].sum(1), tables.steps[0][:, train].sum(1))
    likelihood = _likelihood(sharpness[:, None], tables.wanted[0], tables.steps[0])
    pair = _best_pair(tables, train, cost, np.asarray(context_lengths, np.float64))
    paid = likelihood[:, ~train].sum(1) - cost
    # Of equals, the shortest; of equally short ones the first that is about something.
    order = sorted(range(len(names)), key=lambda u: (-round(paid[u], 6), not about[u], u))
    first = _named_first(order, best, np.asarray(weight) > 0, about)
    rows: list[tuple[str, float, float, np.ndarray, tuple[str, ...]]] = [
        (names[u], cost[u], sharpness[u], likelihood[u], ()) for u in order
    ]
    if pair is not None:
        rows.append(_named(pair, tables, names, context_names))
    models = judged.models(rows)
    gated = models[-1] if pair is not None else None
    gate_gain = None
    if pair is not None:
        gate_gain = judged.ahead(
            rows[-1], _strongest(pair, best, moves, weight, level, contexts, train, cost)
        )
    tied, same = _ties(models[: len(names)], order, best, np.asarray(weight), about, judged, rows)
    whole = judged.ratio(_own(moves, np.asarray(weight), level, len(train)) - judged.uniform)
    verdict = _verdict(models[0], gated, gate_gain, whole, tied, same, about, list(names), about[first])
    return Inference(
        verdict, models[0], models[: len(names)], gated, gate_gain, tied, same, whole, int(train.sum()),
        int((~train).sum()),
    )  # fmt: skip


def _verdict(
    best: Model, gated: Model | None, gate_gain: Estimate | None, whole: Estimate, tied: tuple[str, ...],
    same: tuple[str, ...], about: list[str], names: list[str], mine: str,
) -> str:  # fmt: skip
    """In words; a tie leaves a doubt only where what ties is about something else."""
    floor = max(ALIKE, LEAST_SHARE * whole.estimate)
    if gated is not None and gate_gain is not None:
        worth = max(ALIKE, GATE_SHARE * whole.estimate)
        if gate_gain.low > 0 and gate_gain.estimate > worth and gated.gain.low > floor:
            return "several"
    if not best.gain.low > floor:
        return "none"
    others = {about[names.index(name)] for name in tied} - {mine}
    empty = {name for name in same if not about[names.index(name)]}
    general = any(not about[names.index(name)] for name in tied if name not in empty)
    return "cannot tell" if others - {""} or general else "one"


def _named_first(order: list[int], best: np.ndarray, counts: np.ndarray, about: list[str]) -> int:
    """The first utility; of those with its best moves, the first that is about something stands for them all."""
    alike = [u for u in order if (best[u][counts] == best[order[0]][counts]).all()]
    first = next((u for u in alike if about[u]), order[0])
    order.remove(first)
    order.insert(0, first)
    return first


def _ties(
    singles: Sequence[Model], order: list[int], best: np.ndarray, weight: np.ndarray, about: list[str],
    judged: _Judged, rows: Sequence[tuple],
) -> tuple[tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    """What cannot be told from the best single utility, and what has the same best moves."""
    counts = weight > 0
    tied, same = [], []
    for place, u in enumerate(order[1:], 1):
        equal = bool((best[u][counts] == best[order[0]][counts]).all())
        ahead = judged.ahead(rows[0], rows[place])
        if equal or not (ahead.low > 0 and ahead.estimate > ALIKE):
            tied.append(singles[place].name)
        if equal:
            same.append(singles[place].name)
    return tuple(tied), tuple(same)


@dataclass(frozen=True)
class _Judged:
    """Judges models in the held-out levels."""

    steps: np.ndarray
    """[N] weight of each level"""
    held_out: np.ndarray
    """[N] bool"""
    actions: int
    seed: int

    @property
    def uniform(self) -> np.ndarray:
        """[N] log2 likelihood of uniform moves."""
        return -self.steps * np.log2(self.actions)

    def ratio(self, per_level: np.ndarray, length: float = 0.0) -> Estimate:
        """Of [N] bits, per step of the held-out levels; a length is paid once, by all of them in equal parts."""
        part = per_level[self.held_out] - length / self.held_out.sum()
        return bootstrap_ratio(part, self.steps[self.held_out], seed=self.seed)

    def ahead(self, one: tuple, other: tuple) -> Estimate:
        """Bits a step by which one row is ahead of another, the longer description paid."""
        return self.ratio(one[3] - other[3], one[1] - other[1])

    def models(self, rows: Sequence[tuple]) -> tuple[Model, ...]:
        """Of rows (name, length, sharpness, likelihood [N], parts), in their order."""
        paid = np.array([row[3][self.held_out].sum() - row[1] for row in rows])
        odds = np.array([*paid, self.uniform[self.held_out].sum()])
        posterior = np.exp2(np.maximum(odds - odds.max(), -1000.0))
        posterior /= posterior.sum()
        top = rows[int(paid.argmax())]
        return tuple(
            Model(row[0], float(row[1]), float(row[2]), self.ratio(row[3] - self.uniform), self.ahead(top, row),
                  float(posterior[i]), row[4])
            for i, row in enumerate(rows)
        )  # fmt: skip


def _tables(
    best: np.ndarray,
    moves: np.ndarray,
    weight: np.ndarray,
    level: np.ndarray,
    count: int,
    contexts: np.ndarray,
) -> _Tables:
    utilities, _, actions = best.shape
    contexts = np.concatenate([np.ones((1, len(weight)), bool), contexts])
    wanted = np.empty((len(contexts), utilities, count))
    steps = np.empty((len(contexts), utilities, count, actions))
    for u in range(utilities):
        share, cell = weight * (moves * best[u]).sum(1), level * actions + best[u].sum(1) - 1
        for c, holds in enumerate(contexts):
            wanted[c, u] = np.bincount(level, share * holds, count)
            steps[c, u] = np.bincount(cell, weight * holds, count * actions).reshape(count, actions)
    return _Tables(wanted, steps)


def _likelihood(sharpness: np.ndarray, wanted: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[...] log2 likelihood, of sharpness [...], wanted [...] and steps [..., A]."""
    actions = steps.shape[-1]
    some = np.arange(1, actions + 1)
    total = np.log(some * np.exp(sharpness)[..., None] + (actions - some))
    return (sharpness * wanted - (steps * total).sum(-1)) / np.log(2)


def _sharpness(wanted: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[...] the sharpness >= 0 of the highest likelihood, of wanted [...] and steps [..., A]; by bisection of the slope.

    One more step, of a policy without preference, is counted in: it stands for the exception that the training levels
    happened not to show, without which a faultless fit would be infinitely sure.
    """
    actions = steps.shape[-1]
    some = np.arange(1, actions + 1)
    share = steps / np.maximum(steps.sum(-1, keepdims=True), 1e-300)
    wanted, steps = wanted + share @ (some / actions), steps + share
    low, high = np.zeros(wanted.shape), np.full(wanted.shape, SHARPEST)
    for _ in range(50):
        middle = (low + high) / 2
        odds = some * np.exp(middle)[..., None]
        rises = wanted > (steps * odds / (odds + actions - some)).sum(-1)
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return (low + high) / 2


def _best_pair(
    tables: _Tables, train: np.ndarray, lengths: np.ndarray, gates: np.ndarray
) -> tuple[int, int, int, float, float] | None:
    """(context, inside, outside, sharpness, length) of the pair that does best in the training levels, length paid."""
    if not len(gates):
        return None
    wanted, steps = (table[:, :, train].sum(2) for table in (tables.wanted, tables.steps))
    found, high = None, -np.inf
    for c in range(len(gates)):
        inside, here = wanted[c + 1][:, None], steps[c + 1][:, None]
        both = inside + (wanted[0] - wanted[c + 1])[None]
        every = here + (steps[0] - steps[c + 1])[None]
        sharpness = _sharpness(both, every)
        length = lengths[:, None] + lengths[None] + gates[c] + 1
        paid = _likelihood(sharpness, both, every) - length
        np.fill_diagonal(paid, -np.inf)
        u, v = divmod(int(paid.argmax()), len(lengths))
        if paid[u, v] > high:
            high, found = paid[u, v], (c, u, v, float(sharpness[u, v]), float(length[u, v]))
    return found


def _strongest(
    pair: tuple[int, int, int, float, float], best: np.ndarray, moves: np.ndarray, weight: np.ndarray,
    level: np.ndarray, contexts: np.ndarray, train: np.ndarray, cost: np.ndarray,
) -> tuple:  # fmt: skip
    """The row of the single utility that is hardest to beat, each choosing among its best moves as the pair does."""
    c, inside, outside, *_ = pair
    both = np.where(contexts[c][:, None], best[inside], best[outside])
    within = ~(both & ~best).any(2, keepdims=True)
    refined = np.where(within, both, best)
    tables = _tables(refined, moves, np.asarray(weight, np.float64), level, len(train), contexts[:0])
    wanted, steps = tables.wanted[0], tables.steps[0]
    sharpness = _sharpness(wanted[:, train].sum(1), steps[:, train].sum(1))
    likelihood = _likelihood(sharpness[:, None], wanted, steps)
    u = int((likelihood[:, ~train].sum(1) - cost).argmax())
    return ("", cost[u], sharpness[u], likelihood[u], ())


def _named(
    pair: tuple[int, int, int, float, float], tables: _Tables, names: Sequence[str], gates: Sequence[str]
) -> tuple:
    """The row of a gated pair."""
    c, u, v, sharpness, length = pair
    wanted = tables.wanted[c + 1, u] + tables.wanted[0, v] - tables.wanted[c + 1, v]
    steps = tables.steps[c + 1, u] + tables.steps[0, v] - tables.steps[c + 1, v]
    parts = (gates[c], names[u], names[v])
    likelihood = _likelihood(np.full(len(wanted), sharpness), wanted, steps)
    return (f"{names[u]} where {gates[c]}, else {names[v]}", length, sharpness, likelihood, parts)


def _own(moves: np.ndarray, weight: np.ndarray, level: np.ndarray, count: int) -> np.ndarray:
    """[N] log2 likelihood of the policy's own moves under its own probabilities."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(moves > 0, moves * np.log2(moves), 0.0).sum(1)
    return np.bincount(level, weight * each, count)


def _check(
    best: np.ndarray, moves: np.ndarray, weight: np.ndarray, level: np.ndarray, train: np.ndarray,
    names: Sequence[str], lengths: Sequence[float], contexts: np.ndarray, gates: Sequence[str], costs: Sequence[float],
) -> None:  # fmt: skip
    """Raises ValueError where something does not fit."""
    count, actions = moves.shape if moves.ndim == 2 else (-1, -1)
    wanted = {
        "moves [K, A]": (moves.ndim == 2, moves.shape),
        f"best [U, {count}, {actions}] bool": (best.shape[1:] == moves.shape and best.dtype == bool, best.shape),
        f"names and lengths [{len(best)}]": (len(names) == len(lengths) == len(best) > 0, (len(names), len(lengths))),
        f"weight and level [{count}]": (
            np.shape(weight) == np.shape(level) == (count,), (np.shape(weight), np.shape(level))
        ),
        f"contexts [C, {count}] bool with as many names and lengths": (
            contexts.shape == (len(gates), count) and contexts.dtype == bool and len(costs) == len(gates),
            (contexts.shape, len(gates), len(costs)),
        ),
    }  # fmt: skip
    for what, (fits, came) in wanted.items():
        if not fits:
            raise ValueError(f"{what} expected, got {came}")
    if len(set(names)) < len(names):
        raise ValueError(
            f"two utilities have one name: {sorted({n for n in names if list(names).count(n) > 1})}"
        )
    if not best.any(2).all():
        raise ValueError("a utility has a state without a best move: give all moves where none is better")
    counts = np.asarray(weight) > 0
    if (np.asarray(weight) < 0).any() or not np.allclose(moves[counts].sum(1), 1, atol=1e-4):
        raise ValueError("weights must be at least 0, and the moves of each state that counts sum to 1")
    if train.dtype != bool or train.ndim != 1 or np.max(level) >= len(train):
        raise ValueError(f"train must be [N] bool by level, got {train.dtype} {list(train.shape)}")
    for side, held in (("fitted on", train), ("held out", ~train)):
        if not np.bincount(level, weight, len(train))[held].sum() > 0:
            raise ValueError(f"no level with a state that counts is {side}: split the levels")
