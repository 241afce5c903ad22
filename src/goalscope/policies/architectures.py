"""The networks that a config can name, their arguments checked, and their layers compared with a file's."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_ARGUMENT = 4096
"""of an integer in a config's architecture: a bound on what a damaged file can make us build"""


def _compact() -> Callable[..., nn.Module]:
    from goalscope.policies.compact import Compact

    return Compact


def _impala() -> Callable[..., nn.Module]:
    from goalscope.policies.impala import Impala

    return Impala


def _recurrent_impala() -> Callable[..., nn.Module]:
    from goalscope.policies.impala.others import RecurrentImpala

    return RecurrentImpala


def _nature() -> Callable[..., nn.Module]:
    from goalscope.policies.impala.others import Nature

    return Nature


def _maia3() -> Callable[..., nn.Module]:
    from goalscope.policies.maia3 import Maia3

    return Maia3


def _lc0() -> Callable[..., nn.Module]:
    from goalscope.policies.lc0 import Lc0

    return Lc0


def _drc() -> Callable[..., nn.Module]:
    from goalscope.policies.drc import DRC

    return DRC


def _resnet() -> Callable[..., nn.Module]:
    from goalscope.policies.resnet import ResNet

    return ResNet


def _thinker() -> Callable[..., nn.Module]:
    from goalscope.policies.thinker import Thinker

    return Thinker


def _grid() -> Callable[..., nn.Module]:
    from goalscope.policies.grid import Grid

    return Grid


def _starter() -> Callable[..., nn.Module]:
    from goalscope.policies.starter import Starter

    return Starter


def _guez_resnet() -> Callable[..., nn.Module]:
    from goalscope.policies.learned_planner.resnet import GuezResNet

    return GuezResNet


def _emergent_resnet() -> Callable[..., nn.Module]:
    from goalscope.policies.emergent_planning.resnet import EmergentResNet

    return EmergentResNet


def _flat_mlp() -> Callable[..., nn.Module]:
    from goalscope.policies.games.mlp import FlatMlp

    return FlatMlp


def _gomoku() -> Callable[..., nn.Module]:
    from goalscope.policies.games.gomoku import Gomoku

    return Gomoku


def _az_net() -> Callable[..., nn.Module]:
    from goalscope.policies.games.az_net import AzNet

    return AzNet


ARCHITECTURES = {
    "compact": _compact, "impala": _impala, "lc0": _lc0, "drc": _drc, "resnet": _resnet, "thinker": _thinker,
    "grid": _grid, "starter": _starter, "learned-planner-resnet": _guez_resnet, "emergent-resnet": _emergent_resnet,
    "flat-mlp": _flat_mlp, "gomoku": _gomoku, "az-net": _az_net, "impala-gru": _recurrent_impala, "nature": _nature,
    "maia3": _maia3,
}  # fmt: skip
"""The name in a config, and what imports the module's class (only when asked for)."""


def near_matches(word: str, known: Iterable[str]) -> str:
    """'; did you mean A or B?', or nothing."""
    matches = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def arguments_of(
    architecture: Mapping[str, Any], config: Path
) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """What builds an architecture, and its arguments, checked."""
    name = architecture["name"]
    constructor = ARCHITECTURES[name]()
    arguments = {argument: value for argument, value in architecture.items() if argument != "name"}
    parameters = inspect.signature(constructor).parameters
    known = list(parameters)
    for argument, value in arguments.items():
        if argument not in known:
            raise ValueError(
                f"{config}: architecture {name} has no argument {argument[:80]!r}{near_matches(argument, known)}; "
                f"it takes {', '.join(known) or 'none'}"
            )
        if _is_word(value, str(parameters[argument].annotation)):
            continue
        numbers = value if isinstance(value, list) else [value]
        if not all(type(number) is int and 1 <= number <= LARGEST_ARGUMENT for number in numbers):
            raise ValueError(
                f"{config}: architecture argument {argument} is {str(value)[:80]}; it must be a whole number "
                f"from 1 to {LARGEST_ARGUMENT}, or a list of such"
            )
    return constructor, arguments


def _is_word(value: Any, annotation: str) -> bool:
    """Whether an argument is a choice by word, a few names or a yes or no, and the architecture takes such."""
    if annotation == "bool":
        return isinstance(value, bool)
    words = value if isinstance(value, list) else [value]
    takes = annotation == ("Sequence[str]" if isinstance(value, list) else "str")
    return takes and 1 <= len(words) <= 16 and all(isinstance(w, str) and 1 <= len(w) <= 40 for w in words)


def check_layers(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], architecture: str, path: Path
) -> None:
    """Raises ValueError on the first layer that is missing, of another shape, or unexpected."""
    unexpected = [name for name in found if name not in expected]
    for name, layer in expected.items():
        shape = list(layer.shape)
        if name not in found:
            raise ValueError(
                f"{path} lacks layer {name} {shape} of architecture {architecture}{near_matches(name, unexpected)}"
            )
        if list(found[name].shape) != shape:
            raise ValueError(
                f"{path}: layer {name} has shape {list(found[name].shape)}, architecture {architecture} "
                f"needs {shape}; change the arguments in the config, or take the file that belongs to it"
            )
    for name in unexpected:
        near = near_matches(name, expected)
        raise ValueError(f"{path}: architecture {architecture} has no layer {name[:80]!r}{near}")
