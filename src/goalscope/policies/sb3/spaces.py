"""The spaces that a file of Stable-Baselines3 says it was trained on, in plain text, held against those of a world."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from goalscope.worlds.contract import World
from goalscope.worlds.gym import WorldEnv

_UNBOUNDED = 3e38
"""gym had the largest float32 where gymnasium has infinity"""


def spaces_of(world: World) -> tuple[spaces.Box, spaces.Discrete]:
    """What an agent in the world sees and does: its own `observation_space` and `action_space`, or those of `WorldEnv`."""
    own = getattr(world, "observation_space", None), getattr(world, "action_space", None)
    if isinstance(own[0], spaces.Box) and isinstance(own[1], spaces.Discrete):
        return own[0], own[1]
    env = WorldEnv(world)
    return env.observation_space, env.action_space  # type: ignore[return-value]


def stated_spaces(settings: Mapping[str, Any], path: Path) -> tuple[spaces.Box, spaces.Discrete]:
    """The spaces that the file states.

    Raises:
        ValueError: none, or none that can be read: kinds other than Box and Discrete, bounds that NumPy shortened.
    """
    seen, done = settings.get("observation_space"), settings.get("action_space")
    shape, kind = _shape(seen), _kind(seen)
    if shape is None or kind != "Box":
        raise ValueError(
            f"{path} was trained on observations {kind or '?'}, a Box is wanted; give load_sb3 the world"
        )
    if _kind(done) != "Discrete" or not str(done.get("n", "")).isdigit():  # type: ignore[union-attr]
        raise ValueError(
            f"{path} was trained with the actions {_kind(done) or '?'}; numbered ones (Discrete) are wanted"
        )
    bounds = []
    for name in ("low", "high"):
        numbers = _numbers(seen.get(name))  # type: ignore[union-attr]
        if len(numbers) == np.prod(shape):
            bounds.append(np.reshape(numbers, shape))
        elif len(set(numbers)) == 1:
            bounds.append(np.full(shape, numbers[0]))
        else:
            raise ValueError(
                f"{path} does not say all bounds of its observations {list(shape)}; give load_sb3 the world"
            )
    try:
        dtype: Any = np.dtype(seen.get("dtype"))  # type: ignore[union-attr]
        low, high = (bound.astype(dtype) for bound in bounds)
        return spaces.Box(low, high, shape, dtype), spaces.Discrete(int(done["n"]))  # type: ignore[index]
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"{path} states observations that are no space: {error}") from error


def check_spaces(
    settings: Mapping[str, Any], world: World, space: spaces.Box, actions: spaces.Discrete, path: Path
) -> None:
    """Raises ValueError where the spaces that the file says in plain text are not the world's.

    The bounds are printed arrays, shortened by NumPy where they are long: every number that is left must be the world's.
    """
    said = settings.get("observation_space")
    if isinstance(said, dict):
        shape = list(_shape(said) or ())
        bounds = [_numbers(said.get(bound)) for bound in ("low", "high")]
        own = [space.low.ravel().tolist(), space.high.ravel().tolist()]
        same = (_kind(said), said.get("dtype"), shape) == ("Box", str(space.dtype), list(space.shape))
        if not same or not all(_alike(a, b) for a, b in zip(bounds, own, strict=True)):
            theirs = (
                f"{_kind(said)} {said.get('dtype')} {shape} from {_words(bounds[0])} to {_words(bounds[1])}"
            )
            ours = f"Box {space.dtype} {list(space.shape)} from {_words(own[0])} to {_words(own[1])}"
            why = _reason(shape, list(space.shape))
            named = getattr(world, "fitting", lambda _: "")(tuple(shape))
            instead = f"{named} gives such" if named and not same else "give the world it saw"
            raise ValueError(
                f"{path} was trained on observations {theirs}, this world gives {ours}: {why}; "
                f"train on the world's own observations, or {instead}"
            )
    said = settings.get("action_space")
    if isinstance(said, dict):
        theirs = f"{_kind(said)} {said.get('n', said.get('_shape'))} from {said.get('start', 0)}"
        ours = f"Discrete {actions.n} from 0"
        if theirs != ours:
            raise ValueError(f"{path} was trained with the actions {theirs}, this world has {ours}")


def _reason(theirs: list[int], ours: list[int]) -> str:
    """What probably stood between world and agent."""
    for axis in (0, -1):
        if len(theirs) == len(ours) and ours[axis] and theirs[axis] % ours[axis] == 0:
            times, rest = theirs[axis] // ours[axis], [list(shape) for shape in (theirs, ours)]
            for shape in rest:
                del shape[axis]
            if times > 1 and rest[0] == rest[1]:
                return (
                    f"it saw {times} frames at once (a frame stack), so what it does depends on what was before, and it is "
                    "not read"
                )
    return "a wrapper (VecNormalize, a frame stack, a conversion) stood between"


def _shape(said: Any) -> tuple[int, ...] | None:
    """Of a space; older files have a tuple, or a text."""
    if not isinstance(said, dict):
        return None
    given = said.get("_shape", said.get("shape"))
    if isinstance(given, list) and not all(type(n) is int for n in given):
        return None
    shape = tuple(int(length) for length in re.findall(r"\d+", str(given)))
    return shape if shape and all(shape) else None


def _kind(said: Any) -> str:
    return str(said.get(":type:", "")).split(".")[-1].strip("'>") if isinstance(said, dict) else ""


def _alike(printed: list[float], own: list[float]) -> bool:
    """Whether bounds as NumPy printed them (eight digits, perhaps shortened) are the world's."""
    if not printed:
        return False
    if len(printed) != len(own):
        printed, own = sorted(set(printed)), sorted(set(own))
    return len(printed) == len(own) and np.allclose(_wide(printed), _wide(own), rtol=1e-6, atol=0)


def _wide(bounds: list[float]) -> np.ndarray:
    numbers = np.array(bounds)
    return np.where(np.abs(numbers) > _UNBOUNDED, np.copysign(np.inf, numbers), numbers)


def _numbers(printed: Any) -> list[float]:
    return [float(number) for number in re.findall(r"-?(?:inf|nan|\d+\.?\d*(?:e[+-]?\d+)?)", str(printed))]


def _words(bounds: list[float]) -> str:
    ends = sorted(bounds)
    return "..".join(f"{bound:g}" for bound in dict.fromkeys((ends[0], ends[-1]))) if ends else "?"
