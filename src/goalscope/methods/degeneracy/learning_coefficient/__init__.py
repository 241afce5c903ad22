"""The local learning coefficient of any module at its parameters, by sampling around them.

λ̂ = nβ (E[L_n(w)] - L_n(w*)) over exp(-nβ L_n(w) - gamma/2 |w - w*|²), with β = 1 / log n where nothing else is said
(Lau et al. 2023, "The local learning coefficient"). L_n(w*) is that of all n samples: every draw is compared with w* on
the very samples that it saw, of which the mean is L_n(w*), so the noise of the batch drops out. w* need not be a global
minimum.

`potential.py` loss and gradient of all chains at once, `samplers.py` the chains, `diagnostics.py` whether they agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

from goalscope.activations.inputs import Inputs
from goalscope.methods.degeneracy.learning_coefficient.diagnostics import effective, r_hat
from goalscope.methods.degeneracy.learning_coefficient.potential import Loss, Potential
from goalscope.methods.degeneracy.learning_coefficient.samplers import Run, Setting, run
from goalscope.showing import drawing, text

SAMPLERS = ("sgld", "rmsprop", "mala")
_AGREE, _ENOUGH, _ACCEPT, _HALVINGS = 1.1, 100, 0.2, 30


@dataclass(frozen=True)
class LearningCoefficient:
    """An estimate with what tells whether to believe it."""

    __repr__, _repr_html_ = text, drawing

    coefficient: float
    """λ̂, mean over the chains; at most about half the number of parameters where w* is a minimum"""
    error: float
    """Monte-Carlo standard error of it, by the effective sample size"""
    faults: tuple[str, ...]
    """what is wrong with the setting, in words; empty where nothing is. A negative λ̂ is always among them."""
    chains: np.ndarray
    """[C] λ̂ of each chain"""
    r_hat: float
    """R̂ of the draws after the burn-in; above 1.1 the chains do not agree"""
    effective: float
    """effective number of draws"""
    acceptance: np.ndarray | None
    """[C] share of accepted proposals, of `mala`"""
    start_loss: float
    """L_n(w*), on all samples"""
    trace: np.ndarray
    """[C, T] nβ (L(w) - L(w*)) of every step, with the burn-in"""
    burn_in: int
    """steps of the trace that do not count"""
    samples: int
    """n"""
    parameters: int
    """P"""
    beta: float
    """β"""
    step: float
    """ε"""
    localisation: float
    """gamma"""
    sampler: str
    """"sgld", "rmsprop" or "mala\""""


@dataclass(frozen=True)
class Sweep:
    """λ̂ over settings: where it does not depend on them it is a property of w*."""

    __repr__, _repr_html_ = text, drawing

    steps: np.ndarray
    """[E] ε"""
    betas: np.ndarray
    """[B] β"""
    coefficient: np.ndarray
    """[E, B] λ̂; nan where a chain diverged"""
    error: np.ndarray
    """[E, B] its Monte-Carlo standard error"""
    faults: tuple[tuple[tuple[str, ...], ...], ...]
    """[E][B] what is wrong with each setting, in words"""


def learning_coefficient(
    module: nn.Module,
    loss: Loss,
    inputs: Inputs,
    targets: Tensor | None = None,
    *,
    step: float,
    localisation: float,
    beta: float | None = None,
    sampler: str = "sgld",
    batch: int | None = None,
    chains: int = 4,
    steps: int = 2000,
    burn_in: int = 1000,
    support: float | None = None,
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> LearningCoefficient:
    """Samples around the parameters of a module.

    Args:
        module: any module, in evaluation mode; it is not changed.
        loss: (its output for N samples, their targets) -> [N], the negative log-likelihood of each sample.
        inputs: what its forward takes, n samples on axis 0 of every tensor.
        targets: a tensor with n on axis 0; without it the loss is called with the output alone.
        step: ε.
        localisation: gamma, how strongly a chain is held near w*.
        beta: β, the inverse temperature; None for 1 / log n.
        sampler: "sgld"; "rmsprop", with a step of its own for every parameter; "mala", on all samples with acceptance.
        batch: samples in each step; None for all.
        chains: C, all in one vmapped forward.
        steps: T, of each chain, with the burn-in.
        burn_in: first steps whose draws do not count.
        support: half the side of the box about w* outside which the prior is 0; None for no box.
        seed: of batches and noise.
        tick: called with the number of each step that is done.

    Raises:
        ValueError: fewer than 100 samples; numbers out of range; as `Potential`; a chain that diverges, with the greatest
            tried step at which none does.
    """
    potential = Potential(module, loss, inputs, targets)
    setting = _setting(
        potential.count, step, localisation, beta, sampler, batch, chains, steps, burn_in, support, seed
    )
    found = run(potential, setting, tick)
    if found.diverged is not None:
        chain, at = found.diverged
        raise ValueError(
            f"chain {chain} of {chains} diverged at step {at} of {steps} with step={step:g}: "
            f"{_held(potential, setting)}"
        )
    return _concluded(potential, setting, found)


def sweep(
    module: nn.Module,
    loss: Loss,
    inputs: Inputs,
    targets: Tensor | None = None,
    *,
    step: Sequence[float],
    beta: Sequence[float],
    localisation: float,
    sampler: str = "sgld",
    batch: int | None = None,
    chains: int = 4,
    steps: int = 2000,
    burn_in: int = 1000,
    seed: int = 0,
) -> Sweep:
    """`learning_coefficient` at every ε and β; a chain that diverges is a fault of that setting and ends nothing.

    Raises:
        ValueError: as `learning_coefficient`, except for chains that diverge.
    """
    potential = Potential(module, loss, inputs, targets)
    value, error = np.full((2, len(step), len(beta)), np.nan)
    faults: list[tuple[tuple[str, ...], ...]] = []
    for k, size in enumerate(step):
        row = []
        for j, heat in enumerate(beta):
            setting = _setting(
                potential.count, size, localisation, heat, sampler, batch, chains, steps, burn_in, None, seed
            )
            found = run(potential, setting)
            if found.diverged is not None:
                row.append((f"chain {found.diverged[0]} diverged at step {found.diverged[1]}",))
                continue
            made = _concluded(potential, setting, found)
            value[k, j], error[k, j] = made.coefficient, made.error
            row.append(made.faults)
        faults.append(tuple(row))
    return Sweep(np.asarray(step, float), np.asarray(beta, float), value, error, tuple(faults))


def _setting(
    count: int,
    step: float,
    localisation: float,
    beta: float | None,
    sampler: str,
    batch: int | None,
    chains: int,
    steps: int,
    burn_in: int,
    support: float | None,
    seed: int,
) -> Setting:
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if sampler == "mala" and batch is not None:
        raise ValueError("mala accepts by the loss on all samples: leave batch out, or take sgld")
    beta = 1 / math.log(count) if beta is None else beta
    for name, value, least in (("step", step, 0), ("beta", beta, 0), ("localisation", localisation, -1e-300)):
        if not least < value < math.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value}")
    if support is not None and not 0 < support < math.inf:
        raise ValueError(f"support must be a finite number above 0, or None for no box; got {support}")
    if batch is not None and not 1 <= batch <= count:
        raise ValueError(f"batch must be between 1 and the {count} samples, got {batch}")
    if chains < 2 or burn_in < 0 or steps - burn_in < 8:
        raise ValueError(
            f"needs at least 2 chains and 8 steps after the burn-in, got chains={chains}, steps={steps}, burn_in={burn_in}"
        )
    return Setting(sampler, count * beta, step, localisation, chains, steps, burn_in, batch, support, seed)


def _concluded(potential: Potential, setting: Setting, found: Run) -> LearningCoefficient:
    trace = found.trace.numpy()
    draws = trace[:, setting.burn_in :]
    each = draws.mean(1)
    worth, agree = effective(draws), r_hat(draws)
    acceptance = None if found.accepted is None else found.accepted.numpy()
    return LearningCoefficient(
        coefficient=float(each.mean()),
        error=float(draws.std(ddof=1) / math.sqrt(worth)),
        faults=_faults(float(each.mean()), agree, worth, acceptance),
        chains=each,
        r_hat=agree,
        effective=worth,
        acceptance=acceptance,
        start_loss=float(potential.start_losses.double().mean()),
        trace=trace,
        burn_in=setting.burn_in,
        samples=potential.count,
        parameters=len(potential.start),
        beta=setting.strength / potential.count,
        step=setting.step,
        localisation=setting.localisation,
        sampler=setting.sampler,
    )


def _faults(value: float, agree: float, worth: float, acceptance: np.ndarray | None) -> tuple[str, ...]:
    found = []
    if value < 0:
        found.append(
            f"negative ({value:.3g}): the chains found less loss than w* has, so w* is no minimum here; train on, or raise "
            "localisation. This is no learning coefficient."
        )
    if not agree < _AGREE:
        found.append(f"the chains do not agree (R-hat {agree:.2f}): a longer burn-in, or a larger step")
    if worth < _ENOUGH:
        found.append(f"the draws are worth {worth:.0f} independent ones only: more steps, or a larger step")
    if acceptance is not None and acceptance.min() < _ACCEPT:
        found.append(f"a chain accepts {acceptance.min():.0%} of its proposals: a smaller step")
    return tuple(found)


def _held(potential: Potential, setting: Setting) -> str:
    """The greatest of step / 2, step / 4, ... at which no chain diverges, tried on the same noise and batches."""
    for halving in range(1, _HALVINGS + 1):
        smaller = replace(setting, step=setting.step / 2**halving)
        if run(potential, smaller).diverged is None:
            return f"step={smaller.step:.3g} holds for all of them, and a tenth of it is less biased"
    return (
        f"no step down to {setting.step / 2**_HALVINGS:.1g} holds, so it is not the step: raise localisation"
    )
