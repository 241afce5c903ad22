"""What measuring a policy depends on, as the key under which `evidence.kept` keeps what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from goalscope.activations.content import digest, precision, settings_of, weights_of
from goalscope.activations.watch import foreign_hooks, watched
from goalscope.evidence.finding import code_digest
from goalscope.policies.checkpoint import Policy

ROOMS = ("worlds", "policies", "activations", "methods", "rollout", "stats")
"""whose code measures, whatever is measured; beside them stand the files of the study that say what is"""
_OURS = ("torch", "goalscope")


def key_of(policy: Policy, files: tuple[str, ...], *measured: Any) -> str | None:
    """sha256 of all that decides what a policy does there: weights, settings, code, numbers' types, and `measured`.

    Args:
        policy: that acts.
        files: source files of the study that say what is measured, as 'studies/maze.py'.
        measured: what it acts on: levels and whatever else is given to the code of `files`.

    Returns:
        64 hexadecimal digits; None where it cannot be known what the network computes: it holds modules of code that is
        not ours, or hooks, or is being edited.
    """
    module = policy.module
    if not all(type(part).__module__.split(".")[0] in _OURS for part in module.modules()):
        return None
    if watched(module) or foreign_hooks(module):
        return None
    return digest(
        (
            policy.sha256, weights_of(module), settings_of(module), _device(module), precision(),
            code_digest(*ROOMS, *files), torch.__version__, np.__version__, measured,
        )
    )  # fmt: skip


def _device(module: nn.Module) -> str:
    return str(next((p.device.type for p in module.parameters()), "cpu"))
