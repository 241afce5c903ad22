"""The recipe of the packaged MiniGrid agents: a small convolutional network, PPO, the goal in its place or anywhere.

The view is the whole room. In the agent's own partial view an empty room looks the same from each of its corners, so
that nothing but the goal itself tells where the goal is; seen as a whole, the place alone tells it too.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goalscope.policies.checkpoint import save, untrained
from goalscope.policies.grid import Grid
from goalscope.rollout.chain import chain, enumerate_states, first_of_two
from goalscope.stats import bootstrap_mean
from goalscope.training.curve import curve_table
from goalscope.training.ppo import PPO, placed, train
from goalscope.training.precision import chosen_precision
from goalscope.worlds.contract import whole_number
from goalscope.worlds.minigrid import Kind, MiniGrid, MiniGridState, move

CHANNELS, HIDDEN = 16, 64
GOALS = ("fixed", "anywhere")
TEST_LEVELS = 500
"""unseen levels, seeds 0 to 499, that a finished policy is tested on, with the goal in its place and elsewhere"""


def goal_squares(state: MiniGridState) -> np.ndarray:
    """[N, 2] int64: where the goal of each level lies.

    Raises:
        ValueError: a level has no goal square, or several.
    """
    goals = state.cells[:, :, :, 0] == Kind.GOAL
    for i, count in enumerate(goals.sum((1, 2))):
        if count != 1:
            raise ValueError(f"level {i} has {count} goal squares; this recipe needs one")
    return np.argwhere(goals)[:, 1:]


def goals_moved(
    state: MiniGridState, seeds: Sequence[int] | np.ndarray, elsewhere: bool = False
) -> MiniGridState:
    """The levels with the goal on any empty square, all equally probable, which the level's seed [N] decides.

    Args:
        state: N levels. seeds: [N]. elsewhere: not on the square where it lies.
    """
    squares = goal_squares(state)
    n = np.arange(len(state))
    empty = state.cells[:, :, :, 0] == Kind.EMPTY
    empty[n, state.agent[:, 0], state.agent[:, 1]] = False
    empty[n, squares[:, 0], squares[:, 1]] = not elsewhere
    # A second number, so that the draw is none of those that made the level.
    drawn = [
        np.random.default_rng([int(seed), 1]).choice(np.argwhere(there))
        for seed, there in zip(seeds, empty, strict=True)
    ]
    return move(state, squares, np.array(drawn))


class GoalAnywhere(MiniGrid):
    """The levels of an environment, the goal on any empty square, as the level's seed has it."""

    def generate(self, seeds: Sequence[int] | np.ndarray) -> MiniGridState:
        """One level per seed [N]."""
        return goals_moved(super().generate(seeds), seeds)


def train_minigrid(
    environment: str, goal: str, seed: int, steps: int, precision: str | None = None, out: str | None = None,
    device: str = "cpu",
) -> Path:  # fmt: skip
    """Trains an agent and writes its policy with model card; a killed run goes on where it was.

    Args:
        environment: of the package `minigrid`, square, with one goal square.
        goal: 'fixed' is where the environment has it; 'anywhere' any empty square, drawn for every level.
        seed: of weights, levels and actions.
        steps: environment steps.
        precision: 'float32' or 'bfloat16'; what is quick on this machine where None.
        out: folder of the run.
        device: where to train.

    Returns:
        The folder of the finished policy, `out`/policy.

    Raises:
        ImportError: the extra `minigrid` is not installed.
        ValueError: no such environment, or one that does not fit; an option out of range, a device that is not there,
            or `out` holds a run with other settings.
    """
    if goal not in GOALS:
        raise ValueError(f"--goal must be {' or '.join(GOALS)}, got {goal!r}")
    whole_number("steps", steps, least=1)
    world = (GoalAnywhere if goal == "anywhere" else MiniGrid)(environment, "full")
    if world.height != world.width:
        raise ValueError(
            f"{environment} is {world.height} x {world.width} squares; this recipe needs a square one"
        )
    goal_squares(world.generate([0]))
    folder = Path(out or f"runs/train-minigrid-{environment}-{goal}-{seed}")
    torch.manual_seed(whole_number("seed", seed))
    policy = Grid(world.width, CHANNELS, HIDDEN, len(world.actions))
    placed(policy, device)
    config = PPO(
        steps=steps, levels=32, epochs=4, minibatch=256, reward_scale=1.0,
        precision=chosen_precision(precision, device),
    )  # fmt: skip
    seconds = train(policy, world, folder, config, seed)
    description = {
        "architecture": {
            "name": "grid", "side": world.width, "channels": CHANNELS, "hidden": HIDDEN, "actions": len(world.actions),
        },
        "world": {"name": "minigrid", "environment": environment, "observation": "full", "goal": goal},
        "training": {**asdict(config), "seed": seed, "seconds": round(seconds)},
    }  # fmt: skip
    save(folder / "policy", policy, description, _card(policy, description, folder))
    return folder / "policy"


def exact_reach(policy: Any, world: MiniGrid, state: MiniGridState) -> np.ndarray:
    """[N] exact probability that the agent comes to the goal square within the world's time limit."""
    states = enumerate_states(world, state)
    agent = states.state.agent
    there = states.state.cells[np.arange(len(states)), agent[:, 0], agent[:, 1], 0] == Kind.GOAL
    first = first_of_two(
        chain(policy, world, states).moves, states.next, there, states.over & ~there, world.time_limit
    )
    return first[states.start, 0]


def _card(policy: Grid, description: dict[str, Any], folder: Path) -> str:
    """The model card: what it is, how it came about, how well it does with the goal in its place and elsewhere."""
    about, training = description["world"], description["training"]
    world = MiniGrid(about["environment"], "full")
    seeds = np.arange(TEST_LEVELS)
    levels = world.generate(seeds)
    moved = goals_moved(levels, seeds, elsewhere=True)
    blank = untrained(description, 0).module
    reach = {
        (who, where): _share(exact_reach(module, world, state))
        for who, module in (("trained", policy), ("untrained", blank))
        for where, state in (("fixed", levels), ("anywhere", moved))
    }
    command = (
        f"goalscope train minigrid --environment {world.name} --goal {about['goal']} --seed {training['seed']} "
        f"--steps {training['steps']} --precision {training['precision']}"
    )
    fixed = about["goal"] == "fixed"
    where = "where the environment puts it" if fixed else "anywhere"
    placed_by = (
        "the goal where it always is"
        if fixed
        else "the goal moved to any empty square,\n  all equally probable, as the seed decides"
    )
    parameters, minutes = sum(p.numel() for p in policy.parameters()), training["seconds"] / 60
    return f"""# MiniGrid agent trained with the goal {where}

{world.name}, the goal {where} in training: {reach["trained", about["goal"]].split(" ")[0]} of unseen levels solved.

- **Network**: grid, {parameters:,} parameters; sees the whole room ({world.width} x {world.height}), one-hot.
- **Data**: levels of {world.name} from seeds; {placed_by}.
- **Command**: `{command}`
- **Steps and time**: {training["steps"]:,} environment steps, {minutes:.0f} minutes on one busy core ({platform.machine()}).
- **Exact probability of coming to the goal** in {world.time_limit} steps, mean of {TEST_LEVELS:,} unseen levels [95%]:

| goal | this agent | untrained network |
|---|---:|---:|
| where the environment puts it | {reach["trained", "fixed"]} | {reach["untrained", "fixed"]} |
| elsewhere | {reach["trained", "anywhere"]} | {reach["untrained", "anywhere"]} |

- **Limits**: no memory; sees the whole room, so its place in it too. Rooms with walls, doors or things in them are out of
  distribution. One seed is one network: others may pursue something else.

## Curve

{curve_table(folder / "curve.csv")}
"""


def _share(values: np.ndarray) -> str:
    mean = bootstrap_mean(values, bounds=(0, 1))
    return f"{mean.estimate:.1%} [{mean.low:.1%}, {mean.high:.1%}]"
