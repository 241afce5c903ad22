"""Another way written into the state: into a branch without cheese, along directions of the plan, beside random vectors.

What is written is the whole plan of going somewhere else, on every free square but the mouse's own. In place of the move
that stands there the one towards the end of another branch is written, in one of two ways: along the probe's directions
(`PROBE`), or by the difference of what squares with the one move and with the other hold on average (`MEAN`). Or it is
written how many steps fewer or more are left to there than to the cheese (`STEPS`). The mouse is then asked on each square
of the other way, from the fork on, what it does; the way is followed where every step is taken. Directions, moments and
strength are chosen on other mazes. The mouse's own square alone is written as well, apart: a move that can be dictated
where the mouse stands shows no plan.

A direction need not be the one that the network itself uses. So the whole state is swapped too: all squares but the
mouse's own hold what they hold where the cheese lies at the end of the other branch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import capture, editing
from goalscope.activations.equal_norm import scaled_to_norm
from goalscope.methods.intervening.side_effects import mahalanobis
from goalscope.progress import counted
from goalscope.rollout.forward import answer, encoded, evaluating
from goalscope.studies.planning.measure.reading import BATCH, MOVE, STEPS
from goalscope.studies.planning.measure.ways import Others, other_ways, right_moves
from goalscope.studies.planning.setup import Setup
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState

PROBE, MEAN = "probe", "mean"
WAYS = (PROBE, MEAN, STEPS)
"""of writing a plan"""
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""along a probe: norm of each move's direction, in root mean square distances of a square's activations from their mean; of
a difference or of steps: how much of the change is written"""
WHEN = ("every", "middle", "last")
"""moments at which is written"""
AHEAD, OWN = "ahead", "own"
"""where is written: everywhere but on the mouse's own square, or there alone"""
RESAMPLED = 1000
"""times that the choosing levels are drawn anew, to say how fragile the choice is"""
LEAST = 2
"""mazes with another way without which nothing is written"""
CLEAN = 3000
"""ordinary squares that written ones are compared with"""


@dataclass(frozen=True)
class Asked:
    """Q mice on squares of other ways, and the plan that is written for each."""

    state: MazeState
    """Q mazes, the mouse where it is asked"""
    level: np.ndarray
    """[Q] int, which other way"""
    end: np.ndarray
    """[Q, 2] int, where it leads"""
    moves: np.ndarray
    """[Q, W, W] int8, the move towards the end of the other way on every square, -1 where there is none"""
    bare: np.ndarray
    """[Q, W, W] int8, the move towards the cheese likewise"""
    change: np.ndarray
    """[Q, W, W] steps to there less those to the cheese, as against the mouse's own square; 0 on walls"""

    def take(self, part: slice | np.ndarray) -> Asked:
        """Some of them."""
        return Asked(
            take(self.state, part),
            *(getattr(self, f)[part] for f in ("level", "end", "moves", "bare", "change")),
        )

    @property
    def wanted(self) -> np.ndarray:
        """[Q] the written move where the mouse stands."""
        return self.moves[np.arange(len(self.level)), *self.state.mouse.astype(int).T]

    def here(self) -> np.ndarray:
        """[Q, W, W] bool: the mouse's own square."""
        found = np.zeros(self.moves.shape, bool)
        found[np.arange(len(self.level)), *self.state.mouse.astype(int).T] = True
        return found


@dataclass(frozen=True)
class Writing:
    """What is written, and when."""

    way: str
    """one of `WAYS`"""
    vectors: Tensor
    """[T, K, D]: of a move what stands for each (K = 4), of steps what one step adds (K = 1)"""
    moments: tuple[int, ...]

    def added(self, t: int, asked: Asked, where: np.ndarray) -> Tensor:
        """[Q, D, H, W] what is added at a moment, on squares `where` [Q, H, W] bool."""
        vectors = self.vectors[t]
        if self.way == STEPS:
            added = torch.from_numpy(np.where(where, asked.change, 0)).float()[..., None] * vectors[0]
            return added.movedim(-1, 1)
        # Where the move stays the same, nothing is changed; where there is none, neither.
        where = where & (asked.moves != asked.bare) & (asked.moves >= 0) & (asked.bare >= 0)
        table = torch.cat([vectors, torch.zeros_like(vectors[:1])])  # index -1 adds nothing
        new, old = (
            torch.from_numpy(np.where(where, moves, -1).astype(np.int64))
            for moves in (asked.moves, asked.bare)
        )
        return (table[new] - table[old]).movedim(-1, 1)


def asked_of(state: MazeState, others: Others) -> Asked:
    """The mice of some mazes on every square of their other ways that is asked of."""
    level = np.repeat(np.arange(len(others.maze)), [len(squares) for squares in others.squares])
    there = take(state, others.maze[level])
    mice = np.concatenate(others.squares).astype(np.int16)
    moves, steps = right_moves(there.walls, others.end[level])
    bare, to_cheese = right_moves(there.walls, there.cheese)
    change = steps - to_cheese
    own = change[np.arange(len(level)), *mice.astype(int).T]
    change = np.where(steps >= 0, change - own[:, None, None], 0)
    return Asked(MazeState(there.walls, mice, there.cheese), level, others.end[level], moves, bare, change)


def followed(setup: Setup, asked: Asked, writing: Writing | None, squares: str = AHEAD) -> np.ndarray:
    """[L] bool: the mouse makes the written move on every square that it is asked on."""
    return _every_step(setup, asked, lambda some: written(setup, some, writing, squares))


def _every_step(
    setup: Setup, asked: Asked, within: Callable[[Asked], AbstractContextManager[Any]]
) -> np.ndarray:
    """[L] bool: all written moves of a way are made, with some edits of each forward."""
    taken = np.zeros(len(asked.level), bool)
    for first in range(0, len(taken), BATCH):
        part = slice(first, first + BATCH)
        some = asked.take(part)
        x = encoded(setup.module, setup.world.observe(some.state))
        with evaluating(setup.module), within(some):
            out = answer(setup.module, x, actions=len(setup.world.moves), world=setup.world.name)
        taken[part] = out.logits.argmax(1).cpu().numpy() == some.wanted
    return np.bincount(asked.level, ~taken) == 0


def written(setup: Setup, asked: Asked, writing: Writing | None, squares: str) -> AbstractContextManager[Any]:
    """Within, the plan is written into every forward; nothing where there is none."""
    if writing is None:
        return nullcontext()
    where = asked.here() if squares == OWN else ~asked.here()
    edits = {setup.sites[t]: partial(torch.add, writing.added(t, asked, where)) for t in writing.moments}
    return editing(setup.module, edits)


def swapped(setup: Setup, asked: Asked, when: str) -> np.ndarray:
    """[L] bool: the way is followed where all squares but the mouse's own hold what they do with the cheese at its end."""
    moments = at_moments(setup, when)
    sites = [setup.sites[t] for t in moments]

    def within(some: Asked) -> AbstractContextManager[Any]:
        donor = MazeState(some.state.walls, some.state.mouse, some.end.astype(np.int16))
        with evaluating(setup.module):
            held = capture(setup.module, encoded(setup.module, setup.world.observe(donor)), sites)
        own = torch.from_numpy(some.here())[:, None]
        return editing(setup.module, {site: partial(torch.where, own, other=held[site]) for site in sites})

    return _every_step(setup, asked, within)


def at_moments(setup: Setup, when: str) -> tuple[int, ...]:
    """The moments that a word of `WHEN` means."""
    count = len(setup.sites)
    return {"every": tuple(range(count)), "middle": (count // 2,), "last": (count - 1,)}[when]


def directions(
    setup: Setup, probes: Mapping[str, np.ndarray], way: str, when: str, strength: float
) -> Writing:
    """What is added for each move or step, at some moments and of some strength."""
    made = []
    for t in range(len(setup.sites)):
        name = f"mean.{t}" if way == MEAN else f"weights.{MOVE if way == PROBE else STEPS}.{t}"
        vectors = torch.from_numpy(probes[name]).float()
        norm = vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
        # A step is what the probe reads as one more step left.
        size = {PROBE: float(probes["spread"][t]) / norm, MEAN: 1.0, STEPS: 1 / norm**2}[way]
        made.append(strength * size * vectors)
    return Writing(way, torch.stack(made), at_moments(setup, when))


def random_like(writing: Writing, setup: Setup) -> list[Writing]:
    """Random vectors of the same norms, each draw the same at every moment up to its norm."""
    drawn = []
    for k in range(setup.sizes.random):
        generator = torch.Generator().manual_seed(1000 * setup.about.seed + k)
        noise = torch.randn(writing.vectors.shape[1:], generator=generator)
        vectors = torch.stack([scaled_to_norm(noise, moment) for moment in writing.vectors])
        drawn.append(Writing(writing.way, vectors, writing.moments))
    return drawn


def write(setup: Setup, probes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Chooses directions, moments and strength on some mazes, and writes other ways into others.

    Returns:
        `mazes` [2] with another way, to choose on and to judge on; where each has `LEAST`: `judged` [L] bool, where the
        policy left alone does not go that way, and [L] bool `written`, [draws, L] `random`, `trial` [WAYS, WHEN, STRENGTHS,
        choosing mazes], `chosen` [3] by number; the same as `own`, `own_random`, `own_trial`, `own_chosen` of the mouse's
        own square alone; `swap` [L] and `swap_random` [L], with the cheese at the end of the other way, or on any square;
        `swap_trial` [WHEN, choosing mazes]; `far`, `far_random` [L] median Mahalanobis distance of the written squares,
        `ordinary` [H].
    """
    choosing, held = (other_ways(state, setup.about.seed) for state in (setup.chosen, setup.written))
    found = {"mazes": np.array([len(choosing.maze), len(held.maze)])}
    if min(found["mazes"]) < LEAST:
        return found
    some, asked = asked_of(setup.chosen, choosing), asked_of(setup.written, held)
    left, found["judged"] = ~followed(setup, some, None), ~followed(setup, asked, None)
    if not left.any() or not found["judged"].any():
        return {"mazes": found["mazes"] * 0}
    for squares, key in ((AHEAD, ""), (OWN, "own_")):
        trial = _tried(setup, probes, some, left, squares)
        best = best_of(trial.mean(-1))
        found |= {f"{key}trial": trial, f"{key}chosen": np.array(best)}
        writing = directions(setup, probes, WAYS[best[0]], WHEN[best[1]], STRENGTHS[best[2]])
        draws = random_like(writing, setup)
        found["own" if key else "written"] = followed(setup, asked, writing, squares)
        found[f"{key}random"] = np.stack([followed(setup, asked, one, squares) for one in draws])
        if squares == AHEAD:
            found |= _far(setup, asked, writing, draws[0])
    return found | _swap(setup, some, left, asked)


def _swap(setup: Setup, some: Asked, left: np.ndarray, asked: Asked) -> dict[str, np.ndarray]:
    """The entries of `write` for the whole state swapped; the moments are chosen on other mazes."""
    words = WHEN if len(setup.sites) > 1 else WHEN[:1]
    trial = np.stack([swapped(setup, some, when)[left] for when in words]).astype(float)
    when = words[int(trial.mean(1).argmax())]
    rng = np.random.default_rng([setup.about.seed, 26])
    first = np.unique(asked.level, return_index=True)[1]
    ends = np.stack([rng.permutation(np.argwhere(asked.moves[q] >= 0))[0] for q in first])
    elsewhere = replace(asked, end=ends[asked.level])
    return {
        "swap": swapped(setup, asked, when), "swap_random": swapped(setup, elsewhere, when), "swap_trial": trial,
    }  # fmt: skip


def _tried(
    setup: Setup, probes: Mapping[str, np.ndarray], asked: Asked, left: np.ndarray, squares: str
) -> np.ndarray:
    """[WAYS, WHEN, STRENGTHS, L] float, whether the other way is followed, of mazes where it was not anyway."""
    trial = np.zeros((len(WAYS), len(WHEN), len(STRENGTHS), int(left.sum())))
    asked = asked.take(left[asked.level])
    asked = replace(asked, level=np.unique(asked.level, return_inverse=True)[1])
    every = list(np.ndindex(*trial.shape[:3]))
    for i, j, k in counted(every, f"writing tried, {squares}", "writings"):
        # One moment is every, middle and last at once; steps are told apart from those of other squares only.
        if (len(setup.sites) > 1 or j == 0) and not (squares == OWN and WAYS[i] == STEPS):
            writing = directions(setup, probes, WAYS[i], WHEN[j], STRENGTHS[k])
            trial[i, j, k] = followed(setup, asked, writing, squares)
    return trial


def best_of(trial: np.ndarray) -> tuple[int, int, int]:
    """Directions, moments and strength, by number, of the greatest success; of equal ones the weakest."""
    i, j, k = max(np.ndindex(*trial.shape), key=lambda at: (round(trial[at], 9), -at[2], -at[1], -at[0]))
    return i, j, k


def otherwise_chosen(trial: np.ndarray, seed: int) -> float:
    """How often another writing would have been chosen, were the choosing mazes drawn anew from themselves."""
    chosen, levels = best_of(trial.mean(-1)), trial.shape[-1]
    drawn = np.random.default_rng([seed, 23]).integers(levels, size=(RESAMPLED, levels))
    return float(np.mean([best_of(trial[..., rows].mean(-1)) != chosen for rows in drawn]))


def _far(setup: Setup, asked: Asked, writing: Writing, drawn: Writing) -> dict[str, np.ndarray]:
    """How far off ordinary activations the written squares lie at the last moment of writing, beside random vectors."""
    first = np.unique(asked.level, return_index=True)[1]
    some = asked.take(first)
    where = (some.moves >= 0) & ~some.here()
    level = np.nonzero(where)[0]
    kept = np.sort(np.random.default_rng([setup.about.seed, 24]).permutation(len(level))[:CLEAN])
    clean = _held(setup, some, None, writing.moments[-1], where)[torch.from_numpy(kept)]
    found: dict[str, np.ndarray] = {}
    for name, each in (("far", writing), ("far_random", drawn)):
        squares = _held(setup, some, each, writing.moments[-1], where)
        off = mahalanobis(clean, squares, level=level[kept], seed=setup.about.seed)
        found[name] = np.array([np.median(off.distance[level == i]) for i in np.unique(level)])
        found["ordinary"] = off.clean
    return found


def _held(setup: Setup, asked: Asked, writing: Writing | None, t: int, where: np.ndarray) -> Tensor:
    """[R, D] what stands on squares at a moment, with a plan written or none."""
    with evaluating(setup.module), written(setup, asked, writing, AHEAD):
        x = encoded(setup.module, setup.world.observe(asked.state))
        maps = capture(setup.module, x, [setup.sites[t]])[setup.sites[t]]
    return maps.movedim(1, -1)[torch.from_numpy(where)]
