"""Information of codes whose information is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.linear.information import code_of, gate_codes, information, processing

GOALS = np.array(list(itertools.product([0, 1], repeat=3)))  # [8, 3] bits, all of them
GOAL = GOALS @ [4, 2, 1]


class Dropping(nn.Module):
    """Its first relu shows three bits of its input, its second the first two only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x - 0.5)[:, :2] - 0.25)


def test_a_network_that_drops_a_bit_at_its_second_layer():
    codes = gate_codes(Dropping(), torch.from_numpy(GOALS).float())
    assert information(codes["first"], GOAL).bits == pytest.approx(3.0)
    assert information(codes["second"], GOAL).bits == pytest.approx(2.0)
    assert information(codes["second"], GOALS[:, 2]).bits == pytest.approx(0.0)
    found = processing(codes, GOAL)
    assert found.bits.tolist() == pytest.approx([3.0, 2.0])
    assert found.determined.tolist() == [True] and found.holds


def test_a_code_that_is_no_function_of_the_one_before_may_know_more():
    found = processing({"a": GOALS[:, 0], "b": GOALS[:, :2], "c": GOALS[:, 1]}, GOAL)
    assert found.determined.tolist() == [False, True] and found.holds
    assert found.bits.tolist() == pytest.approx([1.0, 2.0, 1.0])


def test_two_bits_that_say_nothing_alone_say_it_together():
    parity = GOALS[:, 0] ^ GOALS[:, 1]
    assert information(GOALS[:, 0], parity).bits == pytest.approx(0.0)
    assert information(GOALS[:, :2], parity).bits == pytest.approx(1.0)
    assert information(GOALS[:, 0], parity, given=GOALS[:, 1]).bits == pytest.approx(1.0)


def test_what_is_given_anyway_counts_nothing():
    rng = np.random.default_rng(0)
    maze = rng.integers(0, 4, 400)
    assert information(maze, maze, given=maze).bits == pytest.approx(0.0, abs=1e-9)
    other = rng.integers(0, 2, 400)
    found = information(2 * maze + other, other, given=maze)
    assert found.bits == pytest.approx(found.target) and found.target < 1.0001
    assert found.shuffled < 0.05


def test_the_correction_takes_off_what_few_samples_add():
    rng = np.random.default_rng(0)
    code, target = rng.integers(0, 8, (2, 300, 100))
    made = [information(a, b, draws=2, seed=k) for k, (a, b) in enumerate(zip(code.T, target.T, strict=True))]
    plain, corrected = np.mean([m.bits for m in made]), np.mean([m.corrected for m in made])
    assert plain > 0.08  # of codes that know nothing
    assert abs(corrected) < 0.015
    assert np.mean([m.shuffled for m in made]) == pytest.approx(plain, rel=0.05)


def test_the_correction_leaves_what_is_there():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 4, 40_000)
    seen = np.where(rng.random(40_000) < 0.75, target, rng.integers(0, 4, 40_000))
    right = 0.75 + 0.25 / 4
    wrong = 0.25 / 4
    truth = 2 + right * np.log2(right) + 3 * wrong * np.log2(wrong)
    assert information(seen, target).corrected == pytest.approx(truth, abs=0.025)


def test_a_code_of_its_own_for_every_sample_is_said_to_say_nothing():
    found = information(np.arange(100), np.arange(100) % 5)
    assert found.saturated and found.bits == pytest.approx(np.log2(5)) == pytest.approx(found.shuffled)
    assert not information(np.arange(100) % 5, np.arange(100) % 5).saturated


def test_real_numbers_have_no_information_here():
    with pytest.raises(ValueError, match="infinite"):
        information(np.linspace(0, 1, 8), GOAL)
    with pytest.raises(ValueError, match="one row a sample"):
        information(GOAL, GOAL[:3])
    with pytest.raises(ValueError, match=r"no nn\.ReLU"):
        gate_codes(nn.Linear(3, 2), torch.ones(2, 3))
    with pytest.raises(ValueError, match="no codes"):
        processing({}, GOAL)
    assert code_of(np.array([[True, False], [False, True], [True, False]])).tolist() == [1, 0, 1]
