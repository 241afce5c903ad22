"""What the linear layer that gives a policy's value reads on each square, where the network has such a layer.

Random read-outs of it are what value-policy agreement is compared with. The layer is found by what it does, not by its
name: the one linear layer of which a column is the value on every square. Where there is none, or several that read
different things, nothing is given rather than a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import nn

from goalscope.methods.behaviour.agreement import Readouts
from goalscope.stats import Estimate

PROBED = 4
"""levels on which the layer is to be looked for"""


class _HasValue(Protocol):
    @property
    def value(self) -> np.ndarray: ...


Valued = TypeVar("Valued", bound=_HasValue)
"""what has the policy's value on each square, in the order of its forwards"""
_Passed = dict[str, list[tuple[np.ndarray, np.ndarray]]]
"""layer -> (input [B, H], output [B, O]) of each forward"""


def with_features(
    module: nn.Module, few: Callable[[], Valued], every: Callable[[], Valued]
) -> tuple[Valued, np.ndarray | None]:
    """What `every` gives and, beside it, [K, H] what the layer of the value reads on each of its K squares.

    Args:
        module: feed-forward policy.
        few: runs the module on the squares of some levels, each once, and gives something with the `value` [k] of each.
        every: the same of all levels.

    Returns:
        What `every` gives, and float32 features in its order; None where the layer is not to be told.
    """
    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    with _listening(module, linear, outputs=True) as passed:
        value = few().value
    layer = _value_layer(passed, value)
    if layer is None:
        return every(), None
    with _listening(module, [layer], outputs=False) as passed:
        made = every()
    return made, np.concatenate([read for read, _ in passed[layer]])


def beside_readouts(readouts: Readouts) -> tuple[Estimate, str]:
    """The control of an agreement: what random read-outs give, with the range of 95% of them, and its name."""
    n = len(readouts.shares)
    return (
        Estimate(float(readouts.shares.mean()), readouts.low, readouts.high, n),
        f"{n} random read-outs of what the value layer reads, 95% of them",
    )


def _value_layer(passed: _Passed, value: np.ndarray) -> str | None:
    """Name of the one layer of which a column is the value; None where none is, several are or the value is constant."""
    if not np.isfinite(value).all() or np.ptp(value) == 0:
        return None
    near = 1e-5 * np.abs(value).max()
    found = []
    for name, forwards in passed.items():
        given = np.concatenate([out for _, out in forwards])
        # A layer that runs several times in a forward has other rows than the squares.
        if len(given) == len(value) and (np.abs(given - value[:, None]) <= near).all(axis=0).any():
            found.append(name)
    return found[0] if len(found) == 1 else None


@contextmanager
def _listening(module: nn.Module, names: Iterable[str], outputs: bool) -> Iterator[_Passed]:
    """Collects what the named layers read, and what they give where `outputs`, in each forward inside the block."""
    passed: _Passed = defaultdict(list)

    def listen(name: str):
        def hook(_: nn.Module, args: tuple, out: Any) -> None:
            if args and args[0].ndim == 2:
                read = args[0].detach().float().cpu().numpy()
                passed[name].append((read, out.detach().float().cpu().numpy() if outputs else read[:, :0]))

        return hook

    handles = [module.get_submodule(name).register_forward_hook(listen(name)) for name in names]
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()
