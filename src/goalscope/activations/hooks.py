"""Hooks on any module: capture and editing, with the numbers of the bare forward.

Hooks go when the block (or the call) that set them ends, and act only in the thread that opened it (`watch.py`): two
threads may edit the same module at once and see nothing of each other; a forward that runs in another thread is
not edited, and leaving the block then says that the site was never reached. Blocks nest: the outer block's edit comes
first, and a capture within a block sees the edited values.
"""

from __future__ import annotations

import cmath
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.attention import warn_of_fused_path
from goalscope.activations.copies import Copies
from goalscope.activations.edits import Edit, Refused, replace
from goalscope.activations.inputs import Inputs, as_inputs, as_tensor, explained
from goalscope.activations.sites import (
    EVERY,
    Site,
    find_all,
    locate,
    parse,
    tensor_at,
    tensors,
    with_tensor,
)
from goalscope.activations.tree import first_names
from goalscope.activations.watch import Watch

EditLike = Callable[[Tensor], Tensor]
_PACKAGE = __name__.partition(".")[0]


def sites(module: nn.Module, *inputs: Any, ins: bool = False) -> dict[str, tuple[int, ...]]:
    """Every site that one forward reaches, in the order in which it reaches them.

    Args:
        module: any module; it runs once, without gradients.
        inputs: what its forward takes.
        ins: also list the sites at the modules' inputs, `NAME:in`.

    Returns:
        site -> shape. A module that is called several times has one entry a call (`NAME@0`, `NAME@1`, ...). Where
        several tensors come out, `NAME` is the first and the others follow as `NAME:out.KEY`. Modules that give
        no tensor are left out. The axes are those of the module: in [N, C, H, W] axis 1 counts channels and the
        last two rows and columns; in [N, T, C] axis 1 counts positions and the last channels.
    """
    names = first_names(module)
    found: list[tuple[str, int, str, tuple[int, ...]]] = []

    def note(site: Site, whole: Any, call: int) -> None:
        if site.side == "in":
            whole = whole[0] or tuple(whole[1].values())
        for k, (path, tensor) in enumerate(tensors(whole)):
            suffix = "" if k == 0 else "." + ".".join(path)
            if site.side == "out":
                suffix = f":out{suffix}" if suffix else ""
            elif k == 0:
                suffix = ":in"
            else:
                continue
            found.append((site.name, call, suffix, tuple(tensor.shape)))

    sides = ("in", "out") if ins else ("out",)
    watched = [(Site(name, name, side=side), child) for child, name in names.items() for side in sides]
    arguments = as_inputs(inputs, module)
    with Watch(module, watched, note) as watch, torch.no_grad(), explained(module, arguments):
        module(*arguments)
    often = {names[child] for child, calls in watch.calls.items() if calls > 1}
    return {
        f"{name}@{call}{suffix}" if name in often else name + suffix: shape
        for name, call, suffix, shape in found
    }


class Recorder:
    """Captures some sites of many forwards.

    Args:
        module: any module.
        sites: names of sites.
        keep: (site as it was written, tensor) -> its copy; None makes a new one.
    """

    def __init__(
        self,
        module: nn.Module,
        sites: Iterable[str],
        keep: Callable[[str, Tensor], Tensor] | None = None,
    ):
        texts = [sites] if isinstance(sites, str) else list(sites)
        if not texts:
            raise ValueError("no sites to capture: name at least one")
        self.module = module
        self._sites = {text: parse(text) for text in texts}
        parsed = list(self._sites.values())
        self._watched = list(zip(parsed, find_all(module, parsed), strict=True))
        self._kept: dict[str, list[Tensor]] = {}
        self._keep, self._copies = keep, Copies()
        self._first_sample = 0
        warn_of_randomness(module)
        warn_of_fused_path(module, 4)

    def run(self, inputs: tuple[Any, ...], first_sample: int = 0) -> dict[str, Tensor]:
        """One forward without gradients; `first_sample` is only for the words of errors.

        Hooks are there for this forward only: what makes the inputs of the next one may run the module as well.
        """
        self._kept = {text: [] for text in self._sites}
        self._copies = Copies()
        self._first_sample = first_sample
        with (
            Watch(self.module, self._watched, self._record) as watch,
            torch.no_grad(),
            explained(self.module, inputs),
        ):
            self.module(*inputs)
        watch.refuse_unreached()
        return {text: self._result(site) for text, site in self._sites.items()}

    def _record(self, site: Site, whole: Any, call: int) -> None:
        seen = tensor_at(whole, locate(whole, site))
        tensor = self._keep(site.text, seen) if self._keep else self._copies.copy(seen)
        refuse_not_finite(tensor, site.text, call, self._first_sample)
        self._kept[site.text].append(tensor)

    def _result(self, site: Site) -> Tensor:
        kept, self._kept[site.text] = self._kept[site.text], []
        if site.call == EVERY:
            shapes = {tuple(tensor.shape) for tensor in kept}
            if len(shapes) > 1:
                raise ValueError(
                    f"site {site.text!r}: its calls differ in shape ({sorted(shapes)}); name them with @0, @1, ..."
                )
            return torch.stack(kept)
        if len(kept) > 1:
            raise ValueError(
                f"site {site.text!r}: called {len(kept)} times within a forward; say which call "
                f"({site.name}@0 ... {site.name}@{len(kept) - 1}), or {site.name}@* for all, stacked on axis 0"
            )
        return kept[0]


def capture(
    module: nn.Module, inputs: Inputs, sites: Iterable[str], *, batch: int | None = None
) -> dict[str, Tensor]:
    """Activations at some sites: copies, without a graph, in the memory format that they had.

    The module runs as it is, under `torch.no_grad`; for gradients through activations use `editing` with a function.
    A module in training mode with dropout or batch normalisation runs in training mode, with a warning.

    Args:
        module: any module.
        inputs: what its forward takes: a tensor, or a tuple of arguments; arrays and nested lists become tensors
            (`inputs.py` says how).
        sites: names of sites (see `goalscope.activations.sites`).
        batch: run so many samples at a time; every tensor of `inputs` is cut along axis 0, and the results are
            joined there. The last bits of a convolution may depend on how many samples run together.

    Returns:
        site, as it was written -> tensor of the site's shape; with `@*`, [calls, ...].

    Raises:
        ValueError: an unknown site (with near matches), one that is never reached, one whose module is called
            several times without `@`, activations that are not finite (site and sample), inputs of unequal
            length, inputs that a layer cannot take, a site whose axis 0 does not count samples while `batch` is given.
    """
    arguments = as_inputs(inputs, module)
    recorder = Recorder(module, sites)
    if batch is None:
        return recorder.run(arguments)
    count = sample_count(arguments)
    if isinstance(batch, bool) or batch < 1 or not count:
        raise ValueError(f"batch must be at least 1 with at least one sample, got {batch} of {count} samples")
    whole: dict[str, Tensor] = {}
    for first in range(0, count, batch):
        part = slice(first, min(first + batch, count))
        cut = tuple(x[part] if isinstance(x, Tensor) else x for x in arguments)
        for text, tensor in recorder.run(cut, first).items():
            axis = int(parse(text).call == EVERY)
            refuse_uncounted(text, tensor, axis, part.stop - first)
            if not first:
                whole[text] = _empty_alike(tensor, axis, count)
            whole[text].narrow(axis, first, part.stop - first).copy_(tensor)
    return whole


class editing:
    """Edits activations in every forward of the module within the block.

    `with editing(module, {site: edit}): out = module(x)`. Gradients flow through edits. Hooks go when the block
    ends. An edit is one of the edits of this package, a tensor (as `replace`), a function from tensor to a tensor of
    the same shape, or a list of these, applied in order. Without `@`, every call of a module is edited. The network
    gets a copy of what an edit gives, so what it does in place leaves the caller's tensors as they are.

    Args:
        module: any module.
        edits: site -> edit.

    Raises:
        ValueError: an unknown site (with near matches); an edit that does not fit (site and shapes); on leaving,
            a site that was never reached (unless another exception is on its way).
    """

    def __init__(
        self,
        module: nn.Module,
        edits: Mapping[str, EditLike | Tensor | np.ndarray | Sequence[EditLike | Tensor]],
    ):
        if not edits:
            raise ValueError("no edits: name at least one site, as in {'embedder.block2.res1': zero()}")
        self._edits = {text: _functions(text, edit) for text, edit in edits.items()}
        parsed = [parse(text) for text in edits]
        self._watch = Watch(module, list(zip(parsed, find_all(module, parsed), strict=True)), self._edit)

    def __enter__(self) -> None:
        warn_of_randomness(self._watch.module)
        warn_of_fused_path(self._watch.module, 3)
        self._watch.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._watch.__exit__(kind, *rest)
        if kind is None:
            self._watch.refuse_unreached()

    def _edit(self, site: Site, whole: Any, call: int) -> Any:
        path = locate(whole, site)
        was = tensor_at(whole, path)
        value = was
        for function in self._edits[site.text]:
            try:
                new = function(value)
            except Refused as error:
                raise ValueError(f"edit at {site.text!r}: {error}") from None
            if not isinstance(new, Tensor):
                raise ValueError(
                    f"edit at {site.text!r}: the function gave a {type(new).__name__}, not a tensor"
                )
            if new.shape != value.shape:
                raise ValueError(
                    f"edit at {site.text!r}: the site has shape {list(value.shape)}, the edit gave {list(new.shape)}"
                )
            value = new
        return with_tensor(whole, path, _handed_over(was, value))


def warn_of_randomness(module: nn.Module) -> None:
    """Says so where a forward in training mode is random or changes the module: once for a line of the caller's."""
    names = [
        name or type(child).__name__
        for child, name in first_names(module).items()
        if child.training
        and (
            (isinstance(child, nn.modules.dropout._DropoutNd) and child.p)
            or (isinstance(child, nn.modules.batchnorm._NormBase) and child.track_running_stats)
            or (isinstance(child, (nn.MultiheadAttention, nn.RNNBase)) and child.dropout)
        )
    ]
    if names:
        warnings.warn(
            f"{type(module).__name__} is in training mode and runs so: dropout draws at random and batch "
            f"normalisation updates its statistics ({', '.join(names[:3])}{', ...' if names[3:] else ''}); "
            "call module.eval() first for the numbers of the trained network",
            stacklevel=_frames_of_ours() + 1,
        )


def _frames_of_ours() -> int:
    """How many frames of this package lie between the function that asks, itself counted, and the caller's line."""
    frame, ours = sys._getframe(1), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, ours = frame.f_back, ours + 1
    return ours


def refuse_not_finite(tensor: Tensor, site: str, call: int = 0, first_sample: int = 0) -> None:
    """Raises ValueError where a tensor holds nan or infinity, naming the site and the first such sample."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return
    # One pass without a temporary: the sum is finite unless an entry is not, or the sum overflows.
    wide = torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else None
    if cmath.isfinite(tensor.sum(dtype=wide).item()):
        return
    wrong = ~torch.isfinite(tensor)
    if not wrong.any():
        return
    sample = int(wrong.reshape(len(tensor), -1).any(1).nonzero()[0]) if tensor.ndim else 0
    at_call = f" (call {call})" if call else ""
    raise ValueError(
        f"site {site!r}{at_call}: sample {first_sample + sample} has {int(wrong.sum())} activations in its batch "
        "that are nan or infinite; look at the inputs and the weights"
    )


def sample_count(arguments: tuple[Any, ...]) -> int:
    """The common length of axis 0 of all tensors.

    Raises:
        ValueError: no tensor among them, or unequal lengths.
    """
    lengths = [len(x) if x.ndim else 0 for x in arguments if isinstance(x, Tensor)]
    if not lengths:
        raise ValueError("batches are cut from tensors, and there is none among the inputs")
    if len(set(lengths)) > 1:
        raise ValueError(f"inputs have unequal numbers of samples on axis 0: {lengths}")
    return lengths[0]


def refuse_uncounted(site: str, tensor: Tensor, axis: int, samples: int) -> None:
    """Raises ValueError where an axis of a site does not count the samples of the batch."""
    if tensor.ndim <= axis or tensor.shape[axis] != samples:
        raise ValueError(
            f"site {site!r} has shape {list(tensor.shape)} for {samples} samples: axis {axis} does not count samples, "
            "so batches of it cannot be joined; capture it without batches"
        )


def _empty_alike(tensor: Tensor, axis: int, count: int) -> Tensor:
    """Room for `count` samples in the memory format of a batch of them."""
    order = sorted(range(tensor.ndim), key=lambda k: (-tensor.stride(k), k))
    shape = [count if k == axis else tensor.shape[k] for k in order]
    inverse = sorted(range(tensor.ndim), key=lambda k: order[k])
    return tensor.new_empty(shape).permute(inverse)


def _functions(text: str, edit: Any) -> list[EditLike]:
    """An edit as functions that leave their argument as it is."""
    if isinstance(edit, (list, tuple)):
        if not edit:
            raise ValueError(f"edit at {text!r}: an empty list edits nothing")
        return [function for one in edit for function in _functions(text, one)]
    if isinstance(edit, Edit):
        return [edit]
    if isinstance(edit, np.ndarray):
        edit = as_tensor(f"edit at {text!r}", edit, "an array of the site's shape")
    if isinstance(edit, Tensor):
        return [replace(edit)]
    if not callable(edit):
        raise ValueError(f"edit at {text!r}: a {type(edit).__name__} is no edit; give a function or a tensor")

    # The site's tensor may be read elsewhere (by a skip, say): what a function does in place must not reach it.
    function: Any = edit
    return [lambda tensor: function(tensor.clone())]


def _handed_over(was: Tensor, new: Tensor) -> Tensor:
    """A copy for the network, in the type and memory format that the next layer would have got.

    So it sums in one order; and what the network does in place reaches no tensor that the caller holds.
    """
    return new if new is was else torch.empty_like(was).copy_(new)
