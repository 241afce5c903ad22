"""What a discrete code knows of a goal or a move, in bits.

The activations of a deterministic network with real inputs hold infinite information about them, or as much as the bins
that somebody cut them into; neither says anything. A pattern of open gates is discrete, and in a set of levels that is
enumerated its information is a fact of that set and no estimate. Where the set is a sample, Miller and Madow's correction
takes off what few samples add (Miller 1955, "Note on the bias of information estimates"). Where nearly every level has a
code of its own, any code says everything, and `saturated` says that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import nn

from goalscope.activations.hooks import capture
from goalscope.activations.inputs import Inputs
from goalscope.activations.tree import first_names
from goalscope.showing import drawing, text

_OWN = 0.9


@dataclass(frozen=True)
class Information:
    """Mutual information of a code and a target."""

    __repr__, _repr_html_ = text, drawing

    bits: float
    """I(code; target), of the samples as they are: exact where they are all there are"""
    corrected: float
    """the same with Miller and Madow's correction, for samples of more; it may be below 0"""
    shuffled: float
    """`bits` with the targets dealt out anew, mean over the draws: what so many codes say of nothing"""
    target: float
    """entropy of the target in bits: no code can know more"""
    code: float
    """entropy of the code in bits"""
    codes: int
    """different codes"""
    samples: int
    """N"""
    saturated: bool
    """nearly every sample has a code of its own: `bits` says how many samples there are and nothing of the code"""


@dataclass(frozen=True)
class Processing:
    """Information along a chain of codes, and whether it falls where it must."""

    __repr__, _repr_html_ = text, drawing

    bits: np.ndarray
    """[L] I(code; target) of each code"""
    determined: np.ndarray
    """[L - 1] bool, this code's successor is a function of it on the samples, so it can know no more"""
    holds: bool
    """no determined code knows more than the one before it; false is a fault of the codes, never of a network"""


def gate_codes(
    module: nn.Module, inputs: Inputs, sites: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Which relus are open, as one number a sample: equal ones have equal patterns.

    Args:
        module: any module.
        inputs: what its forward takes, N samples on axis 0.
        sites: names of relus; None for every `nn.ReLU` that is called once.

    Returns:
        site -> [N] int code.

    Raises:
        ValueError: no relus, or unknown sites.
    """
    named = (
        [name for child, name in first_names(module).items() if isinstance(child, nn.ReLU)]
        if sites is None
        else list(dict.fromkeys(sites))
    )
    if not named:
        raise ValueError(f"{type(module).__name__} has no nn.ReLU: name sites whose sign is a code")
    held = capture(module, inputs, [f"{site}:in" for site in named])
    return {site: code_of((held[f"{site}:in"] > 0).flatten(1).numpy()) for site in named}


def code_of(pattern: np.ndarray) -> np.ndarray:
    """[N] a number for each different row of a discrete pattern [N, ...].

    Raises:
        ValueError: numbers that are not discrete.
    """
    rows = _discrete("pattern", pattern)
    if rows.ndim < 1 or not len(rows):
        raise ValueError(f"pattern must be [N, ...] with at least one sample, got {list(rows.shape)}")
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    flat = np.packbits(flat, axis=1) if flat.dtype == bool else flat
    return np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)


def information(
    code: np.ndarray,
    target: np.ndarray,
    *,
    given: np.ndarray | None = None,
    draws: int = 20,
    seed: int = 0,
) -> Information:
    """I(code; target), or I(code; target | given).

    Args:
        code: [N] or [N, ...] discrete.
        target: [N] discrete: the goal's place, the move.
        given: [N] discrete, what is known anyway (the maze, say): codes and targets are compared within it only.
        draws: shuffles, within what is given.
        seed: of these.

    Raises:
        ValueError: other lengths, or numbers that are not discrete.
    """
    x, y = code_of(code), code_of(target)
    z = np.zeros(len(x), int) if given is None else code_of(given)
    if not len(x) == len(y) == len(z):
        raise ValueError(
            f"code, target and given must have one row a sample, got {len(x)}, {len(y)}, {len(z)}"
        )
    joint, both, other = _paired(x, z), _paired(y, z), _paired(_paired(x, z), y)
    bits = _entropy(joint) + _entropy(both) - _entropy(other) - _entropy(z)
    count = len(np.unique(joint)) + len(np.unique(both)) - len(np.unique(other)) - len(np.unique(z))
    rng = np.random.default_rng(seed)
    dealt = []
    for _ in range(draws):
        # A random order within each group: sort by group with random ties, and lay the targets out in that order.
        order = np.lexsort((rng.random(len(z)), z))
        there = np.empty_like(y)
        there[np.argsort(z, kind="stable")] = y[order]
        dealt.append(_entropy(joint) + _entropy(both) - _entropy(_paired(joint, there)) - _entropy(z))
    return Information(
        bits=max(bits, 0.0),
        corrected=bits + count / (2 * len(x) * np.log(2)),
        shuffled=float(np.mean(dealt)) if draws else float("nan"),
        target=_entropy(both) - _entropy(z),
        code=_entropy(joint) - _entropy(z),
        codes=len(np.unique(x)),
        samples=len(x),
        saturated=bool(len(np.unique(joint)) > _OWN * len(x)),
    )


def processing(codes: Mapping[str, np.ndarray], target: np.ndarray) -> Processing:
    """The data-processing inequality along a chain: what is a function of a code knows no more than the code.

    A layer's gates are no function of the gates before (they hang on the sizes too), so most steps of a network are not
    `determined`, and information in codes may rise along it: that is no fault.

    Args:
        codes: name -> [N] or [N, ...] discrete, from first to last.
        target: [N] discrete.

    Raises:
        ValueError: no codes, or as `information`.
    """
    if not codes:
        raise ValueError("no codes: give at least one")
    rows = [code_of(code) for code in codes.values()]
    bits = np.array([information(row, target, draws=0).bits for row in rows])
    determined = np.array(
        [len(np.unique(_paired(a, b))) == len(np.unique(a)) for a, b in pairwise(rows)],
        bool,
    )
    return Processing(bits, determined, bool((np.diff(bits)[determined] <= 1e-9).all()))


def _discrete(name: str, given: np.ndarray) -> np.ndarray:
    found = np.asarray(given)
    if found.dtype.kind not in "biu":
        raise ValueError(
            f"{name} must be discrete (bool or whole numbers), got {found.dtype}: the information of real numbers is "
            "infinite, or made by the bins that they are cut into; take the pattern of open gates"
        )
    return found


def _paired(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N] a number for each different pair of codes."""
    return np.unique(one.astype(np.int64) * (int(other.max()) + 1) + other, return_inverse=True)[1].reshape(
        -1
    )


def _entropy(code: np.ndarray) -> float:
    shares = np.unique(code, return_counts=True)[1] / len(code)
    return float(-(shares * np.log2(shares)).sum())
