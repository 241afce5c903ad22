"""What a MiniGrid agent is shown, as the package and its wrappers give it: partial and full views, flat, and pictures.

Images have their channels first, as policies take them; the package's have them last.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from goalscope.worlds.minigrid import kernels
from goalscope.worlds.minigrid.state import MISSION, MiniGridState

Observation = Literal["partial", "full", "flat", "rgb", "rgb-partial", "dict"]
OBSERVATIONS = {
    "partial": "ImgObsWrapper",
    "full": "FullyObsWrapper",
    "flat": "FlatObsWrapper",
    "rgb": "RGBImgObsWrapper",
    "rgb-partial": "RGBImgPartialObsWrapper",
    "dict": "no wrapper",
}
"""what is seen -> the package's wrapper that gives it"""
AGENT, TILE, LETTERS = 10, 8, 28
"""the package's number of the agent in full views; pixels of a square's side in pictures; letters of a flat mission"""


def shape(kind: str, height: int, width: int, view: int) -> tuple[int, ...]:
    """Of one observation."""
    return {
        "partial": (3, view, view),
        "full": (3, width, height),
        "flat": (3 * view**2 + MISSION * LETTERS,),
        "rgb": (3, height * TILE, width * TILE),
        "rgb-partial": (3, view * TILE, view * TILE),
        "dict": (),
    }[kind]


def fitting(shape_: tuple[int, ...], height: int, width: int, view: int) -> list[str]:
    """The kinds of `OBSERVATIONS` that have this shape."""
    return [kind for kind in OBSERVATIONS if shape_ and shape(kind, height, width, view) == tuple(shape_)]


def seen(state: MiniGridState, kind: str, view: int, through: bool) -> np.ndarray:
    """What is seen of N levels; `view` squares wide, through walls or not. See `MiniGrid.observe`."""
    if kind == "full":
        return _full(state)
    image, lit = _view(state, view, through)
    if kind == "flat":
        return np.concatenate([image.transpose(0, 2, 3, 1).reshape(len(state), -1), _letters(state)], 1)
    if kind == "rgb":
        facing = np.full(state.cells.shape[:3], -1)
        n, row, column = np.arange(len(state)), *state.agent[:, :2].astype(np.int64).T
        facing[n, row, column] = state.agent[:, 2]
        return _drawn(state.cells, facing, lit[0])
    if kind == "rgb-partial":
        facing = np.full((len(state), view, view), -1)
        facing[:, view - 1, view // 2] = 3  # up, as all views are turned
        return _drawn(image.transpose(0, 3, 2, 1), facing, lit[1])
    if kind == "dict":
        fields = [("image", np.uint8, image.shape[1:]), ("direction", np.int64), ("mission", f"S{MISSION}")]
        told = np.empty(len(state), np.dtype(fields))
        told["image"], told["direction"], told["mission"] = image, state.agent[:, 2], state.mission
        return told
    return image


def _view(state: MiniGridState, view: int, through: bool) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """[N, 3, across, down], and which squares are seen: of the level [N, H, W], and of the view [N, down, across]."""
    image = np.empty((len(state), 3, view, view), np.uint8)
    of_level = np.zeros(state.cells.shape[:3], bool)
    of_view = np.zeros((len(state), view, view), bool)
    kernels.see(state.cells, state.agent, state.carries, through, image, of_level, of_view)
    return image, (of_level, of_view.transpose(0, 2, 1))


def _full(state: MiniGridState) -> np.ndarray:
    full = np.ascontiguousarray(state.cells.transpose(0, 3, 2, 1))
    row, column, facing = state.agent.astype(np.int64).T
    shown = np.stack([np.full(len(state), AGENT), np.zeros(len(state), int), facing], 1)
    full[np.arange(len(state)), :, column, row] = shown
    return full


def _letters(state: MiniGridState) -> np.ndarray:
    """[N, 96 * 28] uint8: the mission's letters one-hot; a to z, space, comma."""
    said = (
        np.char.lower(state.mission).astype(state.mission.dtype).view(np.uint8).reshape(len(state), MISSION)
    )
    place = np.select([said == ord(" "), said == ord(",")], [26, 27], said.astype(int) - ord("a"))
    written = said > 0
    other = written & ((place < 0) | (place >= LETTERS))
    if other.any():
        i = int(other.any(1).argmax())
        raise ValueError(
            f"level {i}: the mission {state.mission[i].decode()!r} has other characters than letters, space and comma"
        )
    flat = np.zeros((len(state), MISSION, LETTERS), np.uint8)
    n, at = np.nonzero(written)
    flat[n, at, place[n, at]] = 1
    return flat.reshape(len(state), -1)


def _drawn(cells: np.ndarray, facing: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """[N, 3, H * 8, W * 8]: the package's own tiles, each kind drawn once.

    Args:
        cells: [N, H, W, 3]. facing: [N, H, W] of the agent on its square, -1 elsewhere. lit: [N, H, W] bool, highlighted.
    """
    n, height, width = facing.shape
    keys = np.concatenate([cells.astype(np.int64), facing[..., None] + 1, lit[..., None]], 3).reshape(-1, 5)
    radix = np.array([16 * 8 * 8 * 2, 8 * 8 * 2, 8 * 2, 2, 1])
    codes, first, which = np.unique(keys @ radix, return_index=True, return_inverse=True)
    tiles = np.array([_tile(*keys[at].tolist()) for at in first], np.uint8).reshape(len(codes), TILE, TILE, 3)
    drawn = tiles[which.reshape(-1)].reshape(n, height, width, TILE, TILE, 3)
    return drawn.transpose(0, 5, 1, 3, 2, 4).reshape(n, 3, height * TILE, width * TILE)


def _tile(kind: int, colour: int, status: int, facing: int, lit: int) -> Any:
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import WorldObj

    thing = WorldObj.decode(kind, colour, status)
    return Grid.render_tile(thing, facing - 1 if facing else None, bool(lit), TILE)
