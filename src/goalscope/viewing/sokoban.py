"""A policy plays one Sokoban level in the terminal, with a plan drawn on the board: `goalscope play LEVEL.txt`.

Moves are the most probable ones, so the same policy plays a level always the same. The plan is what a reader of its memory
says (`read_plan`), or, where there is none, what the policy goes on to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text
from torch import nn

from goalscope.plots.boards.sokoban import plan_of_moves
from goalscope.plots.terminal.sokoban import show_sokoban
from goalscope.rollout.forward import Answer, answer, encoded, evaluating, first_carry
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.sokoban import Sokoban, SokobanState, solved
from goalscope.worlds.sokoban.lurd import actions_lurd

Plans = tuple[np.ndarray | None, np.ndarray | None]
"""[H, W, 4] chances that the player, and that a box, next leaves each square UP, DOWN, LEFT, RIGHT; None is no plan"""
ReadPlan = Callable[[Any, np.ndarray], Plans]
"""from the policy's memory after a step and the observation [1, C, H, W] that it saw"""


@dataclass(frozen=True)
class Episode:
    """One level played to its end, or for `time_limit` steps."""

    states: SokobanState
    """T + 1 states: the start and what follows each move"""
    actions: np.ndarray
    """[T] int64 values of Move"""
    chances: np.ndarray
    """[T] float32 probability that the policy gave each move"""
    plans: tuple[Plans, ...]
    """T + 1 plans, one a state; the last one is empty"""
    solved: bool
    """whether the level is solved at the end"""
    thinking: int
    """times that the policy looked at the start before its first move"""

    @property
    def lurd(self) -> str:
        """The moves, pushes in capital letters."""
        boxes = self.states.boxes
        return actions_lurd(self.actions, (boxes[1:] != boxes[:-1]).any((1, 2)))

    def frame(self, t: int) -> str:
        """The board before move t (t = T: the end) as text, and a line on what comes."""
        s = self.states
        board = show_sokoban(s.walls[t], s.goals[t], s.boxes[t], s.player[t], *self.plans[t])
        if t == len(self.actions):
            if not t and self.solved:
                return f"{board}\nthe level is already solved: every box is on a goal"
            end = f"solved in {t} moves" if self.solved else f"not solved within {t} moves"
            return f"{board}\n{end}: {self.lurd}"
        letter = self.lurd[t]
        return f"{board}\nmove {t + 1}: {letter} (p = {self.chances[t]:.2f})"


def play_level(
    policy: nn.Module, state: SokobanState, thinking: int = 0, read_plan: ReadPlan | None = None
) -> Episode:
    """Plays one level with the most probable moves.

    Args:
        policy: feed-forward or recurrent (a module with `initial_carry`), as `rollout.forward` runs it.
        state: one level, of a size that the policy takes.
        thinking: times that the policy looks at the start before its first move; a feed-forward one has no memory,
            so it changes nothing there.
        read_plan: what the memory says is planned; None is what the policy goes on to do.

    Raises:
        ValueError: more than one level, a negative `thinking`, a size that the policy does not take, a policy with
            other actions than four or an output that is none.
    """
    if len(state) != 1:
        raise ValueError(f"play_level takes one level, got {len(state)}: select one with take(state, i)")
    if thinking < 0:
        raise ValueError(f"thinking must be 0 or more, got {thinking}")
    _, height, width = state.walls.shape
    pixels = getattr(policy, "planes", 4) == 3
    world = Sokoban(height, width, observation="rgb" if pixels else "planes")
    recurrent = hasattr(policy, "initial_carry")
    states, actions, chances, read = [state], [], [], []
    with evaluating(policy):
        carry = first_carry(policy, 1)
        for _ in range(thinking if recurrent else 0):
            carry = _look(policy, world, world.observe(state), carry).carry
        while not solved(states[-1])[0] and len(actions) < world.time_limit:
            seen = world.observe(states[-1])
            logits, _, carry = _look(policy, world, seen, carry)
            chance = logits[0].float().softmax(0).cpu().numpy()
            actions.append(int(chance.argmax()))
            chances.append(chance.max())
            if read_plan is not None:
                read.append(read_plan(carry, seen))
            states.append(world.step(states[-1], np.array(actions[-1:])).state)
    played, taken = concatenate(states), np.array(actions, np.int64)
    plans = read if read_plan is not None else [_ahead(played, taken, t) for t in range(len(taken))]
    done = bool(solved(take(played, -1))[0])
    return Episode(played, taken, np.array(chances, np.float32), (*plans, (None, None)), done, thinking)


def _look(policy: nn.Module, world: Sokoban, seen: np.ndarray, carry: Any) -> Answer:
    return answer(policy, encoded(policy, seen), carry, actions=len(world.actions), world=world.name)


def show_episode(episode: Episode, console: Console | None = None, seconds: float = 0.25) -> None:
    """Prints an episode: moving in a terminal, otherwise its first and last board.

    Args:
        console: where to; None is standard output.
        seconds: how long each board stands.
    """
    console = console or Console(highlight=False)
    last = len(episode.actions)
    if not console.is_terminal:
        for t in dict.fromkeys((0, last)):
            console.print(Text(episode.frame(t)), soft_wrap=True)
        return
    with Live(Text(""), console=console, auto_refresh=False) as live:
        for t in range(last + 1):
            live.update(Text(episode.frame(t)), refresh=True)
            time.sleep(seconds if t < last else 0)


def _ahead(states: SokobanState, actions: np.ndarray, t: int) -> Plans:
    """The plans of what is done from state t on."""
    _, height, width = states.walls.shape
    shape = (height, width)
    moved = (states.player[1:] != states.player[:-1]).any(1)[t:]
    pushed = (states.boxes[1:] != states.boxes[:-1]).any((1, 2))[t:]
    before, after = states.player[t:-1], states.player[t + 1 :]
    # The box that a move pushes is where the player then stands.
    agent = plan_of_moves(shape, before[moved], actions[t:][moved])
    return agent, plan_of_moves(shape, after[pushed], actions[t:][pushed])
