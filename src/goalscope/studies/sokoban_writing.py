"""Does the plan cause the moves? A longer way is written into the memory with the probes' own directions.

On every square of the longer way the direction of "leaves it by this move" is added, on those of the shorter one that of
"is not left again", at every tick of every forward until the way is decided. Part and strength are chosen on other levels of
the family. The control writes random vectors of equal norm on the same squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import capture, editing
from goalscope.methods.side_effects import mahalanobis
from goalscope.studies.sokoban_measure import Played, play
from goalscope.studies.sokoban_probes import TARGETS, reader, together
from goalscope.studies.sokoban_setup import Setup
from goalscope.studies.sokoban_shortcuts import (
    NOTHING,
    SYMMETRIES,
    Shortcuts,
    agent_shortcuts,
    box_shortcuts,
    joined,
    occupied,
    symmetric,
    ways_taken,
)
from goalscope.worlds.sokoban import SokobanState

STRENGTHS = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
"""norm of what is added on a square at a tick, in root mean square distances of a square's activations from their mean"""
STEPS = 60
"""moves of an episode"""
TRIAL_STEPS = 25
"""moves of an episode that only chooses: the way is decided early"""
TRIED = 12
"""levels of a family that are looked at for each one that is wanted"""
FAMILIES: Mapping[str, Callable[[int, int, int], Iterator[Shortcuts]]] = {
    "agent": agent_shortcuts, "box": box_shortcuts
}  # fmt: skip


def families(setup: Setup, target: str) -> tuple[Shortcuts, Shortcuts, np.ndarray]:
    """Levels to choose on and levels to report on, each in eight symmetries, and how many were looked at and kept.

    Kept are the levels that the network, left alone, solves by the shorter way in at least one symmetry; symmetries in
    which it does not are left out of the judgement (see `undecided`).
    """
    wanted = setup.sizes.chosen + setup.sizes.shortcuts
    made = FAMILIES[target](setup.size, setup.boxes, setup.about.seed)
    kept: list[Shortcuts] = []
    looked = 0
    while len(kept) < wanted and looked < TRIED * wanted:
        batch = [level for level, _ in zip(made, range(wanted), strict=False)]
        if not batch:
            break
        looked += len(batch)
        levels = symmetric(joined(batch))
        fit = shorter_way(levels, run(setup, levels), target).reshape(-1, SYMMETRIES)
        kept += [level for level, good in zip(batch, fit, strict=True) if good.any()]
    kept = kept[:wanted]
    some = min(setup.sizes.chosen, max(1, len(kept) // 3))
    if len(kept) < 2:
        raise LookupError(f"{len(kept)} of {looked} {target}-shortcut levels are solved by the shorter way")
    return symmetric(joined(kept[:some])), symmetric(joined(kept[some:])), np.array([looked, len(kept)])


def shorter_way(levels: Shortcuts, played: Played, target: str) -> np.ndarray:
    """[N] bool: the level is solved, and by the shorter way."""
    return ways_taken(levels, played, target)[1] & played.solved


def run(setup: Setup, levels: Shortcuts, edits: Any = None, steps: int = STEPS) -> Played:
    """Episodes of the policy."""
    return play(setup.module, setup.world(levels.states), levels.states, steps=steps, edits=edits)


class Writer:
    """Writes the plans of levels into forwards until their way is decided.

    Args:
        setup: the study.
        levels: N of them.
        target: whose plan.
        part: where it is written.
        vectors: [ticks, 5, D] what is added for each label.
    """

    def __init__(self, setup: Setup, levels: Shortcuts, target: str, part: str, vectors: Tensor):
        self._setup, self._levels, self._target, self._part = setup, levels, target, part
        self._vectors = vectors.float()
        self._been = np.zeros(levels.plan.shape, bool)

    def __call__(self, t: int, going: np.ndarray, state: SokobanState) -> Mapping[str, Any] | None:
        """The edits of one forward."""
        levels = self._levels
        here = occupied(state.player, state.boxes, self._target)
        self._been[going] |= here
        been = self._been[going]
        decided = np.zeros(len(going), bool)
        for squares in (levels.long[going], levels.short[going]):
            decided |= (been | ~squares).all((1, 2))
        # What is left behind is no part of the plan any more; where the walker is, is.
        plan = np.where((been & ~here) | decided[:, None, None], NOTHING, levels.plan[going])
        if (plan == NOTHING).all():
            return None
        return self._edits(torch.from_numpy(plan.astype(np.int64)))

    def _edits(self, plan: Tensor) -> Mapping[str, Any]:
        table = torch.cat([self._vectors, torch.zeros_like(self._vectors[:, :1])], 1)  # index -1 adds nothing
        edits: dict[str, Any] = {}
        for tick in range(self._setup.layout.ticks):
            added = table[tick][plan].movedim(-1, 1)  # [n, D, H, W]
            sites = self._setup.layout.sites(self._part, tick)
            width = added.shape[1] // len(sites)
            for k, site in enumerate(sites):
                edits[site] = partial(torch.add, added[:, k * width : (k + 1) * width])
        return edits


def directions(
    setup: Setup, probes: Mapping[str, np.ndarray], target: str, part: str, strength: float
) -> Tensor:
    """[ticks, 5, D] the probes' directions at a part, all of one norm a tick."""
    ticks = []
    for tick in range(setup.layout.ticks):
        weights = torch.from_numpy(reader(probes, target, f"policy.{part}.{tick}")[0])
        norm = strength * float(probes[f"spread.{part}"][tick])
        ticks.append(norm * weights / weights.norm(dim=1, keepdim=True).clamp(min=1e-12))
    return torch.stack(ticks)


def random_like(vectors: Tensor, seed: int) -> Tensor:
    """Random vectors of the same norms, the same at every tick up to their norm."""
    drawn = torch.randn(vectors.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=vectors.dtype)
    drawn = drawn / drawn.norm(dim=1, keepdim=True)
    return drawn * vectors.norm(dim=2, keepdim=True)


def write(
    setup: Setup, probes: Mapping[str, np.ndarray], say: Callable[[str], None]
) -> dict[str, np.ndarray]:
    """Chooses part and strength of both families on some levels and writes the longer way into others.

    Returns:
        for each TARGET: `TARGET.looked` [2] levels looked at and kept; where any is kept also `TARGET.trial`
        [parts, strengths] success on the choosing levels, `TARGET.chosen` [2] part and strength by number,
        `TARGET.judged` [L, 8] bool, the symmetries that count, and [L, 8] bool each of `TARGET.written`,
        `TARGET.written_solved`, `TARGET.bare` (nothing written),
        `TARGET.random` [draws, L, 8], `TARGET.random_solved`; `TARGET.far` [L] median Mahalanobis distance of the written
        squares, `TARGET.far_random` [L], `TARGET.ordinary` [H] of clean ones.
    """
    found: dict[str, np.ndarray] = {}
    for target in TARGETS:
        say(f"writing longer ways: {target}")
        try:
            choosing, held, looked = families(setup, target)
        except LookupError:
            found[f"{target}.looked"] = np.array([0, 0])
            continue
        found[f"{target}.looked"] = looked
        found |= {f"{target}.{k}": v for k, v in _write(setup, probes, target, choosing, held).items()}
    return found


def _write(
    setup: Setup, probes: Mapping[str, np.ndarray], target: str, choosing: Shortcuts, held: Shortcuts
) -> dict[str, np.ndarray]:
    count = shorter_way(choosing, run(setup, choosing), target)
    parts = setup.layout.parts
    trial = np.zeros((len(parts), len(STRENGTHS)))
    for i, part in enumerate(parts):
        for j, strength in enumerate(STRENGTHS):
            vectors = directions(setup, probes, target, part, strength)
            writer = Writer(setup, choosing, target, part, vectors)
            played = run(setup, choosing, writer, TRIAL_STEPS)
            trial[i, j] = ways_taken(choosing, played, target)[0][count].mean()
    # Of equal ones the weakest.
    i, j = max(np.ndindex(*trial.shape), key=lambda at: (round(trial[at], 9), -at[1], -at[0]))
    part, vectors = parts[i], directions(setup, probes, target, parts[i], STRENGTHS[j])
    clean = run(setup, held)
    found = {"trial": trial, "chosen": np.array([i, j]), "judged": shorter_way(held, clean, target)}
    found["bare"] = ways_taken(held, clean, target)[0]
    written = run(setup, held, Writer(setup, held, target, part, vectors))
    found["written"], found["written_solved"] = ways_taken(held, written, target)[0], written.solved
    found |= _kept_example(held, clean, written, target, found["judged"], found["written"])
    draws = [random_like(vectors, 1000 * setup.about.seed + k) for k in range(setup.sizes.random)]
    others = [run(setup, held, Writer(setup, held, target, part, drawn)) for drawn in draws]
    for name in ("judged", "bare", "written", "written_solved"):
        found[name] = found[name].reshape(-1, SYMMETRIES)
    shape = (len(draws), -1, SYMMETRIES)
    found["random"] = np.stack([ways_taken(held, p, target)[0] for p in others]).reshape(shape)
    found["random_solved"] = np.stack([p.solved for p in others]).reshape(shape)
    return found | _far(setup, probes, held, target, part, vectors, draws[0])


def _kept_example(
    levels: Shortcuts, clean: Played, written: Played, target: str, judged: np.ndarray, success: np.ndarray
) -> dict[str, np.ndarray]:
    """One level for a picture, the first where it worked (else the first), with both episodes."""
    fit = judged & success if (judged & success).any() else judged | True
    i = int(np.flatnonzero(fit)[0])
    kept = {name: getattr(levels.states, name)[i : i + 1] for name in ("walls", "goals", "boxes", "player")}
    kept |= {"plan": levels.plan[i : i + 1], "success": np.array(bool((judged & success)[i]))}
    for name, played in (("clean", clean), ("written", written)):
        end = int(played.length[i])
        if target == "agent":  # the way up to the first push is what was written
            end = _first_push(played.boxes[: end + 1, i], end)
        kept |= {f"{name}.player": played.player[: end + 1, i], f"{name}.boxes": played.boxes[: end + 1, i]}
        kept[f"{name}.moves"] = played.moves[:end, i]
    return {f"example.{k}": v for k, v in kept.items()}


def _first_push(boxes: np.ndarray, end: int) -> int:
    """How many moves are made when the first box has moved."""
    pushed = np.flatnonzero((boxes[1:] != boxes[:-1]).any((1, 2)))
    return int(pushed[0]) + 1 if len(pushed) else end


def _far(
    setup: Setup, probes: Mapping[str, np.ndarray], held: Shortcuts, target: str, part: str, vectors: Tensor, drawn: Tensor
) -> dict[str, np.ndarray]:  # fmt: skip
    """How far off ordinary activations the written squares lie after the first look, beside random vectors."""
    clean = torch.from_numpy(probes[f"clean.{part}"])
    kept: dict[str, np.ndarray] = {}
    index = np.nonzero(held.plan != NOTHING)
    level = index[0] // SYMMETRIES
    ordinary = np.empty(0)
    for name, added in (("far", vectors), ("far_random", drawn)):
        whole = written_maps(setup, held, target, part, added)
        squares = whole.movedim(1, -1)[index]
        off = mahalanobis(clean, squares, level=probes["clean.level"], seed=setup.about.seed)
        kept[name] = np.array([np.median(off.distance[level == i]) for i in np.unique(level)])
        ordinary = off.clean
    return kept | {"ordinary": ordinary}


def written_maps(setup: Setup, levels: Shortcuts, target: str, part: str, vectors: Tensor) -> Tensor:
    """[N, D, H, W] of a part at the last tick of the first look, with the plan written."""
    module: Any = setup.module
    x = module.encode(setup.world(levels.states).observe(levels.states))
    inputs = (x, module.initial_carry(len(x))) if hasattr(module, "initial_carry") else (x,)
    edits = Writer(setup, levels, target, part, vectors)(0, np.arange(len(levels)), levels.states)
    last = setup.layout.ticks - 1
    with torch.inference_mode(), editing(module, edits or {}):
        maps = capture(module, inputs, setup.layout.sites(part, last))
    return together(setup.layout, maps, part, last)
