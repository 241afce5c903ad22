"""The file of a sweep: which policies, studies, seeds and options, and the cells that this makes.

out = "runs/sweep"                  # where the run folders go; runs/NAME-OF-THE-FILE if left out

[[train]]                           # any number of trainings
train = "maze"                      # as in `goalscope train maze`
name = "corner"                     # studies call its policies "@corner"
seeds = [1, 2]
cheese_region = [1, 3]              # an option of the training: one value, or a list of values to go through

[[study]]                           # any number of studies
study = "maze"                      # as in `goalscope study maze`
policies = ["mouse-topright", "checkpoints/*.safetensors", "@corner"]
seeds = [0, 1, 2]                   # [0] if left out
levels = [100, 500]                 # an option of the study
"""

from __future__ import annotations

import glob
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from goalscope.evidence.toml_lines import At, Lines
from goalscope.files import read_text
from goalscope.policies.names import located, named
from goalscope.studies.run import NEEDED
from goalscope.sweep.content import digits_of, files_of

Known = Mapping[str, Mapping[str, type]]
"""study or training -> its options and their types; `list` is of texts"""
STUDY, TRAIN = "study", "train"
_OWN = {STUDY: (STUDY, "policies", "seeds"), TRAIN: (TRAIN, "name", "seeds")}
"""keys of a table beside the options of the study or training"""
_LONGEST = 60
"""letters of a policy in the name of a folder"""


@dataclass(frozen=True)
class Cell:
    """One study of one policy, or one training, with all its options."""

    name: str
    """of its folder"""
    kind: str
    """'study' or 'train'"""
    what: str
    """which study or training"""
    policy: str
    """of a study, as given; '@NAME' became the folder of a policy that a training of this sweep makes"""
    label: str
    """what its findings call the policy; of a training its own name"""
    seed: int
    options: Mapping[str, Any]
    """those that the file gives"""
    needs: str = ""
    """name of the training that must be finished before; may be empty"""


@dataclass(frozen=True)
class Grid:
    """What a file asks for."""

    out: str
    """the folder of all cells"""
    cells: tuple[Cell, ...]
    """trainings first; no two of the same name"""


def read_grid(path: str, studies: Known, trainings: Known) -> Grid:
    """Reads and checks a file.

    Args:
        path: of the file.
        studies, trainings: what there is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: with file and line: no TOML, a key, study, training, option or policy that is not known (with what
            comes near), a value of another type.
    """
    text = read_text(path)
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    lines = Lines(text, path)
    for key in tables:
        if key not in ("out", STUDY, TRAIN):
            at = lines.of(key, 0) if key in lines.tables else lines.top
            raise ValueError(f"{at(key)}: unknown key {_near(key, ('out', STUDY, TRAIN))}")
    out = tables.get("out", f"runs/{Path(path).stem}")
    if not isinstance(out, str) or not out:
        raise ValueError(f'{lines.top("out")}: out = "FOLDER" is where the run folders go, got {out!r}')
    made: dict[str, list[Cell]] = {}
    for table, at in _tables(tables, TRAIN, lines):
        name, cells = _trainings(table, at, trainings)
        if name in made:
            raise ValueError(f"{at('name')}: two trainings are called {name!r}")
        made[name] = cells
    found = [cell for cells in made.values() for cell in cells]
    for table, at in _tables(tables, STUDY, lines):
        found += _studies(table, at, studies, made, out)
    if not found:
        raise ValueError(f"{path}: write [[study]] or [[train]], once for each; there is none")
    return Grid(out, tuple({cell.name: cell for cell in found}.values()))


def _tables(tables: Mapping[str, Any], kind: str, lines: Lines) -> Iterator[tuple[dict[str, Any], At]]:
    found = tables.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise ValueError(f"{lines.top(kind)}: write [[{kind}]] with two brackets, once for each")
    return zip(found, (lines.of(kind, i) for i in range(len(found))), strict=True)


def _trainings(table: Mapping[str, Any], at: At, known: Known) -> tuple[str, list[Cell]]:
    """The name of a training, and its cells."""
    what, name = _which(table, TRAIN, at, known), table.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(f'{at("name")}: a training needs name = "...", of letters, digits, -, _ and .')
    cells = []
    for seed, options in itertools.product(_seeds(table, at), _combined(table, TRAIN, what, at, known)):
        digits = digits_of(TRAIN, what, seed, options, _checked(options, at))
        folder = f"{name}-{seed}-{digits}"
        cells.append(Cell(folder, TRAIN, what, "", folder, seed, options))
    return name, cells


def _studies(
    table: Mapping[str, Any], at: At, known: Known, trained: Mapping[str, Sequence[Cell]], out: str
) -> Iterator[Cell]:
    """The cells of one study."""
    what = _which(table, STUDY, at, known)
    policies = table.get("policies")
    if not isinstance(policies, list) or not policies or not all(isinstance(p, str) and p for p in policies):
        raise ValueError(f'{at("policies")}: policies = ["NAME or path", ...] says what is studied')
    for option in NEEDED.get(what, ()):
        if option not in table:
            raise ValueError(f"{at()}: study {what} needs the option {option!r}")
    options = list(_combined(table, STUDY, what, at, known))
    files = [_checked(each, at) for each in options]
    for policy, label, content, needs in _subjects(policies, at, trained, out):
        short = re.sub(r"[^A-Za-z0-9._@-]", "_", label)[:_LONGEST]
        for seed, (given, there) in itertools.product(_seeds(table, at), zip(options, files, strict=True)):
            digits = digits_of(STUDY, what, label, content, seed, given, there)
            # A trained policy's name has its own digits, which are enough.
            yield Cell(f"{what}-{short}-{seed}-{digits}", STUDY, what, policy, label, seed, given, needs)


def _subjects(
    policies: Sequence[str], at: At, trained: Mapping[str, Sequence[Cell]], out: str
) -> Iterator[tuple[str, str, Any, str]]:
    """(policy, what findings call it, digits of its content, training that makes it) of every policy that is meant."""
    for given in policies:
        if given.startswith("@"):
            if given[1:] not in trained:
                raise ValueError(f"{at('policies')}: no training is called {_near(given[1:], trained)}")
            for cell in trained[given[1:]]:
                yield str(Path(out, cell.name, cell.name)), cell.name, cell.name, cell.name
            continue
        some = any(sign in given for sign in "*?[")
        paths = sorted(glob.glob(given, recursive=True)) if some else [given]
        if not paths:
            raise ValueError(f"{at('policies')}: no file is like {given}")
        for path in paths:
            content = _checked({"policy": path}, at, "policies")
            label = path.rpartition(":")[2] if ".py:" in path else named(located(path))
            yield path, label, content, ""


def _which(table: Mapping[str, Any], kind: str, at: At, known: Known) -> str:
    """The study or training of a table."""
    what = table.get(kind)
    if not isinstance(what, str):
        raise ValueError(f'{at(kind)}: write {kind} = "NAME", one of {", ".join(known)}')
    if what not in known:
        raise ValueError(f"{at(kind)}: there is no {kind} {_near(what, known)}")
    return what


def _seeds(table: Mapping[str, Any], at: At) -> list[int]:
    seeds = table.get("seeds", [0])
    whole = isinstance(seeds, list) and all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    if not whole or not seeds:
        raise ValueError(f"{at('seeds')}: seeds = [0, 1, ...] must be whole numbers from 0, got {seeds!r}")
    return seeds


def _combined(
    table: Mapping[str, Any], kind: str, what: str, at: At, known: Known
) -> Iterator[dict[str, Any]]:
    """Every combination of the options' values."""
    options = known[what]
    values: dict[str, list[Any]] = {}
    for key, value in table.items():
        if key in _OWN[kind]:
            continue
        if key not in options:
            raise ValueError(f"{at(key)}: {kind} {what} has no option {_near(key, (*_OWN[kind], *options))}")
        wanted = options[key]
        several = isinstance(value, list) and (wanted is not list or any(isinstance(v, list) for v in value))
        values[key] = value if several else [value]
        for each in values[key]:
            if not _is(each, wanted):
                words = "texts" if wanted is list else wanted.__name__
                raise ValueError(f"{at(key)}: {key} must be {words}, got {each!r}")
        if not values[key]:
            raise ValueError(f"{at(key)}: {key} has no value")
    for combination in itertools.product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def _is(value: Any, wanted: type) -> bool:
    if wanted is list:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return type(value) is wanted or (wanted is float and type(value) is int)


def _checked(options: Mapping[str, Any], at: At, key: str = "") -> dict[str, str]:
    """`files_of`, with the line where a policy is named that is not there."""
    try:
        return files_of(options)
    except (KeyError, FileNotFoundError, ValueError) as error:
        wrong = key or next((name for name in ("policy", "weak", "blank") if name in options), "")
        raise ValueError(f"{at(wrong)}: {error.args[0] if error.args else error}") from error


def _near(word: str, known: Any) -> str:
    """'levls'; did you mean 'levels'?"""
    close = get_close_matches(str(word), list(known), 1)
    there = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
    return f"{str(word)!r}; {there}"
