"""The Procgen world is Procgen: levels, pixels, dynamics and bytes; and the Maze world agrees with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from goalscope.worlds.contract import check_world, take
from goalscope.worlds.maze import Maze, Move, place_cheese, place_mouse, remove_cheese, toggle_wall
from goalscope.worlds.maze.paths import distances, maze_size, top_right

pytest.importorskip("procgen", reason="needs the extra goalscope[procgen]")

from procgen.env import ProcgenGym3Env

from goalscope.worlds.procgen import (
    MOVES,
    SIZES,
    Facing,
    ProcgenAction,
    ProcgenMaze,
    face,
)
from goalscope.worlds.procgen.bytes import LAST_LEVEL
from goalscope.worlds.procgen.world import maze


@pytest.fixture(scope="module")
def worlds():
    return {distribution: ProcgenMaze(distribution) for distribution in SIZES}


def own(distribution, level, num=1, game="maze") -> Any:
    return ProcgenGym3Env(
        num=num, env_name=game, distribution_mode=distribution, num_levels=1, start_level=level, num_threads=0
    )


def pixels(environment):
    return environment.observe()[1]["rgb"].transpose(0, 3, 1, 2)


def equal(a, b):
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))


def towards(state, squares):
    """[N] an action on a shortest path to squares."""
    steps = distances(state.walls, squares)
    action = np.full(len(state), int(ProcgenAction.NONE))
    levels = np.arange(len(state))
    row, column = state.mouse.astype(int).T
    width = state.walls.shape[1]
    for candidate, dr, dc in (
        (ProcgenAction.LEFT, 0, -1),
        (ProcgenAction.RIGHT, 0, 1),
        (ProcgenAction.DOWN, 1, 0),
        (ProcgenAction.UP, -1, 0),
    ):
        r, c = np.clip(row + dr, 0, width - 1), np.clip(column + dc, 0, width - 1)
        action[steps[levels, r, c] == steps[levels, row, column] - 1] = candidate
    return action


@pytest.mark.parametrize("distribution", SIZES)
def test_keeps_the_contract(worlds, distribution):
    check_world(worlds[distribution], [3, 17, 2**20, LAST_LEVEL])


@pytest.mark.parametrize("distribution", SIZES)
def test_levels_and_pixels_are_procgens_own(worlds, distribution):
    world = worlds[distribution]
    numbers = [0, 1, 2, 77, 123456, LAST_LEVEL]
    state = world.generate(numbers)
    for i, number in enumerate(numbers):
        environment = own(distribution, number)
        assert equal(world.from_bytes(environment.get_state()), take(state, i))
        assert np.array_equal(pixels(environment)[0], world.observe(take(state, i))[0])
    assert len({text.rsplit("\n", 1)[0] for text in world.text(state)}) > 3
    assert state.level.tolist() == numbers


def test_an_untouched_procgen_goes_the_same_way(worlds):
    """What a ProcgenState leaves out (time, velocity, generators) matters to neither pixels nor moves."""
    world, rng = worlds["easy"], np.random.default_rng(0)
    reached = 0
    for level in range(12):
        environment, state = own("easy", level), world.generate([level])
        for _ in range(80):
            action = rng.integers(0, 15, 1) if rng.random() < 0.5 else towards(state, state.cheese)
            environment.act(action)
            outcome = world.step(state, action)
            reward, _, first = environment.observe()
            assert outcome.reward[0] == reward[0]
            assert outcome.ended[0] == first[0]
            if outcome.ended[0]:
                assert np.array_equal(outcome.state.mouse, state.cheese)
                reached += 1
                break
            state = outcome.state
            assert np.array_equal(pixels(environment), world.observe(state))
            assert equal(state, world.from_bytes(environment.get_state()))
    assert reached >= 6


@pytest.mark.parametrize("distribution", ["easy", "hard"])
def test_parity_with_maze_on_500_levels(worlds, distribution):
    world = worlds[distribution]
    real = world.generate(np.arange(500))
    plain_world, plain = Maze(size=SIZES[distribution]), maze(real)
    assert not np.array_equal(plain.walls[0], plain.walls[1])
    rng = np.random.default_rng(1)
    moved = np.zeros(len(real), bool)
    over = np.zeros(len(real), bool)
    for _ in range(40):
        actions = rng.integers(0, 15, len(real))
        # Half of the levels are led to the cheese, with detours: random walks hardly ever end.
        led = (np.arange(len(real)) % 2 == 0) & (rng.random(len(real)) < 0.9)
        actions[led] = towards(real, real.cheese)[led]
        ours, theirs = plain_world.step(plain, MOVES[actions]), world.step(real, actions)
        assert np.array_equal(ours.state.mouse, theirs.state.mouse)
        assert np.array_equal(ours.state.cheese, theirs.state.cheese)
        assert np.array_equal(ours.state.walls, theirs.state.walls)
        assert np.array_equal(ours.reward, theirs.reward)
        assert np.array_equal(ours.ended, theirs.ended)
        moved |= (ours.state.mouse != plain.mouse).any(1)
        over |= ours.ended
        plain, real = ours.state, theirs.state
    assert moved.mean() > 0.95
    assert over.mean() > 0.3


def lengths(state):
    """Size, and steps from the start to the top-right corner and to the cheese, relative to the size."""
    steps = distances(state.walls, state.mouse)
    size = maze_size(state)
    relative = [
        steps[np.arange(len(state)), s[:, 0], s[:, 1]] / size for s in (top_right(state), state.cheese)
    ]
    return size, *relative


def p_values(a, b):
    """Chi-squared of the sizes, Kolmogorov-Smirnov of the two lengths, of mazes of size 7 and more."""
    (size_a, *lengths_a), (size_b, *lengths_b) = lengths(a), lengths(b)
    kinds = np.union1d(size_a, size_b)
    table = [[(size == kind).sum() for kind in kinds] for size in (size_a, size_b)]
    result = [stats.chi2_contingency(table)[1]]
    for x, y in zip(lengths_a, lengths_b, strict=True):
        result.append(stats.ks_2samp(x[size_a >= 7], y[size_b >= 7])[1])
    return np.array(result)


@pytest.mark.parametrize("distribution", ["easy", "hard"])
def test_maze_generates_procgens_distribution(worlds, distribution):
    theirs = worlds[distribution].generate(np.arange(5000, 6500))
    ours = Maze(SIZES[distribution], cheese_region=None).generate(np.arange(6000))
    assert (p_values(theirs, ours) > 0.01).all()
    # The test tells other distributions apart: of the cheese, of the trees, of the sizes.
    corner = Maze(SIZES[distribution], cheese_region=5).generate(np.arange(6000))
    assert p_values(theirs, corner)[2] < 1e-6
    assert p_values(theirs, binary_tree(maze(theirs)))[1] < 1e-6
    assert p_values(take(theirs, maze_size(theirs) > 5), ours)[0] < 1e-6


def binary_tree(state):
    """Other spanning trees in the same places: each cell is joined to the one above or to the right."""
    walls = np.ones_like(state.walls)
    rng = np.random.default_rng(2)
    for i, size in enumerate(maze_size(state)):
        margin = (walls.shape[1] - size) // 2
        grid = walls[i, margin : margin + size, margin : margin + size]
        grid[::2, ::2] = False
        for row in range(0, size, 2):
            for column in range(0, size, 2):
                up = row > 0 and (column == size - 1 or rng.random() < 0.5)
                if up:
                    grid[row - 1, column] = False
                elif column < size - 1:
                    grid[row, column + 1] = False
    return dataclasses.replace(state, walls=walls)


def test_bytes_round_trip_through_a_procgen_environment(worlds):
    world = worlds["hard"]
    state = face(world.generate(np.arange(8)), np.array([0, 1] * 4))
    data = world.to_bytes(state)
    assert equal(world.from_bytes(data), state)
    environment = own("hard", 999, num=8)
    before = pixels(environment)
    environment.set_state(data)
    assert np.array_equal(pixels(environment), world.observe(state))
    assert not np.array_equal(before, world.observe(state))
    assert equal(world.from_bytes(environment.get_state()), state)
    bare = remove_cheese(state)
    assert equal(world.from_bytes(world.to_bytes(bare)), bare)
    # After an end, here by force, the level number of the state is what Procgen starts with.
    environment.act(np.full(8, -1))
    assert equal(world.from_bytes(environment.get_state()), world.generate(np.arange(8)))


def test_edits_show_in_the_pixels_where_they_should(worlds):
    world = worlds["easy"]
    state = world.generate([7])
    cheese = state.cheese[0]
    pixel = 64 / world.size

    def changed(after):
        rows, columns = np.nonzero((world.observe(state) != world.observe(after))[0].any(0))
        return rows, columns

    def inside(rows, columns, *squares):
        return all(
            any(
                abs((r + 0.5) / pixel - s[0] - 0.5) < 0.8 and abs((c + 0.5) / pixel - s[1] - 0.5) < 0.8
                for s in squares
            )
            for r, c in zip(rows, columns, strict=True)
        )

    start, corner = state.mouse[0], top_right(state)[0]
    assert start.tolist() == [14, 0]
    assert corner.tolist() == [0, 14]
    assert (cheese != corner).any()
    edits = {
        "no cheese": (remove_cheese(state), [cheese]),
        "cheese": (place_cheese(state, corner), [cheese, corner]),
        "mouse": (place_mouse(state, corner), [start, corner]),
        "facing": (face(state, Facing.RIGHT), [start]),
        "wall": (toggle_wall(state, np.array([0, 0])), [np.array([0, 0])]),
    }
    for name, (after, squares) in edits.items():
        rows, columns = changed(after)
        assert len(rows) >= 3, name
        assert inside(rows, columns, *squares), name
        for square in squares:  # something changed on each of them
            assert not inside(rows, columns, *[s for s in squares if s is not square]), name
    assert not inside(*changed(edits["cheese"][0]), cheese, corner[::-1])


def test_procgen_obeys_edited_walls_cheese_and_mouse(worlds):
    world = worlds["easy"]
    state = world.parse("M.#\n#.#\n#..")
    rows, columns = np.nonzero(~state.walls[0])
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (6, 6, 8, 8)
    blocked = world.step(state, [ProcgenAction.DOWN]).state
    assert equal(blocked, state)
    opened = world.step(toggle_wall(state, np.array([7, 6])), [ProcgenAction.DOWN]).state
    assert opened.mouse.tolist() == [[7, 6]]
    turned = world.step(state, [ProcgenAction.RIGHT_UP])
    assert turned.state.mouse.tolist() == [[6, 7]]
    assert turned.state.facing.tolist() == [Facing.RIGHT]
    assert turned.reward.tolist() == [0]
    won = world.step(place_cheese(turned.state, np.array([7, 7])), [ProcgenAction.DOWN])
    assert won.reward.tolist() == [10]
    assert won.ended.tolist() == [True]
    assert won.state.mouse.tolist() == won.state.cheese.tolist() == [[7, 7]]
    assert won.state.facing.tolist() == [Facing.RIGHT]
    for facing, start, cheese, action in ((1, [6, 7], [6, 6], "LEFT_UP"), (0, [6, 6], [6, 7], "RIGHT_DOWN")):
        before = face(place_cheese(place_mouse(state, np.array(start)), np.array(cheese)), facing)
        after = world.step(before, [ProcgenAction[action]])
        assert after.ended.tolist() == [True]
        assert after.state.facing.tolist() == [1 - facing]
    again = world.step(won.state, [ProcgenAction.UP])
    assert equal(again.state, won.state)
    assert again.reward.tolist() == [0]
    outside = world.step(
        place_mouse(worlds["easy"].generate([7]), np.array([0, 14])), [ProcgenAction.UP]
    ).state
    assert outside.mouse.tolist() == [[0, 14]]


@pytest.mark.parametrize("action", ProcgenAction)
def test_faced_squares_are_the_steps_of_procgen(worlds, action):
    world = worlds["easy"]
    state = face(world.generate([2, 4, 7]), np.array([0, 1, 1]))
    squares = world.squares(state)
    placed = world.at_squares(state, squares, slice(None))
    assert equal(take(placed, slice(5, 9)), world.at_squares(state, squares, slice(5, 9)))
    after = world.step(placed, np.full(len(squares), int(action))).state
    expected = squares.next[~squares.goal, MOVES[action]]
    assert np.array_equal(after.mouse[~squares.goal], squares.square[expected])
    assert np.array_equal(after.facing[~squares.goal], squares.facing[expected])
    assert np.array_equal(squares.level[expected], squares.level[~squares.goal])
    assert np.array_equal(squares.goal, (placed.mouse == placed.cheese).all(1))
    assert equal(take(placed, squares.start), state)
    assert np.array_equal(
        np.diff(squares.offsets), 2 * (distances(state.walls, state.mouse) >= 0).sum((1, 2))
    )


def test_observe_is_channels_last_in_memory_and_batched(worlds):
    world = worlds["easy"]
    state = world.generate(np.arange(3))
    many = take(state, np.arange(600) % 3)  # more than one chunk
    seen = world.observe(many)
    assert seen.shape == (600, 3, 64, 64)
    assert seen.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(seen, world.observe(state)[np.arange(600) % 3])


@pytest.mark.parametrize("region", [1, 5, 100])
def test_cheese_region(worlds, region):
    world, plain = ProcgenMaze("easy", cheese_region=region), worlds["easy"].generate(np.arange(300))
    state = world.generate(np.arange(300))
    margin = (15 - maze_size(state)) // 2
    assert np.array_equal(state.walls, plain.walls)
    assert (state.cheese[:, 0] < margin + region).all()
    assert (state.cheese[:, 1] >= 15 - margin - region).all()
    assert not state.walls[np.arange(300), state.cheese[:, 0], state.cheese[:, 1]].any()
    assert not (state.cheese == state.mouse).all(1).any()
    assert equal(take(state, 9), world.generate([9]))
    if region == 100:
        p = p_values(plain, state)
        assert p[2] > 0.01
        assert (plain.cheese != state.cheese).any()
    if region == 1:
        assert np.array_equal(state.cheese, top_right(state))


def test_moves_table_adds_up_to_the_actions():
    horizontal = {Move.LEFT: "LEFT", Move.RIGHT: "RIGHT"}
    for action in ProcgenAction:
        move = Move(MOVES[action])
        if action.name.split("_")[0] in ("LEFT", "RIGHT"):
            assert action.name.startswith(horizontal[move])
        else:
            assert move.name == (action.name if action.name in ("UP", "DOWN") else "STAY")
