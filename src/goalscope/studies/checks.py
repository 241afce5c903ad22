"""What a study refuses before any network is made: numbers out of range, names that nobody has, places that are taken.

Nothing heavy is imported here, so that `run.py` refuses at once what would be refused anyway. A study's own file calls the
same functions, since it may be called by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goalscope.evidence.place import refuse_taken
from goalscope.policies.names import located, named

SEEDS = 2**31
"""seeds are below this"""
LAST_LEVEL = 2**31 - 1
"""level numbers stay below this"""
_FILES = {"puzzles": "; https://database.lichess.org/#puzzles offers such", "levels": ""}
"""options that may name a file, and where one is had"""


def check_number(option: str, value: int, least: int, below: int | None = None) -> None:
    """Refuses a number outside of its range.

    Args:
        option: as on the command line, '--seed'.
        value: what was given.
        least: the least that is taken.
        below: what it must stay below; None where there is no end.

    Raises:
        ValueError: it is no whole number, or outside.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (below is not None and value >= below):
        wanted = f"at least {least}" if below is None else f"from {least} to {below - 1}"
        raise ValueError(f"{option} must be a whole number, {wanted}, got {value!r}")


def check_seed(seed: int) -> None:
    """Refuses a seed that some generator would not take.

    Raises:
        ValueError: it is no whole number, negative, or too large.
    """
    check_number("--seed", seed, 0, SEEDS)


def check_levels(first_level: int, levels: int = 1) -> None:
    """Refuses levels whose numbers some generator would not take.

    Raises:
        ValueError: no whole numbers, none, negative, or too large.
    """
    check_number("--levels", levels, 1, LAST_LEVEL)
    check_number("--first-level", first_level, 0, LAST_LEVEL - levels)


def check_maze_world(world: str, distribution: str | None) -> None:
    """Refuses a world that no study of mazes knows.

    Raises:
        ValueError: another world than 'maze' and 'procgen', or a distribution without Procgen.
    """
    if world not in ("maze", "procgen"):
        raise ValueError(f"--world must be maze or procgen, got {world!r}")
    if world == "maze" and distribution is not None:
        raise ValueError("--distribution is Procgen's: add --world procgen, or leave it out")


def folder_of(out: str | os.PathLike[str] | None, default: str) -> Path:
    """Where the finished run shall lie: `out`, or `runs/DEFAULT`."""
    return Path(out or f"runs/{default}")


def refuse_early(study: str, subject: Any, options: Mapping[str, Any]) -> None:
    """Refuses what needs no network to be refused.

    Args:
        study: as on the command line.
        subject: the policy in question; only a text is looked at, and a function in a file is not called.
        options: of the study, those that were given.

    Raises:
        ValueError, KeyError, FileNotFoundError, FileExistsError: as the study itself would.
    """
    if "first_level" in options:
        check_levels(options["first_level"], options.get("levels", 1))
    if study.startswith("maze"):
        check_maze_world(options.get("world", "maze"), options.get("distribution"))
    if "seed" in options:
        check_seed(options["seed"])
    for name, hint in _FILES.items():
        if isinstance(options.get(name), str) and not Path(options[name]).exists():
            raise FileNotFoundError(f"no file {options[name]}, which --{name} names{hint}")
    # What a file's function makes, and what Stable-Baselines3 saved, is looked at with torch.
    read = isinstance(subject, str) and ".py" not in subject and not subject.endswith(".zip")
    name = named(located(subject)) if read else None
    if name or options.get("out"):
        refuse_taken(folder_of(options.get("out"), f"{study}-{name}"), bool(options.get("force")))
