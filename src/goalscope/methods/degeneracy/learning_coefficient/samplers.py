"""Samplers of exp(-nβ L_n(w) - gamma/2 |w - w*|²), all chains in one tensor.

`sgld`: stochastic gradient Langevin dynamics (Welling and Teh 2011), w ← w - ε/2 (nβ ∇L_m + gamma (w - w*)) + √ε ξ, on a
fresh batch of m samples in every step. `rmsprop`: the same with a step of its own for every parameter, by the root mean
square of its gradient (Li et al. 2016, "Preconditioned stochastic gradient Langevin dynamics"); it is learned during the
burn-in and then held, so that the draws that count come from one fixed chain. `mala`: the exact gradient, and a
Metropolis-Hastings step that accepts or keeps the place (Roberts and Tweedie 1996), so a finite step biases nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.methods.degeneracy.learning_coefficient.potential import Potential
from goalscope.showing import drawing, text

_DECAY, _FLOOR = 0.99, 0.1


@dataclass(frozen=True)
class Setting:
    """How to sample."""

    __repr__, _repr_html_ = text, drawing

    sampler: str
    """"sgld", "rmsprop" or "mala\""""
    strength: float
    """nβ"""
    step: float
    """ε"""
    localisation: float
    """gamma"""
    chains: int
    """C"""
    steps: int
    """T, with the burn-in"""
    burn_in: int
    """steps whose draws do not count"""
    batch: int | None
    """samples in a step; None for all"""
    support: float | None
    """half the side of the box about w* outside which the prior is 0; None where there is none"""
    seed: int
    """of the noise and the batches"""


@dataclass(frozen=True)
class Run:
    """What the chains did."""

    __repr__, _repr_html_ = text, drawing

    trace: Tensor
    """[C, T] nβ (L_m(w) - L_m(w*)) on the samples of that step, float64"""
    accepted: Tensor | None
    """[C] share of accepted proposals after the burn-in, of `mala`"""
    diverged: tuple[int, int] | None
    """(chain, step) that left all that a posterior could hold, after which nothing was run; None where none did"""


def run(potential: Potential, setting: Setting, tick: Callable[[int], None] | None = None) -> Run:
    """Draws from all chains, each begun at w*."""
    chain = _metropolis if setting.sampler == "mala" else _langevin
    with torch.no_grad():
        return chain(potential, setting, tick or (lambda step: None))


def _langevin(potential: Potential, setting: Setting, tick: Callable[[int], None]) -> Run:
    generator = torch.Generator().manual_seed(setting.seed)
    start, strength, step = potential.start, setting.strength, setting.step
    place = start.repeat(setting.chains, 1)
    noise = torch.empty_like(place)
    square, scale = torch.zeros_like(place), None
    trace = torch.zeros(setting.chains, setting.steps, dtype=torch.float64)
    for t in range(setting.steps):
        rows = _rows(potential, setting, generator)
        loss, gradient = potential.gradient(place, rows)
        trace[:, t] = strength * (loss - potential.start_loss(rows))
        wild = _wild(trace[:, t], len(start))
        if wild is not None:
            return Run(trace, None, (wild, t))
        gradient = gradient.mul_(strength)
        if setting.sampler == "rmsprop" and t < setting.burn_in:
            square.mul_(_DECAY).addcmul_(gradient, gradient, value=1 - _DECAY)
            scale = preconditioner(square)
        gradient.add_(place - start, alpha=setting.localisation)
        noise.normal_(generator=generator)
        if scale is not None:
            gradient.mul_(scale)
            noise.mul_(scale.sqrt())
        place.add_(gradient, alpha=-step / 2).add_(noise, alpha=step**0.5)
        if setting.support is not None:
            place = start + _reflected(place - start, setting.support)
        tick(t)
    return Run(trace, None, None)


def preconditioner(square: Tensor) -> Tensor:
    """[C, P] factor of each parameter's step from the mean squares of its gradient [C, P].

    The inverse of the root mean square, in units of that of a mean parameter and at most ten times it, so that ε keeps its
    meaning and a parameter without a gradient does not run away.
    """
    root = square.sqrt()
    mean = root.mean(1, keepdim=True).clamp_min(torch.finfo(root.dtype).tiny)
    return 1 / (root / mean + _FLOOR)


def _metropolis(potential: Potential, setting: Setting, tick: Callable[[int], None]) -> Run:
    generator = torch.Generator().manual_seed(setting.seed)
    start, step = potential.start, setting.step
    base = potential.start_loss(None)

    def energy(place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loss, gradient = potential.gradient(place, None)
        away = place - start
        change = setting.strength * (loss - base)
        whole = change + setting.localisation / 2 * away.square().sum(1)
        if setting.support is not None:
            whole = torch.where(away.abs().amax(1) > setting.support, torch.inf, whole)
        return change, whole, setting.strength * gradient + setting.localisation * away

    place = start.repeat(setting.chains, 1)
    change, whole, drift = energy(place)
    trace = torch.zeros(setting.chains, setting.steps, dtype=torch.float64)
    accepted = torch.zeros(setting.chains)
    for t in range(setting.steps):
        trace[:, t] = change
        noise = torch.empty_like(place).normal_(generator=generator)
        there = place - step / 2 * drift + step**0.5 * noise
        other = energy(there)
        back = (place - there + step / 2 * other[2]).square().sum(1) / (2 * step)
        odds = whole - other[1] - back + noise.square().sum(1) / 2
        # A proposal without a finite energy compares as false: the place is kept.
        take = torch.empty_like(odds).uniform_(generator=generator).log() < odds
        place = torch.where(take[:, None], there, place)
        change, whole = torch.where(take, other[0], change), torch.where(take, other[1], whole)
        drift = torch.where(take[:, None], other[2], drift)
        if t >= setting.burn_in:
            accepted += take
        tick(t)
    return Run(trace, accepted / (setting.steps - setting.burn_in), None)


def _rows(potential: Potential, setting: Setting, generator: torch.Generator) -> Tensor | None:
    """[C, B] samples of each chain for one step, drawn with replacement; None for all."""
    if setting.batch is None:
        return None
    return torch.randint(potential.count, (setting.chains, setting.batch), generator=generator)


def _wild(change: Tensor, parameters: int) -> int | None:
    """The first chain that is where no posterior is: nβ ΔL is about half the number of parameters in the worst case."""
    wild = (~(change.abs() < 100 * (parameters + 100))).nonzero()
    return int(wild[0]) if len(wild) else None


def _reflected(away: Tensor, support: float) -> Tensor:
    """Places outside the box, mirrored at its walls."""
    return support - ((away + support).remainder(4 * support) - 2 * support).abs()
