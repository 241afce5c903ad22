"""What every part of the Sokoban study shares: the networks, the level sets, the sites, and how many of each.

A *look* is one forward of the network; a network with memory may look several times before its first move. Within a look
a recurrent layer runs for several *ticks*; each of them is a site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.drc import DRC
from goalscope.policies.names import packaged
from goalscope.policies.resnet import ResNet, parameters
from goalscope.studies.about import About
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban, SokobanState, solved
from goalscope.worlds.sokoban.solver import Outcome, solve
from goalscope.worlds.sokoban.text import level_text, read_level_file, stack

ALL = "all"
THINKING = (0, 1, 2, 4, 8, 16)
"""looks at the start before the first move"""
FIRST_LEVEL = 2_000_000
"""number of the first generated level: far from those that trainings and model cards use"""
NODES = 5_000
"""positions within which a level of a file that has no solution is found out; one that takes more is kept"""
SLOW = 250_000
"""parameters from which a network counts as slow"""


@dataclass(frozen=True)
class Sizes:
    """How many levels each part uses."""

    levels: int
    """generated ones of the policy's own size, at every number of looks"""
    others: int
    """of each further generated set"""
    file: int
    """of a level file, at most"""
    episodes: int
    """whose episodes the plan probes are fitted to and judged on"""
    first: int
    """whose first looks are followed tick by tick; as many again, twice, fit the probes of those looks"""
    shortcuts: int
    """of each family that a longer way is written into, each in eight symmetries"""
    chosen: int
    """further ones of each family, on which layer and strength are chosen"""
    random: int
    """random vectors beside each written plan"""


FULL = Sizes(300, 100, 1000, 400, 150, 25, 20, 3)
MIDDLE = Sizes(100, 40, 300, 90, 60, 25, 8, 1)
"""of a slow network"""
QUICK = Sizes(60, 24, 60, 60, 30, 8, 3, 1)
SHORT = Sizes(40, 16, 40, 40, 20, 8, 2, 1)
"""of a slow network in a quick study"""


@dataclass(frozen=True)
class Layout:
    """Where a network keeps what it knows of the squares."""

    layers: tuple[tuple[str, ...], ...]
    """from input to output, the sites of [N, C, H, W] that each layer is read from"""
    ticks: int
    """times that a layer runs within a look"""

    @property
    def parts(self) -> tuple[str, ...]:
        """What is read and written: each layer by its number, and where there are several, all of them together."""
        numbers = tuple(str(d) for d in range(len(self.layers)))
        return (*numbers, ALL) if len(numbers) > 1 else numbers

    def sites(self, part: str, tick: int) -> list[str]:
        """The sites of a part at one tick."""
        chosen = self.layers if part == ALL else (self.layers[int(part)],)
        at = f"@{tick}" if self.ticks > 1 else ""
        return [f"{site}{at}" for layer in chosen for site in layer]

    def every_site(self) -> list[str]:
        """All sites at all ticks."""
        return [
            site
            for tick in range(self.ticks)
            for d in range(len(self.layers))
            for site in self.sites(str(d), tick)
        ]

    def words(self, part: str) -> str:
        """What a part is called."""
        return "all layers" if part == ALL else f"layer {int(part) + 1}"


@dataclass(frozen=True)
class LevelSet:
    """Levels that solve rates are told of."""

    words: str
    names: tuple[str, ...]
    """[N] what each level is called"""
    groups: tuple[SokobanState, ...]
    """the levels in their order, cut where the board's size changes"""
    note: str
    """what was left out, and why; empty where nothing was"""
    thinking: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Setup:
    """A policy, what it is compared with, and the levels of the study."""

    policy: Policy
    blank: Policy
    """the untrained network of its shape"""
    plain: Policy | None
    """a trained network without memory, where one is packaged"""
    other: Policy | None
    """another trained player of Sokoban that takes these boards: `plain` where there is one, else another packaged one"""
    layout: Layout
    size: int
    boxes: int
    sizes: Sizes
    sets: dict[str, LevelSet]
    about: About

    @property
    def module(self) -> nn.Module:
        """The policy's network."""
        return self.policy.module

    def world(self, state: SokobanState) -> Sokoban:
        """The world of boards of this size, seen as the policy sees it."""
        return board_world(self.module, state)

    def levels(self, first: int, count: int) -> SokobanState:
        """Generated levels of the policy's size, by number from `FIRST_LEVEL` on."""
        world = Sokoban(self.size, self.size, self.boxes)
        return world.generate(np.arange(FIRST_LEVEL + first, FIRST_LEVEL + first + count))


def board_world(module: nn.Module, state: SokobanState) -> Sokoban:
    """The world of these boards; pixels for a network of three planes."""
    _, height, width = state.walls.shape
    return Sokoban(height, width, observation="rgb" if getattr(module, "planes", 4) == 3 else "planes")


def layout(module: nn.Module, sites: tuple[str, ...] | None) -> Layout:
    """The sites of a DRC (hidden and cell states) or a residual network, or those that the caller names for another one.

    Raises:
        ValueError: another network, and no sites.
    """
    if sites is not None:
        return Layout(tuple((site,) for site in sites), 1)
    if isinstance(module, DRC):
        cells = [f"core.cells.{d}" for d in range(module.layers)]
        return Layout(tuple((cell, f"{cell}:out.1") for cell in cells), module.ticks)
    if isinstance(module, ResNet):
        return Layout(tuple((f"blocks.{i}",) for i in range(len(module.blocks))), 1)
    raise ValueError(
        f"the Sokoban study knows the sites of the DRC and of the residual network, not of {type(module).__name__}: "
        "name those that hold [N, C, H, W] activations: --site NAME for each, in Python sites=(NAME, ...); "
        "goalscope.sites lists them"
    )


def told(policy: Policy, size: int | None, boxes: int | None) -> Policy:
    """The policy with what was said of its levels, where its config says nothing of a world.

    Args:
        policy: in question. size: side of its boards. boxes: how many.

    Raises:
        ValueError: its config says something else, or one of the two is missing.
    """
    if size is None and boxes is None:
        return policy
    said = {"name": "sokoban", "size": size, "boxes": boxes}
    world = policy.config.get("world") or said
    if None in said.values() or any(world.get(key) != value for key, value in said.items()):
        raise ValueError(
            f"--size {size} and --boxes {boxes}: both are wanted, for a policy that does not say them; of the world of "
            f"{policy.name} it is said {world}"
        )
    Sokoban(size, size, boxes)  # type: ignore[arg-type]  # its own words for what is out of range
    return replace(policy, config={**policy.config, "world": world})


def described(policy: Policy) -> tuple[int, int]:
    """(side of its boards, boxes) of the levels that a policy was made for.

    Raises:
        ValueError: a policy of another world, or one that does not say.
    """
    world = policy.config.get("world", {})
    if world.get("name") != "sokoban" or not {"size", "boxes"} <= set(world):
        raise ValueError(
            f"{policy.name} is not a Sokoban policy: its config says {world or 'nothing'} of its world; needed are name "
            "'sokoban', size and boxes; of an own network, `study sokoban` takes --size and --boxes"
        )
    return int(world["size"]), int(world["boxes"])


def sizes_of(policy: Policy, quick: bool) -> Sizes:
    """How many levels: fewer of a slow network, fewest in a quick study."""
    slow = parameters(policy.module) > SLOW
    if quick:
        return SHORT if slow else QUICK
    return MIDDLE if slow else FULL


def without_memory(policy: Policy) -> Policy | None:
    """A packaged residual network of the same world, if there is one."""
    for found in packaged():
        architecture, world = found.config["architecture"]["name"], found.config.get("world")
        if architecture == "resnet" and world == policy.config["world"] and found.name != policy.name:
            return load(found.name)
    return None


def other_player(policy: Policy) -> Policy | None:
    """Another packaged player that takes boards of the policy's size, if there is one: one without memory rather."""
    if (plain := without_memory(policy)) is not None:
        return plain
    for found in packaged():
        if found.config.get("world", {}).get("name") == "sokoban" and found.name != policy.name:
            other = load(found.name)
            if getattr(other.module, "size", None) in (None, policy.config["world"]["size"]):
                return other
    return None


def level_sets(policy: Policy, sizes: Sizes, file: str | None) -> dict[str, LevelSet]:
    """The generated sets and the levels of a file.

    Raises:
        FileNotFoundError, ValueError: no such file, or no level of it fits the policy and can be solved.
    """
    size, boxes = described(policy)
    fixed = getattr(policy.module, "size", None)
    sets = {"generated": _generated(size, boxes, sizes.levels, THINKING)}
    few = tuple(THINKING[i] for i in (0, 3))
    sets["boxes"] = _generated(size, boxes + 1, sizes.others, few)
    if fixed is None:
        sets["larger"] = _generated(size + 2, boxes + 1, sizes.others, few)
        sets["largest"] = _generated(size + 4, boxes + 1, sizes.others, few)
    if file is not None:
        sets["file"] = _from_file(file, policy, size, sizes.file)
    return sets


def _generated(size: int, boxes: int, count: int, thinking: tuple[int, ...]) -> LevelSet:
    numbers = np.arange(FIRST_LEVEL, FIRST_LEVEL + count)
    note = ""
    try:
        state = Sokoban(size, size, boxes).generate(numbers)
    except ValueError:
        # So many boxes leave little room: levels of fewer pushes, then.
        state = Sokoban(size, size, boxes, min_pushes=boxes).generate(numbers)
        note = f"These need {boxes} pushes at least, not {3 * boxes} as the others do: so many boxes leave little room."
    words = f"generated levels, {size} x {size}, {boxes} {'box' if boxes == 1 else 'boxes'}"
    names = tuple(f"generated {FIRST_LEVEL + i}" for i in range(count))
    return LevelSet(words, names, (state,), note, thinking)


def _from_file(path: str, policy: Policy, size: int, most: int) -> LevelSet:
    """The levels of a file that fit and can be solved, smaller ones in walls up to the policy's size."""
    read = read_level_file(path)
    fixed = getattr(policy.module, "size", None)
    kept, left_out, beyond = [], [f"not read: {error}" for error in read.errors], 0
    for level in read.levels:
        height, width = level.state.walls.shape[1:]
        if fixed is not None and max(height, width) > fixed:
            left_out.append(f"{level.name!r} is {height} x {width}, the policy takes {fixed} x {fixed}")
        elif len(kept) == most:
            beyond += 1
        elif (fault := _no_task(level.state)) is not None:
            left_out.append(f"{level.name!r} {fault}")
        else:
            kept.append((level.name, stack([level.state], (max(height, size), max(width, size)))))
    if not kept:
        raise ValueError(f"{path}: no level fits {policy.name} and can be solved: {left_out[0]}")
    if beyond:
        left_out.append(f"{beyond} levels after the first {most}")
    # Boards of one size play together, so the levels are put in the order of their sizes.
    kept.sort(key=lambda item: item[1].walls.shape[1:])
    shapes = list(dict.fromkeys(state.walls.shape[1:] for _, state in kept))
    groups = tuple(stack([s for _, s in kept if s.walls.shape[1:] == shape]) for shape in shapes)
    note = (
        ""
        if not left_out
        else f"Left out: {'; '.join(left_out[:5])}"
        + (f"; and {len(left_out) - 5} more." if len(left_out) > 5 else ".")
    )
    return LevelSet(f"levels of {Path(path).name}", tuple(name for name, _ in kept), groups, note, THINKING)


def _no_task(state: SokobanState) -> str | None:
    """Why a level says nothing of a policy; None where it does, also where the search gives up."""
    if solved(state)[0]:
        return "is solved already"
    if state.boxes.sum() > state.goals.sum() or solve(state, NODES).outcome is Outcome.NO_SOLUTION:
        return "has no solution"
    return None


def board_of(levels: LevelSet, index: int) -> Any:
    """One level of a set as a batch of one."""
    for group in levels.groups:
        if index < len(group):
            return take(group, [index])
        index -= len(group)
    raise IndexError(index)


def text_of(levels: LevelSet, index: int) -> str:
    """One level of a set as XSB."""
    return level_text(board_of(levels, index))
