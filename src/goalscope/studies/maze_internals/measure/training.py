"""What training does where editing does: finetuning at an edit's compute, and the packaged mice that were trained on.

An edit costs the forwards that chose it. The same number of forwards (a step of PPO counts seven: one to act, two epochs
of three each) buys a few thousand steps of finetuning; these are run here, for more and for less cheese and on the
unchanged reward. The longer finetunings (under a tenth of the original training) are packaged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from goalscope.methods.weights.finetuned import grafting, relative_change
from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.names import packaged
from goalscope.rollout import fields
from goalscope.stats import Estimate
from goalscope.studies.maze import before, is_square
from goalscope.studies.maze_internals.measure.steering import CHOICE
from goalscope.studies.maze_internals.setup import Setup, reached
from goalscope.training.maze.finetune import REWARDS, Rewarded, brief
from goalscope.worlds.maze import Maze, place_cheese, remove_cheese
from goalscope.worlds.maze.paths import corner, top_right

FORWARDS_A_STEP = 7
BATCH = 2048
"""steps of one update of a brief finetuning"""
WANTED = {"more": 1, "less": -1}
"""sign of the change of P(cheese) that a brief finetuning is for"""


def trained(setup: Setup, scratch: Path, say: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Finetunes briefly, and measures the packaged finetunings of this policy where there are some.

    Args:
        setup: the study, on the plain maze world. scratch: folder for checkpoints. say: progress.

    Returns:
        `reach.NETWORK`, `corner.NETWORK` [H]: P(cheese), and P(top-right corner) without cheese; NETWORK is original,
        {more,less,same}_K (K times the edit's compute), or one of `REWARDS`; `discovery.NETWORK` [D]: P(cheese) on the
        discovery mazes, NETWORK being original or {more,less}_1; `instead.REWARD` [L]; `budget` [1] steps;
        `weights.REWARD` [M] relative change of the layers `layers` [M]; `graft.*` as `_grafts` says.
    """
    steps = matched_steps(setup)
    found = {"budget": np.array([steps])} | _behaviour(setup, setup.module, "original")
    multiples = setup.sizes.multiples
    if multiples:
        found["discovery.original"] = _reach(setup, setup.module, setup.discovery)
    for name, world in _worlds(setup).items() if multiples else ():
        marks = [k * steps for k in multiples]
        say(f"finetuning for {name} cheese, {marks[-1]:,} steps")
        weights = brief(setup.policy, world, marks[-1], marks, scratch / name, setup.about.seed + 1)
        module = copy.deepcopy(setup.module)
        for multiple, mark in zip(multiples, marks, strict=True):
            module.load_state_dict(weights[mark])
            found |= _behaviour(setup, module.eval(), f"{name}_{multiple}")
            if multiple == 1 and name in WANTED:
                found[f"discovery.{name}_1"] = _reach(setup, module, setup.discovery)
    further = finetunings(setup.policy)
    if further:
        say(f"{len(further)} packaged finetunings")
        found |= _instead(setup, setup.module, "original")
        for reward, policy in further.items():
            found |= _behaviour(setup, policy.module, reward) | _instead(setup, policy.module, reward)
            change = relative_change(setup.module, policy.module).modules
            found |= {f"weights.{reward}": np.array(list(change.values())), "layers": np.array(list(change))}
        found |= _grafts(setup, further)
    return found


def matched_steps(setup: Setup) -> int:
    """Steps of PPO for the forwards that choose the dose of the cheese vector, rounded up to whole updates."""
    squares = len(setup.world.squares(setup.discovery))
    forwards = squares * (len(CHOICE) + 1) + 2 * len(setup.discovery)
    return -(-forwards // (FORWARDS_A_STEP * BATCH)) * BATCH


def finetunings(policy: Policy) -> dict[str, Policy]:
    """Reward -> the packaged policy that came of it; empty where this policy has none."""
    names = {p.name for p in packaged()}
    wanted = {reward: f"{policy.name}-{reward}" for reward in REWARDS}
    here = {reward: load(name) for reward, name in wanted.items() if name in names}
    return {r: p for r, p in here.items() if p.config["training"].get("from_sha256") == policy.sha256}


def _worlds(setup: Setup) -> dict[str, Any]:
    where = setup.policy.config.get("world", {})
    own = Maze(setup.world.size, where.get("cheese_region"))
    return {
        "more": setup.world,
        "less": Rewarded(setup.world, lambda state: np.full(len(state.walls), -1.0)),
        "same": own,
    }


def _reach(setup: Setup, module: nn.Module, state: Any) -> np.ndarray:
    return fields(module, setup.world, state).reach_from_start(setup.steps)


def _behaviour(setup: Setup, module: nn.Module, name: str) -> dict[str, np.ndarray]:
    held, bare = setup.held, remove_cheese(setup.held)
    without = fields(module, setup.world, bare)
    return {
        f"reach.{name}": _reach(setup, module, held),
        f"corner.{name}": reached(without, top_right(held), setup.steps),
    }


def _instead(setup: Setup, module: nn.Module, name: str) -> dict[str, np.ndarray]:
    """[L] cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first), the mean."""
    mazes, rows = setup.largest_held, []
    for sides in ((True, False), (False, True)):
        found = fields(module, setup.world, place_cheese(mazes, corner(mazes, *sides)))
        there = is_square(found, top_right(mazes))
        rows.append(before(found, there, found.squares.goal, setup.steps)[found.squares.start])
    return {f"instead.{name}": np.mean(rows, axis=0)}


def _grafts(setup: Setup, further: dict[str, Policy]) -> dict[str, np.ndarray]:
    """What each part of the network carries of the flipped mouse's avoidance of the cheese.

    Returns:
        `graft.names` [G]; `graft.carried`, `graft.lost` [G, 3] estimate, low, high on the held-out mazes;
        `graft.control.REWARD` [G, 3] what the same layers of each control finetuning carry.
    """
    if "flipped" not in further:
        return {}

    def reach(module: nn.Module) -> np.ndarray:
        return _reach(setup, module, setup.held)

    controls = {r: further[r].module for r in ("same", "random") if r in further}
    result = grafting(setup.module, further["flipped"].module, reach, parts(setup.module), controls=controls)
    rows = {"graft.names": np.array(list(result.grafts))}
    for kind in ("carried", "lost"):
        rows[f"graft.{kind}"] = np.array([_triple(getattr(g, kind)) for g in result.grafts.values()])
    for name in controls:
        rows[f"graft.control.{name}"] = np.array([_triple(g.controls[name]) for g in result.grafts.values()])
    return rows


def parts(module: nn.Module) -> dict[str, list[str]]:
    """Name -> layers: the compact network from stem to heads."""
    blocks = [
        name for name, _ in module.named_children() if any(True for _ in getattr(module, name).parameters())
    ]
    named: dict[str, list[str]] = {}
    for name in blocks:
        children = [f"{name}.{i}" for i, _ in getattr(module, name).named_children()] or [name]
        named |= {child: [child] for child in children}
    return named


def _triple(e: Estimate) -> tuple[float, float, float]:
    return e.estimate, e.low, e.high
