"""Geometry of mazes against the plain reference and against paths written out."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.maze import Maze, MazeState, Move, maze_text, parse_maze, remove_cheese, toggle_wall
from goalscope.worlds.maze.paths import (
    bounding_box,
    corner,
    decision_square,
    distances,
    free_squares,
    maze_size,
    shortest_path,
    top_right,
)


def pair(square: np.ndarray) -> tuple[int, int]:
    return int(square[0]), int(square[1])


def with_cycles(size: int, count: int, seed: int) -> MazeState:
    """Generated mazes with up to four walls opened, so that there is more than one way."""
    rng = np.random.default_rng(seed)
    state = Maze(size, None).generate(np.arange(count) + 100 * seed)
    box = bounding_box(state)
    for _ in range(4):
        # Within the maze itself, not in the walls around it.
        squares = np.stack(
            [rng.integers(box[:, 0], box[:, 1] + 1), rng.integers(box[:, 2], box[:, 3] + 1)], 1
        )
        walled = state.walls[np.arange(count), squares[:, 0], squares[:, 1]]
        opened = toggle_wall(take(state, walled), squares[walled])
        state = concatenate([take(state, ~walled), opened])
        box = bounding_box(state)
    return state


@pytest.mark.parametrize("size", [3, 7, 25])
def test_distances_equal_the_reference(reference, size):
    state = concatenate([with_cycles(size, 20, 1), Maze(size).generate(range(20))])
    for squares in (state.mouse, state.cheese, remove_cheese(state).cheese, np.zeros((40, 2), np.int64)):
        found = distances(state.walls, squares)
        assert found.dtype == np.int32
        for i in range(40):
            assert np.array_equal(found[i], reference.distances(state.walls[i], pair(squares[i]))), i


def test_distances_of_an_isolated_part_and_errors():
    state = parse_maze("M#.\n.#.\n.#.")
    assert distances(state.walls, state.mouse)[0].tolist() == [[0, -1, -1], [1, -1, -1], [2, -1, -1]]
    for squares in ([[0, 3]], [[3, 0]], [[0, -1]]):
        with pytest.raises(ValueError, match="lies outside"):
            distances(state.walls, np.array(squares))
    for walls, squares in (
        (state.walls[0], [[0, 0]]),
        (state.walls, [[0, 0], [1, 0]]),
        (state.walls, [0, 0]),
    ):
        with pytest.raises(ValueError, match="expected"):
            distances(walls, np.array(squares))


@pytest.mark.parametrize("seed", [1, 2])
def test_shortest_paths_are_paths_and_shortest(reference, seed):
    state = with_cycles(7, 30, seed)
    for i in range(30):
        walls, a, b = state.walls[i], pair(state.mouse[i]), pair(state.cheese[i])
        path = shortest_path(walls, state.mouse[i], state.cheese[i])
        assert pair(path[0]) == a and pair(path[-1]) == b
        assert not walls[path[:, 0], path[:, 1]].any()
        assert (np.abs(np.diff(path, axis=0)).sum(1) == 1).all()
        assert len(path) == min(map(len, reference.simple_paths(walls, a, b)))


def test_in_a_tree_the_path_is_the_only_one(reference):
    state = Maze(25).generate(range(30))
    for i in range(30):
        only = reference.simple_paths(state.walls[i], pair(state.mouse[i]), pair(state.cheese[i]))
        assert len(only) == 1
        assert [pair(s) for s in shortest_path(state.walls[i], state.mouse[i], state.cheese[i])] == only[0]


def test_shortest_path_to_itself_and_to_nowhere():
    state = parse_maze("M#.\n.#.\n.#.")
    assert shortest_path(state.walls[0], np.array([1, 0]), np.array([1, 0])).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match=r"no way from \(0, 0\) to \(0, 2\)"):
        shortest_path(state.walls[0], np.array([0, 0]), np.array([0, 2]))


@pytest.mark.parametrize("size", [3, 13])
def test_free_squares_equal_the_reference(reference, size):
    state = concatenate([with_cycles(size, 10, 3), remove_cheese(Maze(size).generate(range(10)))])
    squares = free_squares(state)
    assert len(squares.offsets) == 21 and squares.offsets[-1] == len(squares)
    for i in range(20):
        first, last = squares.offsets[i : i + 2]
        expected, following = reference.successors(state.walls[i], pair(state.mouse[i]))
        assert [pair(s) for s in squares.square[first:last]] == expected
        assert (squares.next[first:last] - first).tolist() == following
        assert (squares.level[first:last] == i).all()
        assert expected[squares.start[i] - first] == pair(state.mouse[i])
        assert [s == pair(state.cheese[i]) for s in expected] == squares.goal[first:last].tolist()
    assert squares.goal.sum() == 10


def test_squares_out_of_reach_are_left_out():
    squares = free_squares(parse_maze("M#.\n.#.\n.#."))
    assert squares.square.tolist() == [[0, 0], [1, 0], [2, 0]]
    assert squares.next.tolist() == [[0, 1, 0, 0, 0], [1, 2, 0, 1, 1], [2, 2, 1, 2, 2]]


def test_next_is_what_stepping_does():
    """The graph, the states on it and the world agree."""
    world = Maze(13, None)
    state = remove_cheese(world.generate(range(6)))
    squares = world.squares(state)
    states = world.at_squares(state, squares, slice(None))
    assert np.array_equal(states.mouse, squares.square) and len(states) == len(squares)
    assert np.array_equal(states.walls, state.walls[squares.level])
    for move in Move:
        after = world.step(states, np.full(len(squares), move)).state.mouse
        assert np.array_equal(after, squares.square[squares.next[:, move]])
    assert np.array_equal(world.at_squares(state, squares, slice(5, 9)).mouse, squares.square[5:9])


def test_size_box_and_corners():
    state = Maze(9).parse("..#..\n#.#.#\n.....\n.###.\nM..#C")
    assert bounding_box(state).tolist() == [[2, 6, 2, 6]] and maze_size(state).tolist() == [5]
    assert top_right(state).tolist() == [[2, 6]]
    found = [corner(state, top, right)[0].tolist() for top in (True, False) for right in (False, True)]
    assert found == [[2, 2], [2, 6], [6, 2], [6, 6]]
    # Walled off or out of reach, the corner is the nearest square that can be reached.
    blocked = parse_maze("..#.#\n.#.#.\n....#\n.####\nM...#")
    assert top_right(blocked).tolist() == [[1, 2]]


@pytest.mark.parametrize("size", [3, 13, 25])
def test_corners_of_generated_mazes_are_their_corners(size):
    state = Maze(size).generate(range(300))
    box = bounding_box(state)
    assert np.array_equal(top_right(state), box[:, [0, 3]])
    assert np.array_equal(corner(state, False, False), state.mouse)
    assert np.array_equal(maze_size(state), box[:, 1] - box[:, 0] + 1)


def brute_decision(reference, state: MazeState, i: int) -> set[tuple[int, int]]:
    """The candidates for the decision square, from the paths themselves; empty where there is none."""
    mouse, cheese, end = pair(state.mouse[i]), pair(state.cheese[i]), pair(top_right(state)[i])
    if cheese == (-1, -1):
        return set()
    shared = []
    for target in (cheese, end):
        paths = reference.simple_paths(state.walls[i], mouse, target)
        shortest = min(map(len, paths))
        shared.append(
            {(square, steps) for p in paths if len(p) == shortest for steps, square in enumerate(p)}
        )
    both = shared[0] & shared[1]
    last = max(steps for _, steps in both)
    found = {square for square, steps in both if steps == last}
    return set() if found & {cheese, end} else found


@pytest.mark.parametrize("kind", ["trees", "cycles"])
def test_decision_square_equals_its_definition(reference, kind):
    state = Maze(13, None).generate(range(150)) if kind == "trees" else with_cycles(7, 150, 5)
    state = MazeState(state.walls, state.mouse, np.where(np.arange(150)[:, None] % 10 == 0, -1, state.cheese))
    found = decision_square(state)
    none = 0
    for i in range(150):
        expected = brute_decision(reference, state, i)
        assert (pair(found[i]) in expected) if expected else pair(found[i]) == (-1, -1), maze_text(state, i)
        none += not expected
    assert 15 < none < 120, "both kinds of level should come up"


@pytest.mark.parametrize(
    ("text", "square"),
    [
        ("...\n.#.\nM.C", (-1, -1)),  # the cheese lies on a way to the corner
        ("C..\n.##\nM##", (-1, -1)),  # the same, in a tree
        ("..C\n.##\nM##", (-1, -1)),  # cheese in the corner
        ("C#.\n...\nM##", (1, 0)),
        ("#C#..\n#.#.#\n.....\n.###.\nM####", (2, 1)),
        ("*..\n.##\n.##", (-1, -1)),  # mouse on the cheese
        ("..M\n.##\nC##", (-1, -1)),  # mouse in the corner
        ("...\n.##\nM##", (-1, -1)),  # no cheese
    ],
)
def test_decision_squares_by_hand(text, square):
    assert pair(decision_square(parse_maze(text))[0]) == square
