"""The statistics that a `VecNormalize` wrapper put observations through, read from its pickle without running it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goalscope.policies.sb3.pickled import Made, array_of, said
from goalscope.showing import drawing, text

_WRAPPER = "stable_baselines3.common.vec_env.vec_normalize VecNormalize"


@dataclass(frozen=True)
class Statistics:
    """What stood between the environment and the agent."""

    __repr__, _repr_html_ = text, drawing

    mean: np.ndarray
    """of the observations' shape, float64"""
    var: np.ndarray
    """likewise"""
    epsilon: float
    clip: float
    """normalised numbers beyond it, on either side, are cut off"""
    sha256: str
    """of the file"""

    def normalised(self, observations: np.ndarray) -> np.ndarray:
        """[N, ...] to the same shape, float32, as Stable-Baselines3 does it."""
        scaled = (observations - self.mean) / np.sqrt(self.var + self.epsilon)
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)


def read_statistics(path: str | Path) -> Statistics | None:
    """The statistics of a file that `VecNormalize.save(path)` wrote; None where it left observations as they were.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or holds something else; nothing of it is ever run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the one that VecNormalize.save(...) wrote")
    data = path.read_bytes()
    wrapper = said(data, path)
    held = _state(wrapper, _WRAPPER, path)
    if held.get("norm_obs") is False:
        return None
    moments = _state(held.get("obs_rms"), "stable_baselines3.common.running_mean_std RunningMeanStd", path)
    mean, var = (array_of(moments.get(name), f"obs_rms.{name}", path) for name in ("mean", "var"))
    epsilon, clip = held.get("epsilon"), held.get("clip_obs")
    if mean.shape != var.shape or not np.isfinite(mean).all() or not (np.isfinite(var) & (var >= 0)).all():
        raise ValueError(
            f"{path}: obs_rms has mean {list(mean.shape)} and var {list(var.shape)}, or no plain numbers"
        )
    for name, number in (("epsilon", epsilon), ("clip_obs", clip)):
        if not isinstance(number, int | float) or not number > 0:
            raise ValueError(f"{path}: {name} is {number!r:.40}; a positive number is wanted")
    return Statistics(mean, var, float(epsilon), float(clip), hashlib.sha256(data).hexdigest())  # type: ignore[arg-type]


def _state(thing: Any, what: str, path: Path) -> dict[str, Any]:
    """What an object of that class would have held."""
    if not isinstance(thing, Made) or thing.what != what or not isinstance(thing.state, dict):
        found = thing.what if isinstance(thing, Made) else type(thing).__name__
        raise ValueError(
            f"{path} holds {found or 'a function'} where {what.split()[-1]} is wanted (one of a dictionary of observations "
            "is not read); give the file that VecNormalize.save(...) wrote"
        )
    return thing.state
