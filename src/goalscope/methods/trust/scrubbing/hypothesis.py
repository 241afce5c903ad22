"""A hypothesis for causal scrubbing: parts of a module, on what of the input each is claimed to depend, and draws under it.

A part is a site, or some channels, heads or positions of it. Its feature labels the inputs: two inputs of one label are
claimed to be the same to this part, so its value may be taken from either. A part without a feature is claimed not to
matter. What stands above a part (its parents) reaches it through the module; a part without parents is read off a plain
run. The output stands at the end: its parents are `output`, and all else that reaches it is claimed not to matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from goalscope.activations.inputs import as_array
from goalscope.showing import drawing, text

REST = "the rest"
"""the name under which all that no part names is swapped"""


@dataclass(frozen=True)
class Part:
    """A part of the module and what it is claimed to depend on."""

    __repr__, _repr_html_ = text, drawing

    site: str
    """name of the site"""
    feature: np.ndarray | None
    """[N] int, the label of each input; None claims that the part does not matter"""
    parents: tuple[str, ...] = ()
    """names of the parts that reach it; none: it is read off a plain run"""
    where: Mapping[str, Any] = field(default_factory=dict)
    """which part of the site, in the words of `goalscope.activations.edits`: channels, heads, positions"""


@dataclass(frozen=True)
class Hypothesis:
    """All parts by their names, and which of them the output is claimed to depend on."""

    __repr__, _repr_html_ = text, drawing

    parts: Mapping[str, Part]
    """name -> part"""
    output: tuple[str, ...]
    """names of the parts that the output is made of; with none, nothing matters"""


def checked(hypothesis: Hypothesis, count: int) -> Hypothesis:
    """The hypothesis with its features as whole numbers 0, 1, ... that count labels.

    Args:
        hypothesis: as it was given.
        count: N, the inputs.

    Raises:
        ValueError: a parent that is no part, a circle, a part that reaches nothing; a feature of another length, one that
            is the same on all inputs, or one that is another on every input and so can never be tested.
    """
    parts = {name: _labelled(name, part, count) for name, part in hypothesis.parts.items()}
    for name, parents in [
        ("output", hypothesis.output),
        *((name, part.parents) for name, part in parts.items()),
    ]:
        strange = [parent for parent in parents if parent not in parts]
        if strange:
            raise ValueError(
                f"{name} depends on {strange[0]!r}, which is no part; there are {', '.join(parts)}"
            )
    if REST in parts:
        raise ValueError(f"no part can be called {REST!r}: all that no part names is called so")
    reached: set[str] = set()
    for name in hypothesis.output:
        _walk(name, parts, (), reached)
    idle = [name for name in parts if name not in reached]
    if idle:
        raise ValueError(f"part {idle[0]!r} reaches the output through no other part: name it as a parent")
    return Hypothesis(parts, tuple(hypothesis.output))


def _labelled(name: str, part: Part, count: int) -> Part:
    if part.feature is None:
        return part
    feature = as_array(f"the feature of {name!r}", part.feature, "[N] labels")
    if feature.shape != (count,):
        raise ValueError(f"the feature of {name!r} has shape {list(feature.shape)}, there are {count} inputs")
    _, labels = np.unique(feature, return_inverse=True)
    kinds = int(labels.max()) + 1
    if kinds == 1:
        raise ValueError(
            f"the feature of {name!r} is the same on all inputs: that it does not matter is said by None"
        )
    if kinds == count:
        raise ValueError(
            f"the feature of {name!r} is another on every input: no swap is allowed, nothing is tested"
        )
    return Part(part.site, labels.reshape(-1), tuple(part.parents), dict(part.where))


def _walk(name: str, parts: Mapping[str, Part], above: tuple[str, ...], reached: set[str]) -> None:
    if name in above:
        circle = " → ".join([*above[above.index(name) :], name])
        raise ValueError(f"the parts go in a circle: {circle}")
    reached.add(name)
    for parent in parts[name].parents:
        _walk(parent, parts, (*above, name), reached)


def draw(feature: np.ndarray | None, of: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[B] for each input one of the same label, itself among them; any of all where there are no labels.

    Args:
        feature: [N] int labels 0, 1, ...; None for none.
        of: [B] numbers of inputs.
        count: N.
        rng: where the draws come from.
    """
    if feature is None:
        return rng.integers(0, count, len(of))
    order = np.argsort(feature, kind="stable")
    counts = np.bincount(feature)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    label = feature[of]
    return order[starts[label] + (rng.random(len(of)) * counts[label]).astype(np.int64)]


def alone(feature: np.ndarray | None, count: int) -> float:
    """The share of inputs that no other input shares a label with: there nothing can be swapped, and nothing is tested."""
    if feature is None:
        return float(count == 1)
    return float((np.bincount(feature)[feature] == 1).mean())


def join(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """The common refinement of two features: only swaps that both allow."""
    if one is None or other is None:
        return other if one is None else one
    return np.unique(np.stack([one, other]), axis=1, return_inverse=True)[1].reshape(-1)


def union(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """The transitive union of two features: swaps that either allows, and chains of them."""
    if one is None or other is None:
        return None
    count, most = len(one), int(one.max()) + 1
    graph = coo_array(
        (np.ones(count, np.int8), (one, other + most)), shape=(most + int(other.max()) + 1,) * 2
    )
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[one], return_inverse=True)[1].reshape(-1)


def with_features(hypothesis: Hypothesis, features: Mapping[str, np.ndarray | None]) -> Hypothesis:
    """The same parts with other features for those that are named."""
    parts = {
        name: Part(part.site, features.get(name, part.feature), part.parents, part.where)
        for name, part in hypothesis.parts.items()
    }
    return Hypothesis(parts, hypothesis.output)


def allowed(
    feature: np.ndarray | None, count: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """[P, 2] ordered pairs of different inputs that a feature allows to swap, and whether these are all of them.

    Args:
        feature: [N] labels, None where all pairs are allowed. count: N.
        most: where there are more pairs, so many are drawn at random.
        rng: where the draws come from.
    """
    labels = np.zeros(count, np.int64) if feature is None else feature
    sizes = np.bincount(labels)
    if int((sizes * (sizes - 1)).sum()) <= most:
        members: Sequence[np.ndarray] = [
            np.flatnonzero(labels == label) for label in np.flatnonzero(sizes > 1)
        ]
        pairs = [np.stack(np.meshgrid(m, m, indexing="ij"), -1).reshape(-1, 2) for m in members]
        found = np.concatenate([*pairs, np.empty((0, 2), np.int64)])
        return found[found[:, 0] != found[:, 1]], True
    # Every ordered pair of a class is as likely as any other: an input is drawn by how many partners it has.
    partners = sizes[labels] - 1
    one = rng.choice(count, most, p=partners / partners.sum())
    other = draw(labels, one, count, rng)
    same = one == other
    while same.any():
        other[same] = draw(labels, one[same], count, rng)
        same = one == other
    return np.stack([one, other], 1), False
