"""The recipes of the packaged Sokoban agents: a DRC, or a residual network of equal size, that imitates the solver.

`sokoban-small` learns generated 8 x 8 levels with two boxes from exact tables; `sokoban-boxoban` learns Boxoban's
10 x 10 levels with four boxes from the solver's plans. PPO can go on from any such policy (`improve_sokoban`).
"""

from __future__ import annotations

import csv
import os
import platform
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.checkpoint import load, save
from goalscope.policies.drc import DRC, think
from goalscope.policies.names import packaged
from goalscope.policies.resnet import ResNet, as_large_as, parameters
from goalscope.stats import binomial_interval
from goalscope.training.imitation import Imitation, Teacher, imitate
from goalscope.training.ppo import PPO, placed, train
from goalscope.training.precision import chosen_precision
from goalscope.training.sokoban.teachers import Plans, Tables, read_library
from goalscope.worlds.contract import take, whole_number
from goalscope.worlds.sokoban import Sokoban, SokobanState
from goalscope.worlds.sokoban.text import read_level_file

TEST_LEVELS = 1000
"""unseen levels that a finished policy is tested on"""
THINKING = (0, 4, 8)
"""looks before the first step, in a card"""
RESNET_BLOCKS = 8
DATA = "GOALSCOPE_DATA"


@dataclass(frozen=True)
class Recipe:
    """What is trained on what."""

    size: int
    """H = W of the levels"""
    boxes: int
    layers: int
    """D of the DRC"""
    ticks: int
    """N of the DRC"""
    channels: int
    hidden: int
    boxoban: bool
    """whether levels come from Boxoban's files (else they are generated)"""
    imitation: Imitation


RECIPES = {
    "sokoban-small": Recipe(
        8, 2, 2, 3, 16, 64, False,
        Imitation(
            steps=5_345_920, decay=8_000_000, levels=64, window=10, learning_rate=4e-3, average=0.999
        ),
    ),
    "sokoban-boxoban": Recipe(
        10, 4, 3, 3, 24, 128, True,
        Imitation(steps=8_000_000, levels=64, window=10, learning_rate=4e-3, average=0.999),
    ),
}  # fmt: skip


def train_sokoban(
    recipe: str, seed: int = 1, steps: int | None = None, network: str = "drc", data: str | None = None,
    precision: str | None = None, out: str | None = None, device: str = "cpu",
) -> Path:  # fmt: skip
    """Trains a Sokoban agent by imitation and writes its policy with model card; a killed run goes on where it was.

    Args:
        recipe: one of `RECIPES`.
        seed: of weights, levels and actions.
        steps: states that it is taught in; the recipe's where None.
        network: 'drc', or 'resnet' for a network without memory that has as many parameters.
        data: folder of the Boxoban levels, with unfiltered/train and unfiltered/test; `sokoban/boxoban` in the folder
            that the environment variable GOALSCOPE_DATA names where None. Generated levels need none.
        precision: 'float32' or 'bfloat16'; what is quick on this machine where None.
        out: folder of the run.
        device: where to train.

    Returns:
        The folder of the finished policy, `out`/policy.

    Raises:
        ValueError: an option out of range, a device that is not there, no Boxoban levels, or `out` holds a run with
            other settings or of another network.
    """
    precision = chosen_precision(precision, device)
    chosen = _recipe(recipe, network, steps, precision)
    folder = Path(out or f"runs/train-{recipe}-{network}-{seed}")
    world = Sokoban(chosen.size, chosen.size, chosen.boxes)
    torch.manual_seed(whole_number("seed", seed))
    policy, architecture = _network(network, chosen)
    placed(policy, device)
    seconds = imitate(policy, world, _teacher(chosen, world, folder, data), folder, chosen.imitation, seed)
    description = {
        "architecture": architecture,
        "world": {"name": "sokoban", "size": chosen.size, "boxes": chosen.boxes},
        "training": {
            **asdict(chosen.imitation),
            "method": "imitation",
            "seed": seed,
            "seconds": round(seconds),
        },
    }
    option = "" if network == "drc" else f" --network {network}"
    option += "" if steps is None else f" --steps {steps}"
    command = f"goalscope train sokoban --recipe {recipe}{option} --seed {seed} --precision {precision}"
    levels, where = _test_levels(chosen, world, data)
    card = _card(policy, world, chosen, folder, command, seconds, levels, where)
    save(folder / "policy", policy, description, card)
    return folder / "policy"


def improve_sokoban(
    policy: str, config: PPO, seed: int = 1, out: str | None = None, device: str = "cpu"
) -> Path:
    """Goes on by PPO from a policy that was trained by imitation, on generated levels of its own size.

    Args:
        policy: name or path, with `world` in its config.
        config: hyperparameters.
        seed: of levels and actions.
        out: folder of the run; None is runs/improve-NAME-`seed`, where a policy that is given by path has a part of its
            sha256 behind its name: every finished run's policy lies in a folder called policy.
        device: where to train.

    Returns:
        The folder of the finished policy, `out`/policy.

    Raises:
        ValueError: a policy of another world, no steps, or `out` holds a run with other settings or one that began with
            other weights.
    """
    if config.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {config.steps}")
    loaded = load(policy, device)
    described = loaded.config.get("world", {})
    if described.get("name") != "sokoban":
        raise ValueError(
            f"{policy} is not a Sokoban policy: its world is {described.get('name', 'not said')}"
        )
    named = policy in {found.name for found in packaged()}
    name = loaded.name if named else f"{loaded.name}-{loaded.sha256[:8]}"
    folder = Path(out or f"runs/improve-{name}-{seed}")
    world = Sokoban(described["size"], described["size"], described["boxes"])
    seconds = train(loaded.module, world, folder, config, seed, start=loaded.sha256)
    description = {
        "architecture": loaded.config["architecture"], "world": described,
        "training": {**asdict(config), "method": "ppo", "from": loaded.sha256, "seed": seed, "seconds": round(seconds)},
    }  # fmt: skip
    levels = world.generate(np.arange(TEST_LEVELS))
    rate = binomial_interval(int(attempt(loaded.module, world, levels, seed=0).sum()), TEST_LEVELS)
    card = f"""# {loaded.name}, then PPO

{rate.estimate:.1%} [{rate.low:.1%}, {rate.high:.1%}] of {TEST_LEVELS:,} unseen generated levels solved with sampled actions.

- **From**: {loaded.name}, sha256 {loaded.sha256}.
- **Steps and time**: {config.steps:,} environment steps, {seconds / 60:.0f} minutes.
"""
    save(folder / "policy", loaded.module, description, card)
    return folder / "policy"


def attempt(
    policy: nn.Module, world: Sokoban, state: SokobanState, seed: int | None = None, thinking: int = 0,
    batch: int = 256,
) -> np.ndarray:  # fmt: skip
    """Which of N levels a policy solves within the world's time limit.

    Args:
        policy: with `encode`, with memory or without.
        world: of the levels.
        state: N levels.
        seed: of sampled actions; None takes the most probable one.
        thinking: looks before the first step.
        batch: levels played at a time.

    Returns:
        [N] bool.
    """
    solved = np.zeros(len(state), bool)
    generator = torch.Generator().manual_seed(seed or 0)
    was_training = policy.training
    policy.eval()
    with torch.inference_mode():
        for first in range(0, len(state), batch):
            which = np.arange(first, min(first + batch, len(state)))
            solved[which] = _play(policy, world, take(state, which), seed is not None, generator, thinking)
    policy.train(was_training)
    return solved


def _play(
    policy: Any, world: Sokoban, state: SokobanState, sampled: bool, generator: torch.Generator, thinking: int
) -> np.ndarray:
    solved, going = np.zeros(len(state), bool), np.arange(len(state))
    carry = think(policy, policy.encode(world.observe(state)), thinking)
    if carry is None and hasattr(policy, "initial_carry"):
        carry = policy.initial_carry(len(state))
    for _ in range(world.time_limit):
        x = policy.encode(world.observe(state))
        logits, _, *rest = policy(x) if carry is None else policy(x, carry)
        probabilities = logits.float().softmax(1).cpu()
        action: Tensor = (
            torch.multinomial(probabilities, 1, generator=generator)[:, 0]
            if sampled
            else probabilities.argmax(1)
        )
        outcome = world.step(state, action.numpy())
        solved[going[outcome.ended]] = True
        left = ~outcome.ended
        if not left.any():
            break
        state, going = take(outcome.state, left), going[left]
        kept = torch.from_numpy(left)
        carry = tuple(x[kept.to(x.device)] for x in rest[0]) if rest else None
    return solved


def _recipe(name: str, network: str, steps: int | None, precision: str) -> Recipe:
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    if network not in ("drc", "resnet"):
        raise ValueError(f"--network must be drc or resnet, got {network!r}")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps must be at least 1, got {steps}")
    recipe = RECIPES[name]
    changes = {"steps": steps, "precision": precision}
    changed = replace(recipe.imitation, **{k: v for k, v in changes.items() if v is not None})
    return replace(recipe, imitation=changed)


def _network(name: str, recipe: Recipe) -> tuple[nn.Module, dict[str, Any]]:
    """A fresh network and its entry in a config."""
    arguments: dict[str, Any] = {"layers": recipe.layers, "ticks": recipe.ticks, "channels": recipe.channels}
    arguments["hidden"] = recipe.hidden
    if name == "resnet":
        with torch.device("meta"):
            size = parameters(DRC(**arguments))
        channels = as_large_as(size, RESNET_BLOCKS, hidden=recipe.hidden)
        arguments = {"blocks": RESNET_BLOCKS, "channels": channels, "hidden": recipe.hidden}
    return (DRC if name == "drc" else ResNet)(**arguments), {"name": name, **arguments}


def _boxoban(data: str | None, part: str) -> list[Path]:
    """The level files of a part of Boxoban."""
    folder = Path(data) if data else Path(os.environ.get(DATA, "")) / "sokoban" / "boxoban"
    files = sorted((folder / "unfiltered" / part).glob("*.txt"))
    if not files:
        raise ValueError(
            f"{folder / 'unfiltered' / part} has no level files: clone github.com/google-deepmind/boxoban-levels and "
            f"name its folder with --data, or the folder above sokoban/boxoban with the variable {DATA}"
        )
    return files


def _teacher(recipe: Recipe, world: Sokoban, folder: Path, data: str | None) -> Teacher:
    if not recipe.boxoban:
        return Tables(world, recipe.imitation.levels)

    def progress(done: int, total: int) -> None:
        print(f"solved the levels of {done} of {total} files", file=sys.stderr, flush=True)

    # The solutions are of the level files, not of this run: runs beside it find them.
    library = read_library(
        _boxoban(data, "train"), recipe.size, folder.parent / "sokoban-solutions", progress=progress
    )
    return Plans(library, recipe.imitation.levels)


def _test_levels(recipe: Recipe, world: Sokoban, data: str | None) -> tuple[SokobanState, str]:
    """Unseen levels and what they are called."""
    if not recipe.boxoban:
        return world.generate(np.arange(TEST_LEVELS)), "unseen generated levels"
    states = read_level_file(_boxoban(data, "test")[0]).states((recipe.size, recipe.size))
    return take(states, slice(TEST_LEVELS)), "levels of boxoban/unfiltered/test"


def _card(
    policy: nn.Module, world: Sokoban, recipe: Recipe, folder: Path, command: str, seconds: float,
    levels: SokobanState, where: str,
) -> str:  # fmt: skip
    """The model card: what it is, how it came about, how well it does, where it ends."""
    n = len(levels)
    counted = {looks: int(attempt(policy, world, levels, 0, looks).sum()) for looks in THINKING}
    sampled = binomial_interval(counted[0], n)
    greedy = binomial_interval(int(attempt(policy, world, levels).sum()), n)
    rates = "\n".join(f"| {looks} | {count / n:.1%} |" for looks, count in counted.items())
    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    curve = _curve(rows)
    spent = np.diff([float(row["seconds"]) for row in rows], prepend=0.0)
    outside = np.average([float(row["outside"]) for row in rows], weights=spent)
    kind, after, source, teacher, limits = _words(policy, recipe)
    return f"""# Sokoban, {recipe.size} x {recipe.size}, {recipe.boxes} boxes

{kind}: solves {sampled.estimate:.1%} of {where}.

- **Network**: {kind}, {parameters(policy):,} parameters, symbolic planes, boards of any size.{after}
- **Data**: {source}.
- **Teacher**: {teacher}, in the states that the student comes to.
- **Command**: `{command}`
- **Steps and time**: {recipe.imitation.steps:,} states, {seconds / 60:.0f} minutes on one busy core
  ({platform.machine()}), {outside:.1%} of it outside the network.
- **Solved**: {sampled.estimate:.1%} [{sampled.low:.1%}, {sampled.high:.1%}] of {n:,} {where} with sampled actions in
  {world.time_limit} steps; {greedy.estimate:.1%} [{greedy.low:.1%}, {greedy.high:.1%}] with the most probable ones.
- **Limits**: it learned to do what a solver does, not by reward. {limits}

## Looks before the first step

| looks | solved, sampled actions |
|---:|---:|
{rates}

## Curve

| states | seconds | solved | steps a level | probability of good actions |
|---:|---:|---:|---:|---:|
{curve}

Solved and steps are those of the training levels (sampled actions; the teacher acts too at first) that ended, without
those that were given up in a dead end.
"""


def _words(policy: nn.Module, recipe: Recipe) -> tuple[str, str, str, str, str]:
    """What the network is, after what, where its levels came from, who taught it, and what is beyond it."""
    kind, after = f"residual network without memory, {RESNET_BLOCKS} blocks", ""
    limits = "Other sizes and numbers of boxes are out of distribution."
    if isinstance(policy, DRC):
        kind = f"DRC({recipe.layers}, {recipe.ticks}), {recipe.channels} channels"
        after = (
            "\n  It is after the published DRC, but not the same function: "
            "`goalscope.policies.drc` lists seven differences."
        )
        limits = (
            f"Levels begin with 0 to {recipe.imitation.thinking} looks in\n"
            "  training; more looks are out of distribution, and so are other sizes and numbers of boxes."
        )
    source, teacher = (
        "generated by reverse play; none is seen twice",
        "all move-optimal actions of every state, from exact tables",
    )
    if recipe.boxoban:
        source = "Boxoban, unfiltered/train, each turned and mirrored in eight ways"
        teacher = "the solver's plans, planned anew where the student left them"
    return kind, after, source, teacher, limits


def _curve(rows: list[dict[str, str]]) -> str:
    """Sixteen log-spaced rows, each the mean of the tenth of the run before it."""
    columns = (("steps", ",.0f"), ("seconds", ",.0f"), ("solved", ".3f"), ("length", ".1f"), ("good", ".3f"))
    lines = []
    for i in np.unique(np.geomspace(min(10, len(rows)), len(rows), 16).round().astype(int)):
        part = rows[max(0, i - max(1, i // 10)) : i]
        cells = []
        for name, form in columns:
            values = np.array([float(row[name]) for row in part])
            known = values[np.isfinite(values)]
            value = values[-1] if name in ("steps", "seconds") or not len(known) else known.mean()
            cells.append(format(value, form))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
