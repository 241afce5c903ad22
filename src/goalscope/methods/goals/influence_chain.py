"""Which parts of a network keep each other active through the world? An influence chain, and its closed classes.

Every unit is a solver (channel, latent, neuron). Its influence on another is interventional and goes *through the world*:
its activation is resampled at one moment, the agent acts, and what the other does later is held against the same level
without that, with the same random numbers of acting. Weighted by how active the solver is at that moment, this says how
much "i, active now" makes j active later. Rows normalised it is a chain; its closed classes are candidate shards: solvers
that keep each other alive and nobody else. A correlation over time is told beside it, and is no influence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from goalscope.activations import capture, editing, resample
from goalscope.showing import drawing, text

READINGS = ("value", "gradient")
"""what 'active' may mean: its size; how far the log-probability of the move taken depends on it"""
DRAWS, CONFIDENCE = 200, 0.95
"""of the null: permutations, and how sure an edge must be, over all sources of one target at once"""


@dataclass(frozen=True)
class Influence:
    """What S solvers do to each other in N levels."""

    __repr__, _repr_html_ = text, drawing

    effects: np.ndarray
    """[N, S, S] from i to j: mean change of j's activity over the steps after i was resampled"""
    active: np.ndarray
    """[N, S] how active each is where it is resampled"""
    turned: np.ndarray
    """[S] share of levels in which resampling changes the move; where it does not nothing follows"""
    correlation: np.ndarray
    """[S, S] of i now with j one step later, over levels and steps; NaN for what never varies"""


@dataclass(frozen=True)
class Chain:
    """The chain of an influence, and what is closed in it."""

    __repr__, _repr_html_ = text, drawing

    matrix: np.ndarray
    """[S, S] weighted mean influence, rows summing to 1; a row of zeros for who has none"""
    kept: np.ndarray
    """[S, S] bool: above what the same levels give with their sources permuted"""
    closed: tuple[tuple[int, ...], ...]
    """classes of solvers that reach each other and nobody else"""
    confirmed: tuple[tuple[int, ...], ...]
    """those of them that two halves of the levels both show"""
    stationary: np.ndarray
    """[C, S] share of time in each solver, of each closed class"""
    inside: np.ndarray
    """[C] share of its solvers' whole influence that stays in each closed class"""


def influence(
    module: nn.Module, site: str, state: Any, *, observe: Callable[[Any], Tensor],
    step: Callable[[Any, np.ndarray], Any], take: Callable[[Any, np.ndarray], Any], solvers: Sequence[int],
    steps: int = 8, reading: str = "value", seed: int = 0,
) -> Influence:  # fmt: skip
    """The influence of every solver on every other through the world.

    Only where the resampled activation changes the move does anything follow, so only those levels are played on.

    Args:
        module: feed-forward; gives logits [N, A], first of a tuple, or as `.logits`.
        site: where the solvers are, [N, C, ...].
        state: N levels, at least 2.
        observe: state -> the module's input. step: (state, moves [N]) -> the next state. take: (state, rows) -> those.
        solvers: [S] channels of the site.
        steps: how far ahead is looked.
        reading: one of READINGS.
        seed: of the moves and of who is resampled from whom.

    Raises:
        ValueError: an unknown reading, no solver or one that is not there, fewer than 2 levels, a module with a memory.
    """
    if reading not in READINGS:
        raise ValueError(f"no reading {reading!r}; there are {', '.join(READINGS)}")
    if hasattr(module, "initial_carry"):
        raise ValueError(
            f"{type(module).__name__} has a memory, which carries influence besides the world: give a feed-forward policy, "
            "or the module of one tick"
        )  # fmt: skip
    x = observe(state)
    size = capture(module, x, [site])[site].shape
    if len(x) < 2 or not len(solvers) or min(solvers) < 0 or max(solvers) >= size[1]:
        raise ValueError(
            f"2 levels and solvers within 0..{size[1] - 1} are needed, got {len(x)} and {list(solvers)}"
        )
    rng = np.random.default_rng(seed)
    actions = _logits(module, x).shape[1]
    noise = rng.gumbel(size=(steps + 1, len(x), actions))
    states, moves, activity = [state], [], []
    for t in range(steps + 1):
        x = observe(states[-1])
        moves.append((_logits(module, x) + noise[t]).argmax(1))
        activity.append(_activity(module, site, x, moves[-1], reading)[:, solvers])
        states.append(step(states[-1], moves[-1]))
    effects, turned = np.zeros((len(solvers), len(solvers), len(x))), []
    for i, solver in enumerate(solvers):
        with editing(module, {site: resample(channels=[solver], seed=seed)}):
            edited = (_logits(module, observe(state)) + noise[0]).argmax(1)
        rows = np.flatnonzero(edited != moves[0])
        turned.append(len(rows) / len(edited))
        if len(rows):
            here = step(take(state, rows), edited[rows])
            effects[i][:, rows] = _later(
                module, site, here, rows, noise, activity, (observe, step), solvers, reading
            ).T
    return Influence(effects.transpose(2, 0, 1), activity[0], np.array(turned), _lagged(np.stack(activity)))


def _later(
    module: nn.Module, site: str, here: Any, rows: np.ndarray, noise: np.ndarray, base: Sequence[np.ndarray],
    world: tuple, solvers: Sequence[int], reading: str,
) -> np.ndarray:  # fmt: skip
    """[R, S] mean change of activity over the steps that follow, against the same levels as they were."""
    observe, step = world
    change = np.zeros((len(rows), len(solvers)))
    for t in range(1, len(base)):
        x = observe(here)
        move = (_logits(module, x) + noise[t, rows]).argmax(1)
        change += np.abs(_activity(module, site, x, move, reading)[:, solvers] - base[t][rows])
        here = step(here, move)
    return change / max(1, len(base) - 1)


def _logits(module: nn.Module, x: Tensor) -> np.ndarray:
    """[N, A] float64."""
    with torch.no_grad():
        return _first(module(x)).double().cpu().numpy()


def _first(out: Any) -> Tensor:
    return out.logits if hasattr(out, "logits") else out[0] if isinstance(out, tuple) else out


def _activity(module: nn.Module, site: str, x: Tensor, move: np.ndarray, reading: str) -> np.ndarray:
    """[N, C] how active each channel is; over its places the mean."""
    if reading == "value":
        return _size(capture(module, x, [site])[site])
    held: list[Tensor] = []

    def hold(here: Tensor) -> Tensor:
        held.append(here.detach().requires_grad_())
        return held[0]

    with editing(module, {site: hold}), torch.enable_grad():
        chosen = _first(module(x)).log_softmax(1)[torch.arange(len(x)), torch.from_numpy(move)]
        return _size(torch.autograd.grad(chosen.sum(), held[0])[0])


def _size(values: Tensor) -> np.ndarray:
    """[N, C] mean absolute value over places."""
    return values.double().abs().reshape(*values.shape[:2], -1).mean(2).cpu().numpy()


def _lagged(activity: np.ndarray) -> np.ndarray:
    """[S, S] correlation of activity [T, N, S] now with that one step later."""
    now, later = (part.reshape(-1, activity.shape[2]) for part in (activity[:-1], activity[1:]))
    now, later = now - now.mean(0), later - later.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (now.T @ later) / np.sqrt((now**2).sum(0)[:, None] * (later**2).sum(0))


def solver_chain(found: Influence, seed: int = 0) -> Chain:
    """The chain of an influence: what is kept against permuted sources, and what is closed.

    Args:
        found: what `influence` gives.
        seed: of the permutations, and of the halves.
    """
    matrix = _mean(found.effects, found.active)
    kept = _kept(matrix, found, seed)
    closed = _closed(kept)
    half = np.random.default_rng(seed).permutation(len(found.effects)) % 2 == 0
    halves = []
    for rows in (half, ~half):
        part = Influence(found.effects[rows], found.active[rows], found.turned, found.correlation)
        halves.append(set(_closed(_kept(_mean(part.effects, part.active), part, seed))))
    total = matrix.sum(1, keepdims=True)
    rows = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    stationary = np.zeros((len(closed), len(matrix)))
    inside = np.zeros(len(closed))
    for c, members in enumerate(closed):
        block = np.ix_(members, members)
        inside[c] = rows[block].sum(1).mean()
        strong = np.where(kept[block], rows[block], 0)
        stationary[c, list(members)] = _stationary(strong / strong.sum(1, keepdims=True))
    confirmed = tuple(c for c in closed if all(c in each for each in halves))
    return Chain(rows, kept, closed, confirmed, stationary, inside)


def _mean(effects: np.ndarray, active: np.ndarray) -> np.ndarray:
    """[S, S] effects [N, S, S] averaged over levels, each by how active the source is there."""
    total = active.sum(0)
    return np.einsum("ni,nij->ij", active, effects) / np.where(total > 0, total, 1)[:, None]


def _kept(matrix: np.ndarray, found: Influence, seed: int) -> np.ndarray:
    """[S, S] bool: above the greatest that any source has on that target when each level's sources are permuted."""
    rng, (count, size) = np.random.default_rng(seed), found.active.shape
    highest = np.zeros((DRAWS, size))
    weighted = found.active[:, :, None] * found.effects
    total = np.where(found.active.sum(0) > 0, found.active.sum(0), 1)
    for d in range(DRAWS):
        order = rng.permuted(np.tile(np.arange(size), (count, 1)), axis=1)
        mixed = np.take_along_axis(weighted, order[:, :, None], 1).sum(0) / total.mean()
        highest[d] = mixed.max(0)
    return (matrix > np.quantile(highest, CONFIDENCE, axis=0)) & (matrix > 0)


def _closed(kept: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Strongly connected classes with an edge inside and none that leaves."""
    count, label = connected_components(kept, directed=True, connection="strong")
    found = []
    for c in range(count):
        members = label == c
        if kept[np.ix_(members, members)].any() and not kept[np.ix_(members, ~members)].any():
            found.append(tuple(np.flatnonzero(members).tolist()))
    return tuple(sorted(found))


def _stationary(rows: np.ndarray) -> np.ndarray:
    """The distribution that a chain keeps, of one class."""
    size = len(rows)
    system = np.vstack([rows.T - np.eye(size), np.ones(size)])
    return np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(0)
