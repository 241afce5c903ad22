"""The parts of a site that a sweep goes through one by one: channels, positions, heads, or the site as a whole.

Axes are those of the edits: axis 0 counts samples; channels are axis 1 of [N, C, H, W] (and of more axes) and the last
axis of [N, C] and [N, T, C]; positions are the axes that are left; heads are equal blocks of channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

Over = Literal["channels", "positions", "heads", "site"]
Part = int | tuple[int, ...] | None
"""a channel, a head, a token; (row, column); None for the whole site"""
Index = tuple[int | slice, ...]


def channel_axis(shape: Sequence[int]) -> int | None:
    """The axis that counts channels, None where there is none."""
    return None if len(shape) < 2 else 1 if len(shape) >= 4 else len(shape) - 1


def parts_of(site: str, shape: Sequence[int], over: Over, heads: int | None = None) -> list[Part]:
    """All parts of a site, in order.

    Args:
        site: its name, for the words of errors.
        shape: of the activation, axis 0 the samples.
        over: what a part is.
        heads: how many heads there are; needed where `over` is "heads".

    Raises:
        ValueError: the site has no such parts.
    """
    axis = channel_axis(shape)
    if over not in ("channels", "positions", "heads", "site"):
        raise ValueError(f'over must be "channels", "positions", "heads" or "site", got {over!r}')
    if (over == "heads") != (heads is not None):
        raise ValueError('give heads=, the number of heads, with over="heads" and only there')
    if not shape or (axis is None and over != "site"):
        raise ValueError(f"site {site!r} of shape {list(shape)} has no {over}")
    if over == "site" or axis is None:
        return [None]
    if over == "channels":
        return list(range(shape[axis]))
    if over == "heads":
        if not heads or heads < 1 or shape[axis] % heads:
            raise ValueError(
                f"site {site!r}: its {shape[axis]} channels do not make {heads} equal heads (shape {list(shape)})"
            )
        return list(range(heads))
    space = [size for k, size in enumerate(shape) if k not in (0, axis)]
    if not space:
        raise ValueError(f"site {site!r} of shape {list(shape)} has no positions")
    if len(space) == 1:
        return list(range(space[0]))
    return list(product(*(range(size) for size in space)))


def index_of(shape: Sequence[int], over: Over, part: Part, heads: int | None = None) -> Index:
    """What to index the activation with to get a part of it (a view), all samples."""
    axis = channel_axis(shape)
    index: list[int | slice] = [slice(None)] * len(shape)
    if axis is None or over == "site":
        return tuple(index)
    if over == "positions":
        places = (part,) if isinstance(part, int) else part or ()
        for k, place in zip([k for k in range(1, len(shape)) if k != axis], places, strict=True):
            index[k] = place
    elif isinstance(part, int):
        width = 1 if over == "channels" else shape[axis] // (heads or 1)
        index[axis] = slice(part * width, (part + 1) * width)
    return tuple(index)


def chosen_parts(
    site: str, shape: Sequence[int], over: Over, heads: int | None, chosen: Sequence[Part] | None
) -> list[Part]:
    """The parts to go through: all, or those named, checked.

    Raises:
        ValueError: as `parts_of`; none named, one named twice, or one that is not there.
    """
    every = parts_of(site, shape, over, heads)
    if chosen is None:
        return every
    named = [tuple(part) if isinstance(part, (list, tuple)) else part for part in chosen]
    unknown = [part for part in named if part not in every]
    if unknown or not named or len(set(named)) < len(named):
        what = f"no part {unknown[0]!r}" if unknown else "a part named twice" if named else "no part named"
        raise ValueError(
            f"site {site!r} of shape {list(shape)}: {what}; {over} go from {every[0]} to {every[-1]}"
        )
    return named
