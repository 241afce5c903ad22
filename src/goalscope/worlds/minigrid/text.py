"""MiniGrid levels as text: four lines about the agent, what else the level's rule speaks of, then the squares.

After `agent`, `carries`, `wants` and `over` there may be `target ROW COLUMN` and `mission WORDS`.

A square is `.` (empty), `#` (grey wall) or a letter and a colour: `W` wall, `F` floor, `K` key, `A` ball, `B` box (`Br(Ky)`
holds a yellow key), `G` goal, `V` lava, `D` door with `o` open, `c` closed or `l` locked. Colours are `r` red, `g` green,
`b` blue, `p` purple, `y` yellow, `e` grey.
"""

from __future__ import annotations

import re

import numpy as np

from goalscope.worlds.minigrid.state import Facing, Kind, MiniGridState, mission_array

KINDS = dict(zip("WFDKABGV", (k for k in Kind if k != Kind.EMPTY), strict=True))
LETTERS = {int(kind): letter for letter, kind in KINDS.items()}
COLOURS, DOORS = "rgbpye", "ocl"
HEAD = ("agent", "carries", "wants", "over")


def level_text(state: MiniGridState, i: int, mission: str = "") -> str:
    """Level i as text; `mission` is one that need not be said, as all levels have it."""
    row, column, facing = map(int, state.agent[i])
    kind, colour, *held = map(int, state.carries[i])
    lines = [
        f"agent {row} {column} {Facing(facing).name.lower()}",
        f"carries {_word(kind, colour, 0, held) if kind else '-'}",
        f"wants {LETTERS[int(state.wants[i, 0])] + COLOURS[state.wants[i, 1]] if state.wants[i, 0] else '-'}",
        f"over {'yes' if state.over[i] else 'no'}",
    ]
    if state.target[i, 0] >= 0:
        lines.append("target {} {}".format(*state.target[i]))
    if (said := state.mission[i].decode()) != mission:
        lines.append(f"mission {said}")
    words = [
        [_word(*map(int, cell), held=list(map(int, held))) for cell, held in zip(cells, inside, strict=True)]
        for cells, inside in zip(state.cells[i], state.inside[i], strict=True)
    ]
    wide = max(len(word) for line in words for word in line)
    return "\n".join([*lines, *(" ".join(word.ljust(wide) for word in line).rstrip() for line in words)])


def _word(kind: int, colour: int, status: int, held: list[int]) -> str:
    if kind == Kind.EMPTY:
        return "."
    if kind == Kind.WALL and COLOURS[colour] == "e":
        return "#"
    word = LETTERS[kind] + COLOURS[colour] + (DOORS[status] if kind == Kind.DOOR else "")
    return f"{word}({LETTERS[held[0]]}{COLOURS[held[1]]})" if held[0] else word


def parse_level(text: str, mission: str = "") -> MiniGridState:
    """One level from its text; `mission` is its mission where the text says none.

    Raises:
        ValueError: with line and column, for a missing or unknown first line, an unknown word, rows of different lengths,
            an agent or target outside the grid.
    """
    lines = text.strip("\n").split("\n")
    if len(lines) < 5:
        raise ValueError(f"line {len(lines)}: four lines ({', '.join(HEAD)}) and then the squares are wanted")
    said = [_said(lines[i], i, name) for i, name in enumerate(HEAD)]
    first, target = len(HEAD), None
    if lines[first].startswith("target "):
        target = _said(lines[first], first, "target").split()
        first += 1
    if first < len(lines) and (lines[first] + " ").startswith("mission "):
        mission = lines[first].removeprefix("mission").strip()
        first += 1
    rows = [
        [_square(word.group(), i, word.start()) for word in re.finditer(r"\S+", line)]
        for i, line in enumerate(lines[first:], first)
    ]
    for i, row in enumerate(rows, first):
        if not row or len(row) != len(rows[0]):
            raise ValueError(f"line {i + 1}: {len(row)} squares where the first row has {len(rows[0])}")
    if not rows:
        raise ValueError(f"line {first}: no squares follow")
    grid = np.array(rows, np.uint8)
    if target is not None:
        _check_target(target, grid.shape)
    if not re.fullmatch(r"\d+ \d+ (right|down|left|up)", said[0]):
        raise ValueError(f"line 1, column 7: {said[0]!r} is no ROW COLUMN FACING (right, down, left or up)")
    row, column, facing = said[0].split()
    if int(row) >= grid.shape[0] or int(column) >= grid.shape[1]:
        raise ValueError(
            f"line 1, column 7: the agent at {row} {column} is outside the {grid.shape[0]} x {grid.shape[1]} squares"
        )
    carried = [0] * 5 if said[1] == "-" else _square(said[1], 1, 8)
    if carried[0] and carried[0] not in (Kind.KEY, Kind.BALL, Kind.BOX):
        raise ValueError(f"line 2, column 9: {said[1]!r} cannot be carried: a key, ball or box can")
    wanted = [0, 0] if said[2] == "-" else _two(said[2], 2, 6)
    if said[3] not in ("yes", "no"):
        raise ValueError(f"line 4, column 6: {said[3]!r} is neither yes nor no")
    return MiniGridState(
        cells=grid[None, :, :, :3].copy(),
        inside=grid[None, :, :, 3:].copy(),
        agent=np.array([[int(row), int(column), Facing[facing.upper()]]], np.int16),
        carries=np.array([[*carried[:2], *carried[3:]]], np.uint8),
        wants=np.array([wanted], np.uint8),
        target=np.array([list(map(int, target or (-1, -1)))], np.int16),
        mission=mission_array(mission),
        over=np.array([said[3] == "yes"]),
    )


def _check_target(said: list[str], shape: tuple[int, ...]) -> None:
    numbers = len(said) == 2 and all(word.isdecimal() for word in said)
    if not numbers or int(said[0]) >= shape[0] or int(said[1]) >= shape[1]:
        raise ValueError(
            f"line 5, column 8: {' '.join(said)!r} is no ROW COLUMN of the {shape[0]} x {shape[1]} squares"
        )


def _said(line: str, i: int, name: str) -> str:
    first, _, rest = line.partition(" ")
    if first != name or not rest.strip():
        raise ValueError(f"line {i + 1}, column 1: {line!r:.40} where '{name} ...' is wanted")
    return rest.strip()


def _two(word: str, i: int, at: int) -> list[int]:
    if len(word) != 2 or word[0] not in KINDS or word[1] not in COLOURS:
        raise ValueError(
            f"line {i + 1}, column {at + 1}: {word!r} is no thing: one of {''.join(KINDS)} and a colour of {COLOURS}"
        )
    return [int(KINDS[word[0]]), COLOURS.index(word[1])]


def _square(word: str, i: int, at: int) -> list[int]:
    """Kind, colour, status, kind and colour held."""
    if word in (".", "#"):
        return [Kind.EMPTY, 0, 0, 0, 0] if word == "." else [Kind.WALL, 5, 0, 0, 0]
    kind, colour = _two(word[:2], i, at)
    rest = word[2:]
    if kind == Kind.DOOR and len(rest) == 1 and rest in DOORS:
        return [kind, colour, DOORS.index(rest), 0, 0]
    if kind == Kind.BOX and re.fullmatch(r"\([KA][rgbpye]\)", rest):
        return [kind, colour, 0, *_two(rest[1:3], i, at + 3)]
    if rest or kind == Kind.DOOR:
        raise ValueError(
            f"line {i + 1}, column {at + 1}: {word!r} is no square: doors end in o, c or l, boxes may in (Ky)"
        )
    return [kind, colour, 0, 0, 0]
