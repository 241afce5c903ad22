"""The recipes of `mouse-planner`, which thinks with tied weights, and `mouse-reflex`, as large and without recurrence."""

from __future__ import annotations

import csv
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goalscope.policies.checkpoint import save
from goalscope.policies.resnet import parameters
from goalscope.policies.thinker import Thinker
from goalscope.rollout.maze_ticks import SOLVED, Thinking, think_longer
from goalscope.stats import bootstrap_mean
from goalscope.training.maze.shortest_paths import SMALLEST, ShortestPaths, learn
from goalscope.training.ppo import placed
from goalscope.worlds.contract import concatenate, take, whole_number
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.paths import distances, maze_size

NETWORKS: dict[str, dict[str, Any]] = {
    "planner": {"ticks": 32, "channels": 32, "tied": True},
    "reflex": {"ticks": 4, "channels": 16, "tied": False},
}
"""arguments of `Thinker`; the two have as many parameters, within 2%"""
TEST_SIZES = (9, 13, 15, 25)
TEST_TICKS = (2, 4, 8, 16, 32, 64, 128)
TEST_MAZES = 200
"""unseen mazes of each size, of the first level numbers"""
TEST_STEPS = 500
"""time limit, Procgen's"""
AIM = 0.95
"""P(reach) in the largest mazes that the planner is meant to have"""
FAR = 40
"""steps to the cheese from which on it is far"""


def train_planner(
    recipe: str, size: int = 25, seed: int = 1, steps: int = 60_000, out: str | None = None, device: str = "cpu",
) -> Path:  # fmt: skip
    """Trains a mouse on shortest paths and writes its policy with model card; a killed run goes on where it was.

    Args:
        recipe: one of `NETWORKS`.
        size: side of the largest mazes, odd.
        seed: of weights, mazes and ticks.
        steps: updates of the weights. A folder's run may be given more later, and goes on.
        out: folder of the run.
        device: where to train.

    Returns:
        The folder of the finished policy, `out`/policy.

    Raises:
        ValueError: an option out of range, a device that is not there, or `out` holds a run with other settings.
    """
    if recipe not in NETWORKS:
        raise ValueError(f"no recipe {recipe!r}; there are {', '.join(NETWORKS)}")
    if steps < 1:
        raise ValueError(f"--steps must be at least 1, got {steps}")
    if size < SMALLEST or size % 2 == 0:
        raise ValueError(f"--size must be odd and at least {SMALLEST}, got {size}")
    folder = Path(out or f"runs/train-maze-{recipe}-{size}-{seed}")
    torch.manual_seed(whole_number("seed", seed))
    arguments, config = NETWORKS[recipe], ShortestPaths(size=size)
    policy = Thinker(**arguments).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    placed(policy, device)
    done, seconds = learn(policy, folder, config, steps, seed)
    description = {
        "architecture": {"name": "thinker", **arguments},
        "world": {"name": "maze", "size": size, "cheese_region": None},
        "training": {
            **asdict(config), "method": "shortest paths", "seed": seed, "steps": done, "seconds": round(seconds),
        },
    }  # fmt: skip
    command = f"goalscope train maze --recipe {recipe} --size {size} --seed {seed} --steps {done}"
    save(folder / "policy", policy, description, _card(policy, recipe, folder, size, command, done, seconds))
    return folder / "policy"


def unseen(size: int, count: int) -> MazeState:
    """Mazes of exactly one size, of the first level numbers of the world of that size: none that a run is trained on."""
    world, found, first = Maze(size, None), [], 0
    while sum(map(len, found)) < count:
        drawn = world.generate(np.arange(first, first + 1000))
        found.append(take(drawn, np.flatnonzero(maze_size(drawn) == size)))
        first += 1000
    return take(concatenate(found), slice(count))


def _card(
    policy: Thinker, recipe: str, folder: Path, size: int, command: str, done: int, seconds: float
) -> str:
    """The model card: what it is, how it came about, how well it does, where it ends."""
    ticks = [t for t in TEST_TICKS if policy.tied or t <= policy.ticks]
    sizes = [s for s in TEST_SIZES if s < size] + [size]
    mazes = {s: unseen(s, TEST_MAZES) for s in sizes}
    thought = {s: think_longer(policy, Maze(s, None), mazes[s], ticks, TEST_STEPS) for s in sizes}
    table = "\n".join(
        f"| {s} x {s} | " + " | ".join(f"{reach.mean():.1%}" for reach in thought[s].reach) + " |"
        for s in sizes
    )
    last = thought[size].reach
    own = int(np.flatnonzero(np.array(ticks) == policy.ticks)[0])
    reached = bootstrap_mean(last[own], bounds=(0, 1))
    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    largest = rows[-1]["largest"]
    kind = (
        f"one block of two 3 x 3 convolutions, run {policy.ticks} times"
        if policy.tied
        else f"{policy.ticks} blocks of two 3 x 3 convolutions, each run once"
    )
    return f"""# Mouse that {"thinks" if policy.tied else "cannot think longer"}: imitation of the shortest path

Cheese anywhere: exact P(reach) {reached.estimate:.1%} [{reached.low:.1%}, {reached.high:.1%}] of {TEST_MAZES} unseen
mazes of {size} x {size} squares, within {TEST_STEPS} steps, {policy.ticks} ticks a step.

- **Network**: thinker, {kind}; {policy.head.in_channels} channels, {parameters(policy):,} parameters; mazes of any
  size; it is shown walls and cheese, and the mouse reads what stands at its own square.
- **Data**: generated mazes (spanning trees), first of size {SMALLEST}, then larger ones, {largest} x {largest} at most when
  training ended; cheese anywhere. Larger than 7 x 7, hardly any is seen twice.
- **Teacher**: the next move of the shortest path, on every free square.
- **Command**: `{command}`
- **Steps and time**: {done:,} updates, {seconds / 60:.0f} minutes on a part of one core ({platform.machine()}), its sums
  made in {torch.get_num_threads()} thread{"" if torch.get_num_threads() == 1 else "s"}.
- **Limits**: {_limits(recipe, size, largest, reached.estimate)} It learned by imitation alone, not by reward.
  Mazes with loops are out of distribution. One seed is one network.

## Thinking

Exact P(reach) by the ticks of every step:

| mazes | {" | ".join(f"{t} ticks" for t in ticks)} |
|---|{"---:|" * len(ticks)}
{table}

{_by_distance(mazes[size], last, ticks)}

## Curve

| updates | seconds | largest size | loss | right moves in its batches |
|---:|---:|---:|---:|---:|
{_curve(rows)}

Right moves are the share of free squares where the most likely move is the shortest path's, after the last tick; each row is
the mean of the tenth of the run before it.
"""


def _limits(recipe: str, size: int, largest: str, reached: float) -> str:
    beyond = f"Mazes larger than {largest} x {largest} it has never seen in training."
    if recipe == "reflex":
        return f"it sees a window of 19 x 19 squares around its own and cannot think longer. {beyond}"
    if reached >= AIM:
        return beyond
    return f"it does not reach {AIM:.0%} in {size} x {size} mazes, which was the aim. {beyond}"


def _by_distance(mazes: MazeState, reach: np.ndarray, ticks: list[int]) -> str:
    """Near and far cheese, and how many levels flip."""
    levels = np.arange(len(mazes))
    row, column = mazes.mouse.astype(int).T
    far = distances(mazes.walls, mazes.cheese)[levels, row, column] >= FAR
    if far.all() or not far.any():
        return f"No maze of this size has a cheese {FAR} or more steps away and another one nearer."
    thought = Thinking(np.array(ticks), reach, TEST_STEPS)
    flips = [" | ", *(f"{len(w)} | {len(x)}" for w, x in zip(thought.won(), thought.lost(), strict=True))]
    lines = [
        f"| {t} | {reach[i][~far].mean():.1%} | {reach[i][far].mean():.1%} | {flips[i]} |"
        for i, t in enumerate(ticks)
    ]
    return "\n".join([
        f"In the largest mazes, by the way from start to cheese ({far.sum()} of {len(far)} mazes have {FAR} steps or more; "
        f"a level counts as solved from P(reach) {SOLVED} on):",
        "",
        f"| ticks | nearer than {FAR} | {FAR} or more | solved, unlike with the row above | no longer solved |",
        "|---:|---:|---:|---:|---:|",
        *lines,
    ])  # fmt: skip


def _curve(rows: list[dict[str, str]]) -> str:
    """Sixteen log-spaced rows, each the mean of the tenth of the run before it."""
    lines = []
    for i in np.unique(np.geomspace(min(10, len(rows)), len(rows), 16).round().astype(int)):
        part = rows[max(0, i - max(1, i // 10)) : i]
        loss, right = (np.mean([float(row[name]) for row in part]) for name in ("loss", "right"))
        last = part[-1]
        lines.append(
            f"| {int(last['steps']):,} | {float(last['seconds']):,.0f} | {last['largest']} | {loss:.3f} | {right:.3f} |"
        )
    return "\n".join(lines)
