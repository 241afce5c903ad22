"""Episodes of Sokoban and what a plan is: many levels at once, looks before the first move, edits on the way.

Moves are the most probable ones, so that an episode is a function of level, looks and edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from goalscope.activations import capture, editing
from goalscope.progress import counted
from goalscope.rollout.forward import answer, encoded, evaluating, first_carry
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban, SokobanState, solved

BATCH = 128
NEVER = 4
"""label of a square that is not left again; 0 to 3 are the moves"""
CLASSES = 5
EARLY = 8
"""moves within which coming back to a position counts as an early cycle"""


@dataclass(frozen=True)
class Played:
    """Episodes of N levels."""

    player: np.ndarray
    """[T + 1, N, 2] int16 where the player stood before each move, and after the last"""
    boxes: np.ndarray
    """[T + 1, N, H, W] bool"""
    moves: np.ndarray
    """[T, N] int8; -1 once the episode has ended"""
    solved: np.ndarray
    """[N] bool"""

    @property
    def length(self) -> np.ndarray:
        """[N] moves of each episode."""
        return (self.moves >= 0).sum(0)


Edits = Callable[[int, np.ndarray, SokobanState], Mapping[str, Any] | None]
"""(look or move, levels [n], their states) -> edits of this forward; looks before the first move count from below 0"""
Watcher = Callable[[int, np.ndarray, SokobanState, tuple[Any, ...]], None]
"""(look or move, levels [n], their states, inputs) before each forward"""


def play(
    module: nn.Module, world: Sokoban, state: SokobanState, thinking: int = 0, *, steps: int | None = None,
    edits: Edits | None = None, watch: Watcher | None = None, forced: np.ndarray | None = None,
    done: Callable[[np.ndarray, SokobanState], np.ndarray] | None = None, seed: int | None = None,
) -> Played:  # fmt: skip
    """N levels, each to its solution or for `steps` moves.

    Args:
        module: a policy, as `rollout.forward` runs it; one with `initial_carry` remembers.
        world: of these boards.
        state: N levels of one size.
        thinking: looks at the start before the first move.
        steps: moves at most; None is the world's time limit.
        edits: what is edited in each forward.
        watch: told of each forward before it runs.
        forced: [T, N] moves to make in place of its own, -1 where a level has ended.
        done: (levels [n], states after the move) -> [n] bool, where an episode may end unsolved.
        seed: of sampled moves; None takes the most probable one.
    """
    limit = world.time_limit if steps is None else steps
    limit = limit if forced is None else min(limit, len(forced))
    n = len(state)
    player = np.repeat(state.player[None], limit + 1, 0)
    boxes = np.repeat(state.boxes[None], limit + 1, 0)
    moves, solves = np.full((limit, n), -1, np.int8), solved(state)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with evaluating(module):
        for first in range(0, n, BATCH):
            going = np.arange(first, min(first + BATCH, n))
            _play(
                module, world, take(state, going), going, thinking, limit, (player, boxes, moves, solves),
                (edits, watch, forced, done), generator,
            )  # fmt: skip
    return Played(player, boxes, moves, solves)


def _play(
    module: Any, world: Sokoban, state: SokobanState, going: np.ndarray, thinking: int, limit: int,
    record: tuple[np.ndarray, ...], how: tuple[Any, ...], generator: torch.Generator | None,
) -> None:  # fmt: skip
    player, boxes, moves, solves = record
    edits, watch, forced, done = how
    carry = first_carry(module, len(going))
    for t in counted(range(-thinking, limit), f"{len(going)} levels played", "moves at most"):
        if t >= 0:
            kept = ~solves[going] if forced is None else forced[t, going] >= 0
            if done is not None and t:
                kept &= ~done(going, state)
            if not kept.all():
                state, going = take(state, np.flatnonzero(kept)), going[kept]
                carry = _rows(carry, torch.from_numpy(kept))
            if not len(going):
                return
        x = encoded(module, world.observe(state))
        inputs = (x,) if carry is None else (x, carry)
        if watch is not None:
            watch(t, going, state, inputs)
        change = edits(t, going, state) if edits is not None else None
        with editing(module, change) if change else nullcontext():
            logits, _, carry = answer(module, x, carry, actions=len(world.actions), world=world.name)
        if t < 0:
            continue
        moves[t, going] = _chosen(logits, generator) if forced is None else forced[t, going]
        state = world.step(state, moves[t, going].astype(np.int64)).state
        player[t + 1 :, going], boxes[t + 1 :, going] = state.player, state.boxes
        solves[going] = solved(state)


def _chosen(logits: Tensor, generator: torch.Generator | None) -> np.ndarray:
    chances = logits.float().softmax(1).cpu()
    return (
        chances.argmax(1) if generator is None else torch.multinomial(chances, 1, generator=generator)[:, 0]
    ).numpy()


def early_cycles(played: Played) -> np.ndarray:
    """[N] bool: whether a position (player and boxes) comes a second time within the first `EARLY` moves.

    A move that changes nothing, such as one into a wall, is a return to the position it is made in.
    """
    found = np.zeros(played.moves.shape[1], bool)
    last = min(EARLY, len(played.moves))
    for now in range(1, last + 1):
        for before in range(now):
            same = (played.player[now] == played.player[before]).all(1)
            same &= (played.boxes[now] == played.boxes[before]).all((1, 2))
            found |= same & (played.moves[now - 1] >= 0)
    return found


def plan_labels(played: Played, level: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plan that an episode turns out to have followed, seen from some moments.

    Args:
        played: the episodes.
        level: [M] int, time: [M] int, the moments, before the move `time`.

    Returns:
        agent [M, H, W] int8, the move by which the player next leaves a square, and box [M, H, W], that by which a box
        is next pushed off it; `NEVER` where neither happens in the rest of the episode.
    """  # fmt: skip
    total, n = played.moves.shape
    shape = played.boxes.shape[2:]
    agent, box = (np.full((n, *shape), NEVER, np.int8) for _ in range(2))
    agents, pushed = (np.empty((len(level), *shape), np.int8) for _ in range(2))
    for t in range(total, -1, -1):
        if t < total:
            here, there = played.player[t], played.player[t + 1]
            walked = np.flatnonzero((here != there).any(1) & (played.moves[t] >= 0))
            agent[walked, here[walked, 0], here[walked, 1]] = played.moves[t, walked]
            changed = (played.boxes[t] != played.boxes[t + 1]).any((1, 2))
            by = walked[changed[walked]]
            # The box that a move pushes was where the player then stands.
            box[by, there[by, 0], there[by, 1]] = played.moves[t, by]
        asked = np.flatnonzero(time == t)
        agents[asked], pushed[asked] = agent[level[asked]], box[level[asked]]
    return agents, pushed


def moments(length: np.ndarray, count: int, latest: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to `count` random moments of each episode, before one of its first `latest` moves.

    Returns:
        level [M] ascending, time [M].
    """
    rng = np.random.default_rng([seed, 11])
    level, time = [], []
    for i, moves in enumerate(np.minimum(length, latest)):
        drawn = np.sort(rng.permutation(moves)[:count])
        level += [i] * len(drawn)
        time += drawn.tolist()
    return np.array(level, np.int64), np.array(time, np.int64)


def captured(
    module: nn.Module, world: Sokoban, state: SokobanState, sites: list[str], forced: np.ndarray, level: np.ndarray,
    time: np.ndarray,
) -> tuple[dict[str, Tensor], np.ndarray]:  # fmt: skip
    """Activations and planes at some moments of episodes whose moves are given.

    Args:
        module, world, state: as in `play`.
        sites: where.
        forced: [T, N] the moves.
        level: [M], time: [M], the moments.

    Returns:
        site -> [M, C, H, W], and the four planes [M, 4, H, W] uint8 of what was there to be seen.
    """  # fmt: skip
    kept: dict[str, list[Tensor]] = {site: [] for site in sites}
    planes, order = [], []
    _, height, width = state.walls.shape
    symbolic = Sokoban(height, width)

    def watch(t: int, going: np.ndarray, now: SokobanState, inputs: tuple[Any, ...]) -> None:
        asked = np.flatnonzero((time == t) & np.isin(level, going))
        if not len(asked):
            return
        rows = np.searchsorted(going, level[asked])
        found = capture(module, _rows(inputs, torch.from_numpy(rows)), sites)
        for site in sites:
            kept[site].append(found[site])
        planes.append(symbolic.observe(take(now, rows)))
        order.append(asked)

    play(module, world, state, steps=int(time.max()) + 1, watch=watch, forced=forced)
    back = np.argsort(np.concatenate(order), kind="stable")
    maps = {site: torch.cat(parts)[torch.from_numpy(back)] for site, parts in kept.items()}
    return maps, np.concatenate(planes)[back]


def _rows(held: Any, rows: Tensor) -> Any:
    """Some levels of a carry or of a forward's inputs, however their tensors [N, ...] are held; None stays None."""
    return pytree.tree_map(lambda part: None if part is None else part[rows.to(part.device)], held)
