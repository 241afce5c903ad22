"""What a policy does on every square of mazes. Nothing is sampled, except by `sample_walks`.

A Markov policy in a maze is a chain over (square, facing): one batched forward gives its moves everywhere, and what
follows from them (the probability of reaching a square, where the agent ends) is solved exactly instead of sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.activations import editing
from goalscope.activations.recompute.trace import hooked
from goalscope.methods.behaviour import reach
from goalscope.policies.given import module_of
from goalscope.progress import step
from goalscope.rollout.forward import answer, encoded, evaluating, needs
from goalscope.showing import drawing, text
from goalscope.worlds.contract import take, whole_number
from goalscope.worlds.maze import Maze, MazeState, Move
from goalscope.worlds.maze.paths import Squares

BATCH = 128
"""observations in one forward: what a core works on then stays in its cache (measured; 1,024 took twice as long)"""


@dataclass(frozen=True)
class Fields:
    """What a policy does on the K squares of N mazes (on each twice where it sees which way the mouse faces)."""

    __repr__, _repr_html_ = text, drawing

    maze: MazeState
    """the N mazes"""
    squares: Squares
    """their squares and what each move leads to"""
    moves: np.ndarray
    """[K, 5] float64: probability of each Move"""
    value: np.ndarray
    """[K] float32: the value head; NaN of a policy that has none"""

    @property
    def has_value(self) -> bool:
        """Whether the policy gives a value."""
        return not np.isnan(self.value).all()

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


def fields(
    policy: Any, world: Any, state: Any, batch: int = BATCH, edits: Callable[[np.ndarray], Any] | None = None
) -> Fields:  # fmt: skip
    """The policy's moves and value on every free square of the mazes.

    A policy that says of all squares at once what the mouse would do there (`everywhere`, see `fields_at_once`) is asked
    once a maze, where nothing is edited or hooked.

    Args:
        policy: feed-forward; whatever `policies.given.policy_of` takes.
        world: `Maze`, or another whose states are mazes (`ProcgenMaze`).
        state: N levels.
        batch: observations in one forward; memory is bounded by it.
        edits: what is edited inside the network: called with the levels [B] int of the observations of a forward,
            gives the edits of `goalscope.activations.editing`; called for each forward once, through the squares in
            their order. None edits nothing.

    Raises:
        ValueError: the policy has another number of actions than the world, gives something else than logits and value,
            or numbers that are not finite; it has a memory; the world has no squares.
    """
    module = module_of(policy)
    if hasattr(module, "initial_carry"):
        raise ValueError(
            f"{type(module).__name__} has a memory (`initial_carry`): what it does on a square depends on how it came "
            "there, so there are no fields; goalscope.play plays it"
        )
    needs(world, ("squares", "at_squares", "moves", "observe"), "fields need a world of mazes")
    if edits is None and hasattr(module, "everywhere") and isinstance(world, Maze) and not hooked(module):
        return fields_at_once(policy, world, state, batch)
    squares = world.squares(state)
    table = np.zeros((len(world.moves), len(Move)))
    table[np.arange(len(world.moves)), world.moves] = 1
    moves = np.empty((len(squares), len(Move)))
    value = np.full(len(squares), np.nan, np.float32)
    with evaluating(module), step("moves on every square", "squares", len(squares)) as done:
        for first in range(0, len(squares), batch):
            part = slice(first, first + batch)
            x = encoded(module, world.observe(world.at_squares(state, squares, part)))
            with editing(module, edits(squares.level[part])) if edits else nullcontext():
                out = answer(module, x, actions=len(table), world=world.name)
            moves[part] = out.logits.double().softmax(1).cpu().numpy() @ table
            if out.value is not None:
                value[part] = finite(out.value.float().cpu().numpy())
            done(min(first + batch, len(squares)))
    if not np.isfinite(moves).all():
        raise ValueError("the policy gives logits that are not finite: its weights are damaged")
    return Fields(MazeState(state.walls, state.mouse, state.cheese), squares, moves, value)


def fields_at_once(policy: Any, world: Maze, state: MazeState, batch: int = BATCH) -> Fields:
    """`fields` from one forward a maze instead of one a square.

    Args:
        policy: with `everywhere(x)`, which gives logits [N, 5, H, W] and value [N, H, W] for the mouse on every square,
            as `policies.thinker` has it.
        world: the maze world.
        state: N levels; where their mice are decides only which squares can be reached.
        batch: mazes in one forward.

    Raises:
        ValueError: the policy has no `everywhere`, or gives numbers that are not finite.
    """
    module: Any = module_of(policy)
    if not hasattr(module, "everywhere"):
        raise ValueError(
            f"{type(module).__name__} has no `everywhere`: it does not say at once what the mouse would do on every "
            "square; goalscope.fields asks square by square"
        )
    squares = world.squares(state)
    moves, value = np.empty((len(squares), len(Move))), np.empty(len(squares), np.float32)
    with evaluating(module):
        for first in range(0, len(state), batch):
            last = min(first + batch, len(state))
            out = module.everywhere(encoded(module, world.observe(take(state, slice(first, last)))))
            part = slice(squares.offsets[first], squares.offsets[last])
            level, (row, column) = squares.level[part] - first, squares.square[part].T.astype(int)
            logits = out.logits.permute(0, 2, 3, 1).cpu()[level, row, column]
            moves[part] = logits.double().softmax(1).numpy()
            value[part] = finite(out.value.float().cpu().numpy()[level, row, column])
    if not np.isfinite(moves).all():
        raise ValueError("the policy gives logits that are not finite: its weights are damaged")
    return Fields(MazeState(state.walls, state.mouse, state.cheese), squares, moves, value)


def finite(values: np.ndarray) -> np.ndarray:
    """The values, once none of them is NaN or infinite: NaN stands for "has no value head"."""
    if not np.isfinite(values).all():
        raise ValueError("the policy gives values that are not finite: its weights are damaged")
    return values


@dataclass(frozen=True)
class Walks:
    """One sampled walk in each of N levels, at most T steps long."""

    __repr__, _repr_html_ = text, drawing

    node: np.ndarray
    """[T, N] int: index of the square stood on"""
    move: np.ndarray
    """[T, N] int: the Move taken there"""
    going: np.ndarray
    """[T, N] bool: False once the goal is reached"""


def sample_walks(field: Fields, steps: int, seed: int) -> Walks:
    """Walks drawn from the fields, from the start to the cheese or for `steps` steps."""
    squares = field.squares
    return drawn_walks(field.moves, squares.next, squares.goal, squares.start, steps, seed)


def drawn_walks(
    moves: np.ndarray, next: np.ndarray, over: np.ndarray, start: np.ndarray, steps: int, seed: int
) -> Walks:
    """Walks through any chain.

    Args:
        moves: [K, A] probability of each action in each state. next: [K, A] the state after it.
        over: [K] bool, where a walk ends. start: [N] where each begins.
        steps: at most so many. seed: of the draws.
    """
    node, cumulative = start, moves.cumsum(1)
    steps, rng = whole_number("steps", steps), np.random.default_rng(whole_number("seed", seed))
    nodes, taken, going = (np.empty((steps, len(node)), t) for t in (np.int64, np.int64, bool))
    for t in range(steps):
        draw = rng.random(len(node)) * cumulative[node, -1]
        move = (draw[:, None] >= cumulative[node]).sum(1).clip(max=moves.shape[1] - 1)
        nodes[t], taken[t], going[t] = node, move, ~over[node]
        node = np.where(going[t], next[node, move], node)
    return Walks(nodes, taken, going)
