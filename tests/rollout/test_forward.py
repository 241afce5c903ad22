"""Any module's forward in a world: what it may give, and what is said where it gives something else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.policies import PolicyOutput
from goalscope.policies.handwritten import Handwritten
from goalscope.rollout import fields, play, vector_field
from goalscope.rollout.forward import answer, encoded, first_carry
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze
from goalscope.worlds.sokoban import Sokoban

WORLD = Maze(5, cheese_region=None)
MAZES = WORLD.generate(range(6))


class Gives(nn.Module):
    """The logits of the shortest path, in a form of one's choice."""

    def __init__(self, form):
        super().__init__()
        self.rule, self.form = Handwritten("cheese", 5), form

    def forward(self, x):
        out = self.rule(x)
        return self.form(out.logits, out.value)


FORMS = {
    "logits": lambda logits, value: logits,
    "pair": lambda logits, value: (logits, value),
    "list": lambda logits, value: [logits, value],
    "column": lambda logits, value: (logits, value[:, None]),
    "named": lambda logits, value: PolicyOutput(logits, value),
    "triple": lambda logits, value: (logits, value, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_whatever_its_form_a_forward_gives_the_same_fields(form: str):
    plain, ours = fields(Handwritten("cheese", 5), WORLD, MAZES), fields(Gives(FORMS[form]), WORLD, MAZES)
    assert np.array_equal(plain.moves, ours.moves)
    assert ours.has_value == (form != "logits")
    if ours.has_value:
        assert np.array_equal(plain.value, ours.value)
    else:
        assert np.isnan(ours.value).all()
    assert np.allclose(ours.reach_from_start(50), 1)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            lambda logits, value: {"logits": logits},
            r"gives a dictionary of logits for observations \[\d+, 3, 5, 5\].*logits \[",
        ),
        (lambda logits, value: logits[0], r"gives a tensor \[5\]"),
        (lambda logits, value: logits[:1], r"gives a tensor \[1, 5\]"),
        (lambda logits, value: None, "gives nothing"),
        (lambda logits, value: (logits, logits), r"a tensor \[\d+, 5\] as its value"),
        (lambda logits, value: logits[:, :4], "the policy has 4 actions, the maze world 5"),
        (lambda logits, value: logits * float("nan"), "not finite"),
        (lambda logits, value: (logits, value * float("nan")), "not finite"),
        (lambda logits, value: logits.argmax(1, keepdim=True).expand(-1, 5), r"gives logits of torch\.int64"),
        (lambda logits, value: logits.to("meta"), "on the device 'meta', which holds no numbers"),
        (lambda logits, value: (logits, value.long()), r"a tensor \[\d+\] of torch\.int64 as its value"),
        (
            lambda logits, value: logits.nothing,
            r"cannot take the observations \[\d+, 3, 5, 5\].*: AttributeError: ",
        ),
        (lambda logits, value: {}["planes"], "of the maze world: KeyError: 'planes'"),
    ],
)
def test_an_output_that_is_no_policys_is_named_with_its_shapes(form, message: str):
    with pytest.raises(ValueError, match=message):
        fields(Gives(form), WORLD, MAZES)


def test_observations_that_do_not_fit_are_named():
    network = nn.Sequential(nn.Flatten(), nn.Linear(7, 5))
    with pytest.raises(
        ValueError, match=r"Sequential cannot take the observations \[\d+, 3, 5, 5\] of the maze world"
    ):
        fields(network, WORLD, MAZES)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda o: o, r"encode gives a ndarray for the observations \[\d+, 3, 5, 5\]; a tensor of \d+ rows"),
        (lambda o: torch.zeros(3, 75), r"encode gives a tensor \[3, 75\]"),
        (lambda o: o.planes, r"encode fails on the observations \[\d+, 3, 5, 5\]: AttributeError"),
    ],
)
def test_an_encode_that_fails_or_gives_no_tensor_is_named(encode, message: str):
    network = nn.Linear(75, 5)
    network.encode = encode  # type: ignore[assignment]
    for run in (lambda: fields(network, WORLD, MAZES), lambda: play(network, WORLD, MAZES, 3, 0)):
        with pytest.raises(ValueError, match=message):
            run()


def test_a_world_that_is_none_is_named():
    with pytest.raises(ValueError, match="the int world has no `observe`"):
        play(nn.Flatten(), 3, MAZES, steps=3, seed=0)


def test_half_precision_goes_in_as_it_is():
    network = nn.Sequential(nn.Flatten(), nn.Linear(75, 5)).half()
    assert encoded(network, WORLD.observe(MAZES)).dtype == torch.float16
    whole = nn.Sequential(nn.Flatten(), nn.Linear(75, 5))
    whole.load_state_dict({k: v.float() for k, v in network.state_dict().items()})
    assert np.allclose(fields(network, WORLD, MAZES).moves, fields(whole, WORLD, MAZES).moves, atol=5e-3)


def test_a_world_without_squares_and_a_network_with_memory_are_named():
    sokoban = Sokoban(8, 8, 1)
    with pytest.raises(ValueError, match="the sokoban world has no `squares`"):
        fields(nn.Flatten(), sokoban, sokoban.generate([0]))
    with pytest.raises(ValueError, match=r"has a memory.*goalscope\.play plays it"):
        fields(Remembers(), WORLD, MAZES)


class Remembers(nn.Module):
    """Counts its steps: goes by the shortest path only every second one."""

    def __init__(self, bad=None):
        super().__init__()
        self.rule, self.bad = Handwritten("cheese", 5), bad

    def initial_carry(self, n):
        return {"count": torch.zeros(n, 1)}

    def forward(self, x, carry):
        out = self.rule(x)
        after = {"count": carry["count"] + 1} if self.bad is None else self.bad
        return out.logits * (carry["count"] % 2), out.value, after


def test_memory_is_carried_along():
    rollout = play(Remembers(), WORLD, MAZES, steps=60, seed=0)
    assert rollout.ended[-1].all()
    network = Remembers()
    first = answer(network, encoded(network, WORLD.observe(MAZES)), first_carry(network, len(MAZES)))
    assert (first.logits == 0).all() and (first.carry["count"] == 1).all()


@pytest.mark.parametrize(
    "bad", [(), torch.zeros(6, 1), {"count": torch.zeros(6, 2)}, {"other": torch.zeros(6, 1)}, 3]
)
def test_a_carry_of_another_structure_is_named(bad):
    with pytest.raises(ValueError, match="the same structure and shapes are wanted"):
        play(Remembers(bad), WORLD, MAZES, steps=3, seed=0)


def test_a_packaged_network_with_memory_is_played():
    """Its memory begins as one number a channel and becomes a map of the board's size."""
    sokoban = Sokoban(8, 8, 2)
    rollout = play("sokoban-small", sokoban, sokoban.generate(range(20)), steps=60, seed=0)
    assert rollout.ended[-1].mean() > 0.5


def test_what_a_network_without_memory_gives_besides_is_no_memory():
    rollout = play(Gives(lambda logits, value: (logits, value, logits)), WORLD, MAZES, steps=60, seed=0)
    assert rollout.ended[-1].all()


def test_the_number_of_actions_is_that_of_the_world():
    sokoban = Sokoban(8, 8, 1)
    with pytest.raises(ValueError, match="the policy has 5 actions, the sokoban world 4"):
        play(nn.Sequential(nn.Flatten(), nn.Linear(256, 5)), sokoban, sokoban.generate([0]), 1, 0)


def test_a_first_carry_that_is_no_tensors_is_named():
    network = Remembers()
    network.initial_carry = lambda n: "nothing yet"  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"initial_carry\(6\) of Remembers gives str"):
        play(network, WORLD, MAZES, steps=3, seed=0)


def test_one_maze_is_drawn_for_a_module_that_is_only_a_forward():
    field = vector_field(Gives(FORMS["logits"]), take(MAZES, 0))
    assert field.reach_start == pytest.approx(1) and "<svg" in field._repr_svg_()
