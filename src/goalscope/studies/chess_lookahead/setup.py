"""What is known of the puzzles before any network is asked, and the networks by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Subject:
    """The network that findings are about."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Table:
    """What is known of N puzzles before any network is asked."""

    rating: np.ndarray
    """[N]"""
    level: np.ndarray
    """[N] int, equal where the positions are"""
    motifs: Mapping[str, np.ndarray]
    """name -> [N] bool"""
    mate: np.ndarray
    """[N] bool, the line ends in mate"""
