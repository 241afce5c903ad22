"""The one rule by which anything that acts is taken: a name, a path, `file.py:factory`, a `Policy`, or any `nn.Module`.

What is asked of a module is little: observations in, logits out, or (logits, value), or (logits, value, carry). How its
forward is called, and what is said where it gives something else, is in `rollout/forward.py`.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from goalscope.policies.architectures import ARCHITECTURES
from goalscope.policies.checkpoint import Policy, load, placed, untrained
from goalscope.worlds.factory import called, file_and_name, function_in

CONTROL = "untrained"
"""the name of the untrained control, which no other policy may have"""


def policy_of(given: Any, device: str | torch.device = "cpu") -> Policy:
    """The policy that is meant.

    Args:
        given: a `Policy`; a module; the name of a packaged policy or the path of a checkpoint, as `load` takes them; the
            path of a Stable-Baselines3 `.zip`; or 'file.py:factory', a function without arguments that returns a module
            or a `Policy`. That file is run, as `python file.py` runs it: it may import what lies beside it.
        device: where a policy that is loaded or made here goes; one that is given stays where it is.

    Raises:
        KeyError, FileNotFoundError, ValueError: as `load`; or the factory fails, is not there, or returns no module.
        TypeError: it is none of these.
    """
    if isinstance(given, Policy):
        return given
    if isinstance(given, nn.Module):
        return _of_module(given, type(given).__name__)
    if not isinstance(given, str | os.PathLike):
        raise TypeError(
            f"a policy is a name, a path, 'file.py:factory', a Policy or a torch.nn.Module; got {type(given).__name__}"
        )
    text = os.fspath(given)
    if found := file_and_name(text, "policy", "a torch.nn.Module or a Policy"):
        return _of_factory(*found, device)
    if text.endswith(".zip"):
        return _of_sb3(Path(text), device)
    return load(text, device)


def module_of(given: Any) -> nn.Module:
    """The network of `policy_of`."""
    return given if isinstance(given, nn.Module) else policy_of(given).module


def fresh(policy: Policy, seed: int, device: str | torch.device = "cpu") -> Policy:
    """The same network untrained: the control of what training did.

    It comes from the policy's own factory, called anew; else from its config, where that names an architecture of ours;
    else its parameters are drawn anew by each layer's `reset_parameters`. A factory that loads weights gives no untrained
    network: where any weights that were drawn come out the same a second time, all are drawn anew likewise.

    Args:
        policy: of which the untrained one is wanted.
        seed: of the weights; the state of torch's random numbers stays as it was.
        device: where it goes.

    Raises:
        ValueError: none can be made; the message says what to give.
    """
    architecture = policy.config.get("architecture") or {"name": type(policy.module).__name__}
    if policy.make is None and architecture["name"] in ARCHITECTURES:
        return untrained(policy.config, seed, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = policy.make() if policy.make is not None else _redrawn(policy.module, policy.name)
        if _repeats(module, policy.module):
            module = _redrawn(policy.module, policy.name)
    digest = _digest(module, CONTROL)
    return Policy(placed(module, device), CONTROL, digest, {"architecture": architecture})


def _of_module(module: nn.Module, name: str) -> Policy:
    config = {"architecture": {"name": type(module).__name__}}
    return Policy(module, name, _digest(module, name), config, make=lambda: _redrawn(module, name))


def _of_factory(file: Path, name: str, device: str | torch.device) -> Policy:
    factory = function_in(file, name)

    def make() -> nn.Module:
        made = _called(factory, file, name)
        return made.module if isinstance(made, Policy) else made

    made = _called(factory, file, name)
    policy = made if isinstance(made, Policy) else _of_module(made, f"{file.stem}-{name}")
    return replace(policy, module=placed(policy.module, device), make=make)


def _called(factory: Callable[[], Any], file: Path, name: str) -> nn.Module | Policy:
    made = called(factory, file, name)
    if not isinstance(made, nn.Module | Policy):
        raise ValueError(
            f"{file}: {name}() returns {type(made).__name__}; a torch.nn.Module or a Policy is wanted"
        )
    return made


def _of_sb3(path: Path, device: str | torch.device) -> Policy:
    """A model of Stable-Baselines3, on the spaces that its file states; another world's observations it refuses."""
    from goalscope.policies.sb3 import load_sb3

    policy = load_sb3(path, device=device)
    return replace(policy, make=lambda: _redrawn(policy.module, policy.name))


def _redrawn(module: nn.Module, name: str) -> nn.Module:
    """A copy whose parameters are drawn anew, layer by layer.

    Raises:
        ValueError: a layer cannot do that, or there is nothing to draw.
    """
    wanted = (
        "give its untrained control: blank= in Python, --blank on the command line, or a factory ('file.py:factory') that "
        "makes the network with fresh weights each time"
    )
    made = copy.deepcopy(module)
    drawn = False
    for path, part in made.named_modules():
        if not list(part.parameters(recurse=False)):
            continue
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if reset is None:
            where = f"its layer {path or 'itself'!r} ({type(part).__name__})"
            raise ValueError(f"no untrained {name} can be made: {where} has no reset_parameters(); {wanted}")
        reset()
        drawn = True
    if not drawn:
        raise ValueError(f"no untrained {name} can be made: it has no parameters to draw anew; {wanted}")
    return made


def _repeats(made: nn.Module, given: nn.Module) -> bool:
    """Whether all weights are those of the given network, or some that were drawn: that hold more than one number."""
    mine, theirs = dict(made.named_parameters()), dict(given.named_parameters())
    same = [name for name in mine if name in theirs and torch.equal(mine[name].cpu(), theirs[name].cpu())]
    return len(same) == len(mine) or any((mine[name] != mine[name].flatten()[0]).any() for name in same)


def _digest(module: nn.Module, name: str) -> str:
    """sha256 of the weights as safetensors; '' where there are none.

    Raises:
        ValueError: there are no numbers yet.
    """
    weights = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    for key, value in weights.items():
        if nn.parameter.is_lazy(value) or value.is_meta:
            wanted = "run it once on observations" if nn.parameter.is_lazy(value) else "load its weights"
            raise ValueError(f"{name} has no numbers in its layer {key!r} yet: {wanted} first")
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in weights.items()}
    return hashlib.sha256(safetensors.torch.save(tensors)).hexdigest() if tensors else ""
