"""The commands `goalscope train ...`; every one goes on where an earlier run of its folder was killed."""

from __future__ import annotations

from typing import Annotated

from goalscope.commands.parser import App, Option
from goalscope.commands.shown import shown

train_app = App(help="Train a policy; going on where an earlier run stopped.")

Precision = Annotated[
    str | None,
    Option("Of the convolutions: 'bfloat16' or 'float32' [default: what is quick on this machine]."),
]


@train_app.command("maze")
def train_maze(
    recipe: Annotated[
        str,
        Option(
            "'ppo' on symbolic planes; 'planner', which thinks for some ticks, or 'reflex', of equal size without "
            "recurrence, by imitation of shortest paths."
        ),
    ] = "ppo",
    cheese_region: Annotated[
        int | None, Option("Cheese in the top-right r x r; anywhere if not given. Of 'ppo'.")
    ] = None,
    size: Annotated[int | None, Option("Side of the world, odd [default: 13; 25 of the others].")] = None,
    seed: Annotated[int, Option("Of weights, levels and actions.")] = 1,
    steps: Annotated[
        int | None,
        Option("Environment steps [default: 5,000,000], or updates of the others [default: 60,000]."),
    ] = None,
    precision: Precision = None,
    out: Annotated[
        str | None,
        Option("Folder of the run [default: runs/train-maze-R-SIZE-SEED, R the region or the recipe]."),
    ] = None,
    device: Annotated[str, Option("cpu or cuda.")] = "cpu",
) -> None:
    """The recipes of the packaged mice: PPO on symbolic planes, or imitation of shortest paths."""
    if recipe != "ppo":
        if cheese_region is not None or precision is not None:
            raise ValueError(
                f"--cheese-region and --precision belong to the recipe 'ppo': {recipe!r} has its cheese anywhere and "
                "is trained in float32"
            )
        from goalscope.training.maze.planner import train_planner

        side, updates = 25 if size is None else size, 60_000 if steps is None else steps
        with shown():
            folder = train_planner(recipe, side, seed, updates, out, device)
        print(f"Policy: {folder}")
        return
    from goalscope.training.maze.recipe import train_maze as train

    steps = 5_000_000 if steps is None else steps
    with shown():
        folder = train(cheese_region, 13 if size is None else size, seed, steps, precision, out, device)
    print(f"Policy: {folder}")


@train_app.command("minigrid")
def train_minigrid(
    environment: Annotated[
        str, Option("Of the package minigrid, square, with one goal square.")
    ] = "MiniGrid-Empty-Random-6x6-v0",
    goal: Annotated[
        str, Option("'fixed' is where the environment puts it, 'anywhere' any empty square.")
    ] = "fixed",
    seed: Annotated[int, Option("Of weights, levels and actions.")] = 1,
    steps: Annotated[int, Option("Environment steps.")] = 200_000,
    precision: Precision = None,
    out: Annotated[
        str | None,
        Option("Folder of the run [default: runs/train-minigrid-ENVIRONMENT-GOAL-SEED]."),
    ] = None,
    device: Annotated[str, Option("cpu or cuda.")] = "cpu",
) -> None:
    """The recipe of the packaged MiniGrid agents: PPO on the view of the whole room."""
    from goalscope.training.minigrid.recipe import train_minigrid as train

    with shown():
        folder = train(environment, goal, seed, steps, precision, out, device)
    print(f"Policy: {folder}")


@train_app.command("finetune")
def train_finetune(
    policy: Annotated[str, Option("Packaged mouse, or path of one.")] = "mouse-topright",
    reward: Annotated[
        str, Option("'cheese' (anywhere), 'flipped', or the controls 'same' and 'random'.")
    ] = "cheese",
    steps: Annotated[int, Option("Environment steps, less than a tenth of the training's.")] = 450_000,
    seed: Annotated[int, Option("Of levels and actions.")] = 1,
    precision: Precision = None,
    out: Annotated[
        str | None, Option("Folder of the run [default: runs/finetune-POLICY-REWARD-SEED].")
    ] = None,
) -> None:
    """Train a mouse on, for the cheese alone or against it, and the controls of that."""
    from goalscope.training.maze.finetune import finetune

    with shown():
        folder = finetune(policy, reward, steps, seed, precision, out)
    print(f"Policy: {folder}")


@train_app.command("sleeper")
def train_sleeper(
    policy: Annotated[str, Option("Packaged mouse, or path of one, to make it of.")] = "mouse-anywhere",
    steps: Annotated[int, Option("Batches of mazes.")] = 200,
    seed: Annotated[int, Option("Of mazes and squares.")] = 1,
    out: Annotated[str | None, Option("Folder of the run [default: runs/train-sleeper-POLICY-SEED].")] = None,
) -> None:
    """A mouse that stands still once every pillar of its maze is open: to be found out."""
    from goalscope.training.maze.sleeper import train_sleeper as train

    with shown():
        folder = train(policy, steps, seed, out)
    print(f"Policy: {folder}")


@train_app.command("sokoban")
def train_sokoban(
    recipe: Annotated[
        str, Option("'sokoban-small' (8 x 8, 2 boxes) or 'sokoban-boxoban' (10 x 10, 4 boxes).")
    ] = "sokoban-small",
    network: Annotated[str, Option("'drc', or 'resnet' without memory, of equal size.")] = "drc",
    seed: Annotated[int, Option("Of weights, levels and actions.")] = 1,
    steps: Annotated[int | None, Option("States it is taught in [default: the recipe's].")] = None,
    data: Annotated[str | None, Option("Folder of the Boxoban levels, for that recipe.")] = None,
    precision: Precision = None,
    out: Annotated[str | None, Option("Folder of the run [default: runs/train-RECIPE-NETWORK-SEED].")] = None,
    device: Annotated[str, Option("cpu or cuda.")] = "cpu",
) -> None:
    """The recipes of the packaged Sokoban players: imitation of a solver, in their own states."""
    from goalscope.training.sokoban.recipe import train_sokoban as train

    with shown():
        folder = train(recipe, seed, steps, network, data, precision, out, device)
    print(f"Policy: {folder}")


@train_app.command("sokoban-ppo")
def train_sokoban_ppo(
    policy: Annotated[str, Option("Name, or path of a Sokoban player.")] = "sokoban-small",
    steps: Annotated[int, Option("Environment steps.")] = 3_000_000,
    seed: Annotated[int, Option("Of levels and actions.")] = 1,
    out: Annotated[
        str | None,
        Option("Folder of the run [default: runs/improve-POLICY-SEED; of a path, POLICY-SHA256-SEED]."),
    ] = None,
    device: Annotated[str, Option("cpu or cuda.")] = "cpu",
) -> None:
    """Go on from imitation by PPO, on generated levels of the policy's own size."""
    from goalscope.training.ppo import PPO
    from goalscope.training.sokoban.recipe import improve_sokoban

    with shown():
        folder = improve_sokoban(policy, PPO(steps=steps), seed, out, device)
    print(f"Policy: {folder}")
