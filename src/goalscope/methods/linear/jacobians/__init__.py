"""The exact derivative of a module's logits by what is at its sites, for every sample, over all sites in one call.

`spectrum.py` reads them: singular values and directions of each sample and of all together, and which says more for the
same amount of numbers, few entries or few directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.activations.hooks import capture, editing, refuse_uncounted, sample_count, warn_of_randomness
from goalscope.activations.hooks import sites as sites_of
from goalscope.activations.inputs import Inputs, as_inputs
from goalscope.activations.sites import tensors

INPUT = ":in"
"""the site of what goes into the module itself"""


def jacobians(
    module: nn.Module,
    inputs: Inputs,
    sites: Iterable[str] | None = None,
    *,
    of: Callable[[Any], Tensor] | None = None,
    batch: int | None = None,
) -> dict[str, Tensor]:
    """∂ logits / ∂ what is at each site, sample by sample.

    To each site a zero is added, and the logits are differentiated by all these zeros together: one forward, and one
    backward for each logit, for all samples and all sites. That is the derivative of each sample's own logits as long as no
    sample changes another's, which is tried on two samples.

    Args:
        module: any module; in evaluation mode, as a rule.
        inputs: what its forward takes, N samples on axis 0.
        sites: names of sites (`goalscope.activations.sites`); `:in` is the module's own input. None for all
            that hold numbers that can be differentiated, the input among them.
        of: from the module's output to [N, K]; None for its first tensor, which is a policy's logits.
        batch: samples at a time; None for all.

    Returns:
        site -> [N, K, *shape of one sample there]; 0 where the logits do not depend on it.

    Raises:
        ValueError: unknown sites (with near matches), a site whose axis 0 does not count samples or that holds whole
            numbers, logits that are not [N, K], samples that change each other's logits, a batch below 1.
    """
    arguments = as_inputs(inputs, module)
    count = sample_count(arguments)
    if batch is not None and (isinstance(batch, bool) or batch < 1):
        raise ValueError(f"batch must be at least 1 sample, got {batch!r}")
    warn_of_randomness(module)
    pick = of or _first
    few = _cut(arguments, 0, min(2, count))
    named = _all_sites(module, few) if sites is None else list(dict.fromkeys(sites))
    zeros = _zeros(module, few, named)
    _refuse_mixing(module, few, zeros, pick)
    parts = [
        _derivative(module, _cut(arguments, first, first + (batch or count)), zeros, pick)
        for first in range(0, count, batch or count)
    ]
    return {site: torch.cat([part[site] for part in parts]) for site in named}


def _first(output: Any) -> Tensor:
    return next(tensor for _, tensor in tensors(output))


def _cut(arguments: tuple[Any, ...], first: int, last: int) -> tuple[Any, ...]:
    return tuple(x[first:last] if isinstance(x, Tensor) else x for x in arguments)


def _all_sites(module: nn.Module, few: tuple[Any, ...]) -> list[str]:
    """Every site of a forward with one row a sample, in order; the module's own output is no place inside it."""
    samples = sample_count(few)
    named = [site for site, shape in sites_of(module, *few).items() if site and shape[:1] == (samples,)]
    named = [site for site in named if not site.startswith(":out")]
    held = capture(module, few, named)
    floats = [site for site in named if held[site].is_floating_point()]
    inside = isinstance(few[0], Tensor) and few[0].is_floating_point()
    return [INPUT, *floats] if inside else floats


def _zeros(module: nn.Module, few: tuple[Any, ...], named: list[str]) -> dict[str, Tensor]:
    """site -> a zero of one sample's shape there."""
    samples = sample_count(few)
    found = {}
    for site, held in capture(module, few, named).items():
        refuse_uncounted(site, held, 0, samples)
        if not held.is_floating_point():
            raise ValueError(f"site {site!r} holds {held.dtype}, which has no derivative: take one after it")
        found[site] = torch.zeros_like(held[0])
    return found


def _forward(
    module: nn.Module, arguments: tuple[Any, ...], zeros: dict[str, Tensor], pick: Callable[[Any], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """[N, K] logits and the zeros [N, ...] that were added, with their graph."""
    samples = sample_count(arguments)
    added = {site: zero.expand(samples, *zero.shape).clone().requires_grad_() for site, zero in zeros.items()}
    edits: dict[str, Any] = {site: lambda x, zero=zero: x + zero for site, zero in added.items()}
    with torch.enable_grad(), editing(module, edits):
        logits = pick(module(*arguments))
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != samples:
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must be [{samples}, K], got {got}: give `of`, from the output to logits")
    return logits, added


def _derivative(
    module: nn.Module, arguments: tuple[Any, ...], zeros: dict[str, Tensor], pick: Callable[[Any], Tensor]
) -> dict[str, Tensor]:
    logits, added = _forward(module, arguments, zeros, pick)
    samples, kinds = logits.shape
    each = torch.eye(kinds, dtype=logits.dtype, device=logits.device)[:, None].expand(kinds, samples, kinds)
    found = torch.autograd.grad(logits, list(added.values()), each, is_grads_batched=True, allow_unused=True)
    return {
        site: zero.new_zeros(samples, kinds, *zero.shape[1:]) if rows is None else rows.transpose(0, 1)
        for (site, zero), rows in zip(added.items(), found, strict=True)
    }


def _refuse_mixing(
    module: nn.Module, few: tuple[Any, ...], zeros: dict[str, Tensor], pick: Callable[[Any], Tensor]
) -> None:
    """Raises where the first of two samples depends on the second one's activations."""
    logits, added = _forward(module, few, zeros, pick)
    if len(logits) < 2:
        return
    found = torch.autograd.grad(
        logits[0].sum(), list(added.values()), allow_unused=True, materialize_grads=True
    )
    mixed = [site for site, rows in zip(added, found, strict=True) if rows[1].any()]
    if mixed:
        raise ValueError(
            f"samples change each other's logits (at {mixed[0]!r}): a derivative of one sample has no meaning here. "
            "Batch normalisation in training mode does that: call module.eval() first"
        )
