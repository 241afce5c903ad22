"""`check_world` passes worlds that keep the contract and names the clause that a broken one breaks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from goalscope.worlds.contract import (
    Step,
    check_world,
    concatenate,
    take,
    whole_number,
    whole_seeds,
)
from goalscope.worlds.maze import Maze, MazeState, Move, maze_text
from goalscope.worlds.sokoban import Sokoban

SEEDS = list(range(12))


@pytest.mark.parametrize("size", [3, 13, 25])
@pytest.mark.parametrize("region", [1, 5, None])
def test_the_maze_keeps_the_contract(size, region):
    check_world(Maze(size, region), SEEDS)


def test_check_world_needs_two_levels():
    with pytest.raises(ValueError, match="at least two seeds"):
        check_world(Maze(3), [1])


class StepMutates(Maze):
    """Moves the mouse of the state that it is given."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        state.mouse[:] = outcome.state.mouse
        return outcome


class ObserveMutates(Maze):
    """Eats the cheese by looking at it."""

    def observe(self, state):
        planes = super().observe(state)
        state.cheese[:] = -1
        return planes


class Unseeded(Maze):
    """Draws its levels anew at every call."""

    def __init__(self, *args):
        super().__init__(*args)
        self.calls = 0

    def generate(self, seeds):
        self.calls += 1
        return super().generate(np.asarray(seeds) + 1000 * self.calls)


class OneLevel(Maze):
    """Gives every seed the same level."""

    def generate(self, seeds):
        return super().generate(np.full(len(seeds), 7))


class GenerateByPlace(Maze):
    """A level depends on its place in the batch."""

    def generate(self, seeds):
        return super().generate(np.asarray(seeds) + np.arange(len(seeds)))


class StepByNeighbour(Maze):
    """All mice do what the first one does."""

    def step(self, state, actions):
        return super().step(state, np.full_like(actions, actions[0]))


class RewardByBatch(Maze):
    """The cheese is shared out among the levels."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        return dataclasses.replace(outcome, reward=outcome.reward / np.float32(len(actions)))


class ObserveByBatch(Maze):
    """A level's planes show the mice of all levels."""

    def observe(self, state):
        planes = super().observe(state)
        planes[:, 1] = planes[:, 1].max(0)
        return planes


class TextDropsCheese(Maze):
    """Its texts do not tell where the cheese is."""

    def text(self, state):
        return [text.replace("C", ".").replace("*", "M") for text in super().text(state)]


class ParseMovesMouse(Maze):
    """Reads every text as that of a level at its start."""

    def parse(self, text):
        state = super().parse(text)
        return dataclasses.replace(state, mouse=np.argwhere(~state.walls[0])[-1:].astype(np.int16))


class WrapsActions(Maze):
    """Takes actions modulo five."""

    def step(self, state, actions):
        return super().step(state, np.asarray(actions) % len(Move))


class TakesTooLarge(Maze):
    """Takes numbers that are too large for STAY."""

    def step(self, state, actions):
        return super().step(state, np.minimum(actions, Move.STAY))


class Broadcasts(Maze):
    """Takes one action for all levels."""

    def step(self, state, actions):
        return super().step(state, np.resize(actions, len(state)))


class EndsForOneStep(Maze):
    """Says only once that a level is over."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        return dataclasses.replace(outcome, ended=outcome.ended & (outcome.reward > 0))


class WalksOn(Maze):
    """Lets the mouse leave the cheese; `ended` is remembered in a cheese that follows it."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        over = (state.mouse == state.cheese).all(1)
        moved = (
            super()
            .step(dataclasses.replace(state, cheese=np.full_like(state.cheese, -1)), actions)
            .state.mouse
        )
        mouse = np.where(over[:, None], moved, outcome.state.mouse)
        cheese = np.where(over[:, None], moved, state.cheese)
        return Step(MazeState(state.walls, mouse, cheese), outcome.reward, outcome.ended)


class PaysTwice(Maze):
    """Rewards a mouse for as long as it sits on the cheese."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        return dataclasses.replace(outcome, reward=outcome.ended.astype(np.float32))


class FloatPlanes(Maze):
    """Observes in floats."""

    def observe(self, state):
        return super().observe(state).astype(np.float32)


class OtherShape(Maze):
    """Declares one plane and gives three."""

    @property
    def observation_shape(self):
        return (1, self.size, self.size)


class DoubleReward(Maze):
    """Gives rewards in double precision."""

    def step(self, state, actions):
        outcome = super().step(state, actions)
        return dataclasses.replace(outcome, reward=outcome.reward.astype(np.float64))


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (StepMutates, "changed its input"),
        (ObserveMutates, "changed its input"),
        (Unseeded, "same seeds gave different levels"),
        (OneLevel, "all seeds give one level"),
        (GenerateByPlace, "generated alone differs"),
        (StepByNeighbour, "stepped alone differs"),
        (RewardByBatch, "stepped alone differs"),
        (ObserveByBatch, "observed alone differs"),
        (TextDropsCheese, r"parse\(text\(state\)\) differs"),
        (ParseMovesMouse, r"parse\(text\(state\)\) differs"),
        (WrapsActions, "illegal action 5"),
        (TakesTooLarge, "illegal action 5"),
        (Broadcasts, "1 action for 12 levels"),
        (EndsForOneStep, "an ended level went on"),
        (WalksOn, "an ended level went on"),
        (PaysTwice, "an ended level went on"),
        (FloatPlanes, "observe gave float32"),
        (OtherShape, "observe gave uint8"),
        (DoubleReward, "step gave reward"),
    ],
)
def test_a_broken_world_is_caught_by_its_clause(broken, clause):
    # The smallest mazes, so that random mice come to their cheese and levels end.
    with pytest.raises(ValueError, match=clause):
        check_world(broken(3, None), SEEDS)


def test_take_and_concatenate_are_inverse():
    state = Maze(7).generate(SEEDS)
    order = [5, 0, 11]
    picked = take(state, order)
    assert [maze_text(picked, i) for i in range(3)] == [maze_text(state, i) for i in order]
    joined = concatenate([take(state, slice(0, 4)), take(state, slice(4, None))])
    for field in dataclasses.fields(state):
        assert np.array_equal(getattr(joined, field.name), getattr(state, field.name))
    assert len(take(state, 3)) == 1 and maze_text(take(state, np.int64(3))) == maze_text(state, 3)
    mask = np.arange(12) % 2 == 0
    assert len(take(state, mask)) == 6


def test_concatenate_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        concatenate([])


ROUNDED = {
    "a part of a seed": [1.9], "text": ["7"], "a text": "12", "negative": [-3], "true": [True], "one": 7, "none": [None],
    "floats": np.array([1.0, 2.0]), "bools": np.array([True]), "beyond 64 bits": [1, 2**64], "pairs": [[1, 2]],
    "a mixture that NumPy makes float": [-1, 2**63], "an array of objects": np.array([1, 2], object),
}  # fmt: skip


@pytest.mark.parametrize("world", [Maze(5), Sokoban(6, 6, 1)], ids=lambda world: world.name)
@pytest.mark.parametrize("case", ROUNDED)
def test_seeds_that_would_be_rounded_or_wrapped_are_refused(case, world):
    with pytest.raises(ValueError, match=r"seeds must be \[N\] non-negative integers"):
        world.generate(ROUNDED[case])


def test_seeds_beyond_float_and_int64_are_what_they_are():
    near = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    texts = [maze_text(Maze(13).generate([seed])) for seed in near]
    assert len(set(texts)) == 5, "each is a maze of its own"
    assert [maze_text(Maze(13).generate(np.array(near, np.uint64)), i) for i in range(5)] == texts
    assert whole_seeds(range(3)).tolist() == whole_seeds(np.arange(3, dtype=np.int8)).tolist() == [0, 1, 2]
    assert whole_seeds([]).tolist() == []


@pytest.mark.parametrize("value", [7.9, 7.0, True, "7", None, -1, 2**63, np.float64(3)])
def test_a_setting_that_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"steps must be (a whole number|at least 0)"):
        whole_number("steps", value)
    assert whole_number("steps", np.int32(7)) == 7
