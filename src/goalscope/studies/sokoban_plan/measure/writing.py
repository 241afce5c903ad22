"""Does the plan cause the moves? A longer way is written into the memory with the probes' own directions.

On every square of the longer way the direction of "leaves it by this move" is added, on those of the shorter one that of
"is not left again", at every tick of every forward until the way is decided. The square on which the player stands is left
out: a head that reads the move off that square would obey whatever is written there, plan or not, and no random vector would
show it. What that square alone does, written with the next move, is measured beside it. Part and strength are chosen on
other levels of the family. The control writes random vectors of equal norm on the same squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import capture, editing, scaled_to_norm
from goalscope.methods.intervening.side_effects import mahalanobis
from goalscope.rollout.forward import encoded, first_carry
from goalscope.studies.sokoban_plan.measure.play import Played, play
from goalscope.studies.sokoban_plan.measure.probes import TARGETS, reader, together
from goalscope.studies.sokoban_plan.measure.shortcuts import (
    NOTHING,
    Shortcuts,
    agent_shortcuts,
    box_shortcuts,
    joined,
    occupied,
    symmetric,
    ways_taken,
)
from goalscope.studies.sokoban_plan.setup import Setup
from goalscope.worlds.sokoban import SokobanState
from goalscope.worlds.sokoban.symmetries import SYMMETRIES

STRENGTHS = (0.0125, 0.025, 0.035, 0.05, 0.07, 0.1, 0.2, 0.4)
"""norm of what is added on a square at a tick, in root mean square distances of a square's activations from their mean"""
STEPS = 60
"""moves of an episode"""
TRIAL_STEPS = 25
"""moves of an episode that is asked for nothing but its way, which is decided early"""
TRIED = 12
"""levels of a family that are looked at for each one that is wanted"""
HOPELESS = 4
"""the same where not one was kept so far: a network that solves none would take most of the study's time here"""
RESAMPLED = 1000
"""times that the choosing levels are drawn anew, to say how fragile the choice is"""
LEAST = 2
"""levels of a family without which nothing is written: one to choose on, one to report on"""
AHEAD, OWN = "ahead", "own"
"""where the plan is written: everywhere but on the player's own square, or on that square alone"""
FAMILIES: Mapping[str, Callable[[int, int, int], Iterator[Shortcuts]]] = {
    "agent": agent_shortcuts, "box": box_shortcuts
}  # fmt: skip


def families(setup: Setup, target: str) -> tuple[list[Shortcuts], int]:
    """The levels of a family that are kept, and how many were looked at.

    Kept are those that the network, left alone, solves by the shorter way. Of their other symmetries those in which it
    does not are left out of the judgement later.
    """
    wanted = setup.sizes.chosen + setup.sizes.shortcuts
    made = FAMILIES[target](setup.size, setup.boxes, setup.about.seed)
    kept: list[Shortcuts] = []
    looked = 0
    while len(kept) < wanted and looked < (TRIED if kept else HOPELESS) * wanted:
        batch = [level for level, _ in zip(made, range(wanted), strict=False)]
        if not batch:
            break
        levels = joined(batch)
        fit = shorter_way(levels, run(setup, levels), target)
        for level, good in zip(batch, fit, strict=True):
            if len(kept) < wanted:  # the rest of the last batch is not looked at
                looked += 1
                kept += [level] if good else []
    return kept, looked


def shorter_way(levels: Shortcuts, played: Played, target: str) -> np.ndarray:
    """[N] bool: the level is solved, and by the shorter way."""
    return ways_taken(levels, played, target)[1] & played.solved


def run(setup: Setup, levels: Shortcuts, edits: Writer | None = None) -> Played:
    """Episodes of the policy, to their ends."""
    return play(setup.module, setup.world(levels.states), levels.states, steps=STEPS, edits=edits)


def taken(setup: Setup, levels: Shortcuts, writer: Writer, target: str) -> np.ndarray:
    """[N] bool: the longer way is taken; the episodes end where that is decided."""
    world = setup.world(levels.states)
    played = play(setup.module, world, levels.states, steps=TRIAL_STEPS, edits=writer, done=writer.decided)
    return ways_taken(levels, played, target)[0]


class Writer:
    """Writes the plans of levels into forwards until their way is decided.

    Args:
        setup: the study.
        levels: N of them.
        target: whose plan.
        part: where it is written.
        vectors: [ticks, 5, D] what is added for each label.
        squares: `AHEAD` or `OWN`.
    """

    def __init__(
        self, setup: Setup, levels: Shortcuts, target: str, part: str, vectors: Tensor, squares: str = AHEAD
    ):
        self._setup, self._levels, self._target, self._part = setup, levels, target, part
        self._vectors, self._squares = vectors.float(), squares
        self._been = np.zeros(levels.plan.shape, bool)

    def __call__(self, t: int, going: np.ndarray, state: SokobanState) -> Mapping[str, Any] | None:
        """The edits of one forward."""
        plan = self.plan(going, state)
        if (plan == NOTHING).all():
            return None
        return self._edits(torch.from_numpy(plan.astype(np.int64)))

    def decided(self, going: np.ndarray, state: SokobanState) -> np.ndarray:
        """[n] bool: one of both ways has been gone to its end."""
        self._been[going] |= occupied(state.player, state.boxes, self._target)
        been, ended = self._been[going], np.zeros(len(going), bool)
        for squares in (self._levels.long[going], self._levels.short[going]):
            ended |= (been | ~squares).all((1, 2))
        return ended

    def plan(self, going: np.ndarray, state: SokobanState) -> np.ndarray:
        """[n, H, W] what is written now, labels or `NOTHING`."""
        ended = self.decided(going, state)
        # What is left behind is no part of the plan any more; where the walker is, is.
        behind = self._been[going] & ~occupied(state.player, state.boxes, self._target)
        player = occupied(state.player, state.boxes, "agent")
        kept = ~player if self._squares == AHEAD else player
        return np.where(kept & ~behind & ~ended[:, None, None], self._levels.plan[going], NOTHING)

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


def random_like(vectors: Tensor, setup: Setup) -> list[Tensor]:
    """Random vectors of the same norms, each draw the same at every tick up to its norm."""
    draws = []
    for k in range(setup.sizes.random):
        generator = torch.Generator().manual_seed(1000 * setup.about.seed + k)
        drawn = torch.randn(vectors.shape[1:], generator=generator, dtype=vectors.dtype)
        draws.append(torch.stack([scaled_to_norm(drawn, of_tick) for of_tick in vectors]))
    return draws


def write(
    setup: Setup, probes: Mapping[str, np.ndarray], say: Callable[[str], None]
) -> dict[str, np.ndarray]:
    """Chooses part and strength of both families on some levels and writes the longer way into others.

    Returns:
        for each TARGET: `TARGET.looked` [2] levels looked at and kept; where `LEAST` are kept also `TARGET.trial`
        [parts, strengths, choosing levels] success on each, `TARGET.chosen` [2] part and strength by number,
        `TARGET.judged` [L, 8] bool, the symmetries that count, and [L, 8] bool each of `TARGET.written`,
        `TARGET.written_solved`, `TARGET.bare` (nothing written),
        `TARGET.random` [draws, L, 8], `TARGET.random_solved`; `TARGET.far` [L] median Mahalanobis distance of the written
        squares, `TARGET.far_random` [L], `TARGET.ordinary` [H] of clean ones. Of the player also what its own square does
        alone: `agent.own_trial` likewise, `agent.own_chosen` [2] its own part and strength, `agent.own` [L, 8],
        `agent.own_random` [draws, L, 8].
    """
    found: dict[str, np.ndarray] = {}
    for target in TARGETS:
        say(f"writing longer ways: {target}")
        kept, looked = families(setup, target)
        found[f"{target}.looked"] = np.array([looked, len(kept)])
        if len(kept) < LEAST:
            continue
        some = min(setup.sizes.chosen, max(1, len(kept) // 3))
        choosing, held = symmetric(joined(kept[:some])), symmetric(joined(kept[some:]))
        written = _write(setup, probes, target, choosing, held)
        found |= {f"{target}.{k}": v for k, v in written.items()}
    return found


def _write(
    setup: Setup, probes: Mapping[str, np.ndarray], target: str, choosing: Shortcuts, held: Shortcuts
) -> dict[str, np.ndarray]:
    count = shorter_way(choosing, run(setup, choosing), target)
    parts = setup.layout.parts

    def tried(part: str, strength: float, squares: str = AHEAD) -> np.ndarray:
        writer = Writer(
            setup, choosing, target, part, directions(setup, probes, target, part, strength), squares
        )
        success = (taken(setup, choosing, writer, target) & count).reshape(-1, SYMMETRIES)
        counted = count.reshape(-1, SYMMETRIES).sum(1)
        return success.sum(1)[counted > 0] / counted[counted > 0]

    trial = np.array([[tried(part, strength) for strength in STRENGTHS] for part in parts])
    i, j = _best(trial.mean(-1))
    part, vectors = parts[i], directions(setup, probes, target, parts[i], STRENGTHS[j])
    draws = random_like(vectors, setup)
    clean = run(setup, held)
    found = {"trial": trial, "chosen": np.array([i, j]), "judged": shorter_way(held, clean, target)}
    found["bare"] = ways_taken(held, clean, target)[0]
    written = run(setup, held, Writer(setup, held, target, part, vectors))
    found["written"], found["written_solved"] = ways_taken(held, written, target)[0], written.solved
    found |= _kept_example(held, clean, written, target, found["judged"], found["written"])
    others = [run(setup, held, Writer(setup, held, target, part, drawn)) for drawn in draws]
    found["random"] = np.stack([ways_taken(held, p, target)[0] for p in others])
    found["random_solved"] = np.stack([p.solved for p in others])
    if target == "agent":
        own = np.array([[tried(part, strength, OWN) for strength in STRENGTHS] for part in parts])
        i, j = _best(own.mean(-1))
        found |= {"own_trial": own, "own_chosen": np.array([i, j])}
        alone = directions(setup, probes, target, parts[i], STRENGTHS[j])
        found["own"], *rest = (
            taken(setup, held, Writer(setup, held, target, parts[i], added, OWN), target)
            for added in (alone, *random_like(alone, setup))
        )
        found["own_random"] = np.stack(rest)
    for name in (
        "judged",
        "bare",
        "written",
        "written_solved",
        "random",
        "random_solved",
        "own",
        "own_random",
    ):
        if name in found:
            found[name] = found[name].reshape(*found[name].shape[:-1], -1, SYMMETRIES)
    return found | _far(setup, probes, held, target, part, vectors, draws[0])


def _best(trial: np.ndarray) -> tuple[int, int]:
    """Part and strength, by number, of the greatest success; of equal ones the weakest."""
    i, j = max(np.ndindex(*trial.shape), key=lambda at: (round(trial[at], 9), -at[1], -at[0]))
    return i, j


def otherwise_chosen(trial: np.ndarray, seed: int) -> float:
    """How often another part or strength would have been chosen, were the choosing levels drawn anew from themselves.

    Args:
        trial: [parts, strengths, L] success on each level. seed: of the resampling.
    """
    chosen, levels = _best(trial.mean(-1)), trial.shape[-1]
    drawn = np.random.default_rng([seed, 14]).integers(levels, size=(RESAMPLED, levels))
    return float(np.mean([_best(trial[..., rows].mean(-1)) != chosen for rows in drawn]))


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
    everyone = np.arange(len(held))
    ordinary = np.empty(0)
    for name, added in (("far", vectors), ("far_random", drawn)):
        writer = Writer(setup, held, target, part, added)
        index = np.nonzero(writer.plan(everyone, held.states) != NOTHING)
        level = index[0] // SYMMETRIES
        squares = written_maps(setup, held, writer, part).movedim(1, -1)[index]
        off = mahalanobis(clean, squares, level=probes["clean.level"], seed=setup.about.seed)
        kept[name] = np.array([np.median(off.distance[level == i]) for i in np.unique(level)])
        ordinary = off.clean
    return kept | {"ordinary": ordinary}


def written_maps(setup: Setup, levels: Shortcuts, writer: Writer, part: str) -> Tensor:
    """[N, D, H, W] of a part at the last tick of the first look, with the plan written."""
    module = setup.module
    x = encoded(module, setup.world(levels.states).observe(levels.states))
    carry = first_carry(module, len(x))
    inputs = (x,) if carry is None else (x, carry)
    edits = writer(0, np.arange(len(levels)), levels.states)
    last = setup.layout.ticks - 1
    with torch.inference_mode(), editing(module, edits or {}):
        maps = capture(module, inputs, setup.layout.sites(part, last))
    return together(setup.layout, maps, part, last)
