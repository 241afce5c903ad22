"""The commands. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from goalscope.findings_cli import argument, findings
from goalscope.forecast_cli import forecast_app

INTERRUPTED = 130
"""what typer makes of Ctrl-C"""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
study_app = typer.Typer(
    no_args_is_help=True, help="Answer one question about a policy, with evidence and a report."
)
train_app = typer.Typer(no_args_is_help=True, help="Train a policy; going on where an earlier run stopped.")
app.add_typer(study_app, name="study")
app.add_typer(train_app, name="train")
app.add_typer(forecast_app, name="forecast")
app.command("findings")(findings)
app.command("argument")(argument)


@app.callback()
def goalscope() -> None:
    """Finds out what a trained policy network pursues, and how."""


@study_app.command("maze")
def study_maze(
    policy: Annotated[str, typer.Option(help="Packaged name, or path of a checkpoint.")] = "mouse-topright",
    world: Annotated[str, typer.Option(help="'maze' (symbolic planes) or 'procgen' (pixels).")] = "maze",
    distribution: Annotated[str | None, typer.Option(help="Procgen's 'easy' or 'hard'.")] = None,
    first_level: Annotated[int, typer.Option(help="Number of the first level; the others follow.")] = 0,
    levels: Annotated[int, typer.Option(help="How many levels.")] = 500,
    seed: Annotated[int, typer.Option(help="Of bootstrap, splits and sampled walks.")] = 0,
    out: Annotated[str | None, typer.Option(help="Run folder to make [default: runs/maze-POLICY].")] = None,
    device: Annotated[str, typer.Option(help="Where the policy runs: cpu, cuda.")] = "cpu",
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")
    ] = False,
) -> None:
    """Does it want the cheese or the top-right corner, and what would be a simpler explanation?"""
    from goalscope.evidence.finding import to_json
    from goalscope.studies.maze_goal import Options, study

    outcome = study(Options(policy, world, distribution, first_level, levels, seed, out, device), _progress)
    if json:
        print(to_json(outcome.findings))
    else:
        print(f"{outcome.headline}\n\nReport: {outcome.report}")


@study_app.command("maze-internals")
def study_maze_internals(
    policy: Annotated[str, typer.Option(help="Packaged name, or path of a checkpoint.")] = "mouse-topright",
    world: Annotated[str, typer.Option(help="'maze' (symbolic planes) or 'procgen' (pixels).")] = "maze",
    distribution: Annotated[str | None, typer.Option(help="Procgen's 'easy' or 'hard'.")] = None,
    first_level: Annotated[int, typer.Option(help="Number of the first level; the others follow.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A quarter of the mazes: a first look.")] = False,
    seed: Annotated[int, typer.Option(help="Of bootstrap, splits, donors, targets and noise.")] = 0,
    out: Annotated[
        str | None, typer.Option(help="Run folder to make [default: runs/maze-internals-POLICY].")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")
    ] = False,
) -> None:
    """Which activations carry the goal, and can it be edited, moved, or trained away?"""
    from goalscope.evidence.finding import to_json
    from goalscope.studies.maze_internals import Options, study

    outcome = study(Options(policy, world, distribution, first_level, quick, seed, out), _progress)
    if json:
        print(to_json(outcome.findings))
    else:
        print(f"{outcome.headline}\n\nReport: {outcome.report}")


@train_app.command("maze")
def train_maze(
    cheese_region: Annotated[
        int | None, typer.Option(help="Cheese in the top-right r x r; anywhere if not given.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the world, odd.")] = 13,
    seed: Annotated[int, typer.Option(help="Of weights, levels and actions.")] = 1,
    steps: Annotated[int, typer.Option(help="Environment steps.")] = 5_000_000,
    precision: Annotated[
        str,
        typer.Option(help="Of the convolutions: 'bfloat16' or 'float32', for machines slow at the former."),
    ] = "bfloat16",
    out: Annotated[
        str | None, typer.Option(help="Folder of the run [default: runs/train-maze-R-SIZE-SEED].")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """The recipe of the packaged mice: PPO on symbolic planes."""
    from goalscope.training.maze import train_maze as train

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
    precision: Annotated[str, typer.Option(help="'bfloat16' or 'float32'.")] = "bfloat16",
    out: Annotated[
        str | None, typer.Option(help="Folder of the run [default: runs/finetune-POLICY-REWARD-SEED].")
    ] = None,
) -> None:
    """Train a mouse on, for the cheese alone or against it, and the controls of that."""
    from goalscope.training.finetune import finetune

    print(f"Policy: {finetune(policy, reward, steps, seed, precision, out)}")


@app.command("play")
def play(
    maze: Annotated[Path, typer.Argument(help="A file with the text of a maze.")],
    policy: Annotated[str, typer.Option(help="Packaged name, or path of a checkpoint.")] = "mouse-topright",
) -> None:
    """Show a maze with the arrows of the policy and its chance of reaching the cheese."""
    from goalscope.plots.terminal import show_field
    from goalscope.rollout import vector_field

    try:
        text = maze.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{maze} is not a text file (byte {error.start} is not UTF-8)") from error
    field = vector_field(policy, text)
    row = field.maze
    print(show_field(row.walls[0], row.mouse[0], row.cheese[0], field.squares, field.moves))
    if row.cheese[0, 0] >= 0:
        print(f"P(reach the cheese within {field.steps} steps) = {field.reach_start:.3f}")


@app.command("policies")
def policies() -> None:
    """What is packaged."""
    from goalscope.policies.checkpoint import packaged, snapshots

    for policy in packaged():
        summary = next(line for line in policy.card.splitlines() if line and not line.startswith("#"))
        print(f"{policy.name:22} {summary}")
        states = snapshots(policy.name)
        if states:
            print(f"{'':22} {len(states)} states of its training: {states[0]} to {states[-1]}")


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Entry point: errors that a user can mend are one line on stderr and exit code 2."""
    try:
        app(prog_name="goalscope")
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
        print("interrupted: nothing is lost, the same command goes on from here", file=sys.stderr)
        sys.exit(2)
    except (ValueError, KeyError, OSError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
