"""A policy's forward in a world: any module's, without gradients, dropout or any trace of it afterwards.

Observations go in through the module's own `encode`, or as float tensors of what the world's `observe` gives. Out come
logits, or (logits, value), or (logits, value, carry) of a module that has `initial_carry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


class Answer(NamedTuple):
    """What a policy says of N observations."""

    logits: Tensor
    """[N, A]"""
    value: Tensor | None
    """[N]; None of a policy without a value head"""
    carry: Any
    """for the next forward; None of a policy without memory"""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """No gradients, no dropout; the module's mode is put back afterwards."""
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)


def encoded(module: nn.Module, observations: Any) -> Tensor:
    """What goes into the module: its own `encode`, or the observations as floats of its precision on its device.

    Raises:
        ValueError: its `encode` fails, or gives something else than a tensor of as many rows.
    """
    if hasattr(module, "encode"):
        return _by_encode(module, observations)
    x = torch.from_numpy(np.ascontiguousarray(observations))
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return x.to(parameter.device, parameter.dtype)
    return x.float()


def _by_encode(module: Any, observations: Any) -> Tensor:
    name, came = (
        type(module).__name__,
        f"the observations {list(getattr(observations, 'shape', [len(observations)]))}",
    )
    try:
        x = module.encode(observations)
    except ValueError:
        raise  # its own words for what it does not take
    except Exception as error:  # whatever a user's code raises is told with what was given to it
        raise ValueError(f"{name}.encode fails on {came}: {type(error).__name__}: {error}") from error
    if not isinstance(x, Tensor) or not x.ndim or len(x) != len(observations):
        raise ValueError(
            f"{name}.encode gives {described(x)} for {came}; a tensor of {len(observations)} rows is wanted"
        )
    return x


def needs(world: Any, names: Iterable[str], what: str) -> None:
    """Refuses a world that lacks something.

    Raises:
        ValueError: names what is missing, and `what` needs it.
    """
    for name in names:
        if not hasattr(world, name):
            raise ValueError(
                f"the {getattr(world, 'name', type(world).__name__)} world has no `{name}`: {what}"
            )


def first_carry(module: nn.Module, count: int) -> Any:
    """The memory before the first observation of `count` levels; None of a module without `initial_carry`.

    Raises:
        ValueError: it is not made of tensors.
    """
    make = getattr(module, "initial_carry", None)
    if make is None:
        return None
    carry = make(count)
    leaves = pytree.tree_leaves(carry)
    if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
        raise ValueError(
            f"initial_carry({count}) of {type(module).__name__} gives {kinds}; tensors are wanted, or tuples, lists or "
            "dictionaries of them"
        )
    return carry


def answer(
    module: nn.Module, x: Tensor, carry: Any = None, actions: int | None = None, world: str = ""
) -> Answer:
    """One forward, whatever its form.

    Args:
        module: any policy network. x: [N, ...] what `encoded` gives.
        carry: of the forward before, or `first_carry`; None of a policy without memory.
        actions: A, where it is known what the world takes.
        world: its name, for the message.

    Raises:
        ValueError: the module cannot take the observations; or it gives something else than logits, (logits, value) or
            (logits, value, carry), another number of actions, or a carry of another structure.
    """
    name = type(module).__name__
    try:
        out = module(x) if carry is None else module(x, carry)
    except Exception as error:  # whatever a user's forward raises is told with what was given to it
        first = (str(error).splitlines() or [""])[0]
        if not isinstance(error, RuntimeError | ValueError):  # torch's own words say what they mean
            first = f"{type(error).__name__}: {first}"
        of = f" of the {world} world" if world else ""
        raise ValueError(f"{name} cannot take the observations {list(x.shape)}{of}: {first}") from error
    parts = [out] if isinstance(out, Tensor) else list(out) if isinstance(out, tuple | list) else None
    if not parts or not isinstance(parts[0], Tensor) or parts[0].ndim != 2 or len(parts[0]) != len(x):
        raise ValueError(
            f"{name} gives {described(out)} for observations {list(x.shape)}; a policy gives logits [{len(x)}, "
            f"{actions or 'A'}], or (logits, value [{len(x)}]), or (logits, value, carry)"
        )
    logits = parts[0]
    if not logits.is_floating_point() or logits.is_meta:
        kind = "on the device 'meta', which holds no numbers" if logits.is_meta else f"of {logits.dtype}"
        raise ValueError(f"{name} gives logits {kind}; floating-point numbers are wanted")
    if actions is not None and logits.shape[1] != actions:
        raise ValueError(f"the policy has {logits.shape[1]} actions, the {world} world {actions}")
    value = _value(parts[1], len(x), name) if len(parts) > 1 and parts[1] is not None else None
    # What a policy without memory gives besides is nothing that it takes.
    following = parts[2] if len(parts) > 2 and hasattr(module, "initial_carry") else None
    if carry is not None:
        _check_carry(carry, following, name)
    return Answer(logits, value, following)


def _value(given: Any, count: int, name: str) -> Tensor:
    fits = isinstance(given, Tensor) and given.numel() == count and given.shape[:1] == (count,)
    if fits and given.is_floating_point():
        return given.reshape(count)
    raise ValueError(f"{name} gives {described(given)} as its value; [{count}] or [{count}, 1] is wanted")


def _check_carry(before: Any, after: Any, name: str) -> None:
    old, kind = pytree.tree_flatten(before)
    new, other = pytree.tree_flatten(after)
    tensors = all(isinstance(leaf, Tensor) for leaf in new)
    if (
        kind != other
        or not tensors
        or not all(_follows(a.shape, b.shape) for a, b in zip(old, new, strict=True))
    ):
        raise ValueError(
            f"{name} takes the carry {described(before)} and gives {described(after)}: the same structure and shapes are "
            "wanted, as the third of (logits, value, carry)"
        )


def _follows(before: torch.Size, after: torch.Size) -> bool:
    """The same shape; maps [N, ..., H, W] may begin as [N, ..., 1, 1], the same on every square."""
    begun = (
        len(before) >= 4 and before[-2:] == (1, 1) and before[:-2] == after[:-2] and len(before) == len(after)
    )
    return before == after or begun


def described(thing: Any) -> str:
    """Tensors by their shapes, whatever holds them by its kind."""
    if isinstance(thing, Tensor):
        return f"a tensor {list(thing.shape)}" + ("" if thing.is_floating_point() else f" of {thing.dtype}")
    if isinstance(thing, tuple | list):
        return f"({', '.join(described(part) for part in thing)})"
    if isinstance(thing, dict):
        return f"a dictionary of {', '.join(map(str, thing)) or 'nothing'}"
    return "nothing" if thing is None else f"a {type(thing).__name__}"
