"""What every study of the maze shares: its worlds, squares by name, and the simple rule that describes a policy best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from goalscope.methods.behaviour.algorithms import AlgorithmComparison, best_variant, compare_algorithms
from goalscope.methods.behaviour.reach import reach_probability
from goalscope.policies.checkpoint import Policy
from goalscope.policies.handwritten import RULES, limited_scores, right_hand_scores, rule_scores, ways_of
from goalscope.rollout import Fields, sample_walks
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.paths import decision_square, distances, top_right

DEFAULT_POLICY = "mouse-topright"
REGION = 5
"""side of the top-right area"""
CORNERS = {"top_left": (True, False), "bottom_right": (False, True), "top_right": (True, True)}
"""name to (top, right): where the cheese is put in the largest mazes"""
MIXTURES = (("cheese", "corner"), (*RULES, "right-hand"))
"""what is mixed level by level: cheese in some mazes and corner in others; and all rules"""
LIMITS = tuple((near, inner) for near in (4, 8, 12, 16, 24) for inner in (False, True))
"""of the pursuit of limited range: within how many steps the cheese is near, and whether one off the border always is"""
WALK_STEPS = 100
"""of each sampled walk that the algorithms are judged on: what a policy does when it is lost would drown the rest"""


def study_worlds(
    policy: Policy, world: str, distribution: str | None, size: int | None = None
) -> tuple[Any, Any]:
    """The world with the cheese anywhere, and the same with the cheese in the top-right 5 x 5.

    Args:
        policy: that will act in it.
        world: 'maze' or 'procgen', as `checks.check_maze_world` has found it.
        distribution: Procgen's.
        size: side of the maze world, where the network does not say it by an attribute `size`.

    Raises:
        ValueError: a world that does not fit the policy.
    """
    if world == "procgen":
        from goalscope.worlds.procgen import ProcgenMaze

        return ProcgenMaze(distribution or "easy"), ProcgenMaze(distribution or "easy", REGION)
    own = getattr(policy.module, "size", None)
    if isinstance(own, int) and size is not None and own != size:
        raise ValueError(f"{policy.name} sees mazes of size {own}, --size says {size}: leave it out")
    size = own if isinstance(own, int) else size
    if size is None:
        raise ValueError(
            f"{policy.name} does not say the side W of the mazes that it sees, planes [3, W, W] (it has no attribute "
            "`size`): give --size to `study maze`; for a network that takes Procgen's pictures add --world procgen"
        )
    return Maze(size, cheese_region=None), Maze(size, REGION)


def world_words(world: Any, distribution: str | None) -> str:
    """What a finding says of its world."""
    if isinstance(world, Maze):
        return f"maze, size {world.size}, cheese anywhere, time limit {world.time_limit}"
    return f"procgen maze, {distribution or 'easy'}, time limit {world.time_limit}"


def is_square(field: Fields, target: np.ndarray) -> np.ndarray:
    """[K] bool: the squares that are the target [N, 2] of their level."""
    return (field.squares.square == target[field.squares.level]).all(1)


def before(field: Fields, target: np.ndarray, other: np.ndarray, steps: int) -> np.ndarray:
    """[K] exact P(reach a target square, and no other one before it, within `steps`); target and other are [K] bool."""
    # The other squares are absorbing too: what happens after them does not count.
    stopped = field.squares.next.copy()
    stopped[other] = np.flatnonzero(other)[:, None]
    return reach_probability(field.moves, stopped, target, steps)


def toward(field: Fields, target: np.ndarray) -> np.ndarray:
    """[K, 5] bool: the moves that bring the mouse nearer to the target [N, 2] of its level."""
    steps = distances(field.maze.walls, target)
    squares = field.squares
    here = steps[squares.level, squares.square[:, 0], squares.square[:, 1]]
    return here[squares.next] < here[:, None]


def cheese_first(field: Fields, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """From the decision square: P(cheese before the corner) and P(corner before the cheese), [D] each.

    Args:
        field: the policy on N levels, of which D have a decision square.
        steps: time limit.
    """
    fork = decision_square(field.maze)
    has = fork[:, 0] >= 0
    ends = {"cheese": field.squares.goal, "corner": is_square(field, top_right(field.maze))}
    at = is_square(field, fork)
    level = field.squares.level[at]
    result = []
    for target, other in (("cheese", "corner"), ("corner", "cheese")):
        reached = before(field, ends[target], ends[other], steps)[at]
        result.append(
            (np.bincount(level, reached, len(has)) / np.bincount(level, minlength=len(has)).clip(1))[has]
        )
    return result[0], result[1]


def which_algorithm(base: Fields, mazes: np.ndarray, seed: int) -> AlgorithmComparison:
    """Fits the hand-written rules on half of the levels `mazes` [N] bool and judges them on the other half."""
    walks = sample_walks(base, WALK_STEPS, seed)
    time, level = np.nonzero(walks.going & mazes)
    node, move = walks.node[time, level], walks.move[time, level]
    squares = base.squares
    states = MazeState(base.maze.walls, base.maze.mouse, base.maze.cheese)
    there = replace(take(states, squares.level), mouse=squares.square)
    ways = ways_of(there, squares.level)
    scores = {rule: rule_scores(rule, there, ways)[node] for rule in RULES}
    scores["right-hand"] = right_hand_scores(take(there, node), _faced(walks.move)[time, level])
    order = np.zeros(len(base.maze), int)
    order[mazes] = np.random.default_rng(seed).permutation(int(mazes.sum()))
    train = order[level] % 2 == 0
    limited = [limited_scores(there, near, inner, ways)[node] for near, inner in LIMITS]
    scores["limited"] = limited[best_variant(limited, move, level, train=train)]
    return compare_algorithms(
        scores,
        move,
        level,
        train=train,
        pattern=_patterns(there)[node],
        mixtures=MIXTURES,
        seed=seed,
    )


def _faced(moves: np.ndarray) -> np.ndarray:
    """[T, N]: the last move before each step that was not STAY; -1 where there was none."""
    faced = np.full_like(moves, -1)
    for t in range(1, len(moves)):
        faced[t] = np.where(moves[t - 1] == 4, faced[t - 1], moves[t - 1])
    return faced


def _patterns(state: MazeState) -> np.ndarray:
    """[N] int: which of the eight squares around the mouse are walls, as bits; outside counts as wall."""
    padded = np.pad(state.walls, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    levels = np.arange(len(state))
    around = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    row, column = state.mouse.astype(int).T
    return sum(padded[levels, row + r, column + c].astype(int) << i for i, (r, c) in enumerate(around))  # type: ignore[return-value]


def title(algorithm: str) -> str:
    """What an algorithm of the comparison is called in words."""
    return {
        "cheese": "shortest path to the cheese",
        "corner": "to the top-right corner",
        "corner-then-cheese": "to the top-right, then to the cheese",
        "up-and-right": "up and right where free",
        "right-hand": "right-hand rule",
        "limited": "to the cheese within a range, else to the corner",
        "lookup": "lookup of the walls around",
        "cheese + corner": "cheese in some mazes, corner in others",
    }.get(algorithm, "mixture of all rules" if "+" in algorithm else algorithm)
