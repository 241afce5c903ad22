"""The simple measures that a learning coefficient has to beat: Hessian trace, rank, norm and number of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from goalscope.activations.hooks import sample_count
from goalscope.activations.inputs import Inputs, as_inputs
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Simple:
    """Measures of a module's parameters at which nothing is sampled but the trace."""

    __repr__, _repr_html_ = text, drawing

    trace: float
    """of the Hessian of the mean loss, by Hutchinson's estimate"""
    trace_error: float
    """standard error of it over the probes"""
    rank: float
    """sum over all weight matrices of their stable rank, the squared Frobenius norm over the squared spectral one"""
    norm: float
    """Euclidean norm of all parameters"""
    parameters: int
    """their number"""


def simple_measures(
    module: nn.Module,
    loss: Callable[..., Tensor],
    inputs: Inputs,
    targets: Tensor | None = None,
    *,
    probes: int = 32,
    seed: int = 0,
) -> Simple:
    """Measures of a module where it stands.

    Args:
        module: any module, in evaluation mode.
        loss: (output for N samples, targets) -> [N]; without targets the output alone.
        inputs: what its forward takes.
        targets: a tensor with N on axis 0, or None.
        probes: random sign vectors of Hutchinson's estimate (Hutchinson 1990), which is exact where the Hessian is diagonal.
        seed: of the probes.

    Raises:
        ValueError: no parameters, fewer than 2 probes.
    """
    arguments = as_inputs(inputs, module)
    sample_count(arguments)
    named = {name: p.detach() for name, p in module.named_parameters() if p.is_floating_point()}
    if not named or probes < 2:
        raise ValueError(
            f"needs a module with parameters and at least 2 probes, got {len(named)} and {probes}"
        )
    rest = () if targets is None else (targets,)

    def mean(parameters: dict[str, Tensor]) -> Tensor:
        return loss(functional_call(module, parameters, arguments), *rest).mean()

    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(probes):
        signs = {
            name: (torch.randint(2, p.shape, generator=generator) * 2 - 1).to(p) for name, p in named.items()
        }
        turned: dict[str, Tensor] = jvp(grad(mean), (named,), (signs,))[1]  # type: ignore[assignment]
        found.append(sum(float((signs[name] * turned[name]).sum()) for name in named))
    matrices = [p.flatten(1) for p in named.values() if p.ndim >= 2]
    return Simple(
        trace=float(np.mean(found)),
        trace_error=float(np.std(found, ddof=1) / probes**0.5),
        rank=float(sum(_stable_rank(m) for m in matrices)),
        norm=float(sum(p.double().square().sum() for p in named.values()) ** 0.5),
        parameters=sum(p.numel() for p in named.values()),
    )


def _stable_rank(matrix: Tensor) -> float:
    """0 for a matrix of zeros."""
    squares = torch.linalg.svdvals(matrix.double()).square()
    return float(squares.sum() / squares[0]) if float(squares[0]) > 0 else 0.0
