"""Training a packaged mouse on: for another goal, against its goal, and the two controls of such a comparison.

What finetuning for a goal changes in a network says something about that goal only beside what equally long finetuning
on the unchanged reward changes (drift), and on a reward that means nothing (noise).
"""

from __future__ import annotations

import copy
import csv
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from goalscope.policies.checkpoint import Policy, load, save
from goalscope.policies.compact import Compact
from goalscope.rollout import fields
from goalscope.stats import bootstrap_mean
from goalscope.training.ppo import PPO, train
from goalscope.training.precision import chosen_precision
from goalscope.worlds.contract import Step, World, take
from goalscope.worlds.maze import Maze, place_cheese
from goalscope.worlds.maze.paths import corner, maze_size

REWARDS = {
    "cheese": "cheese anywhere, rewarded as before: a pure cheese-seeker",
    "flipped": "cheese where it was in training, its reward turned into a penalty",
    "same": "control: the unchanged reward",
    "random": "control: reward or penalty, fixed by chance for each maze",
}
"""what `finetune` can train for"""
LEARNING_RATE = 5e-4
TEST_LEVELS = 1000
TENTH = 10
"""a finetuning has less than this part of the steps that its policy was trained with"""


class Rewarded:
    """A world whose reward is multiplied by a factor for each level; everything else is the world's.

    Args:
        world: any World.
        factors: the state (N levels) to the factors [N].
    """

    def __init__(self, world: World, factors: Any):
        self._world, self._factors = world, factors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def step(self, state: Any, actions: np.ndarray) -> Step:
        """The world's step with another reward."""
        outcome = self._world.step(state, actions)
        reward = (outcome.reward * self._factors(state)).astype(np.float32)
        return Step(outcome.state, reward, outcome.ended)


def coin(state: Any) -> np.ndarray:
    """[N] 1 or -1, by the parity of a mixed sum of the walls: fixed for a maze, and nothing to be seen in it."""
    flat = state.walls.reshape(len(state.walls), -1)
    weights = np.random.default_rng(0).integers(0, 2**31, flat.shape[1])
    return np.where((flat @ weights >> 16) & 1, 1.0, -1.0)


def finetuning_world(reward: str, size: int, cheese_region: int | None) -> Any:
    """The world that a mouse is trained on in.

    Args:
        reward: one of `REWARDS`. size: W. cheese_region: of the policy's own training.

    Raises:
        ValueError: no such reward.
    """
    own = Maze(size, cheese_region)
    worlds = {
        "cheese": lambda: Maze(size, None),
        "flipped": lambda: Rewarded(own, lambda state: np.full(len(state.walls), -1.0)),
        "same": lambda: own,
        "random": lambda: Rewarded(own, coin),
    }
    if reward not in worlds:
        raise ValueError(f"--reward must be one of {', '.join(worlds)}, got {reward!r}")
    return worlds[reward]()


def finetune(
    name: str, reward: str, steps: int, seed: int = 1, precision: str | None = None, out: str | None = None
) -> Path:
    """Trains a mouse on and writes the policy with its card; a killed run goes on where it was.

    Args:
        name: packaged name or path of a policy of the compact network.
        reward: one of `REWARDS`.
        steps: environment steps, less than a tenth of what the policy was trained with.
        seed: of levels and actions.
        precision: 'float32' or 'bfloat16'; what is quick on this machine where None.
        out: folder of the run.

    Returns:
        The folder of the finished policy, `out`/policy.

    Raises:
        ValueError: an option out of range, a policy whose training is not known, `out` holds another run.
    """
    policy = load(name)
    trained, where = policy.config.get("training"), policy.config.get("world")
    if not isinstance(policy.module, Compact) or not trained or not where:
        raise ValueError(
            f"{name} is not a mouse of `goalscope train maze`: its config lacks world or training"
        )
    precision = chosen_precision(precision)
    world = finetuning_world(reward, where["size"], where["cheese_region"])
    if not 1 <= steps < trained["steps"] / TENTH:
        raise ValueError(
            f"--steps must be at least 1 and less than a tenth of the {trained['steps']:,} steps that {name} "
            f"was trained for, got {steps:,}"
        )
    folder = Path(out or f"runs/finetune-{policy.name}-{reward}-{seed}")
    config = PPO(steps=steps, precision=precision, learning_rate=LEARNING_RATE)
    module = policy.module
    seconds = train(module, world, folder, config, seed, start=policy.sha256)
    description = {
        **policy.config,
        "training": {
            **asdict(config), "seed": seed, "seconds": round(seconds), "reward": reward,
            "from": policy.name, "from_sha256": policy.sha256,
        },
    }  # fmt: skip
    save(folder / "policy", module, description, _card(policy, module, reward, folder, config, seed, seconds))
    return folder / "policy"


def _card(
    policy: Policy, module: Compact, reward: str, folder: Path, config: PPO, seed: int, seconds: float
) -> str:
    """The model card."""
    anywhere = Maze(module.size, None)
    near = Maze(module.size, policy.config["world"]["cheese_region"])
    levels, own = anywhere.generate(np.arange(TEST_LEVELS)), near.generate(np.arange(TEST_LEVELS))
    largest = take(levels, maze_size(levels) == module.size)
    far = place_cheese(largest, corner(largest, top=True, right=False))
    reach = {
        "cheese anywhere": fields(module, anywhere, levels).reach_from_start(anywhere.time_limit),
        "cheese where it was in training": fields(module, near, own).reach_from_start(near.time_limit),
        f"cheese in the top-left corner, mazes of size {module.size}": fields(
            module, anywhere, far
        ).reach_from_start(anywhere.time_limit),
    }
    rows = []
    for words, values in reach.items():
        found = bootstrap_mean(values, bounds=(0, 1))
        rows.append(f"| {words} | {found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}] | {found.n:,} |")
    with (folder / "curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    shown = [curve[i] for i in np.unique(np.linspace(0, len(curve) - 1, 12).round().astype(int))]
    lines = [
        f"| {int(r['steps']):,} | {float(r['success']):.3f} | {float(r['length']):.1f} | {float(r['entropy']):.2f} |"
        for r in shown
    ]
    table, drawn = "\n".join(rows), "\n".join(lines)
    options = f"--steps {config.steps} --seed {seed} --precision {config.precision}"
    return f"""# {policy.name}, trained on: {reward}

{policy.name} after {config.steps:,} further steps, {REWARDS[reward]}.

- **Command**: `goalscope train finetune --policy {policy.name} --reward {reward} {options}`
- **From**: {policy.name}, sha256 {policy.sha256}, {policy.config["training"]["steps"]:,} steps.
- **Time**: {seconds / 60:.0f} minutes on one busy core ({platform.machine()}).
- **Limits**: those of {policy.name}; one seed.

| P(reach the cheese), exact | mean [95%] | levels |
|---|---|---:|
{table}

## Curve

| steps | episodes that end at the cheese | length | entropy |
|---:|---:|---:|---:|
{drawn}
"""


def brief(
    policy: Policy, world: Any, steps: int, snapshots: list[int], folder: Path, seed: int
) -> dict[int, dict[str, torch.Tensor]]:
    """Weights after each of a few steps of finetuning in `world`, small batches: what little compute buys.

    Args:
        policy: to start from; left as it is.
        world: with the reward that is wanted.
        steps: in all. snapshots: step counts. folder: for checkpoints. seed: of levels and actions.

    Returns:
        Step count to state dict.
    """
    module = copy.deepcopy(policy.module)
    config = PPO(
        steps=steps,
        levels=64,
        horizon=32,
        minibatch=512,
        learning_rate=LEARNING_RATE,
        precision=chosen_precision(None),
    )
    train(module, world, folder, config, seed, snapshots)
    return {n: load_file(folder / "snapshots" / f"step-{n}.safetensors") for n in snapshots}
