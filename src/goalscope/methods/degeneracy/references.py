"""What a learning coefficient must come out as, where that is known exactly.

Asymptotic values say little of a chain: it has a finite n and a finite step. So beside λ stand the expectations at finite
n (of the posterior) and at finite step (of the sampler), which a correct estimate meets up to its own noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad

from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Pole:
    """The largest pole of the zeta function of a loss."""

    __repr__, _repr_html_ = text, drawing

    coefficient: float
    """λ"""
    multiplicity: int
    """m, the order of the pole"""


def quadratic(
    curvatures: np.ndarray, strength: float, *, localisation: float, step: float | None = None
) -> float:
    """What λ̂ converges to for the loss Σ ½ hᵢ wᵢ², with all that biases it: ½ Σ a / ((a + gamma)(1 - ε (a + gamma) / 4)).

    A step of Langevin dynamics multiplies wᵢ by 1 - ε c / 2, c = a + gamma, and adds noise of variance ε, so that
    its stationary variance is 1 / (c (1 - ε c / 4)).

    Args:
        curvatures: [P] h of each parameter, at least 0.
        strength: nβ, so that a = nβh.
        localisation: gamma.
        step: ε of unadjusted dynamics on all samples; None for an exact sampler (`mala`).

    Raises:
        ValueError: negative curvatures; a step at which it diverges, with the one below which it does not.
    """
    a = np.asarray(curvatures, float) * strength
    if a.ndim != 1 or not len(a) or (a < 0).any() or localisation < 0:
        raise ValueError("curvatures must be [P] numbers of at least 0, and localisation at least 0")
    held = a + localisation
    shrink = 1.0 if step is None else 1 - step * held / 4
    if np.min(shrink) <= 0:
        raise ValueError(
            f"diverges: step must be below 4 / (nβ h + gamma) = {4 / held.max():.3g}, got {step:g}"
        )
    return float(0.5 * (a / np.where(held > 0, held, 1.0) / shrink).sum())


def normal_crossing(powers: tuple[int, ...]) -> Pole:
    """λ of K = Π wᵢ^(2 kᵢ): the least 1 / (2 kᵢ), as often as it is there (Watanabe 2009, "Algebraic geometry and
    statistical learning theory", section 2.4).

    Raises:
        ValueError: no power, or one below 1.
    """
    if not powers or min(powers) < 1:
        raise ValueError(f"powers must be whole numbers of at least 1, got {powers}")
    return Pole(1 / (2 * max(powers)), powers.count(max(powers)))


def normal_crossing_at(powers: tuple[int, int], strength: float) -> float:
    """nβ E[K] of K = w₁^(2 k₁) w₂^(2 k₂) under exp(-nβ K) on [-1, 1]², exactly.

    -log wᵢ is exponential, so y = -log K is a sum of two exponentials of rates 1 / (2 kᵢ), and what is left is one integral.

    Args:
        powers: (k₁, k₂).
        strength: nβ.
    """
    normal_crossing(powers)
    one, other = (1 / (2 * k) for k in powers)

    def density(y: float) -> float:
        if one == other:
            return one * one * y * math.exp(-one * y)
        return one * other / (one - other) * (math.exp(-other * y) - math.exp(-one * y))

    def weight(y: float) -> float:
        return density(y) * math.exp(-strength * math.exp(-y))

    turn = max(math.log(strength), 0.0)
    pieces = [(0.0, turn), (turn, turn + 40.0), (turn + 40.0, turn + 40 / min(one, other))]
    mass = sum(quad(weight, *ends, limit=500)[0] for ends in pieces)
    mean = sum(quad(lambda y: weight(y) * strength * math.exp(-y), *ends, limit=500)[0] for ends in pieces)
    return mean / mass


def reduced_rank(inputs: int, outputs: int, hidden: int, rank: int) -> Pole:
    """λ of y = B A x + noise, A [H, M], B [N, H], true map of rank r (Aoyagi and Watanabe 2005, "Stochastic complexities of
    reduced rank regression in Bayesian estimation", main theorem).

    Args:
        inputs: M.
        outputs: N.
        hidden: H.
        rank: r.

    Raises:
        ValueError: a size below 1, or a rank that the network cannot have.
    """
    m, n, h, r = inputs, outputs, hidden, rank
    if min(m, n, h) < 1 or not 0 <= r <= min(m, n, h):
        raise ValueError(
            f"needs inputs, outputs and hidden of at least 1 and rank 0 to {min(m, n, h)}; "
            f"got {inputs}, {outputs}, {hidden} and rank {rank}"
        )
    if m + h < n + r:
        return Pole((h * m - h * r + n * r) / 2, 1)
    if n + h < m + r:
        return Pole((h * n - h * r + m * r) / 2, 1)
    if m + n < h + r:
        return Pole(m * n / 2, 1)
    odd = (m + n + h + r) % 2
    return Pole((2 * (h + r) * (m + n) + 2 * m * n - (h + r) ** 2 - m**2 - n**2 + odd) / 8, 1 + odd)


def free_energy(samples: int, loss: float, pole: Pole) -> float:
    """n L(w*) + λ log n - (m - 1) log log n, up to a constant; w* need not have loss 0.

    Raises:
        ValueError: fewer than 3 samples, where log log n is negative.
    """
    if samples < 3:
        raise ValueError(f"needs at least 3 samples, got {samples}")
    size = math.log(samples)
    return samples * loss + pole.coefficient * size - (pole.multiplicity - 1) * math.log(size)
