"""CoinRun and Heist: step by step as Procgen itself, states edited with known consequences, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from goalscope.rollout import NoExactChain, enumerate_states
from goalscope.worlds.contract import check_world, concatenate
from goalscope.worlds.procgen import ProcgenAction, ProcgenGame

OFTEN = [0, 0.04, 0, 0.08, 0.04, 0.08, 0, 0.36, 0.2, 0.04, 0.04, 0.04, 0.04, 0.02, 0.02]
RIGHT, NONE = ProcgenAction.RIGHT, ProcgenAction.NONE


@pytest.fixture(scope="module")
def games() -> dict[str, ProcgenGame]:
    return {game: ProcgenGame(game) for game in ("coinrun", "heist")}


@pytest.mark.parametrize("game", ["coinrun", "heist"])
@pytest.mark.parametrize("distribution", ["easy", "hard"])
def test_every_step_is_procgens(game: str, distribution: str):
    from procgen.env import ProcgenGym3Env

    world, rng = ProcgenGame(game, distribution), np.random.default_rng(0)
    for level in (0, 5, 7):
        options = {"env_name": game, "distribution_mode": distribution, "num_levels": 1, "start_level": level}
        theirs: Any = ProcgenGym3Env(num=1, num_threads=0, rand_seed=3, **options)
        state = world.generate([level])
        for t in range(90):
            if t % 3 == 0:
                picture = theirs.observe()[1]["rgb"][0]
                assert np.array_equal(world.observe(state)[0].transpose(1, 2, 0), picture), (level, t)
            action = rng.choice(15, p=OFTEN)
            theirs.act(np.array([action]))
            reward, _, first = theirs.observe()
            outcome = world.step(state, np.array([action]))
            assert (outcome.reward[0], outcome.ended[0]) == (reward[0], first[0]), (level, t)
            state = outcome.state
            if first[0]:
                break


@pytest.mark.parametrize("game", ["coinrun", "heist"])
def test_contract_and_abilities(game: str, games: dict[str, ProcgenGame]):
    check_world(games[game], seeds=np.array([0, 3, 5]), steps=12)


def test_a_coin_moved_beside_the_agent_is_taken_there_and_not_where_it_was(games: dict[str, ProcgenGame]):
    world = games["coinrun"]
    state = world.generate([3])
    coin, agent = np.array(world.things(state)[0]["coin"]), world.agent(state)[0]
    near = agent + np.array([0, 2])
    assert world.free(state)[0][tuple(near)]
    moved = world.move(state, "coin", near[None])
    assert world.things(moved) == [{"coin": tuple(near.tolist())}]
    assert paid(world, moved, [RIGHT] * 12) == 10 and paid(world, state, [RIGHT] * 12) == 0
    # Put beside the coin the agent takes it where it always was; without it nothing is paid there.
    there = world.move_agent(state, coin[None] - np.array([0, 1]))
    assert paid(world, there, [RIGHT] * 12) == 10
    bare = world.remove(there, "coin")
    assert world.things(bare) == [{}] and paid(world, bare, [RIGHT] * 12) == 0
    assert paid(world, world.add(bare, "coin", coin[None]), [RIGHT] * 12) == 10
    assert not np.array_equal(world.observe(bare), world.observe(there))


def test_an_agent_that_is_put_somewhere_rests_there(games: dict[str, ProcgenGame]):
    for game, world in games.items():
        state = world.generate([0, 5])
        squares = np.array([np.argwhere(level)[len(np.argwhere(level)) // 2] for level in world.free(state)])
        put = world.move_agent(state, squares)
        rested = put
        for _ in range(4):
            rested = world.step(rested, np.array([NONE, NONE])).state
        assert world.agent(rested).tolist() == squares.tolist(), game
        assert np.allclose(
            rested.entities[:, 0, :2].view("<f4"), put.entities[:, 0, :2].view("<f4"), atol=0.02
        )


def test_a_key_beside_the_agent_is_taken(games: dict[str, ProcgenGame]):
    world = games["heist"]
    state = world.generate([0])
    row, column = world.agent(state)[0].tolist()
    assert world.free(state)[0, row, column + 1]
    near = world.move(state, "blue key", np.array([[row, column + 1]]))
    after = near
    for _ in range(6):
        after = world.step(after, np.array([RIGHT])).state
    assert "blue key" in world.things(near)[0] and "blue key" not in world.things(after)[0]
    assert "green key" in world.things(after)[0] and not after.over.any()
    gem = world.move(state, "gem", np.array([[row, column + 1]]))
    assert paid(world, gem, [RIGHT] * 8) == 10


def paid(world: ProcgenGame, state: Any, actions: list[int]) -> float:
    total = 0.0
    for action in actions:
        outcome = world.step(state, np.array([action]))
        state, total = outcome.state, total + float(outcome.reward[0])
    return total


def test_a_level_that_is_over_stays_as_it_was(games: dict[str, ProcgenGame]):
    world = games["coinrun"]
    state = world.generate([3])
    state = world.move(state, "coin", world.agent(state) + np.array([0, 1]))
    for _ in range(12):
        state = world.step(state, np.array([RIGHT])).state
    assert state.over.all() and "coin" in world.things(state)[0]
    assert world.text(world.step(state, np.array([RIGHT])).state) == world.text(state)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda w, s: w.move(s, "coins", [[62, 3], [62, 3]]),
            "level 0: no 'coins' lies here: did you mean 'coin'",
        ),
        (lambda w, s: w.move(s, "coin", [[62, 3], [63, 3]]), r"level 1: the square \(63, 3\) is not free"),
        (
            lambda w, s: w.move(s, "coin", [[62, 3], [64, 3]]),
            r"level 1: square \(64, 3\) lies outside 64 x 64",
        ),
        (lambda w, s: w.move_agent(s, [[30, 3], [62, 3]]), r"level 0: the square \(30, 3\) is not free"),
        (lambda w, s: w.add(s, "blue key", [[62, 3], [62, 3]]), "level 0: coinrun has no 'blue key'"),
        (lambda w, s: w.step(s, np.array([0, 15])), "level 1: action 15 is not a ProcgenAction"),
        (
            lambda w, s: w.from_bytes([b"nothing"]),
            "state 0: the bytes do not begin as those of Procgen's coinrun",
        ),
        (lambda w, s: w.from_bytes([w.to_bytes(s)[0][:-4]]), "state 0: the bytes of coinrun do not end"),
        (lambda w, s: w.from_bytes([w.to_bytes(s)[0][:900]]), "state 0: the bytes of coinrun end early"),
        (
            lambda w, s: w.parse(w.text(s)[0].replace("@..", ".@.")),
            "line 1: the map is not that of the state",
        ),
        (lambda w, s: w.parse("#.C#"), "line 1: '; over=no state=...' is wanted"),
        (lambda w, s: w.parse("; over=no state=abcd"), "line 1: the state cannot be read"),
        (
            lambda w, s: ProcgenGame("coinrn"),
            "no game of Procgen is called 'coinrn' here: did you mean 'coinrun'",
        ),
        (lambda w, s: ProcgenGame("heist", "memory"), "no distribution of Procgen is called 'memory'"),
        (lambda w, s: w.generate([2**31]), "at most 2147483646"),
    ],
)
def test_what_cannot_be_is_refused(games: dict[str, ProcgenGame], edit: Any, words: str):
    world = games["coinrun"]
    state = world.generate([3])
    with pytest.raises(ValueError, match=words):
        edit(world, concatenate([state, state]))


def test_there_is_no_chain_of_places_between_squares_and_that_is_said_at_once(games: dict[str, ProcgenGame]):
    world = games["heist"]
    with pytest.raises(
        NoExactChain, match=r"procgen:heist: its agent moves by fractions of a square.* sample"
    ):
        enumerate_states(world, world.generate([0]))
