"""What an activation depends on, by content: inputs, weights, structure, settings, mode, and who acts on the forward.

What is kept of a forward (a folder of `stream`, a run that `recompute_from` goes on from) is right only as long as all
of this is the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations.tree import first_names

_MACHINERY = vars(nn.Module()).keys() - {"training"}
"""what torch itself keeps on every module; parameters, buffers and submodules are told apart from settings"""

_PLAIN = (int, float, complex, str, bytes, type, np.generic, torch.dtype, torch.device)
"""what its own text tells whole; truth values and enumerations are among the numbers"""

_COMMON = frozenset((int, float, bool, str, type(None)))
"""the types of nearly all settings: their text goes into a hash in one piece"""


def digest(value: Any) -> str:
    """sha256 in hexadecimal of numbers, texts, tensors, arrays and whatever holds them; shape and type count.

    Of a function its code and what it closes over count; of any other object its type and attributes.
    """
    found = hashlib.sha256()
    _feed(found, value, set())
    return found.hexdigest()


def weights_of(module: nn.Module) -> str:
    """sha256 of all parameters and buffers, also of those that a state dict leaves out."""
    return digest([*module.named_parameters(), *module.named_buffers()])


def settings_of(module: nn.Module) -> str:
    """sha256 of the modules' names, types, modes and attributes: what a state dict does not hold.

    Two networks of the same weights differ here by an activation function, a number of ticks or the mode of dropout.
    """
    return digest(
        [(name, type(child).__qualname__, _settings(child)) for child, name in first_names(module).items()]
    )


def precision() -> str:
    """What torch is told about the types of numbers: its default type, and what autocast makes of them."""
    cast = [
        f"{device}: {torch.get_autocast_dtype(device)}"
        for device in ("cpu", "cuda")
        if torch.is_autocast_enabled(device)
    ]
    return ", ".join([str(torch.get_default_dtype()), *(f"autocast on {one}" for one in cast)])


def code_of(function: Any) -> tuple[str, Any]:
    """A function's name and code, without what it closes over; of another callable its type's name."""
    plain = getattr(function, "__func__", function)
    return getattr(plain, "__qualname__", type(plain).__qualname__), getattr(plain, "__code__", None)


def raw_bytes(tensor: Tensor) -> bytes:
    """The numbers of a tensor as they lie in memory, in the order of its axes."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _settings(child: nn.Module) -> dict[str, Any]:
    """Attributes of a module; other modules among them count by name where they stand as submodules."""
    return {
        name: value for name, value in sorted(vars(child).items())
        if name not in _MACHINERY and not isinstance(value, nn.Module)
    }  # fmt: skip


def _feed(found: Any, value: Any, seen: set[int]) -> None:
    """Takes a value into a hash; every kind begins with its name, so that no two kinds look alike."""
    kind = type(value)
    if kind in _COMMON:
        found.update(f"<{kind.__qualname__}{value!r}>".encode())
        return
    found.update(f"<{kind.__qualname__}".encode())
    if isinstance(value, Tensor):
        found.update(f"{value.dtype}{list(value.shape)}".encode())
        found.update(raw_bytes(value))
    elif isinstance(value, np.ndarray) and value.dtype != object:
        found.update(f"{value.dtype.str}{list(value.shape)}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    elif value is None or isinstance(value, _PLAIN):
        found.update(repr(value).encode())
    elif id(value) not in seen:
        seen = seen | {id(value)}
        for part in _parts(value):
            _feed(found, part, seen)
    found.update(b">")


def _parts(value: Any) -> list[Any]:
    """What an object is made of."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (tuple, list)):
        return list(value)
    if isinstance(value, (set, frozenset)):
        return sorted(digest(one) for one in value)
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if inspect.ismethod(value):
        return list(code_of(value))
    if inspect.isfunction(value):
        closed = inspect.getclosurevars(value).nonlocals
        return [value.__qualname__, value.__code__, value.__defaults__, closed]
    if inspect.iscode(value):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if inspect.isbuiltin(value) or isinstance(value, nn.Module):
        return [getattr(value, "__qualname__", "")]
    return [*vars(value).items()] if hasattr(value, "__dict__") else []
