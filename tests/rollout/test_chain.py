"""The exact chain: against hand-computed numbers, the maze's own exact fields, and sampled play."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.methods.behaviour import reach
from goalscope.policies.checkpoint import load
from goalscope.policies.given import module_of
from goalscope.rollout import (
    NoExactChain,
    chain,
    drawn_walks,
    enumerate_states,
    expected_time,
    fields,
    first_of_two,
    play,
    steps_to,
)
from goalscope.rollout.numbering import Numbering
from goalscope.worlds.contract import Step, concatenate, take
from goalscope.worlds.maze import Maze
from goalscope.worlds.sokoban import Sokoban, solved


class Walk(IntEnum):
    LEFT = 0
    RIGHT = 1


@dataclass(frozen=True)
class Place:
    at: np.ndarray
    """[N] int64"""
    length: np.ndarray
    """[N] int64"""


class Line:
    """Places 0, 1, ..., length - 1 in a row; the last one ends the level. `slips` makes a step that is drawn."""

    name, actions = "line", Walk

    def __init__(self, slips: float = 0.0, goes_on: bool = False, closed: bool = False):
        self.slips, self.goes_on, self.closed = slips, goes_on, closed
        self.rng = np.random.default_rng(0)

    def at(self, *places: int, length: int = 3) -> Place:
        return Place(np.array(places), np.full(len(places), length))

    def step(self, state: Place, actions: np.ndarray) -> Step[Place]:
        if self.closed and (actions[state.at == 1] == Walk.LEFT).any():
            raise ValueError("the way back is closed")
        over = state.at == state.length - 1
        to = state.at + np.where(actions == Walk.RIGHT, 1, -1)
        to = np.where(self.rng.random(len(to)) < self.slips, state.at, to)
        to = np.where(over & (not self.goes_on), state.at, np.clip(to, 0, state.length - 1))
        ended = to == state.length - 1
        return Step(Place(to, state.length), (ended & ~over).astype(np.float32), ended)

    def observe(self, state: Place) -> np.ndarray:
        return np.eye(8, dtype=np.uint8)[state.at]


class Right(nn.Module):
    """RIGHT with a probability that is the same everywhere."""

    def __init__(self, probability: float):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([1 - probability, probability], dtype=torch.float64).log())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), 2)


class Pushes(nn.Module):
    """A small network of random weights: prefers some moves, differently in every state."""

    def __init__(self, inputs: int):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(inputs, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.layer(x.flatten(1))
        return x, x.sum(1)


class Precise(nn.Module):
    """A network in float64: what it gives does not depend on which observations share a forward."""

    def __init__(self, policy: nn.Module):
        super().__init__()
        self.policy = policy.double()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.policy(x)


def test_three_states_agree_with_numbers_worked_out_by_hand():
    world = Line()
    states = enumerate_states(world, world.at(0))
    assert states.state.at.tolist() == [0, 1, 2] and states.next.tolist() == [[0, 1], [0, 2], [2, 2]]
    assert states.over.tolist() == [False, False, True] and states.start.tolist() == [0]
    assert states.reward.tolist() == [[0, 0], [0, 1], [0, 0]]
    done = chain(Right(0.75), world, states)
    assert np.isnan(done.value).all()
    end = states.state.at == 2
    # In three steps: RR, or LRR; in four also RLRR and LLRR.
    within = [reach.reach_probability(done.moves, states.next, end, t)[0] for t in range(5)]
    rr = 0.75**2
    wanted = [0, 0, rr, rr * (1 + 0.25), rr * (1 + 0.25 + 0.25**2 + 0.75 * 0.25)]
    assert np.allclose(within, wanted, atol=1e-14)
    time = expected_time(done.moves, states.next, end, states.start, states.offsets, 3)
    assert np.isclose(time[0], 1 + 1 + (1 - rr), atol=1e-14)  # the third step is taken unless two were enough
    long = expected_time(done.moves, states.next, end, states.start, states.offsets, 2000)
    assert np.isclose(long[0], 28 / 9)  # t0 = 1 + t0/4 + 3 t1/4 and t1 = 1 + t0/4
    final = reach.occupancy(done.moves, states.next, end, states.start, 2).final
    assert np.allclose(final, [0.25, 0.1875, 0.5625], atol=1e-14)


def test_the_first_of_two_is_the_gamblers_ruin():
    world = Line()
    states = enumerate_states(world, world.at(2, length=6))
    done = chain(Right(0.6), world, states)
    at = states.state.at
    firsts = first_of_two(done.moves, states.next, at == 0, at == 5, 5000)[states.start[0]]
    ratio = 0.4 / 0.6
    wins = (1 - ratio**2) / (1 - ratio**5)
    assert np.allclose(firsts, [1 - wins, wins], atol=1e-12)
    assert np.allclose(first_of_two(done.moves, states.next, at == 0, at == 5, 1)[states.start[0]], [0, 0])


def test_two_sets_that_share_a_state_are_refused():
    world = Line()
    states = enumerate_states(world, world.at(0))
    done = chain(Right(0.5), world, states)
    with pytest.raises(ValueError, match="state 1 is in both sets"):
        first_of_two(done.moves, states.next, states.state.at >= 1, states.state.at == 1, 4)
    with pytest.raises(ValueError, match=r"one and other must be \[K\] bool"):
        first_of_two(done.moves, states.next, np.array([1]), states.over, 4)


def test_levels_stand_apart_in_order_and_a_start_may_be_over():
    world = Line()
    start = concatenate([world.at(0, length=5), world.at(2, 1), world.at(0, length=5)])
    states = enumerate_states(world, start)
    assert states.offsets.tolist() == [0, 5, 6, 9, 14]
    assert states.level.tolist() == [0] * 5 + [1] + [2] * 3 + [3] * 5
    assert (states.level[states.next] == states.level[:, None]).all()
    assert states.state.at[states.start].tolist() == [0, 2, 1, 0]
    assert states.over[states.start].tolist() == [False, True, False, False]
    alone = enumerate_states(world, take(start, 3))
    assert np.array_equal(states.next[9:] - 9, alone.next)


def test_mazes_agree_with_their_own_exact_fields():
    world, policy = Maze(), Precise(module_of(load("mouse-topright")))
    state = world.generate(np.arange(200))
    theirs = fields(policy, world, state)
    states = enumerate_states(world, state)
    ours = chain(policy, world, states)
    number = np.full((200, 13, 13), -1)
    number[theirs.squares.level, *theirs.squares.square.T] = np.arange(len(theirs.squares))
    index = number[states.level, *states.state.mouse.T]
    assert (index >= 0).all() and 0 < len(states) < len(number[number >= 0])  # not those behind the cheese
    assert np.array_equal(states.over, theirs.squares.goal[index])
    assert np.abs(ours.value - theirs.value[index]).max() < 1e-6
    there = reach.reach_probability(ours.moves, states.next, states.over, 100)
    assert np.abs(there - theirs.reach(100)[index]).max() < 1e-10
    assert 0.05 < there[states.start].mean() < 1
    ends = reach.occupancy(ours.moves, states.next, states.over, states.start, 100)
    assert np.abs(ends.visits - theirs.occupancy(100).visits[index]).max() < 1e-10


def test_small_sokoban_levels_agree_with_sampled_play():
    world = Sokoban(height=5, width=5, boxes=1)
    policy, steps, repeats = Pushes(4 * 25), 40, 1500
    levels = world.generate(np.arange(4))
    states = enumerate_states(world, levels)
    assert np.array_equal(states.over, solved(states.state))
    ours = chain(policy, world, states)
    exact = reach.reach_probability(ours.moves, states.next, states.over, steps)[states.start]
    rollout = play(policy, world, take(levels, np.repeat(np.arange(4), repeats)), steps, seed=0)
    sampled = rollout.ended[-1].reshape(4, repeats).mean(1)
    error = np.sqrt(exact * (1 - exact) / repeats)
    assert (np.abs(sampled - exact) < 4 * error + 1e-9).all(), (sampled, exact)
    assert error.max() > 0.005  # at least one level is neither hopeless nor sure
    length = (~rollout.ended).sum(0) + 1 - (~rollout.ended[-1])
    length = length.reshape(4, repeats)
    time = expected_time(ours.moves, states.next, states.over, states.start, states.offsets, steps)
    assert (np.abs(length.mean(1) - time) < 4 * length.std(1) / np.sqrt(repeats) + 1e-9).all()


def test_a_level_with_too_many_states_says_what_to_do():
    world = Line()
    with pytest.raises(ValueError, match=r"level 1 of the line world has more than 4 .* goalscope\.play"):
        enumerate_states(world, concatenate([world.at(0), world.at(0, length=5)]), limit=4)
    assert len(enumerate_states(world, world.at(0, length=5), limit=5)) == 5


def test_no_levels_are_refused():
    with pytest.raises(ValueError, match="no levels"):
        enumerate_states(Line(), Line().at())


def test_a_world_that_draws_is_refused():
    with pytest.raises(ValueError, match=r"line world is not deterministic .* goalscope\.play"):
        enumerate_states(Line(slips=0.5), Line().at(*[0] * 20))


def test_a_world_that_goes_on_after_its_end_is_refused():
    with pytest.raises(ValueError, match="goes on after its end"):
        enumerate_states(Line(goes_on=True), Line().at(0))


def test_a_world_that_refuses_an_action_is_refused():
    with pytest.raises(ValueError, match=r"the way back is closed.*goalscope\.play"):
        enumerate_states(Line(closed=True), Line().at(0))


def test_a_policy_with_a_memory_is_refused():
    class Remembers(Right):
        def initial_carry(self, count: int) -> torch.Tensor:
            return torch.zeros(count, 1)

    world = Line()
    with pytest.raises(ValueError, match=r"Remembers has a memory .* goalscope\.play"):
        chain(Remembers(0.5), world, enumerate_states(world, world.at(0)))


def test_a_policy_of_other_actions_or_broken_numbers_is_refused():
    world = Sokoban(height=5, width=5, boxes=1)
    states = enumerate_states(world, world.generate([0]))
    with pytest.raises(ValueError, match="2 actions, the sokoban world 4"):
        chain(Right(0.5), world, states)
    with pytest.raises(ValueError, match="not finite"):
        chain(Right(float("nan")), Line(), enumerate_states(Line(), Line().at(0)))


def test_rows_are_numbered_as_a_dictionary_would():
    rng, table, known = np.random.default_rng(0), Numbering(), {}
    for count in (1, 3000, 500, 20000):
        rows = rng.integers(0, 4, (count, 7), dtype=np.uint8)
        number, fresh = table.add(rows)
        before = len(known)
        assert number.tolist() == [known.setdefault(row.tobytes(), len(known)) for row in rows]
        assert number[fresh].tolist() == list(range(before, len(known)))
    assert len(table) == len(known)
    with pytest.raises(ValueError, match="8 bytes where one before had 7"):
        table.add(np.zeros((1, 8), np.uint8))


def test_the_fewest_actions_to_a_set_are_those_of_the_line_and_infinite_from_beyond_it():
    states = enumerate_states(Line(), Line().at(0, length=5))
    place = states.state.at
    assert steps_to(states.next, place == 3).tolist() == [
        {0: 3, 1: 2, 2: 1, 3: 0}.get(p, np.inf) for p in place.tolist()
    ]
    assert np.isinf(steps_to(states.next, place == 9)).all()
    two = steps_to(states.next, np.isin(place, (0, 3)))
    assert two[place == 1] == two[place == 2] == 1, "the nearer of two"


def test_drawn_walks_follow_the_chain_and_end_where_it_is_over():
    states = enumerate_states(Line(), Line().at(0, 1, length=4))
    right = np.tile([0.0, 1.0], (len(states), 1))
    walks = drawn_walks(right, states.next, states.over, states.start, 5, 0)
    assert states.state.at[walks.node].T.tolist() == [[0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]
    assert walks.going.T.tolist() == [[True] * 3 + [False] * 2, [True] * 2 + [False] * 3]


def test_play_shows_its_states_to_who_watches_before_each_step_and_after_the_last():
    seen = []
    told = lambda state, t: seen.append((t, *state.at.tolist()))  # noqa: E731
    play(Right(1.0), Line(), Line().at(0, length=3), 4, 0, watch=told)
    assert seen == [(0, 0), (1, 1), (2, 2), (4, 2)], "the level is over after two steps"


def test_where_there_is_no_exact_chain_the_error_has_a_name_of_its_own():
    for world in (Line(slips=0.5), Line(closed=True)):
        with pytest.raises(NoExactChain):
            enumerate_states(world, world.at(0, 1, length=4))
    with pytest.raises(NoExactChain, match="more than 2 reachable states"):
        enumerate_states(Line(), Line().at(0), limit=2)
    with pytest.raises(ValueError, match="goes on after its end") as caught:
        enumerate_states(Line(goes_on=True), Line().at(0, length=4))
    assert not isinstance(caught.value, NoExactChain), (
        "a world that breaks its contract is no case for sampling"
    )
