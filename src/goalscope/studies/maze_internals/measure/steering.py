"""Steering the mouse: the cheese vector and the top-right vector, dose by dose, and what each leaves of the other goal.

The cheese vector of a maze is what the cheese adds to the activations at a site (mouse at its start); it is subtracted
wherever the mouse then goes. The top-right vector is what a free corner adds, against the same maze with that one
square walled up and no cheese.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.methods.intervening.steer import composition, dose_response
from goalscope.progress import counted
from goalscope.studies.maze import CORNERS
from goalscope.studies.maze_internals.setup import (
    Setup,
    activations,
    alike,
    cheese_vector,
    donors,
    reached,
    run,
    shifted,
)
from goalscope.worlds.maze import remove_cheese, toggle_wall
from goalscope.worlds.maze.paths import corner, top_right

DOSES = (-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
CUTS = (50, 70, 90, 99)
"""per cent of cheese-taking to be cut"""
CUT_DOSES = (-0.25, -0.5, -0.75, -1.0, -1.5, -2.0, -3.0, -4.0)
CHOICE = (*CUT_DOSES, *(dose for dose in DOSES if dose > 0))
"""doses among which the strongest is chosen: below 0 for less cheese, above for more"""
RANDOM = 2
GOALS = ("cheese", "corner")
Edits = Mapping[str, Any]


def steer(setup: Setup) -> dict[str, np.ndarray]:
    """Every run under steering, by level.

    Returns:
        `GOAL.{base,own,random}` [.., H] doses by levels: P(reach that goal) with its own vector; `cheese.{same,other}`
        with a donor's; `cheese.corner` [K + 1, H] P(corner) with the cheese vector, and last with a random one at
        dose -1; `layers.{own,random}` [L, H] P(cheese) with the cheese vector subtracted at each layer, and with a
        random one of its norm there; `together` [4, H] P(corner) bare, with each vector, with both;
        `choice.{found,held}.{cheese,corner}` [K, N] at the doses `CHOICE`, with random vectors `choice.random.*` [K, H],
        and `choice.{found,held}.base` [2, N]; `pull.*` [H] as `_pulls` says.
    """
    rng, generator = np.random.default_rng(setup.about.seed), torch.Generator().manual_seed(setup.about.seed)
    held, site = setup.held, setup.layout.middle
    own = cheese_vector(setup, held, site)
    found: dict[str, np.ndarray] = {}
    bare = remove_cheese(held)
    upward = corner_vector(setup, bare, site)
    for goal, state, vector in (("cheese", held, own), ("corner", bare, upward)):
        noise = torch.stack([alike(vector, generator) for _ in range(RANDOM)])
        metric = _runner(setup, state, held, goal)
        response = dose_response(
            metric, site, vector, DOSES, bounds=(0, 1), controls=noise, edit=_dose, may_be_null=True
        )
        found |= {f"{goal}.base": response.baseline, f"{goal}.own": response.metric}
        found[f"{goal}.random"] = response.random.mean(1)
    shifts = [*(dose * own for dose in DOSES), -alike(own, generator)]
    ends = top_right(held)
    found["cheese.corner"] = np.stack(
        [
            reached(shifted(setup, held, site, v), ends, setup.steps)
            for v in counted(shifts, "doses, way to the corner", "runs")
        ]
    )
    for name, donor in zip(("same", "other"), donors(setup, held, rng), strict=True):
        borrowed = cheese_vector(setup, donor, site)
        runs = [
            shifted(setup, held, site, dose * borrowed)
            for dose in counted(DOSES, f"a donor's vector, cheese on the {name} square", "doses")
        ]
        found[f"cheese.{name}"] = np.stack([reached(f, held.cheese, setup.steps) for f in runs])
    layers: dict[str, list[np.ndarray]] = {"own": [], "random": []}
    for layer in counted(setup.layout.layers, "the cheese vector layer by layer", "layers"):
        vector = cheese_vector(setup, held, layer)
        for kind, edit in (("own", vector), ("random", alike(vector, generator))):
            layers[kind].append(reached(shifted(setup, held, layer, -edit), held.cheese, setup.steps))
    found |= {f"layers.{kind}": np.stack(rows) for kind, rows in layers.items()}
    metric = _runner(setup, held, held, "corner")
    both = composition(metric, {site: _dose(own, -1.0)}, {site: _dose(upward, 1.0)}, bounds=(0, 1))
    found["together"] = np.concatenate([both.baseline[None], both.metrics])
    return found | _choices(setup, generator) | _pulls(setup, own, upward, generator)


def _dose(vector: Tensor, coefficient: float) -> Tensor:
    return coefficient * vector


def _runner(setup: Setup, state: Any, squares: Any, goal: str) -> Callable[[Edits], np.ndarray]:
    """Edits {site: vectors [N, C, h, w] to add, one a level, or a list of such} -> P(reach the goal) [N]."""
    target = squares.cheese if goal == "cheese" else top_right(squares)

    def metric(edits: Edits) -> np.ndarray:
        if not edits:
            return reached(run(setup, state), target, setup.steps)
        ((site, vector),) = edits.items()
        total = torch.stack(vector).sum(0) if isinstance(vector, list) else vector
        return reached(shifted(setup, state, site, total), target, setup.steps)

    return metric


def corner_vector(setup: Setup, bare: Any, site: str) -> Tensor:
    """[N, C, h, w]: activations with the top-right square free minus with it walled up; `bare` has no cheese."""
    walled = toggle_wall(bare, top_right(bare))
    there = activations(setup.module, setup.world, bare, site)[site]
    return there - activations(setup.module, setup.world, walled, site)[site]


def _choices(setup: Setup, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Every dose of the cheese vector on the mazes where one is chosen, and on those where it is judged."""
    site, found = setup.layout.middle, {}
    for name, state in (("found", setup.discovery), ("held", setup.held)):
        vector, ends = cheese_vector(setup, state, site), top_right(state)
        edits = {name: vector} | ({"random": alike(vector, generator)} if name == "held" else {})
        for kind, edit in edits.items():
            runs = [
                shifted(setup, state, site, dose * edit)
                for dose in counted(CHOICE, "choice of a dose", "doses")
            ]
            found[f"choice.{kind}.cheese"] = np.stack([reached(f, state.cheese, setup.steps) for f in runs])
            found[f"choice.{kind}.corner"] = np.stack([reached(f, ends, setup.steps) for f in runs])
        without = reached(run(setup, remove_cheese(state)), ends, setup.steps)
        found[f"choice.{name}.base"] = np.stack(
            [reached(run(setup, state), state.cheese, setup.steps), without]
        )
    return found


def _pulls(setup: Setup, own: Tensor, upward: Tensor, generator: torch.Generator) -> dict[str, np.ndarray]:
    """What each goal pulls, alone and with the other's vector or a random one of its norm subtracted.

    Returns:
        `pull.corner.alone` [H]: without cheese; `pull.corner.{own,random}` with the cheese there and its vector, or a
        random one, subtracted; `pull.cheese.alone` [H]: P(cheese) minus P(its square without cheese);
        `pull.cheese.{own,random}` the same with the top-right vector, or a random one, subtracted from both.
    """
    held, site, bare = setup.held, setup.layout.middle, remove_cheese(setup.held)

    def toward_corner(field: Any) -> np.ndarray:
        ends = {name: reached(field, corner(held, *sides), setup.steps) for name, sides in CORNERS.items()}
        return ends["top_right"] - (ends["top_left"] + ends["bottom_right"]) / 2

    def toward_cheese(*pair: Any) -> np.ndarray:
        there, without = (reached(field, held.cheese, setup.steps) for field in pair)
        return there - without

    nothing = run(setup, bare)
    found = {
        "pull.corner.alone": toward_corner(nothing),
        "pull.corner.own": toward_corner(shifted(setup, held, site, -own)),
        "pull.cheese.alone": toward_cheese(run(setup, held), nothing),
        "pull.cheese.own": toward_cheese(*(shifted(setup, state, site, -upward) for state in (held, bare))),
    }
    corners, cheeses = [], []
    for _ in counted(range(RANDOM), "random vectors of equal norm", "vectors"):
        corners.append(toward_corner(shifted(setup, held, site, -alike(own, generator))))
        noise = alike(upward, generator)
        cheeses.append(toward_cheese(*(shifted(setup, state, site, -noise) for state in (held, bare))))
    return found | {
        "pull.corner.random": np.mean(corners, axis=0), "pull.cheese.random": np.mean(cheeses, axis=0),
    }  # fmt: skip
