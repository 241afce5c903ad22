"""The maze world: its kernels against the reference, its distribution, its edits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from goalscope.worlds.maze import (
    Maze,
    MazeState,
    Move,
    maze_text,
    parse_maze,
    place_cheese,
    place_mouse,
    remove_cheese,
    toggle_wall,
)
from goalscope.worlds.maze.paths import distances, maze_size


def pair(square: np.ndarray) -> tuple[int, int]:
    return int(square[0]), int(square[1])


@pytest.mark.parametrize(
    ("width", "region"), [(3, 1), (3, None), (5, 5), (13, 1), (13, 5), (13, None), (25, 5), (31, 40)]
)
def test_generation_equals_the_reference(reference, width, region):
    seeds = [*range(60), 1_000_000_000, 2**31 - 2, 2**40 + 17, 2**62]
    state = Maze(width, region).generate(seeds)
    for i, seed in enumerate(seeds):
        walls, mouse, cheese = reference.generate(seed, width, region)
        assert np.array_equal(state.walls[i], walls), seed
        assert (pair(state.mouse[i]), pair(state.cheese[i])) == (mouse, cheese), seed
    assert state.walls.dtype == bool and state.mouse.dtype == state.cheese.dtype == np.int16


@pytest.mark.parametrize("width", [3, 5, 13])
def test_stepping_and_observing_equal_the_reference(reference, width):
    world = Maze(width, None)
    state = world.generate(range(40))
    state = MazeState(state.walls, state.mouse, np.where(np.arange(40)[:, None] % 5 == 0, -1, state.cheese))
    rng = np.random.default_rng(width)
    ends = 0
    for _ in range(60):
        actions = rng.integers(0, 5, 40)
        outcome = world.step(state, actions)
        planes = world.observe(outcome.state)
        for i in range(40):
            before = state.walls[i], pair(state.mouse[i]), pair(state.cheese[i])
            mouse, reward, ended = reference.step(*before, int(actions[i]))
            assert pair(outcome.state.mouse[i]) == mouse
            assert outcome.reward[i] == reward and outcome.ended[i] == ended
            assert np.array_equal(planes[i], reference.observe(before[0], mouse, before[2]))
        ends += int((outcome.reward > 0).sum())
        state = outcome.state
    assert planes.dtype == np.uint8 and outcome.reward.dtype == np.float32 and outcome.ended.dtype == bool
    assert ends > 0, "no level ended, so ends were not compared"


def test_moves_are_what_they_are_called():
    state = parse_maze("...\n.M.\n..C")
    for move, there in [
        (Move.LEFT, (1, 0)),
        (Move.DOWN, (2, 1)),
        (Move.UP, (0, 1)),
        (Move.RIGHT, (1, 2)),
        (Move.STAY, (1, 1)),
    ]:
        outcome = Maze(3).step(state, np.array([move]))
        assert pair(outcome.state.mouse[0]) == there and not outcome.ended[0] and outcome.reward[0] == 0


def test_walls_and_the_edge_stop_the_mouse_and_the_cheese_ends_the_level():
    world = Maze(3)
    state = parse_maze("#C#\n#M#\n###")
    for move in (Move.LEFT, Move.DOWN, Move.RIGHT, Move.STAY):
        assert pair(world.step(state, np.array([move])).state.mouse[0]) == (1, 1)
    won = world.step(state, np.array([Move.UP]))
    assert won.ended[0] and won.reward[0] == 10 and maze_text(won.state) == "#*#\n#.#\n###"
    for move in Move:
        after = world.step(won.state, np.array([move]))
        assert after.ended[0] and after.reward[0] == 0 and pair(after.state.mouse[0]) == (0, 1)
    edge = parse_maze("M#C\n.#.\n...")
    for move in (Move.LEFT, Move.UP):
        assert pair(world.step(edge, np.array([move])).state.mouse[0]) == (0, 0)


def test_a_level_without_cheese_never_ends():
    world = Maze(5, None)
    state = remove_cheese(world.generate(range(20)))
    rng = np.random.default_rng(0)
    for _ in range(100):
        outcome = world.step(state, rng.integers(0, 5, 20))
        state = outcome.state
        assert not outcome.ended.any() and not outcome.reward.any() and not world.observe(state)[:, 2].any()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 5, 0], "level 1: action 5 is not a Move"),
        ([0, 0, -1], "level 2: action -1 is not a Move"),
        ([0, 0], r"actions must be \[3\] integers"),
        ([0.0, 1.0, 2.0], r"actions must be \[3\] integers, got float64"),
        ([[0], [0], [0]], r"actions must be \[3\] integers, got int64 \[3, 1\]"),
    ],
)
def test_illegal_actions(actions, message):
    world = Maze(5)
    with pytest.raises(ValueError, match=message):
        world.step(world.generate(range(3)), np.array(actions))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64])
def test_any_integers_are_actions(kind):
    world = Maze(5)
    state = world.generate(range(5))
    moved = world.step(state, np.arange(5).astype(kind)).state
    assert np.array_equal(moved.mouse, world.step(state, np.arange(5)).state.mouse)


@pytest.mark.parametrize(("size", "region"), [(4, 5), (1, 5), (-3, 5), (13, 0), (13, -1)])
def test_worlds_that_cannot_be(size, region):
    with pytest.raises(ValueError, match="must be"):
        Maze(size, region)


def test_mazes_are_spanning_trees(reference):
    """As many edges as squares less one, and connected: exactly one path between any two squares."""
    state = Maze(25, None).generate(range(500))
    for i in range(500):
        free = ~state.walls[i]
        edges = int((free[1:] & free[:-1]).sum() + (free[:, 1:] & free[:, :-1]).sum())
        assert edges == free.sum() - 1
        assert (reference.distances(state.walls[i], pair(state.mouse[i])) >= 0).sum() == free.sum()
        rows, columns = np.nonzero(free)
        size = rows.max() - rows.min() + 1
        assert size == columns.max() - columns.min() + 1 and size % 2 == 1
        # A spanning tree of all cells: k x k cells and the k^2 - 1 squares between them.
        assert free.sum() == 2 * ((size + 1) // 2) ** 2 - 1
        assert rows.min() == (25 - size) // 2 == columns.min(), "not centred"


def test_mouse_starts_bottom_left_and_never_on_the_cheese():
    for size, region in ((3, None), (13, None), (13, 13), (3, 3)):
        state = Maze(size, region).generate(range(2000))
        free = ~state.walls
        bottom = size - 1 - free.any(2)[:, ::-1].argmax(1)
        left = free.any(1).argmax(1)
        assert np.array_equal(state.mouse, np.stack([bottom, left], 1))
        assert free[np.arange(2000), state.cheese[:, 0], state.cheese[:, 1]].all()
        assert not (state.mouse == state.cheese).all(1).any()


def test_sizes_are_uniform():
    sizes = maze_size(Maze(25).generate(range(24_000)))
    counts = np.bincount(sizes, minlength=26)[3::2]
    assert counts.sum() == 24_000 and len(counts) == 12
    assert stats.chisquare(counts).pvalue > 1e-3


def cheese_p_value(state: MazeState, region: int | None) -> float:
    """Of a uniform cheese: its rank among each level's allowed squares, scaled to 0..1, in equal bins.

    Ranks are spread within their square, so levels with different numbers of squares can be pooled.
    """
    spread = np.random.default_rng(0)
    found = np.empty(len(state))
    for i in range(len(state)):
        rows, columns = np.nonzero(~state.walls[i])
        reach = region or state.walls.shape[1]
        inside = (rows < rows.min() + reach) & (columns > columns.max() - reach)
        inside &= (rows != state.mouse[i, 0]) | (columns != state.mouse[i, 1])
        places = list(zip(rows[inside], columns[inside], strict=True))
        found[i] = (places.index(pair(state.cheese[i])) + spread.random()) / len(places)
    return float(stats.chisquare(np.histogram(found, 20, (0, 1))[0]).pvalue)


@pytest.mark.parametrize("region", [1, 5, None])
def test_cheese_is_uniform_on_its_region(region):
    assert cheese_p_value(Maze(13, region).generate(range(6000)), region) > 1e-3


def test_the_cheese_test_notices_a_cheese_that_avoids_a_part():
    """Negative control: cheese of the top-right 5 x 5, taken to be uniform on the top-right 7 x 7."""
    assert cheese_p_value(Maze(13, 5).generate(range(6000)), 7) < 1e-6


def test_every_spanning_tree_of_the_smallest_maze_comes_up():
    """2 x 2 cells have four; Kruskal on a ring drops the last edge drawn, so each is as likely."""
    walls = Maze(3).generate(range(4000)).walls
    trees, counts = np.unique(walls.reshape(4000, -1), axis=0, return_counts=True)
    assert len(trees) == 4 and stats.chisquare(counts).pvalue > 1e-3


def test_neighbouring_seeds_share_no_levels_and_a_level_does_not_know_its_batch():
    world = Maze(13)
    state = world.generate(range(1000, 2000))
    texts = world.text(state)
    large = [text for text, size in zip(texts, maze_size(state), strict=True) if size >= 9]
    assert len(set(large)) == len(large) > 400  # the smallest mazes have few shapes
    picked = world.text(world.generate([1500, 1003]))
    assert picked == [texts[500], texts[3]]
    assert len(world.generate([])) == 0


def open_maze() -> MazeState:
    return parse_maze("..C\n...\nM#.")


EDITS = {
    "place_cheese": lambda s: place_cheese(s, np.array([1, 1])),
    "remove_cheese": remove_cheese,
    "place_mouse": lambda s: place_mouse(s, np.array([0, 0])),
    "toggle_wall": lambda s: toggle_wall(s, np.array([2, 1])),
}


@pytest.mark.parametrize(
    ("edit", "after"),
    [
        ("place_cheese", "...\n.C.\nM#."),
        ("remove_cheese", "...\n...\nM#."),
        ("place_mouse", "M.C\n...\n.#."),
        ("toggle_wall", "..C\n...\nM.."),
    ],
)
def test_edits_return_new_states(edit, after):
    state = open_maze()
    before = [x.copy() for x in (state.walls, state.mouse, state.cheese)]
    assert maze_text(EDITS[edit](state)) == after
    for array, copy in zip((state.walls, state.mouse, state.cheese), before, strict=True):
        assert np.array_equal(array, copy)


def test_edits_take_one_square_for_each_level():
    state = Maze(5, None).generate(range(8))
    moved = place_mouse(state, state.cheese)
    assert np.array_equal(moved.mouse, state.cheese) and all("*" in t for t in Maze(5).text(moved))
    walls = np.array([np.argwhere(w)[0] for w in state.walls])
    opened = toggle_wall(state, walls)
    assert (state.walls.sum((1, 2)) - opened.walls.sum((1, 2)) == 1).all()
    assert np.array_equal(toggle_wall(opened, walls).walls, state.walls)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: place_cheese(s, np.array([2, 1])), r"level 0: the cheese at \(2, 1\) is in a wall"),
        (lambda s: place_mouse(s, np.array([2, 1])), r"level 0: the mouse at \(2, 1\) is in a wall"),
        (lambda s: place_cheese(s, np.array([3, 0])), r"\(3, 0\) lies outside the 3 x 3"),
        (lambda s: place_mouse(s, np.array([0, -1])), r"\(0, -1\) lies outside the 3 x 3"),
        (lambda s: toggle_wall(s, np.array([0, 3])), r"\(0, 3\) lies outside"),
        (lambda s: toggle_wall(s, np.array([2, 0])), r"the mouse at \(2, 0\) is in a wall"),
        (lambda s: toggle_wall(s, np.array([0, 2])), r"the cheese at \(0, 2\) is in a wall"),
        (lambda s: place_mouse(s, np.array([[0, 0], [1, 1]])), r"squares must be \[1, 2\]"),
        (lambda s: place_mouse(s, np.array([0, 0, 0])), r"squares must be \[1, 2\]"),
        (lambda s: place_mouse(s, np.array([0.5, 0.0])), "squares must be .* integers"),
    ],
)
def test_edits_refuse(edit, message):
    with pytest.raises(ValueError, match=message):
        edit(open_maze())


def test_the_level_that_cannot_be_edited_is_named():
    state = Maze(3, None).generate(range(5))
    squares = state.mouse.copy()
    squares[3] = np.argwhere(state.walls[3])[0]
    with pytest.raises(ValueError, match="level 3: the mouse"):
        place_mouse(state, squares)


def test_the_last_way_to_the_cheese_cannot_be_walled():
    walled = toggle_wall(parse_maze("..C\n...\nM.."), np.array([1, 0]))  # there is another way
    with pytest.raises(ValueError, match=r"cheese at \(0, 2\) cannot be reached from the mouse at \(2, 0\)"):
        toggle_wall(walled, np.array([2, 1]))
    toggle_wall(remove_cheese(walled), np.array([2, 1]))  # without cheese there is nothing to reach


def test_the_world_leaves_the_threads_of_torch_alone():
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        world = Maze(9, None)
        distances(world.observe(world.generate(range(50)))[:, 0] > 0, np.zeros((50, 2), int))
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
