"""The policy on MiniGrid's views: names go in one-hot, and what is no view is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goalscope.policies.grid import NAMES, Grid

ROOM = np.zeros((1, 3, 3, 3), np.uint8)
ROOM[0, 0] = [[2, 2, 2], [2, 10, 8], [2, 1, 5]]
ROOM[0, 1] = [[5, 5, 5], [5, 0, 1], [5, 0, 4]]
ROOM[0, 2, 1, 1] = 3


def test_each_square_is_one_kind_one_colour_and_one_status_at_its_own_place():
    planes = Grid(3).encode(ROOM)
    assert planes.shape == (1, 21, 3, 3) and planes.dtype == torch.float32
    kinds, colours, statuses = planes[0].split(NAMES)
    for group, codes in zip((kinds, colours, statuses), ROOM[0], strict=True):
        assert (group.sum(0) == 1).all()
        assert np.array_equal(group.argmax(0).numpy(), codes)


def test_what_lies_on_one_square_changes_the_answer():
    torch.manual_seed(0)
    policy = Grid(3).eval()
    torch.nn.init.normal_(policy.policy_head.weight)
    moved = ROOM.copy()
    moved[0, :, 1, 2], moved[0, :, 2, 1] = ROOM[0, :, 2, 1], ROOM[0, :, 1, 2]
    with torch.inference_mode():
        (one, value), (other, _) = policy(policy.encode(ROOM)), policy(policy.encode(moved))
    assert one.shape == (1, 7) and value.shape == (1,)
    assert not torch.allclose(one, other)


def test_an_untrained_one_is_nearly_uniform_and_its_relus_are_named():
    torch.manual_seed(0)
    policy = Grid(3)
    probs = policy(policy.encode(ROOM)).logits.softmax(1)
    assert torch.allclose(probs, torch.full((1, 7), 1 / 7), atol=0.02)
    assert {"relu1", "relu2", "hidden_relu"} <= dict(policy.named_modules()).keys()


def test_another_shape_or_number_is_refused():
    with pytest.raises(ValueError, match=r"takes observations \[N, 3, 7, 7\], got \[1, 3, 3, 3\]"):
        Grid(7).encode(ROOM)
    pixels = ROOM.copy()
    pixels[0, 1, 0, 0] = 200
    with pytest.raises(
        ValueError, match=r"plane 1 of the observations has 200; MiniGrid's numbers there are 0 to 5"
    ):
        Grid(3).encode(pixels)
