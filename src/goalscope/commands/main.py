"""The commands. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from goalscope.commands.findings import argument, findings
from goalscope.commands.forecast import forecast_app
from goalscope.commands.play import play
from goalscope.commands.study import study_app
from goalscope.commands.train import train_app

INTERRUPTED = 130
"""what typer makes of Ctrl-C"""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
policies_app = typer.Typer(help="What is packaged, and what can be fetched.")
app.add_typer(study_app, name="study")
app.add_typer(train_app, name="train")
app.add_typer(policies_app, name="policies")
app.add_typer(forecast_app, name="forecast")
app.command("findings")(findings)
app.command("argument")(argument)
app.command("play")(play)


@app.callback()
def goalscope() -> None:
    """Finds out what a trained policy network pursues, and how."""


@policies_app.callback(invoke_without_command=True)
def policies(context: typer.Context) -> None:
    """What is packaged, and what can be fetched (`policies add NAME`)."""
    if context.invoked_subcommand is not None:
        return
    from goalscope.policies.checkpoint import packaged, snapshots
    from goalscope.policies.download import SOURCES, place

    for policy in packaged():
        summary = next(line for line in policy.card.splitlines() if line and not line.startswith("#"))
        print(f"{policy.name:22} {summary}")
        states = snapshots(policy.name)
        if states:
            print(f"{'':22} {len(states)} states of its training: {states[0]} to {states[-1]}")
    for name, source in SOURCES.items():
        print(f"{name:22} {source.about}")
        print(f"{'':22} {place(name) if place(name).is_file() else f'goalscope policies add {name}'}")


@policies_app.command("add")
def policies_add(name: Annotated[str, typer.Argument(help="Of a policy that can be fetched.")]) -> None:
    """Fetch a policy from its public source; going on where an earlier fetch was cut off."""
    from goalscope.policies.download import fetch

    print(fetch(name, progress=_progress))


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
        if isinstance(error, ModuleNotFoundError) and error.name == "chess":
            message = "chess needs python-chess (GPL-3.0+): pip install 'goalscope[chess]'"
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
