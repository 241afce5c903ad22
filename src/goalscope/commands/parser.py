"""The command line from the functions themselves: parameters are options, docstrings are help.

A command is a plain function whose parameters are `Annotated[type, Option(...)]` or `Annotated[type, Argument(...)]`; a
group of them is an `App`. Help texts are whole at any width, and an error is one line. Only the standard
library is used: whoever asks for help does not wait for packages.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import shutil
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

NARROW = 60
"""columns below which an option stands above its explanation, not beside it"""
WIDEST = 100
"""columns of a help text, on however wide a terminal"""


class Option(NamedTuple):
    """What the command line shows of a parameter that has a name there."""

    help: str
    name: str = ""
    """on the command line; '' is that of the parameter, with '-' for '_'"""


class Argument(NamedTuple):
    """What the command line shows of a parameter that is given by its place."""

    help: str


class App:
    """A group of commands, each a function or a group itself."""

    def __init__(self, help: str, alone: Callable[[], None] | None = None):
        """`alone` is called where the group is named without one of its commands; None prints the group's help."""
        self.help, self.alone = help, alone
        self.commands: dict[str, Callable[..., None] | App] = {}

    def command(self, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Adds a function under a name; it stays as it is."""

        def added(function: Callable[..., None]) -> Callable[..., None]:
            self.commands[name] = function
            return function

        return added


class _Parser(argparse.ArgumentParser):
    """Errors go to the entry point as one line."""

    def error(self, message: str) -> typing.NoReturn:
        """Raises ValueError in place of printing the usage."""
        raise ValueError(f"{message} ({self.prog} --help says what there is)")


def columns() -> int:
    """Of the terminal, or what COLUMNS says; the widest where the output is no terminal."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return max(20, min(shutil.get_terminal_size().columns, WIDEST))
    return WIDEST


def run(app: App, words: Sequence[str], program: str, version: str) -> None:
    """Calls the command that the words name.

    Args:
        app: all commands.
        words: of the command line, without the program.
        program: its name.
        version: what `--version` prints.

    Raises:
        ValueError: a word that is no command or option, or no value of its option.
        SystemExit: after `--help` or `--version`.
    """
    parser = _Parser(prog=program, **_looks(app.help))
    parser.add_argument("--version", action="version", version=version, help="Print the version.")
    _add(parser, app)
    given, unknown = parser.parse_known_args(list(words))
    chosen: argparse.ArgumentParser = given.parser
    if unknown:
        known = [name for _, name in _shown(given.call)] if given.call else []
        near = difflib.get_close_matches(unknown[0].split("=")[0], known, 1)
        chosen.error(f"no option {unknown[0]}{f'; did you mean {near[0]}?' if near else ''}")
    if given.call is None:
        chosen.print_help()
        sys.exit(2)
    given.call(**{name: getattr(given, name) for name, _ in _shown(given.call)})


def _shown(function: Callable[..., None]) -> list[tuple[str, str]]:
    """The parameters of a command, and their options."""
    hints = typing.get_type_hints(function, include_extras=True)
    named = {
        name: getattr(typing.get_args(hint)[1], "name", "")
        for name, hint in hints.items()
        if name != "return"
    }
    return [(name, option or f"--{name.replace('_', '-')}") for name, option in named.items()]


def kinds_of(function: Callable[..., None]) -> dict[str, type]:
    """The parameters of a command and their types, `list` for one that may be given several times."""
    hints = typing.get_type_hints(function, include_extras=True)
    kinds = {
        name: _without_none(typing.get_args(hint)[0]) for name, hint in hints.items() if name != "return"
    }
    return {name: typing.get_origin(kind) or kind for name, kind in kinds.items()}


def _without_none(kind: Any) -> Any:
    """'int' of 'int | None'."""
    if isinstance(kind, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind


def _looks(words: str) -> dict[str, Any]:
    """What every parser has: its text, the width, and that options are written out."""
    width = columns()

    def formatter(prog: str) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(prog, max_help_position=28 if width >= NARROW else 4, width=width)

    return {"description": words.replace("%", "%%"), "formatter_class": formatter, "allow_abbrev": False}


def _add(parser: argparse.ArgumentParser, what: App | Callable[..., None]) -> None:
    """Gives a parser the commands of a group, or the parameters of a function."""
    if not isinstance(what, App):
        parser.set_defaults(call=what, parser=parser)
        hints = typing.get_type_hints(what, include_extras=True)
        for name, parameter in inspect.signature(what).parameters.items():
            _add_parameter(parser, name, hints[name], parameter.default)
        placed = [name.upper() for name, hint in hints.items() if _is_placed(hint)]
        parser.usage = " ".join(["%(prog)s [options]", *placed])
        return
    parser.set_defaults(call=what.alone, parser=parser)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", prog=parser.prog, parser_class=_Parser)
    for name, each in what.commands.items():
        words = each.help if isinstance(each, App) else " ".join((each.__doc__ or "").split())
        _add(below.add_parser(name, help=words.replace("%", "%%"), **_looks(words)), each)


def _is_placed(hint: Any) -> bool:
    """Whether a parameter is given by its place."""
    return any(isinstance(part, Argument) for part in typing.get_args(hint))


def _add_parameter(parser: argparse.ArgumentParser, name: str, hint: Any, default: Any) -> None:
    """One option or argument, by the type and the words of a parameter."""
    kind, shown = typing.get_args(hint)[:2]
    options: dict[str, Any] = {"default": None if default is inspect.Parameter.empty else default}
    kind = _without_none(kind)
    if typing.get_origin(kind) is list:
        options["action"], kind = "append", typing.get_args(kind)[0]
    if kind is bool:
        options["action"] = "store_true"
    else:
        options["type"], options["metavar"] = kind, kind.__name__.upper().replace("STR", "TEXT")
    told = default not in (inspect.Parameter.empty, None, False) and "[default" not in shown.help
    options["help"] = (f"{shown.help} [default: {default}]" if told else shown.help).replace("%", "%%")
    if isinstance(shown, Argument):
        parser.add_argument(name, **{**options, "metavar": name.upper()})
        return
    if default is inspect.Parameter.empty:
        options["required"] = True
    parser.add_argument(shown.name or f"--{name.replace('_', '-')}", dest=name, **options)
