"""Attribution patching: the effect of every patch estimated from gradients, and how far to trust it.

The estimate is (a' - a) * dm/da, summed over the part: a first-order guess at the exact effect m(f | a <- a') - m(f), for
all parts of all sites from one forward and one backward (Nanda 2023, "Attribution patching"; Syed et al. 2023). With
steps, the gradient is the mean over points between a and a' (integrated gradients, Sundararajan et al. 2017): the parts of
a site then add up to the exact effect of the whole site, but each still need not equal its own.

Saturation and effects that cancel hide from gradients, so an estimate goes with its agreement with exact patches on
a sample of parts (`draw_parts`, then `agreement`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import capture, editing
from goalscope.activations.hooks import refuse_not_finite
from goalscope.activations.inputs import Inputs
from goalscope.activations.metric import Metric, checked, measured, paired
from goalscope.activations.parts import Over, Part, chosen_parts, index_of
from goalscope.activations.recompute.from_site import recompute_from
from goalscope.showing import drawing, text
from goalscope.stats import ranks


@dataclass(frozen=True)
class Attribution:
    """Estimated effects.

    Attributes:
        direction: "noising" or "denoising".
        steps: number of points between a and a'; 0 for the gradient at a.
        over: what a part is.
        parts: site -> its P parts.
        effect: site -> [P, N] estimated change of the metric, in its units; signs as for exact patches.
        whole: site -> [N] exact effect of patching the whole site, to hold the sum of the parts against.
        base: [N] metric of the run that is patched.
        source: [N] metric of the run that values come from.
        n: number of samples.
    """

    __repr__, _repr_html_ = text, drawing

    direction: str
    steps: int
    over: Over
    parts: Mapping[str, tuple[Part, ...]]
    effect: Mapping[str, np.ndarray]
    whole: Mapping[str, np.ndarray]
    base: np.ndarray
    source: np.ndarray
    n: int


@dataclass(frozen=True)
class Agreement:
    """Estimated against exact effects on the same (site, part) pairs.

    Attributes:
        pairs: the K pairs.
        approximate: [K] estimated effect, mean over the samples.
        exact: [K] exact effect, mean over the samples.
        rank_correlation: Spearman's; NaN where one side is constant.
        slope: exact = slope * approximate, by least squares; 1 is right, NaN where all estimates are 0.
        same_sign: fraction of the pairs with an exact effect whose estimate has its sign.
        worst: the pair with the largest absolute difference.
        worst_approximate, worst_exact: its two effects.
        missed: fraction of the summed absolute exact effects on pairs that were estimated at less than a tenth.
        n: number of samples behind each mean.
    """

    __repr__, _repr_html_ = text, drawing

    pairs: tuple[tuple[str, Part], ...]
    approximate: np.ndarray
    exact: np.ndarray
    rank_correlation: float
    slope: float
    same_sign: float
    worst: tuple[str, Part]
    worst_approximate: float
    worst_exact: float
    missed: float
    n: int


def attribution(
    module: nn.Module,
    clean: Inputs,
    corrupt: Inputs,
    sites: Sequence[str],
    metric: Metric,
    *,
    steps: int = 0,
    over: Over = "channels",
    parts: Mapping[str, Sequence[Part]] | None = None,
    heads: int | None = None,
    direction: Literal["noising", "denoising"] = "noising",
) -> Attribution:
    """Estimate the effect of patching every part of every site.

    All samples run together: where memory is short, call it on parts of the data.

    Args:
        module: any module whose samples do not see each other.
        clean: N samples: a tensor or a tuple of arguments, axis 0 the samples.
        corrupt: N samples of the same shape.
        sites: names of sites.
        metric: the module's output for N samples -> [N], differentiable, each number of its own sample's output.
        steps: 0 for the gradient at the activation that is patched, k for integrated gradients with k points (at the
            middles of k equal steps).
        over, parts, heads, direction: as for exact patches.

    Raises:
        ValueError: as for exact patches; a site that is not floating point; a metric without a gradient; negative
            steps.
    """
    one, other = paired(clean, corrupt, module)
    if isinstance(steps, bool) or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0, got {steps!r}")
    if direction not in ("noising", "denoising"):
        raise ValueError(f'direction must be "noising" or "denoising", got {direction!r}')
    base, source = (one, other) if direction == "noising" else (other, one)
    given = capture(module, source, sites)
    values, slopes, before = _gradients(module, base, sites, metric)
    count = len(before)
    effect, whole, chosen, rest = {}, {}, {}, None
    for site in sites:
        value, new = values[site], given[site]
        _check_pair(site, value, new, count)
        rest = recompute_from(module, site, base, like=rest)
        with torch.no_grad():
            whole[site] = measured(metric, rest(new), count, f"site {site!r}") - before
        slope = slopes[site]
        if steps:
            points = [(k + 0.5) / steps for k in range(steps)]
            slope = sum(_slope(metric, rest, value + point * (new - value), site) for point in points) / steps
        product = ((new - value) * slope).double()
        chosen[site] = tuple(chosen_parts(site, value.shape, over, heads, (parts or {}).get(site)))
        indices = [index_of(value.shape, over, part, heads) for part in chosen[site]]
        effect[site] = np.stack([product[index].flatten(1).sum(1).numpy() for index in indices])
    with torch.no_grad():
        after = measured(metric, module(*source), count, "the run that values come from")
    return Attribution(direction, steps, over, chosen, effect, whole, before, after, count)


def _check_pair(site: str, value: Tensor, new: Tensor, count: int) -> None:
    """Raises ValueError where a site cannot be patched: other shapes in the two runs, or the same values."""
    if value.shape != new.shape or len(value) != count:
        raise ValueError(f"site {site!r}: shapes {list(value.shape)} and {list(new.shape)}, {count} samples")
    if torch.equal(value, new):
        raise ValueError(f"patching {site!r} touches nothing: it is the same in both runs for all samples")


def _gradients(
    module: nn.Module, inputs: tuple, sites: Sequence[str], metric: Metric
) -> tuple[dict[str, Tensor], dict[str, Tensor], np.ndarray]:
    """Activations at all sites, gradients of the metric there, and the metric: one forward, one backward."""
    seen: dict[str, Tensor] = {}

    def watch(site: str):
        def look(value: Tensor) -> Tensor:
            if not value.is_floating_point():
                raise ValueError(f"site {site!r} is {value.dtype}: there is no gradient")
            refuse_not_finite(value, site)
            if site in seen:
                raise ValueError(
                    f"site {site!r}: called several times in a forward; say which with @0, @1, ..."
                )
            seen[site] = value if value.requires_grad else value.detach().requires_grad_()
            return seen[site].clone()  # what happens in place after the site is not the site

        return look

    with torch.enable_grad(), editing(module, {site: watch(site) for site in sites}):
        output = module(*inputs)
        value = metric(output)
    count = len(value) if isinstance(value, Tensor) and value.ndim else 0
    checked(value, count, "the run without a patch")
    if not value.requires_grad:
        raise ValueError(
            f"the metric has no gradient at {', '.join(map(repr, sites))}: it must be computed in torch from the "
            "module's output, without detach, argmax, rounding or no_grad; for one that has none use patch_effects"
        )
    slopes = torch.autograd.grad(value.sum(), list(seen.values()), allow_unused=True, materialize_grads=True)
    values = {site: tensor.detach() for site, tensor in seen.items()}
    return values, dict(zip(seen, slopes, strict=True)), value.detach().double().numpy()


def _slope(metric: Metric, rest, point: Tensor, site: str) -> Tensor:
    point = point.detach().requires_grad_()
    with torch.enable_grad():
        value = checked(metric(rest(point)), len(point), f"site {site!r}, on the way")
    if not value.requires_grad:  # it has one elsewhere: what it reads does not depend on this site
        return torch.zeros_like(point)
    return torch.autograd.grad(value.sum(), [point], allow_unused=True, materialize_grads=True)[0]


def draw_parts(parts: Mapping[str, Sequence[Part]], pairs: int, *, seed: int = 0) -> dict[str, list[Part]]:
    """Draw (site, part) pairs at random, each at most once, for exact patches to check estimates by.

    Args:
        parts: site -> parts, as in the result of `attribution`.
        pairs: how many.
        seed: of the draw.

    Raises:
        ValueError: fewer than 3 pairs, or more than there are.
    """
    every = [(site, part) for site, found in parts.items() for part in found]
    if not 3 <= pairs <= len(every):
        raise ValueError(f"pairs must be in 3..{len(every)}, got {pairs}")
    drawn: dict[str, list[Part]] = {}
    for k in np.sort(np.random.default_rng(seed).choice(len(every), pairs, replace=False)):
        site, part = every[int(k)]
        drawn.setdefault(site, []).append(part)
    return drawn


def agreement(
    approximate: Mapping[str, np.ndarray],
    approximate_parts: Mapping[str, Sequence[Part]],
    exact: Mapping[str, np.ndarray],
    exact_parts: Mapping[str, Sequence[Part]],
) -> Agreement:
    """Hold estimated effects against exact ones.

    Args:
        approximate: site -> [P, N] estimated effects.
        approximate_parts: site -> their P parts.
        exact: site -> [Q, N] exact effects on the same samples.
        exact_parts: site -> their Q parts; each must have an estimate.

    Raises:
        ValueError: a part without an estimate, fewer than 3 pairs, other numbers of samples.
    """
    estimates = {
        (site, part): row
        for site, found in approximate_parts.items()
        for part, row in zip(found, approximate[site], strict=True)
    }
    pairs, guess, truth, counts = [], [], [], set()
    for site, found in exact_parts.items():
        for part, row in zip(found, exact[site], strict=True):
            if (site, part) not in estimates:
                raise ValueError(f"there is no estimate for site {site!r}, part {part!r}")
            pairs.append((site, part))
            guess.append(estimates[site, part].mean())
            truth.append(row.mean())
            counts |= {len(row), len(estimates[site, part])}
    if len(pairs) < 3 or len(counts) != 1:
        raise ValueError(
            f"needs 3 pairs on the same samples, got {len(pairs)} pairs, samples {sorted(counts)}"
        )
    x, y = np.array(guess), np.array(truth)
    worst = int(np.argmax(np.abs(x - y)))
    moved, size = y != 0, np.abs(y).sum()
    return Agreement(
        pairs=tuple(pairs), approximate=x, exact=y,
        rank_correlation=_spearman(x, y) if x.any() and y.any() else float("nan"),
        slope=float(x @ y / (x @ x)) if x.any() else float("nan"),
        same_sign=float((np.sign(x) == np.sign(y))[moved].mean()) if moved.any() else float("nan"),
        worst=pairs[worst], worst_approximate=float(x[worst]), worst_exact=float(y[worst]),
        missed=float(np.abs(y)[np.abs(x) < 0.1 * np.abs(y)].sum() / size) if size else float("nan"),
        n=counts.pop(),
    )  # fmt: skip


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation; what differs by less than single precision can tell is a tie."""
    one, other = (ranks(np.round(side / np.abs(side).max(), 6)) for side in (x, y))
    return float("nan") if min(np.ptp(one), np.ptp(other)) == 0 else float(np.corrcoef(one, other)[0, 1])
