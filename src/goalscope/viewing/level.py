"""One Sokoban level from its text to the end of the episode: parsed, padded, played, and searched where it fails."""

from __future__ import annotations

from goalscope.policies.given import policy_of
from goalscope.studies.sokoban_plan.setup import described
from goalscope.viewing import plan_reader
from goalscope.viewing.sokoban import Episode, play_level
from goalscope.worlds.sokoban.solver import Outcome, solve
from goalscope.worlds.sokoban.text import parse_level, stack

SOLVER_NODES = 200_000
"""positions searched for a solution of a level that the policy did not solve: a second or two"""
SOLVER_SQUARES = 10_000
"""of the largest board that is searched"""


def plays_sokoban(policy: str) -> bool:
    """Whether the policy of this name says that Sokoban is its world."""
    return policy_of(policy).config.get("world", {}).get("name") == "sokoban"


def play_text(policy: str, text: str, thinking: int = 0) -> Episode:
    """Plays the level of a text, with the plan that the policy's memory holds where it has one.

    Args:
        policy: name, or path of a checkpoint.
        text: of one level.
        thinking: as for `play_level`.

    Raises:
        ValueError: a text that is no level, a policy that plays no Sokoban, a level that has no solution.
    """
    level = parse_level(text)  # a mistake in it is told before one in the policy's name
    loaded = policy_of(policy)
    side, _ = described(loaded)
    fixed = getattr(loaded.module, "size", None)
    # As in the study, smaller levels are played in walls up to the policy's size: it sees how wide they are.
    height, width = (fixed or max(length, side) for length in level.walls.shape[1:])
    reader = plan_reader.plan_reader(loaded)
    episode = play_level(loaded.module, stack([level], (height, width)), thinking, reader)
    searched = not episode.solved and level.walls.size <= SOLVER_SQUARES
    if searched and solve(level, SOLVER_NODES).outcome is Outcome.NO_SOLUTION:
        raise ValueError("this level has no solution: no sequence of moves brings every box onto a goal")
    return episode
