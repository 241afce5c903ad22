"""What a training of a dictionary is told: its kind, size, sparsity and length, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from goalscope.methods.reading.dictionary.learned import KINDS
from goalscope.showing import drawing, text

MULTI = 4
"""Multi-TopK reconstructs with k and with this times k latents (Gao et al. 2024, section 5.3)"""


@dataclass(frozen=True)
class Recipe:
    """One training."""

    __repr__, _repr_html_ = text, drawing

    width: int
    """m, latents"""
    k: int
    """latents that a row has active on average: of topk kinds exactly so many in a row (multitopk) or in a batch; relu and
    jumprelu are steered there"""
    kind: str = "topk"
    """one of `KINDS`"""
    steps: int = 2000
    batch: int = 1024
    """rows a step"""
    rate: float | None = None
    """of Adam; None is 2e-4 · √(2¹⁴ / width) (Gao et al. 2024, appendix A.3)"""
    l1: float | None = None
    """of relu: weight of the sum of a row's latents, activations scaled to norm √d; None steers it so that k are active"""
    auxiliary: float = 1 / 32
    """weight of what dead latents explain of the error (AuxK, Gao et al. 2024, appendix A.2); 0 is without"""
    dead_after: int = 100_000
    """rows without firing after which a latent counts as dead; no more than a quarter of all rows"""
    prefixes: tuple[int, ...] | None = None
    """of matryoshka: sizes of the nested parts, the last one the width; None is a sixteenth, eighth, quarter, half, all"""
    bandwidth: float = 0.05
    """of jumprelu: width of the kernel that estimates the threshold's gradient, of activations scaled to norm √d"""
    seed: int = 0
    """of the first directions, and of the order of rows that are given all at once"""

    def __post_init__(self) -> None:
        """Refuses what could not be trained."""
        if self.kind not in KINDS:
            raise ValueError(f"no kind of dictionary is called {self.kind!r}: there are {', '.join(KINDS)}")
        for name in ("width", "k", "steps", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number, at least 1, got {value!r}")
        if self.k > self.width:
            raise ValueError(f"k must be at most the width, got k {self.k} of {self.width} latents")
        if self.kind == "multitopk" and MULTI * self.k > self.width:
            raise ValueError(
                f"multitopk needs {MULTI} k latents, got k {self.k} of {self.width}: give at most {self.width // MULTI}"
            )
        ends = self.nested
        if list(ends) != sorted(set(ends)) or ends[0] < 1 or ends[-1] != self.width:
            raise ValueError(f"prefixes must rise to the width {self.width}, got {ends}")
        if self.auxiliary < 0 or self.bandwidth <= 0 or (self.l1 is not None and self.l1 < 0):
            raise ValueError("auxiliary and l1 must not be negative, and bandwidth must be positive")

    @property
    def nested(self) -> tuple[int, ...]:
        """The nested sizes of matryoshka."""
        if self.prefixes is not None:
            return tuple(self.prefixes)
        return tuple(sorted({max(1, self.width // part) for part in (16, 8, 4, 2, 1)}))

    @property
    def step_size(self) -> float:
        """The rate of Adam."""
        return self.rate if self.rate is not None else 2e-4 * (2**14 / self.width) ** 0.5

    @property
    def patience(self) -> int:
        """Rows without firing after which a latent counts as dead."""
        return min(self.dead_after, max(1, self.steps * self.batch // 4))
