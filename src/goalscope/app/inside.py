"""The inside of a policy at one level: every site and channel as a picture, found by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from goalscope.activations import capture, sites
from goalscope.app import asked as ask
from goalscope.app.asked import Asked
from goalscope.app.desk import Desk
from goalscope.app.mazes import parsed
from goalscope.plots.palette import DIVERGING, scale_colour
from goalscope.plots.svg import clean, document, num, rect
from goalscope.worlds.maze import Maze

AT_ONCE = 64
"""channels on one page of pictures"""
CELLS = 1024
"""cells of one picture; what has more is drawn by its first ones"""
TILE = 96.0


def inside_answer(desk: Desk, asked: Asked) -> dict[str, Any]:
    """What a policy's sites hold where the mouse is.

    Args:
        desk: the policies.
        asked: `text` of the maze and `policy`; `site` ('' for the first one), `search` (words that a site's name holds),
            `page` of the site's channels.

    Returns:
        `sites` [{name, shape}] that the search finds, `site`, `channels` in all, `page`, `extent` (the greatest magnitude
        over the site, one scale for all pictures), `tiles` [{channel, least, greatest, svg}], and `python`.

    Raises:
        ValueError: no maze, no such site.
    """
    name = ask.text(asked, "policy", desk.name, 200)
    policy = desk.policy(name)
    state = parsed([policy], ask.text(asked, "text"))
    world = Maze(state.walls.shape[1])
    x = policy.module.encode(world.observe(state))  # type: ignore[operator]
    with torch.inference_mode():
        shapes = sites(policy.module, x)
    words = ask.text(asked, "search", "", 200).lower().split()
    found = [site for site in shapes if all(word in site.lower() for word in words)]
    site = ask.text(asked, "site", "", 400) or (found or list(shapes))[0]
    if site not in shapes:
        raise ValueError(f"the policy has no site {site!r:.80}: choose one of its list")
    with torch.inference_mode():
        values = capture(policy.module, x, [site])[site][0].float().cpu().numpy()
    maps = channels(values)
    page = ask.whole(asked, "page", 0, 0, max(0, (len(maps) - 1) // AT_ONCE))
    first = page * AT_ONCE
    extent = float(np.abs(maps).max(initial=0.0))
    return {
        "sites": [{"name": each, "shape": list(shapes[each][1:])} for each in found],
        "site": site,
        "channels": len(maps),
        "page": page,
        "pages": math.ceil(len(maps) / AT_ONCE),
        "extent": extent,
        "tiles": [_tile(first + i, tile, extent) for i, tile in enumerate(maps[first : first + AT_ONCE])],
        "python": _lines(name, world.text(state)[0], site),
    }


def channels(values: np.ndarray) -> np.ndarray:
    """[C, h, w]: one sample's activations as maps; numbers without a place are one channel, a row of squares."""
    if values.ndim == 3:
        return values
    if values.ndim < 2:
        flat = np.atleast_1d(values)
        side = math.ceil(math.sqrt(len(flat)))
        padded = np.full(side * side, np.nan, values.dtype)
        padded[: len(flat)] = flat
        return padded.reshape(1, side, side)
    return (
        values.reshape(1, values.shape[0], -1) if values.ndim == 2 else values.reshape(-1, *values.shape[-2:])
    )


def _tile(channel: int, values: np.ndarray, extent: float) -> dict[str, Any]:
    least, greatest = (float(f(values)) for f in (np.nanmin, np.nanmax))
    svg = map_svg(values, extent, f"channel {channel}")
    return {"channel": channel, "least": least, "greatest": greatest, "values": _plain(values), "svg": svg}


def _plain(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(v) else float(v) for v in row] for row in values]


def map_svg(values: np.ndarray, extent: float, title: str) -> str:
    """One map [h, w] on a scale that is 0 in the middle."""
    height, width = values.shape
    cell = TILE / max(height, width)
    body: Sequence[str] = [
        rect(
            column * cell,
            row * cell,
            cell,
            cell,
            scale_colour(0.5 + value / (2 * (extent or 1.0)), DIVERGING),
        )
        for (row, column), value in np.ndenumerate(values)
        if not np.isnan(value)
    ][:CELLS]
    said = f"{height} by {width}, from {np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
    drawn = f'<g shape-rendering="crispEdges">{"".join(body)}</g>'
    svg = document(width * cell, height * cell, [drawn], title=clean(title), description=said)
    return svg.replace(f' style="max-width:{num(1.35 * width * cell)}px;height:auto"', "", 1)


def _lines(policy: str, text: str, site: str) -> str:
    return "\n".join([
        "import goalscope", "", f"policy = goalscope.load({policy!r})", f'maze = goalscope.parse_maze("""\n{text}\n""")',
        "x = policy.module.encode(goalscope.Maze(len(maze.walls[0])).observe(maze))",
        f"activations = goalscope.capture(policy, x, [{site!r}])[{site!r}]", "print(float(activations.abs().max()))", "",
    ])  # fmt: skip
