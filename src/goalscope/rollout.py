"""Running a policy in a world: what it does on every free square of a maze, and sampled play.

A Markov policy in a maze is a chain over (square, facing): one batched forward gives its moves everywhere, and what
follows from them (the probability of reaching a square, where the agent ends) is solved exactly instead of sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from goalscope.activations import editing
from goalscope.methods.behaviour import reach
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze, MazeState, Move, parse_maze
from goalscope.worlds.maze.paths import Squares, decision_square, shortest_path, top_right

BATCH = 128
"""observations in one forward: what a core works on then stays in its cache (measured; 1,024 took twice as long)"""


@dataclass(frozen=True)
class Fields:
    """What a policy does on the K squares of N mazes (on each twice where it sees which way the mouse faces)."""

    maze: MazeState
    """the N mazes"""
    squares: Squares
    """their squares and what each move leads to"""
    moves: np.ndarray
    """[K, 5] float64: probability of each Move"""
    value: np.ndarray
    """[K] float32: the value head"""

    def reach(self, steps: int, goal: np.ndarray | None = None) -> np.ndarray:
        """Exact probability [K] of reaching a goal square within `steps`; goal is [K] bool, the cheese where None."""
        goal = self.squares.goal if goal is None else goal
        return reach.reach_probability(self.moves, self.squares.next, goal, steps)

    def reach_from_start(self, steps: int, goal: np.ndarray | None = None) -> np.ndarray:
        """The same [N] from where each mouse is."""
        return self.reach(steps, goal)[self.squares.start]

    def occupancy(self, steps: int) -> reach.Occupancy:
        """Where the agent is `steps` after its start or at the cheese, and its expected visits, each [K]."""
        squares = self.squares
        return reach.occupancy(self.moves, squares.next, squares.goal, squares.start, steps)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """No gradients, no dropout; the module's mode is put back afterwards."""
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)


def fields(
    policy: nn.Module, world: Any, state: Any, batch: int = BATCH, edits: Callable[[np.ndarray], Any] | None = None
) -> Fields:  # fmt: skip
    """The policy's moves and value on every free square of the mazes.

    Args:
        policy: feed-forward, with `encode`.
        world: `Maze`, or another whose states are mazes (`ProcgenMaze`).
        state: N levels.
        batch: observations in one forward; memory is bounded by it.
        edits: what is edited inside the network: called with the levels [B] int of the observations of a forward,
            gives the edits of `goalscope.activations.editing`. None edits nothing.

    Raises:
        ValueError: the policy has another number of actions than the world, or gives values that are not finite.
    """
    squares = world.squares(state)
    table = np.zeros((len(world.moves), len(Move)))
    table[np.arange(len(world.moves)), world.moves] = 1
    moves = np.empty((len(squares), len(Move)))
    value = np.empty(len(squares), np.float32)
    with _evaluating(policy):
        for first in range(0, len(squares), batch):
            part = slice(first, first + batch)
            x = policy.encode(world.observe(world.at_squares(state, squares, part)))  # type: ignore[operator]
            with editing(policy, edits(squares.level[part])) if edits else nullcontext():
                out = policy(x)
            if out.logits.shape[1] != len(table):
                raise ValueError(
                    f"the policy has {out.logits.shape[1]} actions, the {world.name} world {len(table)}"
                )
            moves[part] = out.logits.double().softmax(1).cpu().numpy() @ table
            value[part] = out.value.float().cpu().numpy()
    if not (np.isfinite(moves).all() and np.isfinite(value).all()):
        raise ValueError("the policy gives logits or values that are not finite: its weights are damaged")
    return Fields(MazeState(state.walls, state.mouse, state.cheese), squares, moves, value)


@dataclass(frozen=True)
class Walks:
    """One sampled walk in each of N levels, at most T steps long."""

    node: np.ndarray
    """[T, N] int: index of the square stood on"""
    move: np.ndarray
    """[T, N] int: the Move taken there"""
    going: np.ndarray
    """[T, N] bool: False once the goal is reached"""


def sample_walks(field: Fields, steps: int, seed: int) -> Walks:
    """Walks drawn from the fields, from the start to the cheese or for `steps` steps."""
    squares, node = field.squares, field.squares.start
    cumulative = field.moves.cumsum(1)
    rng = np.random.default_rng(seed)
    nodes, taken, going = (np.empty((steps, len(node)), t) for t in (np.int64, np.int64, bool))
    for t in range(steps):
        draw = rng.random(len(node)) * cumulative[node, -1]
        move = (draw[:, None] >= cumulative[node]).sum(1).clip(max=4)
        nodes[t], taken[t], going[t] = node, move, ~squares.goal[node]
        node = np.where(going[t], squares.next[node, move], node)
    return Walks(nodes, taken, going)


@dataclass(frozen=True)
class Rollout:
    """Sampled play of N levels for T steps; after a level's end its actions are 0 and change nothing."""

    actions: np.ndarray
    """[T, N] int64"""
    rewards: np.ndarray
    """[T, N] float32"""
    ended: np.ndarray
    """[T, N] bool: the level is over after this step"""
    final: Any
    """the N states after the last step"""


def play(policy: nn.Module, world: Any, state: Any, steps: int, seed: int) -> Rollout:
    """Plays with sampled actions, feed-forward or recurrent (a module with `initial_carry`).

    Args:
        policy: module with `encode`.
        world: any World.
        state: N levels to start from; left as they are.
        steps: T, time limit.
        seed: of the sampling.
    """
    generator = torch.Generator().manual_seed(seed)
    recurrent = hasattr(policy, "initial_carry")
    n = len(world.observe(state))
    actions, rewards, ended = (
        np.zeros((steps, n), np.int64),
        np.zeros((steps, n), np.float32),
        np.zeros((steps, n), bool),
    )
    over = np.zeros(n, bool)
    with _evaluating(policy):
        carry: Any = policy.initial_carry(n) if recurrent else None  # type: ignore[operator]
        for t in range(steps):
            # Levels that are over are not run any more, unless a carry ties the batch together.
            going = np.arange(n) if recurrent else np.flatnonzero(~over)
            if not len(going):
                ended[t:] = True
                break
            x = policy.encode(world.observe(take(state, going)))  # type: ignore[operator]
            logits, _, *rest = policy(x, carry) if recurrent else policy(x)
            carry = rest[0] if recurrent else None
            probs = logits.double().softmax(1).cpu()
            actions[t, going] = torch.multinomial(probs, 1, generator=generator)[:, 0].numpy()
            outcome = world.step(state, actions[t])
            state, rewards[t], over = outcome.state, outcome.reward, outcome.ended
            ended[t] = over
    return Rollout(actions, rewards, ended, state)


@dataclass(frozen=True)
class VectorField:
    """A policy on one maze, the mean over facings where it sees any. Draws itself in a notebook."""

    maze: MazeState
    """the maze, N = 1"""
    squares: np.ndarray
    """[K, 2] the free squares"""
    moves: np.ndarray
    """[K, 5] probability of each Move"""
    value: np.ndarray
    """[K] the value head"""
    reach: np.ndarray
    """[K] exact probability of reaching the cheese within the time limit"""
    reach_start: float
    """the same from where the mouse is"""
    steps: int
    """the time limit"""

    def _repr_svg_(self) -> str:
        from goalscope.plots.boards.maze import maze_svg

        walls, mouse, cheese = self.maze.walls[0], self.maze.mouse[0], self.maze.cheese[0]
        paths = {"way to the top-right corner": shortest_path(walls, mouse, top_right(self.maze)[0])}
        if cheese[0] >= 0:
            paths["way to the cheese"] = shortest_path(walls, mouse, cheese)
        return maze_svg(
            walls, mouse, cheese, squares=self.squares, probabilities=self.moves, heat=self.reach,
            heat_label="P(reach the cheese)", heat_range=(0, 1), percent=True, paths=paths,
            decision_square=decision_square(self.maze)[0], title="Where the policy goes",
            description=f"P(reach the cheese within {self.steps} steps) = {self.reach_start:.3f} from the mouse.",
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return f'<div style="max-width:36em">{self._repr_svg_()}</div>'


def vector_field(policy: Any, maze: MazeState | str, *, world: Any = None, steps: int = 200) -> VectorField:
    """What a policy does on every free square of one maze.

    Args:
        policy: a module, a loaded `Policy`, or the name or path of one.
        maze: one maze (N = 1) or its text; for another world than `Maze`, a state of that world.
        world: the world that renders what the policy sees; `Maze` of the policy's size where None.
        steps: time limit of the reach probability.

    Raises:
        ValueError: more than one maze, or one too large for the policy.
    """
    if isinstance(policy, str):
        from goalscope.policies.checkpoint import load

        policy = load(policy)
    module = policy if isinstance(policy, nn.Module) else policy.module
    if world is None:
        size: Any = getattr(module, "size", None)
        world = Maze(
            size
            if size is not None
            else len(parse_maze(maze).walls[0])
            if isinstance(maze, str)
            else maze.walls.shape[1]
        )
    state = world.parse(maze) if isinstance(maze, str) else maze
    if len(state) != 1:
        raise ValueError(f"vector_field takes one maze, got {len(state)}: take(state, i) picks one")
    return average_facings(fields(module, world, state), 0, steps)


def average_facings(field: Fields, level: int, steps: int) -> VectorField:
    """One level of the fields, with one row a square: the mean over facings where the policy sees any."""
    squares = field.squares
    part = slice(squares.offsets[level], squares.offsets[level + 1])
    following = squares.next[part] - squares.offsets[level]
    probability = reach.reach_probability(field.moves[part], following, squares.goal[part], steps)
    square, which = np.unique(squares.square[part], axis=0, return_inverse=True)
    count = np.bincount(which)
    mean = [
        np.bincount(which, x, len(square)) / count
        for x in (*field.moves[part].T, field.value[part], probability)
    ]
    start = float(probability[squares.start[level] - squares.offsets[level]])
    return VectorField(take(field.maze, level), square, np.stack(mean[:5], 1), mean[5], mean[6], start, steps)
