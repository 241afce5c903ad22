"""A number with its 95% interval, and what must hold of the numbers that go in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from goalscope.showing import interval

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval.

    Attributes:
        estimate: the value on the data.
        low: lower limit.
        high: upper limit.
        n: number of independent units (levels) that it rests on.

    Where the data show no spread (one level, or levels that all agree on a quantity without bounds) there is no interval:
    the limits are infinite or both the estimate itself, and nothing is excluded.
    """

    estimate: float
    low: float
    high: float
    n: int

    @classmethod
    def bare(cls, value: float, n: int) -> Estimate:
        """A number without an interval: of one network, of a whole population, or a property of the data themselves."""
        return cls(value, value, value, n)

    @property
    def has_interval(self) -> bool:
        """False where the limits are infinite or equal: such numbers say nothing of levels that were not seen."""
        return bool(-math.inf < self.low < self.high < math.inf)

    def excludes(self, value: float = 0.0) -> bool:
        """True where there is an interval and `value` lies outside it."""
        return self.has_interval and bool(value < self.low or value > self.high)

    def _repr_html_(self) -> str:
        return interval(
            "estimate with its 95% interval", [("", self.estimate, self.low, self.high, str(self))]
        )

    def __str__(self) -> str:
        if not self.has_interval:
            return f"{self.estimate:.3f} (no interval, n = {self.n})"
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def within(
    value: float, low: float, high: float, n: int, bounds: tuple[float, float] | None = None
) -> Estimate:
    """An interval always holds its own estimate and never leaves its bounds, rounding included."""
    if bounds is not None:
        value = min(max(value, bounds[0]), bounds[1])
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, min(low, value), max(high, value), n)


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """The array as float64; ValueError names the first place that is NaN or infinite."""
    array = np.asarray(array, dtype=np.float64)
    if array.size and not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{name} must be finite: NaN or infinity first at index {first}")
    return array


def check_bounds(values: np.ndarray, bounds: tuple[float, float]) -> None:
    """ValueError where values leave `bounds` by more than rounding, or these are no (least, greatest)."""
    slack = 1e-9 * max(1.0, abs(bounds[0]), abs(bounds[1]))
    if not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be (least, greatest), got {bounds}")
    if values.size and (values.min() < bounds[0] - slack or values.max() > bounds[1] + slack):
        raise ValueError(f"values from {values.min():g} to {values.max():g} leave the bounds {bounds}")
