"""Activation patching: put the activation of another input at a site, and measure what it does to a metric.

The effect of a patch is m(f | a <- a') - m(f), in the metric's units, for every sample: positive where the patch raises the
metric. Noising puts activations of the corrupt input into the clean run (m(f) is the clean run's metric; an effect as
large as corrupt minus clean says that the part was needed); denoising puts clean ones into the corrupt run (an effect
of clean minus corrupt says that it sufficed). The two need not agree (Heimersheim and Nanda 2024, "How to use and
interpret activation patching", sections 2 and 3).

Sweeps are exact: every patch is a forward. They recompute only what depends on the patched part, several patches
at a time, and equal full forwards with hooks to a relative 1e-5.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import editing
from goalscope.activations.hooks import Recorder
from goalscope.activations.inputs import Inputs, as_inputs, explained
from goalscope.activations.metric import Metric, measured, paired
from goalscope.activations.parts import Over, Part, chosen_parts, index_of
from goalscope.activations.recompute.fold import Sweep, fold_of, join, rows_of, samples
from goalscope.activations.recompute.from_site import warn_untraceable
from goalscope.activations.recompute.trace import Untraceable
from goalscope.showing import drawing, text

Direction = Literal["noising", "denoising"]
BATCH = 256
"""rows in a forward; more need more memory and, beyond the caches, more time"""


@dataclass(frozen=True)
class PatchEffects:
    """What each patch did.

    Attributes:
        kind: "noising", "denoising", "resample", "mean" or "zero".
        over: what a part is: "channels", "positions", "heads" or "site".
        parts: site -> its P patched parts: channels, (row, column) or tokens, heads, or one None.
        effect: site -> [P, N] metric of the patched run minus metric of the run that is patched, in the metric's
            units. Exactly 0 where the patch changed no number.
        changed: site -> [P, N] bool, whether the patch changed any number there.
        base: [N] metric of the run that is patched (noising: clean).
        source: [N] metric of the run that values come from (noising: corrupt); NaN for mean and zero.
        n: number of samples.
        untouched: how many of the patches (site, part, sample) changed no number.
        exact_forwards: sites that ran by full forwards because the module could not be traced; usually empty.
    """

    __repr__, _repr_html_ = text, drawing

    kind: str
    over: Over
    parts: Mapping[str, tuple[Part, ...]]
    effect: Mapping[str, np.ndarray]
    changed: Mapping[str, np.ndarray]
    base: np.ndarray
    source: np.ndarray
    n: int
    untouched: int
    exact_forwards: tuple[str, ...]

    def mean(self) -> dict[str, np.ndarray]:
        """site -> [P] effect, mean over the samples."""
        return {site: effect.mean(axis=1) for site, effect in self.effect.items()}


def patch_effects(
    module: nn.Module,
    clean: Inputs,
    corrupt: Inputs,
    sites: Sequence[str],
    metric: Metric,
    *,
    over: Over = "channels",
    parts: Mapping[str, Sequence[Part]] | None = None,
    heads: int | None = None,
    direction: Direction = "noising",
    batch: int = BATCH,
) -> PatchEffects:
    """Patch every part of every site with what it is on the other input, one patch at a time.

    Args:
        module: any module, whose samples do not see each other (evaluation mode).
        clean: N samples: a tensor or a tuple of arguments, axis 0 the samples.
        corrupt: N samples of the same shape; sample k is the counterpart of clean sample k.
        sites: names of sites (see `goalscope.activations.sites`).
        metric: the module's output for the N samples -> [N]; called once for each patch with all samples in order.
        over: "channels", "positions", "heads", or "site" for whole sites.
        parts: site -> the parts to patch; all parts where a site is not named.
        heads: number of heads, with over="heads".
        direction: "noising" puts corrupt into clean, "denoising" clean into corrupt.
        batch: rows in a forward.

    Raises:
        ValueError: an unknown site (with near matches), clean and corrupt of other lengths or shapes, a site that
            is the same on both inputs for all samples (the patch would touch nothing), activations that are not
            finite (site and sample), a metric that is not [N] or not finite (site, part and sample).
    """
    one, other = paired(clean, corrupt, module)
    if direction not in ("noising", "denoising"):
        raise ValueError(f'direction must be "noising" or "denoising", got {direction!r}')
    base, source = (one, other) if direction == "noising" else (other, one)
    job = _Job(module, tuple(sites), metric, over, parts or {}, heads, batch)
    with explained(module, base):
        return _sweep(job, direction, base, source, None)


def ablation_effects(
    module: nn.Module,
    inputs: Inputs,
    sites: Sequence[str],
    metric: Metric,
    *,
    how: Literal["resample", "mean", "zero"] = "resample",
    over: Over = "channels",
    parts: Mapping[str, Sequence[Part]] | None = None,
    heads: int | None = None,
    seed: int = 0,
    batch: int = BATCH,
) -> PatchEffects:
    """Patch every part of every site with what it is elsewhere in the data, one patch at a time.

    Args:
        module, sites, metric, over, parts, heads, batch: as for `patch_effects`.
        inputs: N samples, at least two.
        how: "resample" takes each sample's values from another sample, drawn at random (the same for all patches);
            "mean" takes the mean over the samples at each place; "zero" takes 0, which is often far from anything the
            network ever sees there, so its effects may be about the network's behaviour off its data: it warns.
        seed: of the draw.

    Raises:
        ValueError: as `patch_effects`, and fewer than two samples.
    """
    arguments = as_inputs(inputs, module)
    count = samples(arguments)
    if count < 2:
        raise ValueError("one sample has no other one to take values from: give at least two")
    if how not in ("resample", "mean", "zero"):
        raise ValueError(f'how must be "resample", "mean" or "zero", got {how!r}')
    if how == "zero":
        warnings.warn(
            "zero ablation puts values that the network may never see there; resample stays on the data",
            RuntimeWarning,
            stacklevel=2,
        )
    order = np.random.default_rng(seed).permutation(count)
    giver = np.empty(count, dtype=np.int64)
    giver[order] = np.roll(order, 1)  # one cycle: no sample keeps its own
    job = _Job(module, tuple(sites), metric, over, parts or {}, heads, batch)
    if how == "resample":
        return _sweep(job, how, arguments, rows_of(arguments, torch.from_numpy(giver)), None)
    means = _means(job, arguments)
    fill = means if how == "mean" else {site: torch.zeros_like(mean) for site, mean in means.items()}
    return _sweep(job, how, arguments, None, fill)


@dataclass(frozen=True)
class _Job:
    """What a sweep is asked for."""

    module: nn.Module
    sites: tuple[str, ...]
    metric: Metric
    over: Over
    parts: Mapping[str, Sequence[Part]]
    heads: int | None
    batch: int

    def __post_init__(self) -> None:
        if not self.sites or len(set(self.sites)) < len(self.sites):
            raise ValueError(f"name at least one site and each once, got {list(self.sites)}")
        strange = [site for site in self.parts if site not in self.sites]
        if strange:
            raise ValueError(
                f"parts are given for {strange[0]!r}, which is not among the sites {list(self.sites)}"
            )
        if isinstance(self.batch, bool) or self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch!r}")

    def chunks(self, count: int) -> list[slice]:
        """Samples that run together."""
        return [slice(k, min(k + self.batch, count)) for k in range(0, count, self.batch)]


class _FullForwards:
    """In place of a `Sweep` for a module that cannot be traced: every patch is a full forward with a hook."""

    def __init__(self, module: nn.Module, sites: Sequence[str]):
        self.module, self.recorder = module, Recorder(module, sites)
        self.inputs: tuple = ()
        self.values: dict[str, Tensor] = {}
        self.output: Any = None

    def record(self, inputs: tuple, first_sample: int = 0) -> None:
        self.inputs = inputs
        self.values, self.output = self.read(inputs, first_sample)

    def read(self, inputs: tuple, first_sample: int = 0) -> tuple[dict[str, Tensor], Any]:
        return self.recorder.run(inputs, first_sample), self.module(*inputs)

    def value(self, site: str) -> Tensor:
        return self.values[site]

    def narrow(self, site: str) -> bool:
        return False

    def foldable(self, site: str) -> bool:
        return False

    def patched(self, site: str, values: Tensor) -> Any:
        with editing(self.module, {site: lambda _: values}):
            return self.module(*self.inputs)


def _engine(job: _Job, inputs: tuple) -> Any:
    try:
        return Sweep(job.module, inputs, job.sites)
    except Untraceable as error:
        warn_untraceable(job.module, error)
        return _FullForwards(job.module, job.sites)


def _sweep(
    job: _Job, kind: str, base: tuple, source: tuple | None, fill: dict[str, Tensor] | None
) -> PatchEffects:
    """All patches; values come from a run on `source`, or are `fill`, a value for each place of a site."""
    count = samples(base)
    parts: dict[str, list[Part]] = {}
    changed: dict[str, list[Tensor]] = {site: [] for site in job.sites}
    outputs: dict[str, list[list[Any]]] = {site: [] for site in job.sites}
    plain: list[Any] = []
    given: list[Any] = []
    with torch.inference_mode():
        engine = _engine(job, base)
        for rows in job.chunks(count):
            _run(engine.record, base, rows, "the run that is patched")
            plain.append(engine.output)
            other = dict(fill or {})
            if source is not None:
                other, output = _run(engine.read, source, rows, f"the {kind} source run")
                given.append(output)
            for site in job.sites:
                value = engine.value(site)
                _refuse_uncounted(site, value, rows)
                parts[site] = chosen_parts(site, value.shape, job.over, job.heads, job.parts.get(site))
                new = other.pop(site).expand_as(value)
                touched = _changed(job, value, new, parts[site])
                changed[site].append(touched)
                outputs[site].append(_outputs(engine, job, site, new, parts[site], touched))
        _refuse_untouched(kind, changed, parts)
        effect, before = _effects(job, plain, outputs, changed, parts)
        after = measured(job.metric, join(given), count, f"the {kind} source run") if given else None
    touched_all = {site: torch.cat(found, 1).numpy() for site, found in changed.items()}
    return PatchEffects(
        kind, job.over, {site: tuple(found) for site, found in parts.items()}, effect, touched_all, before,
        np.full(count, np.nan) if after is None else after, count,
        int(sum((~found).sum() for found in touched_all.values())),
        job.sites if isinstance(engine, _FullForwards) else (),
    )  # fmt: skip


def _run(call: Callable[[tuple, int], Any], inputs: tuple, rows: slice, run: str) -> Any:
    """What `record` or `read` gives for some samples; errors say in which run."""
    try:
        return call(rows_of(inputs, rows), rows.start)
    except ValueError as error:
        raise ValueError(f"{run}: {error}") from error


def _outputs(engine: Any, job: _Job, site: str, new: Tensor, parts: list[Part], touched: Tensor) -> list[Any]:
    """The module's output for each part of a site; the unpatched one where a patch changes no number."""
    value = engine.value(site)
    count = len(value)
    found: list[Any] = [engine.output] * len(parts)
    todo = [p for p in range(len(parts)) if touched[p].any()]
    folds = max(1, job.batch // count) if engine.foldable(site) else 1
    narrow = job.over == "channels" and engine.narrow(site)
    for first in range(0, len(todo), folds):
        group = todo[first : first + folds]
        if narrow:
            channels = [parts[p] for p in group]
            out = engine.channels(site, channels, new[:, channels])
        else:
            whole = torch.cat([value] * len(group)) if len(group) > 1 else value.clone()
            for g, p in enumerate(group):
                index = index_of(value.shape, job.over, parts[p], job.heads)
                whole[g * count : (g + 1) * count][index] = new[index]
            out = engine.patched(site, whole)
        for g, p in enumerate(group):
            found[p] = fold_of(out, count, g) if len(group) > 1 else out
    return found


def _changed(job: _Job, value: Tensor, new: Tensor, parts: list[Part]) -> Tensor:
    """[P, n] bool: which patches change a number in which sample."""
    return torch.stack(
        [
            (value[index] != new[index]).flatten(1).any(1)
            for index in (index_of(value.shape, job.over, part, job.heads) for part in parts)
        ]
    )


def _effects(job, plain, outputs, changed, parts) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """site -> [P, N] effects, and [N] the metric without a patch."""
    count = sum(found.shape[1] for found in changed[job.sites[0]])
    before = measured(job.metric, join(plain), count, "the run without a patch")
    effect = {}
    for site in job.sites:
        rows = []
        for p, part in enumerate(parts[site]):
            where = f"site {site!r}, {job.over} {part}"
            after = measured(job.metric, join([chunk[p] for chunk in outputs[site]]), count, where)
            touched = torch.cat([chunk[p] for chunk in changed[site]]).numpy()
            # Forwards of more rows may end in other last digits: what was not changed has no effect.
            rows.append(np.where(touched, after - before, 0.0))
        effect[site] = np.stack(rows)
    return effect, before


def _means(job: _Job, inputs: tuple) -> dict[str, Tensor]:
    """site -> [1, ...] mean over the samples at each place, in the type of the site."""
    count = samples(inputs)
    total: dict[str, Tensor] = {}
    types: dict[str, torch.dtype] = {}
    recorder = Recorder(job.module, job.sites)
    for rows in job.chunks(count):
        for site, value in recorder.run(rows_of(inputs, rows), rows.start).items():
            _refuse_uncounted(site, value, rows)
            sums = value.double().sum(0, keepdim=True)
            total[site] = total[site] + sums if site in total else sums
            types[site] = value.dtype
    return {site: (sums / count).to(types[site]) for site, sums in total.items()}


def _refuse_uncounted(site: str, value: Tensor, rows: slice) -> None:
    if not value.ndim or len(value) != rows.stop - rows.start:
        raise ValueError(
            f"site {site!r} has shape {list(value.shape)}: axis 0 must count the {rows.stop - rows.start} samples"
        )


def _refuse_untouched(kind: str, changed: dict[str, list[Tensor]], parts: dict[str, list[Part]]) -> None:
    for site, found in changed.items():
        if not any(bool(chunk.any()) for chunk in found):
            raise ValueError(
                f"patching {site!r} ({kind}) touches nothing: its {len(parts[site])} parts are the same in both runs "
                f"for all {sum(chunk.shape[1] for chunk in found)} samples"
            )
