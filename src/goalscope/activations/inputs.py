"""What callers hand over, as tensors and arrays: converted where only one thing can be meant, else refused in one line.

A forward's arguments are a tensor, or a tuple of arguments. NumPy arrays and nested lists of numbers become tensors on the
module's device, floating point ones in the module's type; tensors of half precision are widened to it. Whole numbers stay
whole: whether pixels 0..255 or token ids are meant only the caller knows. One sample gets its axis of samples where the
module says what one is, by its `size` and its first convolution; elsewhere no axis is added. Where a layer then cannot
take what it gets, `explained` says what came and what is wanted.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.tree import first_names

Inputs = Tensor | np.ndarray | list[Any] | tuple[Any, ...]
"""what `as_inputs` takes"""
_HALF = (torch.float16, torch.bfloat16)
_KINDS = "biufc"


def as_inputs(given: Inputs, module: nn.Module) -> tuple[Any, ...]:
    """The arguments of a forward from a tensor, an array, a nested list, or a tuple of arguments.

    A list of tensors, and a flat list among several arguments (a size, say), go to the module as they are. One sample
    [C, size, size] of a module that has a `size` is a batch of one.

    Raises:
        ValueError: a list that is ragged, or an array or list of anything but numbers.
    """
    arguments = given if isinstance(given, tuple) else (given,)
    taken = tuple(_argument(value, module, len(arguments) == 1) for value in arguments)
    if len(taken) == 1 and isinstance(taken[0], Tensor) and taken[0].shape == _sample(module):
        return (taken[0][None],)
    return taken


def _sample(module: nn.Module) -> tuple[int, ...] | None:
    """The shape of one observation, where the module has the side of its square world; None elsewhere."""
    size = getattr(module, "size", None)
    if type(size) is not int:
        return None
    first = next((layer for layer in first_names(module) if isinstance(layer, nn.Conv2d)), None)
    return None if first is None else (first.in_channels, size, size)


def as_tensor(name: str, given: Any, wanted: str) -> Tensor:
    """A tensor on the processor without its graph, from a tensor, an array or a nested list of numbers.

    Args:
        name: of the argument, for the words of errors.
        given: what came; a tensor keeps its type, a list of floats gets torch's default type.
        wanted: what the function takes, as in "[M, D] activations"; likewise.

    Raises:
        ValueError: neither, a ragged list, or no numbers.
    """
    if isinstance(given, Tensor):
        return given.detach().cpu()
    tensor = torch.from_numpy(_numbers(name, given, wanted).copy())
    listed = not isinstance(given, np.ndarray) and tensor.is_floating_point()
    return tensor.to(torch.get_default_dtype()) if listed else tensor


def as_array(name: str, given: Any, wanted: str) -> np.ndarray:
    """An array from a tensor (of any type, device or graph), an array or a nested list of numbers.

    Raises:
        ValueError: as `as_tensor`.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        return (given.float() if given.dtype == torch.bfloat16 else given).numpy()
    return _numbers(name, given, wanted)


@contextmanager
def explained(module: nn.Module, arguments: tuple[Any, ...]) -> Iterator[None]:
    """Says in one line where a forward within the block fails because its arguments do not fit.

    Raises:
        ValueError: another number of arguments than the forward has, or a linear, convolution or embedding layer that
            gets another shape or type than it takes. All other errors pass as they are.
    """
    try:
        yield
    except (RuntimeError, TypeError, IndexError) as error:
        why = _misfit(module, arguments, error)
        if why is None:
            raise
        came = ", ".join(map(_said, arguments)) or "no argument"
        raise ValueError(f"{type(module).__name__} cannot run on {came}: {why}") from error


def _argument(value: Any, module: nn.Module, alone: bool) -> Any:
    if isinstance(value, Tensor):
        cast = value.dtype in _HALF and not torch.is_autocast_enabled(value.device.type)
        dtype = _precision(module) if cast else None
        return value if dtype is None else value.to(dtype)
    listed = isinstance(value, list) and bool(value) and not _holds_tensor(value)
    if not (
        isinstance(value, np.ndarray) or (listed and (alone or isinstance(value[0], (list, np.ndarray))))
    ):
        return value
    tensor = as_tensor("the input", value, "a tensor, an array or nested lists of numbers")
    at = next(module.parameters(), tensor).device
    dtype = _precision(module) if tensor.is_floating_point() else None
    return tensor.to(at, dtype or tensor.dtype)


def _precision(module: nn.Module) -> torch.dtype | None:
    """The one floating point type of the module's parameters; None where there is none, or several."""
    found = {one.dtype for one in module.parameters() if one.is_floating_point()}
    return found.pop() if len(found) == 1 else None


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, (list, tuple)) and any(map(_holds_tensor, value)))


def _numbers(name: str, given: Any, wanted: str) -> np.ndarray:
    try:
        array = np.asarray(_plain(given))
    except (ValueError, TypeError):  # NumPy's words for a ragged list
        raise ValueError(
            f"{name}: wanted {wanted}, got a {type(given).__name__} whose rows differ in length"
        ) from None
    if array.dtype.kind not in _KINDS:
        kind = f"array of {array.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        raise ValueError(f"{name}: wanted {wanted}, got a {kind} that does not hold numbers")
    return array


def _plain(given: Any) -> Any:
    """Lists of tensors as lists of arrays, which NumPy stacks."""
    if isinstance(given, Tensor):
        return as_array("", given, "")
    return [_plain(one) for one in given] if isinstance(given, (list, tuple)) else given


def _said(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"


def _misfit(module: nn.Module, arguments: tuple[Any, ...], error: Exception) -> str | None:
    """What does not fit; None where the error is of another kind."""
    if isinstance(error, TypeError):
        form = inspect.signature(module.forward)
        try:
            form.bind(*arguments)
        except TypeError:
            return f"its forward takes {form}; give several arguments as a tuple, (x, y)"
    layer, got = _failing_layer(error)
    wanted = None if layer is None else _wanted(layer, got)
    if layer is None or wanted is None:
        return None
    name = next((name for name, child in module.named_modules() if child is layer), "")
    called = f"its layer {name!r} ({type(layer).__name__})" if name else "it"
    hint = "; axis 0 counts samples, so one sample x is x[None]" if isinstance(got, Tensor) else ""
    return f"{called} takes {wanted} and gets {_said(got)}{hint}"


def _failing_layer(error: Exception) -> tuple[nn.Module | None, Any]:
    """The innermost layer whose forward was running, where it is one of those that `_wanted` knows, and its input."""
    layer, got = None, None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        held = frame.f_locals
        if frame.f_code.co_name == "forward" and isinstance(held.get("self"), nn.Module):
            layer, got = held["self"], held.get("input")
    return layer, got


def _wanted(layer: nn.Module, got: Any) -> str | None:
    """What a layer takes, where that is not what it gets; None where it is, or of a layer not known here."""
    shape: tuple[int, ...] = tuple(got.shape) if isinstance(got, Tensor) else ()
    if isinstance(layer, nn.Embedding):
        whole = isinstance(got, Tensor) and got.dtype in (torch.int32, torch.int64)
        inside = whole and (not got.numel() or 0 <= int(got.min()) <= int(got.max()) < layer.num_embeddings)
        return None if inside else f"whole numbers 0..{layer.num_embeddings - 1} (int64)"
    if isinstance(layer, nn.Linear):
        fits, form = shape[-1:] == (layer.in_features,), f"[..., {layer.in_features}]"
    elif isinstance(layer, nn.modules.conv._ConvNd):
        axes = len(layer.kernel_size)
        fits = len(shape) in (axes + 1, axes + 2) and shape[-axes - 1] == layer.in_channels
        form = f"[N, {layer.in_channels}, {', '.join('DHW'[-axes:])}]"
    else:
        return None
    dtype = layer.weight.dtype
    if fits and isinstance(got, Tensor) and got.dtype == dtype:
        return None
    return f"{form} {str(dtype).removeprefix('torch.')}"
