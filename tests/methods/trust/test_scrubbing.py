"""Causal scrubbing on circuits so small that every draw can be enumerated."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.methods.trust.scrubbing.adversary import adversary
from goalscope.methods.trust.scrubbing.hypothesis import REST, Hypothesis, Part, allowed, join, union
from goalscope.methods.trust.scrubbing.scrub import scrub
from goalscope.methods.trust.scrubbing.swaps import worst_subset, worst_swap


class Circuit(nn.Module):
    """Of bits ±1: `pair` = x0 x1, and the output pair x2 (or what `top` makes of them)."""

    def __init__(self, top=lambda pair, c: pair * c):
        super().__init__()
        self.a, self.b, self.c, self.pair = (nn.Identity() for _ in range(4))
        self.top = top

    def forward(self, x):
        a, b, c = self.a(x[:, 0]), self.b(x[:, 1]), self.c(x[:, 2])
        return self.top(self.pair(a * b), c)


BITS = torch.tensor(list(product([-1.0, 1.0], repeat=3)))
X = BITS.repeat(8, 1)
"""every input eight times: no label is an input's own"""


def bit(k):
    return (X[:, k] > 0).numpy().astype(int)


def itself(output, rows):
    return output


PARITY = Hypothesis(
    {
        "a": Part("a", bit(0)),
        "b": Part("b", bit(1)),
        "c": Part("c", bit(2)),
        "pair": Part("pair", bit(0) ^ bit(1), parents=("a", "b")),
    },
    output=("pair", "c"),
)


def test_nothing_matters_is_recovered_on_average_and_refuted_by_every_other_measure():
    nothing = Hypothesis({}, ())
    found = scrub(Circuit(lambda pair, c: pair), X, nothing, itself, draws=200)
    assert abs(found.average.estimate) < 0.02
    assert found.average.low < 0 < found.average.high
    assert found.absolute.estimate == pytest.approx(1, abs=0.02)
    assert worst_swap(Circuit(), X, nothing, itself).change == 2
    assert found.recovered is None


def test_absolute_changes_are_those_of_each_run():
    """x2 + x0 x1 is -2, 0, 0 or 2: two draws of it are 1.5 apart on average, and each is 1 from their mean."""
    found = scrub(Circuit(lambda pair, c: pair + c), X, Hypothesis({}, ()), itself, draws=200)
    assert found.absolute.estimate == pytest.approx(1.5, abs=0.05)


def test_the_true_hypothesis_leaves_everything_as_it_is():
    found = scrub(Circuit(), X, PARITY, itself, distribution=lambda out: torch.stack([out, -out], 1))
    assert np.array_equal(found.scrubbed, np.repeat(found.model[:, None], 16, 1))
    assert found.absolute.estimate == 0
    assert found.divergence is not None
    assert np.abs(found.divergence).max() == 0
    worst = worst_swap(Circuit(), X, PARITY, itself)
    assert (worst.change, all(worst.exhaustive.values())) == (0, True)


@pytest.mark.parametrize(
    ("wrong", "absolute"),
    # `pair` by a alone: its b is any b, so half of the outputs are turned. By nothing: the same half.
    [(bit(0), 1.0), (None, 1.0), (bit(2), 1.0), (bit(0) ^ bit(1) ^ bit(2), 1.0)],
    ids=["one bit", "nothing", "the other bit", "all bits"],
)
def test_a_wrong_feature_of_one_part_is_found(wrong, absolute):
    parts = {**PARITY.parts, "pair": Part("pair", wrong, ("a", "b"))}
    found = scrub(Circuit(), X, Hypothesis(parts, PARITY.output), itself, draws=200)
    assert found.absolute.estimate == pytest.approx(absolute, abs=0.03)
    assert worst_swap(Circuit(), X, Hypothesis(parts, PARITY.output), itself).change == 2


def test_the_share_recovered_is_that_of_enumeration():
    """The output says x2. Where x0 is 1 the bit is kept, elsewhere it is drawn: (0.75 - 0.5) / (1 - 0.5)."""

    def right(output, rows):
        return (output == X[rows, 2]).float()

    says = Circuit(lambda pair, c: c + 0 * pair)
    whole = scrub(says, X, Hypothesis({"c": Part("c", bit(2))}, ("c",)), right).recovered
    half = Hypothesis({"c": Part("c", np.where(bit(0), bit(2), 2))}, ("c",))
    part = scrub(says, X, half, right, draws=200).recovered
    assert whole is not None
    assert part is not None
    assert whole.estimate == 1
    assert part.estimate == pytest.approx(0.5, abs=0.05)
    assert part.low < 0.5 < part.high


def test_where_the_module_is_no_better_than_a_random_output_nothing_can_be_recovered():
    def right(output, rows):
        return (output == X[rows, 2]).float()

    assert scrub(Circuit(), X, PARITY, right).recovered is None

    def wrong(output, rows):
        return (output != X[rows, 2]).float()

    says = Circuit(lambda pair, c: c + 0 * pair)
    assert scrub(says, X, Hypothesis({"c": Part("c", bit(2))}, ("c",)), wrong).recovered is None


def test_divergence_cannot_cancel():
    """Logits that are turned for half of the inputs: the mean margin stays 0, the divergence is that of the two."""
    found = scrub(
        Circuit(lambda pair, c: pair), X, Hypothesis({}, ()), itself, draws=200,
        distribution=lambda out: torch.stack([out, torch.zeros_like(out)], 1),
    )  # fmt: skip
    p = torch.tensor(1.0).sigmoid().item()
    exact = (2 * p - 1) * 1.0 / 2  # KL of (p, 1-p) from (1-p, p) is (2p-1) log(p/(1-p)), in half of the draws
    assert found.divergence is not None
    assert found.divergence.mean() == pytest.approx(exact, abs=0.02)


def test_what_is_equal_in_extension_only_cannot_be_told_apart():
    """Two paths that carry the same bit: the claim that the output reads one of them passes though it reads the other."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.idle = nn.Identity(), nn.Identity()

        def forward(self, x):
            return self.read(x[:, 0]) + 0 * self.idle(x[:, 0])

    claim = Hypothesis({"read": Part("read", bit(0)), "idle": Part("idle", bit(0))}, ("read", "idle"))
    assert scrub(Twice(), X, claim, itself).absolute.estimate == 0


def test_all_swaps_together_hide_what_one_alone_shows():
    """a = b = c: -(b - a)(b - c) is 0 as it is, -2 on average where b alone is drawn, -1 where all three are."""

    class Close(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Identity() for _ in range(3))

        def forward(self, x):
            a, b, c = (part(x[:, 0]) for part in (self.a, self.b, self.c))
            return -(b - a) * (b - c)

    claim = Hypothesis({name: Part(name, None) for name in "abc"}, ("a", "b", "c"))
    found = worst_subset(Close(), X.repeat(4, 1), claim, itself, draws=100)
    assert set(found.swapped) - {REST} in (
        {"b"},
        {"a", "c"},
    )  # to draw b, or a and c alike, is one thing turned
    assert found.by_subset[("b",)] == pytest.approx(-2, abs=0.1)
    assert found.fullest.estimate == pytest.approx(-1, abs=0.1)
    assert found.metric.estimate < found.fullest.estimate


def test_an_adversary_finds_the_bit_that_was_left_out_and_none_where_nothing_is():
    claims = {"pair": {"b": bit(1), "c": bit(2)}}
    parts = {**PARITY.parts, "pair": Part("pair", bit(0), ("a", "b"))}

    def loyal(output, rows):
        return output * (X[:, 0] * X[:, 1] * X[:, 2])[rows]

    found = adversary(Circuit(), X, Hypothesis(parts, PARITY.output), loyal, claims)
    assert found.added[0] == ("pair", "b")
    assert found.joined.low > 0.8
    assert abs(found.tried["pair", "c"]) < 0.3
    whole = adversary(Circuit(), X, PARITY, loyal, claims)
    assert (whole.added, whole.joined.estimate) == ((), 0)


def test_join_refines_and_union_merges_chains():
    one, other = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 3])
    finer, coarser = join(one, other), union(one, other)
    assert finer is not None
    assert coarser is not None
    assert len(set(finer.tolist())) == 5
    assert coarser.tolist() == [0, 0, 0, 0, 1]
    assert union(one, None) is None
    assert join(one, None) is one


def test_sampled_pairs_are_allowed_and_never_an_input_with_itself():
    labels = np.array([0] * 30 + [1] * 2 + [2])
    pairs, whole = allowed(labels, 33, 10_000, np.random.default_rng(0))
    assert (len(pairs), whole) == (30 * 29 + 2, True)
    few, whole = allowed(labels, 33, 200, np.random.default_rng(0))
    assert (len(few), whole) == (200, False)
    assert (labels[few[:, 0]] == labels[few[:, 1]]).all()
    assert (few[:, 0] != few[:, 1]).all()


def test_inputs_without_a_partner_are_counted_as_untested():
    feature = bit(2).copy()
    feature[:16] = np.arange(100, 116)
    assert scrub(Circuit(), X, Hypothesis({"c": Part("c", feature)}, ("c",)), itself).untested == {"c": 0.25}


@pytest.mark.parametrize(
    ("hypothesis", "words"),
    [
        (Hypothesis({"c": Part("c", np.zeros(64, int))}, ("c",)), "same on all inputs"),
        (Hypothesis({"c": Part("c", np.arange(64))}, ("c",)), "another on every input"),
        (Hypothesis({"c": Part("c", bit(2)[:9])}, ("c",)), r"shape \[9\], there are 64"),
        (Hypothesis({"c": Part("c", bit(2))}, ("d",)), "'d', which is no part"),
        (Hypothesis({"c": Part("c", bit(2)), "a": Part("a", bit(0))}, ("c",)), "'a' reaches the output"),
        (Hypothesis({"a": Part("a", bit(0), ("b",)), "b": Part("b", bit(1), ("a",))}, ("a",)), "circle: a → b → a"),
        (Hypothesis({"c": Part("c", bit(2), ("a",)), "a": Part("a", bit(0))}, ("c",)), "does not reach it"),
        (Hypothesis({"z": Part("zed", bit(2))}, ("z",)), "zed"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_is_named(hypothesis, words):
    with pytest.raises((ValueError, KeyError), match=words):
        scrub(Circuit(), X, hypothesis, itself)
