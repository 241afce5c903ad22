"""The networks by hand: one plans exactly and obeys what is written into its map, the other sees its neighbours alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from goalscope.activations.hooks import capture, editing
from goalscope.policies.handwritten import rule_scores
from goalscope.policies.handwritten_networks import TOP, LocalPatterns, ValueIteration
from goalscope.rollout import fields
from goalscope.rollout.maze_fields import fields_at_once
from goalscope.rollout.maze_ticks import think_longer
from goalscope.training.maze.shortest_paths import lessons
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, Move, place_cheese, remove_cheese
from goalscope.worlds.maze.paths import distances

WORLD = Maze(13, None)
MAZES = WORLD.generate(np.arange(30))
SQUARES = WORLD.squares(MAZES)
AT = (SQUARES.level, *SQUARES.square.T.astype(int))
THERE = dataclasses.replace(take(MAZES, SQUARES.level), mouse=SQUARES.square)


def steps_to_cheese() -> np.ndarray:
    """[K] of all squares."""
    return distances(MAZES.walls, MAZES.cheese)[AT]


def test_the_planner_takes_the_shortest_path_and_knows_its_value():
    found = fields(ValueIteration(100), WORLD, MAZES)
    np.testing.assert_allclose(found.moves, rule_scores("cheese", THERE), atol=1e-6)
    np.testing.assert_allclose(found.value, lessons(MAZES, 0.97)[1][AT], rtol=1e-5)
    assert (found.reach_from_start(200) > 0.999).all()


def test_it_knows_the_way_as_far_as_it_has_thought_and_no_farther():
    steps = steps_to_cheese()
    for ticks in (1, 4, 9):
        found = fields_at_once(ValueIteration(ticks), WORLD, MAZES)
        known = steps <= ticks + 1
        right = rule_scores("cheese", THERE)
        np.testing.assert_allclose(found.moves[known], right[known], atol=1e-6)
        np.testing.assert_allclose(found.moves[~known], 0.2, atol=1e-6)
        assert known.any() and not known.all()
        assert (found.value[~known] == 0).all() and (found.value[known] > 0).all()
    start = steps[SQUARES.start]
    thinking = think_longer(ValueIteration(1), WORLD, MAZES, [2, 8, 32], int(start.max()))
    for ticks, reach in zip(thinking.ticks, thinking.reach, strict=True):
        assert (reach[start <= ticks + 1] > 0.999).all()
        assert (reach[(start > ticks + 1) & (start > 6)] < 0.9).all()
    assert not any(len(lost) for lost in thinking.lost()) and any(len(won) for won in thinking.won())


def test_what_is_written_into_its_map_is_obeyed():
    module, rng = ValueIteration(100), np.random.default_rng(0)
    # Another free square of each maze, and the map that a cheese there would have made.
    picked = [
        rng.choice(np.arange(a, b)[1:]) for a, b in zip(SQUARES.offsets, SQUARES.offsets[1:], strict=False)
    ]
    elsewhere = place_cheese(MAZES, SQUARES.square[picked])
    x, other = (module.encode(WORLD.observe(state)) for state in (MAZES, elsewhere))
    last = "sweep@99"
    written = capture(module, other, [last])[last]
    with editing(module, {last: lambda _: written}), torch.inference_mode():
        moves = module(x).logits.argmax(1)
    with torch.inference_mode():
        bare, wanted = module(x).logits.argmax(1), module(other).logits.argmax(1)
    assert torch.equal(moves, wanted) and not torch.equal(bare, wanted)
    # The map is what it says it is: the cheese's worth less the steps to it.
    held = capture(module, x, [last])[last][:, 0].numpy()
    np.testing.assert_array_equal(TOP - held[AT], steps_to_cheese())
    assert (held[MAZES.walls] == 0).all()


def test_without_cheese_all_moves_are_alike_to_the_planner():
    found = fields_at_once(ValueIteration(20), WORLD, remove_cheese(MAZES))
    np.testing.assert_allclose(found.moves, 0.2, atol=1e-6)
    assert not found.value.any()


def test_patterns_go_to_a_cheese_beside_them_and_else_up_or_right():
    found = fields(LocalPatterns(), WORLD, MAZES)
    near = steps_to_cheese() <= 1
    expected = np.where(near[:, None], rule_scores("cheese", THERE), rule_scores("up-and-right", THERE))
    np.testing.assert_allclose(found.moves, expected / expected.sum(1, keepdims=True), atol=1e-6)
    assert near.sum() > 60 and not found.value.any()
    assert 0.05 < found.reach_from_start(200).mean() < 0.6


def test_patterns_do_not_notice_what_is_not_beside_them_and_the_planner_does():
    # A ring, the cheese nearer by the upper way; the wall that shuts it stands far from the mouse.
    rows = [".......", ".#####C", ".#####.", "M#####.", ".#####.", ".#####.", "......."]
    ring = WORLD.parse("\n".join(rows))
    shut = WORLD.parse("\n".join(["....#..", *rows[1:]]))
    for module, then in ((LocalPatterns(), Move.UP), (ValueIteration(40), Move.DOWN)):
        with torch.inference_mode():
            out = [module(module.encode(WORLD.observe(state))).logits.argmax(1) for state in (ring, shut)]
        assert [int(move) for move in out] == [Move.UP, then]


@pytest.mark.parametrize("module", [ValueIteration(12), LocalPatterns()], ids=["plans", "looks up"])
def test_one_forward_says_what_each_square_would(module):
    at_once = fields_at_once(module, WORLD, MAZES)
    each = fields(module, WORLD, MAZES, edits=lambda levels: {"plan": lambda x: x})
    np.testing.assert_allclose(at_once.moves, each.moves, atol=1e-6)
    np.testing.assert_allclose(at_once.value, each.value, atol=1e-6)
    assert capture(module, module.encode(WORLD.observe(MAZES)), ["plan"])["plan"].shape == (30, 5, 13, 13)
    assert not any(p.requires_grad for p in module.parameters())


def test_fewer_than_one_tick_is_refused():
    module = ValueIteration(0)
    with pytest.raises(ValueError, match="ticks must be 1 or more, got 0"):
        module(module.encode(WORLD.observe(MAZES)))
