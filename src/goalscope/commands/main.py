"""The commands. Nothing heavy is imported before a command runs, so that `--help` and refusals answer at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

from goalscope import __version__
from goalscope.commands.app import app as page
from goalscope.commands.bound import bound
from goalscope.commands.findings import argument, findings
from goalscope.commands.forecast import forecast_app
from goalscope.commands.parser import App, Argument, run
from goalscope.commands.play import play
from goalscope.commands.study import study_app
from goalscope.commands.sweep import sweep
from goalscope.commands.train import train_app

INTERRUPTED = 130
"""exit code after Ctrl-C, as shells have it"""
REFUSED = 2
"""exit code where a user can mend what was wrong"""
SPINS = "1000"
"""turns that a thread of torch's waits for another before it gives its core away; torch's own 300,000 made forwards of small
networks 12 times as slow (550 positions a second against 6,500) where something else had one of two cores, so few 4,400,
and cost nothing that shows where both were free"""


def policies() -> None:
    """Lists what is packaged, and what can be fetched."""
    from goalscope.policies.download import SOURCES, place
    from goalscope.policies.names import packaged, snapshots

    for policy in packaged():
        summary = next(line for line in policy.card.splitlines() if line and not line.startswith("#"))
        print(f"{policy.name:22} {summary}")
        states = snapshots(policy.name)
        if states:
            print(f"{'':22} {len(states)} states of its training: {states[0]} to {states[-1]}")
    for name, source in SOURCES.items():
        print(f"{name:22} {source.about}")
        print(f"{'':22} {place(name) if place(name).is_file() else f'goalscope policies add {name}'}")


policies_app = App("What is packaged, and what can be fetched (`policies add NAME`).", alone=policies)


@policies_app.command("add")
def policies_add(name: Annotated[str, Argument("Of a policy that can be fetched.")]) -> None:
    """Fetch a policy from its public source; going on where an earlier fetch was cut off."""
    from goalscope.policies.download import fetch

    print(fetch(name, progress=_progress))


app = App("Finds out what a trained policy network pursues, and how.")
app.commands |= {
    "study": study_app,
    "sweep": sweep,
    "findings": findings,
    "play": play,
    "bound": bound,
    "app": page,
    "policies": policies_app,
    "train": train_app,
    "forecast": forecast_app,
    "argument": argument,
}


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> None:
    """Entry point: errors that a user can mend are one line on stderr and exit code 2, Ctrl-C is 130.

    Args:
        words: of the command line, without the program; None takes those that the process was given.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read where torch is imported, which is later
    try:
        run(app, sys.argv[1:] if words is None else words, "goalscope", f"goalscope {__version__}")
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        kept = "; ".join(getattr(stop, "__notes__", ())) or "nothing was written"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, KeyError, OSError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        if isinstance(error, ModuleNotFoundError) and error.name == "chess":
            message = "chess needs python-chess (GPL-3.0+): pip install 'goalscope[chess]'"
        print(f"error: {message}", file=sys.stderr)
        sys.exit(REFUSED)
