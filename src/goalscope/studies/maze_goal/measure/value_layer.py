"""What the linear layer that gives a policy's value reads on each square, where the network has such a layer.

Random read-outs of it are what value-policy agreement is compared with. The layer is found by what it does, not by its
name: the one linear layer of which a column is the value on every square. Where there is none, or several that read
different things, nothing is given rather than a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import nn

from goalscope.rollout import Fields, fields
from goalscope.worlds.contract import take

_PROBED = 4
"""levels on which the layer is looked for"""
_Passed = dict[str, list[tuple[np.ndarray, np.ndarray]]]
"""layer -> (input [B, H], output [B, O]) of each forward"""


def fields_and_features(module: nn.Module, world: Any, state: Any) -> tuple[Fields, np.ndarray | None]:
    """The fields of the mazes and, beside them, [K, H] what the layer of the value reads on each square.

    Args:
        module: feed-forward policy, as `fields` takes it.
        world: `Maze`, or another whose states are mazes.
        state: N levels.

    Returns:
        The fields, and float32 features in the order of their squares; None where the layer is not to be told.
    """
    linear = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    with _listening(module, linear, outputs=True) as passed:
        few = fields(module, world, take(state, slice(_PROBED)))
    layer = _value_layer(passed, few.value)
    if layer is None:
        return fields(module, world, state), None
    with _listening(module, [layer], outputs=False) as passed:
        every = fields(module, world, state)
    return every, np.concatenate([read for read, _ in passed[layer]])


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
