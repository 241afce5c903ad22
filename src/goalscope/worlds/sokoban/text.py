"""Sokoban levels and solutions as text: XSB and Boxoban files in, XSB and Boxoban out, LURD both ways.

A board is a run of lines of '#' wall, ' ', '-' or '_' floor, '@' player, '+' player on a goal, '$' box, '*' box on a
goal, '.' goal; rows may be run-length encoded ('3#-$2.' is '###-$..') and joined by '|'. Whatever stands between
boards is names: '; 12' (Boxoban), 'Title: ...', 'Author: ...', or any other line. A board ends at a blank line or a note; a
line of it that is neither is a row, whatever else stands in it (`_is_note`). Outside the walls, floor and boxes on goals
become wall.
Levels of different size are stacked by putting walls around the smaller ones (`stack`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from goalscope.files import read_text
from goalscope.showing import drawing, text
from goalscope.worlds.contract import concatenate
from goalscope.worlds.sokoban.state import SokobanState

_KNOWN = "#@+$*.-_ "
_FLOOR = "-_ "
_THINGS_AND_WALLS = "#@+$*."
_RUNS = "0123456789|"
_KIND = "'#' wall, ' ' '-' '_' floor, '@' player, '+' player on a goal, '$' box, '*' box on a goal, '.' goal"
_KEYED = re.compile(r"([A-Za-z][A-Za-z ]{0,30}):(.*)")
"""a note of a level, key and value"""
_WORD = re.compile(r"[^\W\d_]{3}")
"""in a line of prose; no more than two letters in a row are taken for typing errors in a board"""
_COMMENT = re.compile(r"comment:", re.IGNORECASE)
_COMMENT_END = re.compile(r"comment[-_ ]?end:?", re.IGNORECASE)
"""between these two lines nothing is a board (the .sok format of Sokoban YASC)"""
_WIDE = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: " ", 0xA0: " "}
"""characters of full width, and the blanks of web pages, as those that they stand for"""
_BEYOND = "~"
"""stands for what lies after the end of a row"""
_LARGEST_RUN = 1000
"""squares that one run-length may stand for; more is a typing error (or an attack on memory)"""


@dataclass(frozen=True)
class Level:
    """One level of a text."""

    __repr__, _repr_html_ = text, drawing
    name: str
    """its title, or "level K" counted from 1"""
    line: int
    """where its board begins, counted from 1"""
    state: SokobanState
    """N = 1, of the level's own size"""
    notes: dict[str, str] = field(default_factory=dict)
    """what else is said of it by key in lower case: title, author, solution (LURD), comment, ..."""


@dataclass(frozen=True)
class LevelFile:
    """All levels of a text; those that could not be read are named, never dropped in silence."""

    __repr__, _repr_html_ = text, drawing

    levels: tuple[Level, ...]
    """the good ones, in order"""
    errors: tuple[str, ...]
    """one message for each bad one: its name, line, column and what is wrong"""

    def states(self, size: tuple[int, int] | None = None) -> SokobanState:
        """All levels as one batch, smaller ones centred in walls; see `stack`."""
        return stack([level.state for level in self.levels], size)


class _Cell(NamedTuple):
    character: str
    line: int
    column: int


@dataclass
class _Draft:
    """A level while its text is being read."""

    line: int = 0
    rows: list[list[_Cell]] = field(default_factory=list)
    error: str = ""
    notes: dict[str, str] = field(default_factory=dict)


def read_levels(text: str) -> LevelFile:
    """Every level of a text; bad ones are reported in `errors` and the others kept.

    Raises:
        ValueError: the text holds no board at all.
    """
    levels, errors = [], []
    for number, draft in enumerate(_drafts(text), 1):
        name = draft.notes.get("title") or f"level {number}"
        try:
            if draft.error:
                raise ValueError(draft.error)
            levels.append(Level(name, draft.line, _board(draft.rows), draft.notes))
        except ValueError as error:
            errors.append(f"level {number} ({name!r}): {error}")
    if not levels and not errors:
        what = "is empty" if not text.strip() else "has no board"
        raise ValueError(f"the Sokoban text {what}: draw levels with {_KIND}")
    return LevelFile(tuple(levels), tuple(errors))


def read_level_file(path: str | Path) -> LevelFile:
    """`read_levels` of a file in UTF-8, UTF-16 or Windows-1252.

    Raises:
        ValueError: it is no text or has no level; the message names the file.
    """
    text = read_text(path, windows=True)
    try:
        return read_levels(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_level(text: str, size: tuple[int, int] | None = None) -> SokobanState:
    """The one level of a text, centred in walls of `size` (H, W) (its own size where None).

    Raises:
        ValueError: with line and column, for unknown characters, no player or two, more boxes than goals or
            fewer, no box, walls that are not closed; for no level or several, and one larger than `size`.
    """
    found = read_levels(text)
    count = len(found.levels) + len(found.errors)
    if count > 1:
        raise ValueError(f"the text has {count} levels, expected one: read it with read_levels")
    if found.errors:
        raise ValueError(found.errors[0].split(": ", 1)[1])
    return stack([found.levels[0].state], size)


def stack(states: Sequence[SokobanState], size: tuple[int, int] | None = None) -> SokobanState:
    """One batch of levels of different sizes: each centred in walls of `size` (H, W).

    Args:
        states: batches, each with levels of one size.
        size: None is the largest height by the largest width that occurs.

    Raises:
        ValueError: nothing to stack, or a level larger than `size`.
    """
    if not states:
        raise ValueError("there is no level to stack")
    shapes = [state.walls.shape[1:] for state in states]
    height, width = size or (max(h for h, _ in shapes), max(w for _, w in shapes))
    padded = []
    for i, (state, (h, w)) in enumerate(zip(states, shapes, strict=True)):
        if h > height or w > width:
            which = f"level {i}" if len(states) > 1 else "the level"
            raise ValueError(
                f"{which} is {h} x {w}, larger than the {height} x {width} that this world or policy takes"
            )
        above, left = (height - h) // 2, (width - w) // 2
        around = ((0, 0), (above, height - h - above), (left, width - w - left))
        padded.append(
            SokobanState(
                np.pad(state.walls, around, constant_values=True),
                np.pad(state.goals, around),
                np.pad(state.boxes, around),
                state.player + np.array([above, left], np.int16),
            )
        )
    return concatenate(padded)


def level_text(state: SokobanState, index: int = 0) -> str:
    """The XSB text of one level of a batch, H lines of W characters."""
    walls, goals, boxes = state.walls[index], state.goals[index], state.boxes[index]
    grid = np.array(list(" .$*"))[goals + 2 * boxes]
    grid[walls] = "#"
    row, column = state.player[index]
    grid[row, column] = "+" if goals[row, column] else "@"
    return "\n".join("".join(line) for line in grid)


def levels_text(state: SokobanState, names: Iterable[object] | None = None) -> str:
    """The text of a Boxoban file: every level under a line '; name' (its number from 0 where `names` is None)."""
    titles = list(range(len(state)) if names is None else names)
    if len(titles) != len(state):
        raise ValueError(f"{len(titles)} names for {len(state)} levels")
    for title in titles:
        if len(str(title).splitlines()) > 1:
            raise ValueError(f"a level's name must be one line, got {title!r}")
    return "".join(f"; {title}\n{level_text(state, i)}\n\n" for i, title in enumerate(titles))


def _drafts(text: str) -> Iterator[_Draft]:
    """The boards of a text with what is said of them.

    A note is of the board that it touches; one that touches both or none is of the board above, unless that has such a one.
    """
    current, coming, last_key = _Draft(), {}, ""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").translate(_WIDE)
    lines = plain.split("\n")
    kinds = _kinds(lines)
    for number, (line, kind) in enumerate(zip(lines, kinds, strict=True), 1):
        if kind == "row":
            if number == 1 or kinds[number - 2] != "row":
                if current.line:
                    yield current
                current, coming, last_key = _Draft(number, notes=coming), {}, ""
            _read_row(current, line, number)
            continue
        words = line.strip(" \t-_=;:'\"")
        if not words:
            continue
        key, value = _note(line.strip(), words, last_key)
        above, below = _touches(kinds, number - 1)
        follows = key == last_key and key in ("solution", "comment")
        taken = key in current.notes and not follows
        fresh = not current.line or bool(coming) or (below and not above) or (taken and (below or not above))
        notes = coming if fresh else current.notes
        if taken and not fresh:  # what is said of a board twice is kept; the first is its title
            key = next(f"{key} {k}" for k in range(2, len(lines) + 2) if f"{key} {k}" not in notes)
        if follows and key in notes:
            value = notes[key] + ("" if key == "solution" else "\n") + value
        notes[key] = value
        last_key = key
    if current.line:
        yield current


def _kinds(lines: Sequence[str]) -> list[str]:
    """What each line is: 'row', 'note' or 'blank'.

    Lines of floor alone part boards from each other, but are rows of a board where one side of them is decoration.
    """
    kinds, inside, until = [], False, -1
    for i, line in enumerate(lines):
        if until < i and _COMMENT.fullmatch(line.strip()):
            until = next((k for k in range(i + 1, len(lines)) if _COMMENT_END.match(lines[k].strip())), -1)
        inside = i > until and _is_row(line, inside)
        kinds.append(
            "row" if inside else "note" if line.strip(_FLOOR) else "gap" if line and i > until else "blank"
        )
    i = 0
    while i < len(kinds):
        end = next((k for k in range(i, len(kinds)) if kinds[k] != "gap"), len(kinds))
        if kinds[i] == "gap" and i > 0 and end < len(kinds) and kinds[i - 1] == kinds[end] == "row":
            start = next((k + 1 for k in range(i - 1, -1, -1) if kinds[k] != "row"), 0)
            stop = next((k for k in range(end, len(kinds)) if kinds[k] != "row"), len(kinds))
            if _is_decoration(lines[start:i]) or _is_decoration(lines[end:stop]):
                kinds[i:end] = ["row"] * (end - i)
        i = max(end, i + 1)
    return ["blank" if kind == "gap" else kind for kind in kinds]


def _is_decoration(rows: Sequence[str]) -> bool:
    """Walls, floor and boxes on goals only: no level, so part of the one that it stands beside."""
    return not set("".join(rows)) - set("#*" + _FLOOR + _RUNS)


def _touches(kinds: Sequence[str], i: int) -> tuple[bool, bool]:
    """Whether the notes around line i reach up to the row of a board, and down to one, with no blank line between."""
    above = next((kinds[k] for k in range(i, -1, -1) if kinds[k] != "note"), "")
    below = next((kinds[k] for k in range(i, len(kinds)) if kinds[k] != "note"), "")
    return above == "row", below == "row"


def _note(line: str, words: str, last_key: str) -> tuple[str, str]:
    """Key and value of a line between boards."""
    if line.startswith(";"):
        return "title", words
    named = _KEYED.match(line)
    if named:
        return named[1].strip().lower(), named[2].strip()
    if last_key == "solution" and re.fullmatch("[lurdLURD0-9]+", line):
        return "solution", line
    return ("solution", "") if line.lower() == "solution" else ("comment", words)


def _is_row(line: str, inside: bool) -> bool:
    """Whether a line is a row of a board. One that begins like a row is, so its unknown characters are found."""
    bare = line.strip(_FLOOR + _RUNS)
    if not bare:
        return False
    if bare[0] == "#" or not set(bare) - set(_KNOWN + _RUNS):
        return True
    return inside and (bare[0] in _KNOWN or not _is_note(line.strip()))


def _is_note(line: str) -> bool:
    """Whether a line right below a board's row is about it: '; ...', 'key: value', words, or nothing of a board.

    All else is a row: were it not, one unknown character at its beginning would cut the level in two.
    """
    if line.startswith(";") or _KEYED.match(line) or _WORD.search(line):
        return True
    return not set(line) & set(_THINGS_AND_WALLS)


def _read_row(draft: _Draft, line: str, number: int) -> None:
    """Adds the rows of one line to a draft, or the error in it."""
    row, run = [], ""
    for column, character in enumerate(line.rstrip(), 1):
        where = f"line {number}, column {column}"
        if character.isascii() and character.isdigit():
            run += character
        elif character == "|" and not run:
            draft.rows.append(row)
            row = []
        elif character not in _KNOWN:
            what = f"run-length {run!r} of {character!r}" if run else f"unknown character {character!r}"
            draft.error = draft.error or f"{where}: {what}; known are {_KIND}"
            return
        elif len(run) > 4 or int(run or 1) > _LARGEST_RUN:
            draft.error = draft.error or f"{where}: run-length {run[:9]} exceeds {_LARGEST_RUN}"
            return
        else:
            row += [_Cell(character, number, column)] * int(run or 1)
            run = ""
    if run:
        draft.error = draft.error or f"line {number}: the run-length {run!r} at the end has no character"
    if row or not line.rstrip().endswith("|"):
        draft.rows.append(row)


def _board(rows: list[list[_Cell]]) -> SokobanState:
    """The state of a board; raises ValueError with line and column."""
    cells = [cell for row in rows for cell in row]
    things = {kind: [c for c in cells if c.character in letters] for kind, letters in _THINGS.items()}
    first = rows[0][0].line if rows[0] else 0
    players, boxes, goals = (things[kind] for kind in ("player", "box", "goal"))
    if not players:
        raise ValueError(f"the level at line {first} has no player: put one '@' (or '+' on a goal)")
    if len(players) > 1:
        a, b = players[:2]
        raise ValueError(
            f"line {b.line}, column {b.column}: a second player; the first is at line {a.line}, column {a.column}"
        )
    if len(boxes) != len(goals):
        more = ("boxes", "goals") if len(boxes) > len(goals) else ("goals", "boxes")
        extra = (boxes if len(boxes) > len(goals) else goals)[min(len(boxes), len(goals))]
        raise ValueError(
            f"line {extra.line}, column {extra.column}: more {more[0]} than {more[1]} "
            f"({len(boxes)} boxes, {len(goals)} goals)"
        )
    if not boxes:
        raise ValueError(f"the level at line {first} has no boxes: put as many '$' as '.'")
    grid = np.full((len(rows), max(map(len, rows))), _BEYOND)
    for i, row in enumerate(rows):
        grid[i, : len(row)] = [cell.character for cell in row]
    return _enclosed(grid, rows)


_THINGS = {"player": "@+", "box": "$*", "goal": ".*+"}


def _enclosed(grid: np.ndarray, rows: list[list[_Cell]]) -> SokobanState:
    """The state of a grid of characters (`_BEYOND` after the end of a row), once its walls are closed."""
    open_, _ = ndimage.label(np.pad(grid != "#", 1, constant_values=True))  # type: ignore[misc]
    outside = open_[1:-1, 1:-1] == open_[0, 0]
    for kind, letters in _THINGS.items():
        out = np.argwhere(np.isin(grid, list(letters)) & outside)
        if kind == "player" and len(out):
            leak = _leak(grid, tuple(out[0]))
            cell = rows[leak[0]][leak[1]]
            raise ValueError(
                f"line {cell.line}, column {cell.column}: the walls are not closed: the player gets out here"
            )
        # Boxes on goals out there are decoration, which nobody can reach; a box or a goal alone is a mistake.
        out = [square for square in out if grid[tuple(square)] != "*"]
        if len(out):
            cell = rows[out[0][0]][out[0][1]]
            raise ValueError(f"line {cell.line}, column {cell.column}: a {kind} outside the walls")
    used = np.argwhere(grid == "#")
    (top, left), (bottom, right) = used.min(0), used.max(0) + 1
    grid, outside = grid[top:bottom, left:right], outside[top:bottom, left:right]
    walls = (grid == "#") | outside
    goals, boxes, player = (np.isin(grid, list(_THINGS[kind])) & ~walls for kind in ("goal", "box", "player"))
    if not boxes.any():
        raise ValueError(
            f"the level at line {rows[0][0].line if rows[0] else 0} has no boxes inside its walls"
        )
    return SokobanState(walls[None], goals[None], boxes[None], np.argwhere(player).astype(np.int16))


def _leak(grid: np.ndarray, start: tuple[int, int]) -> tuple[int, int]:
    """The nearest square from which a step leads out of the text."""
    queue, seen = [start], {start}
    for row, column in queue:
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= r < grid.shape[0] and 0 <= c < grid.shape[1]) or grid[r, c] == _BEYOND:
                return row, column
            if grid[r, c] != "#" and (r, c) not in seen:
                seen.add((r, c))
                queue.append((r, c))
    return start
