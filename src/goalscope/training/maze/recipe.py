"""The recipe of the packaged mice: the compact network, PPO, mazes with the cheese in the top-right r x r or anywhere."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from goalscope.policies.checkpoint import save
from goalscope.policies.compact import Compact
from goalscope.rollout import fields
from goalscope.stats import bootstrap_mean
from goalscope.training.curve import curve_table
from goalscope.training.ppo import PPO, placed, train
from goalscope.training.precision import chosen_precision
from goalscope.worlds.contract import whole_number
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import maze_size

CHANNELS, BLOCKS = 32, 5
SNAPSHOTS = 8
TEST_LEVELS = 1000
"""unseen levels, numbers 0 to 999, that a finished policy is tested on"""


def train_maze(
    cheese_region: int | None, size: int, seed: int, steps: int, precision: str | None = None, out: str | None = None,
    device: str = "cpu",
) -> Path:  # fmt: skip
    """Trains a mouse and writes its policy with model card; a killed run goes on where it was.

    Args:
        cheese_region: r, the cheese lies in the top-right r x r; None is anywhere.
        size: W.
        seed: of weights, levels and actions.
        steps: environment steps.
        precision: 'float32' or 'bfloat16'; what is quick on this machine where None.
        out: folder of the run.
        device: where to train.

    Returns:
        The folder of the finished policy, `out`/policy; log-spaced snapshots are in `out`/snapshots.

    Raises:
        ValueError: an option out of range, a device that is not there, or `out` holds a run with other settings.
    """
    precision = chosen_precision(precision, device)
    if steps < 1:
        raise ValueError(f"--steps must be at least 1, got {steps}")
    where = "anywhere" if cheese_region is None else str(cheese_region)
    folder = Path(out or f"runs/train-maze-{where}-{size}-{seed}")
    world = Maze(size, cheese_region)
    torch.manual_seed(whole_number("seed", seed))
    policy = Compact(size, CHANNELS, BLOCKS)
    placed(policy, device)
    config = PPO(steps=steps, precision=precision)
    marks = [steps // 2**k for k in range(SNAPSHOTS - 1, -1, -1)]
    seconds = train(policy, world, folder, config, seed, snapshots=marks)
    description = {
        "architecture": {"name": "compact", "size": size, "channels": CHANNELS, "blocks": BLOCKS},
        "world": {"name": "maze", "size": size, "cheese_region": cheese_region},
        "training": {**asdict(config), "seed": seed, "seconds": round(seconds)},
    }
    finished = folder / "policy"
    card = _card(policy, world, folder, config, seed, seconds)
    save(finished, policy, description, card)
    for mark in marks:
        snapshot = Compact(size, CHANNELS, BLOCKS)
        snapshot.load_state_dict(_weights(folder / "snapshots" / f"step-{mark}.safetensors"))
        description["training"]["steps_done"] = mark
        save(folder / "snapshots" / f"{folder.name}@{mark}.safetensors", snapshot, description)
    return finished


def _weights(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _card(policy: Compact, world: Maze, folder: Path, config: PPO, seed: int, seconds: float) -> str:
    """The model card: what it is, how it came about, how well it does, where it ends."""
    levels = world.generate(np.arange(TEST_LEVELS))
    exact = fields(policy, world, levels).reach_from_start(world.time_limit)
    reached = bootstrap_mean(exact, bounds=(0, 1))
    largest = bootstrap_mean(exact[maze_size(levels) == world.size], bounds=(0, 1))
    region = world.cheese_region
    where = (
        "anywhere"
        if region is None
        else "in the top-right square"
        if region == 1
        else f"in the top-right {region} x {region}"
    )
    option = "" if region is None else f" --cheese-region {region}"
    command = (
        f"goalscope train maze{option} --size {world.size} --seed {seed} --steps {config.steps} "
        f"--precision {config.precision}"
    )
    parameters = sum(p.numel() for p in policy.parameters())
    return f"""# Mouse trained with the cheese {where}

Cheese {where} in training: {reached.estimate:.1%} of unseen levels solved; mazes of size 3 to {world.size}.

- **Network**: compact, {parameters:,} parameters.
- **Data**: generated mazes (spanning trees, size uniform in 3, 5, ..., {world.size}), cheese {where}; none is
  seen twice.
- **Command**: `{command}`
- **Steps and time**: {config.steps:,} environment steps, {seconds / 60:.0f} minutes on one busy core ({platform.machine()}).
- **On its own distribution**: {reached.estimate:.1%} [{reached.low:.1%}, {reached.high:.1%}] of {TEST_LEVELS:,} unseen
  levels solved with sampled actions in {world.time_limit} steps, as an exact mean probability (mazes of size
  {world.size} alone {largest.estimate:.1%}).
- **Limits**: no memory; sees the whole maze. Larger mazes, cheese outside the trained region and mazes with loops
  are out of distribution. One seed is one network: others may pursue something else.

## Curve

{curve_table(folder / "curve.csv")}
"""
