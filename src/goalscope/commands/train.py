"""The commands `goalscope train ...`; every one goes on where an earlier run of its folder was killed."""

from __future__ import annotations

from typing import Annotated

import typer

train_app = typer.Typer(no_args_is_help=True, help="Train a policy; going on where an earlier run stopped.")

Precision = Annotated[
    str | None,
    typer.Option(
        help="Of the convolutions: 'bfloat16' or 'float32' [default: what is quick on this machine]."
    ),
]


@train_app.command("maze")
def train_maze(
    cheese_region: Annotated[
        int | None, typer.Option(help="Cheese in the top-right r x r; anywhere if not given.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the world, odd.")] = 13,
    seed: Annotated[int, typer.Option(help="Of weights, levels and actions.")] = 1,
    steps: Annotated[int, typer.Option(help="Environment steps.")] = 5_000_000,
    precision: Precision = None,
    out: Annotated[
        str | None, typer.Option(help="Folder of the run [default: runs/train-maze-R-SIZE-SEED].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """The recipe of the packaged mice: PPO on symbolic planes."""
    from goalscope.training.maze.recipe import train_maze as train

    folder = train(cheese_region, size, seed, steps, precision, out, device)
    print(f"Policy: {folder}")


@train_app.command("finetune")
def train_finetune(
    policy: Annotated[str, typer.Option(help="Packaged mouse, or path of one.")] = "mouse-topright",
    reward: Annotated[
        str, typer.Option(help="'cheese' (anywhere), 'flipped', or the controls 'same' and 'random'.")
    ] = "cheese",
    steps: Annotated[
        int, typer.Option(help="Environment steps, less than a tenth of the training's.")
    ] = 450_000,
    seed: Annotated[int, typer.Option(help="Of levels and actions.")] = 1,
    precision: Precision = None,
    out: Annotated[
        str | None, typer.Option(help="Folder of the run [default: runs/finetune-POLICY-REWARD-SEED].")
    ] = None,
) -> None:
    """Train a mouse on, for the cheese alone or against it, and the controls of that."""
    from goalscope.training.maze.finetune import finetune

    print(f"Policy: {finetune(policy, reward, steps, seed, precision, out)}")


@train_app.command("sokoban")
def train_sokoban(
    recipe: Annotated[
        str, typer.Option(help="'sokoban-small' (8 x 8, 2 boxes) or 'sokoban-boxoban' (10 x 10, 4 boxes).")
    ] = "sokoban-small",
    network: Annotated[str, typer.Option(help="'drc', or 'resnet' without memory, of equal size.")] = "drc",
    seed: Annotated[int, typer.Option(help="Of weights, levels and actions.")] = 1,
    steps: Annotated[int | None, typer.Option(help="States it is taught in [default: the recipe's].")] = None,
    data: Annotated[str | None, typer.Option(help="Folder of the Boxoban levels, for that recipe.")] = None,
    precision: Precision = None,
    out: Annotated[
        str | None, typer.Option(help="Folder of the run [default: runs/train-RECIPE-NETWORK-SEED].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """The recipes of the packaged Sokoban players: imitation of a solver, in their own states."""
    from goalscope.training.sokoban.recipe import train_sokoban as train

    print(f"Policy: {train(recipe, seed, steps, network, data, precision, out, device)}")


@train_app.command("sokoban-ppo")
def train_sokoban_ppo(
    policy: Annotated[str, typer.Option(help="Name, or path of a Sokoban player.")] = "sokoban-small",
    steps: Annotated[int, typer.Option(help="Environment steps.")] = 3_000_000,
    seed: Annotated[int, typer.Option(help="Of levels and actions.")] = 1,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder of the run [default: runs/improve-POLICY-SEED; of a path, POLICY-SHA256-SEED]."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Go on from imitation by PPO, on generated levels of the policy's own size."""
    from goalscope.training.ppo import PPO
    from goalscope.training.sokoban.recipe import improve_sokoban

    print(f"Policy: {improve_sokoban(policy, PPO(steps=steps), seed, out, device)}")
