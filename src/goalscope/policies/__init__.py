"""What acts: plain torch modules, each with the encoding of its observations beside it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class PolicyOutput(NamedTuple):
    """What a policy's forward returns."""

    logits: Tensor
    """[N, A]: unnormalised log-probabilities of the actions"""
    value: Tensor
    """[N]: estimated discounted return"""
