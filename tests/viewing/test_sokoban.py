"""Playing a level in the terminal: most probable moves, thinking, and the plan that is drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from goalscope.policies import PolicyOutput
from goalscope.viewing.sokoban import play_level, show_episode
from goalscope.worlds.sokoban.text import level_text, parse_level

LEVEL = "########\n#@ $ . #\n#      #\n########"


class Always(nn.Module):
    """Feed-forward: the same logits everywhere."""

    def __init__(self, *logits: float):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def encode(self, observations):
        return torch.from_numpy(observations).float()

    def forward(self, x):
        return PolicyOutput(self.logits.expand(len(x), -1), x.sum((1, 2, 3)))


class Counter(Always):
    """Recurrent: goes down on its third look (looks are counted in its memory), otherwise right."""

    def initial_carry(self, n):
        return (torch.zeros(n, 1),)

    def forward(self, x, carry):  # type: ignore[override]
        third = carry[0] == 2
        return (
            torch.where(third, torch.tensor([0.0, 9, 0, 0]), torch.tensor([0.0, 0, 0, 9])),
            x.sum((1, 2, 3)),
            (carry[0] + 1,),
        )


def test_a_policy_that_solves_the_level():
    episode = play_level(Always(0.0, 0.0, 0.0, 2.0), parse_level(LEVEL))
    assert episode.solved and episode.lurd == "rRR" and episode.actions.tolist() == [3, 3, 3]
    assert np.allclose(episode.chances, np.exp(2) / (np.exp(2) + 3))
    agent, box = episode.plans[0]
    assert agent is not None and np.argwhere(agent).tolist() == [[1, 1, 3], [1, 2, 3], [1, 3, 3]]
    assert box is not None and np.argwhere(box).tolist() == [[1, 3, 3], [1, 4, 3]]
    assert episode.frame(0).split("\n")[1] == "███@ →  →$⇒→ ⇒ .     ███"
    assert "move 1: r (p = 0.71)" in episode.frame(0) and episode.frame(3).endswith("solved in 3 moves: rRR")


def test_a_policy_that_never_does_stops_at_the_time_limit():
    episode = play_level(Always(1.0, 0.0, 0.0, 0.0), parse_level(LEVEL))
    assert not episode.solved and len(episode.actions) == 120 and level_text(episode.states, 120) == LEVEL
    assert all(plan is not None and not plan.any() for plan in episode.plans[0]), "going nowhere is no plan"


def test_thinking_is_looking_without_moving():
    walks = [
        play_level(Counter(0.0, 0.0), parse_level(LEVEL), thinking).lurd[:3] for thinking in (0, 1, 2, 3)
    ]
    assert walks == ["rRd", "rd" + walks[1][2], "drr", "rRR"]
    for thinking in (0, 5):
        assert play_level(Always(0.0, 0.0, 0.0, 1.0), parse_level(LEVEL), thinking).lurd == "rRR"


def test_a_plan_that_is_read_is_drawn():
    plan = np.zeros((4, 8, 4))
    plan[2, 6, 0] = 0.9
    looks = []

    def read(carry, seen):
        looks.append((int(carry[0]), seen.shape))
        return None, plan

    episode = play_level(Counter(0.0, 0.0), parse_level(LEVEL), 3, read)
    assert looks == [(4, (1, 4, 4, 8)), (5, (1, 4, 4, 8)), (6, (1, 4, 4, 8))]
    assert "⇑" in episode.frame(0) and "→ where" not in episode.frame(0)


def test_printing():
    episode = play_level(Always(0.0, 0.0, 0.0, 2.0), parse_level(LEVEL))
    out = io.StringIO()
    show_episode(episode, Console(file=out, width=40))
    assert out.getvalue() == episode.frame(0) + "\n" + episode.frame(3) + "\n"
    moving = io.StringIO()
    show_episode(episode, Console(file=moving, force_terminal=True, width=80), seconds=0)
    assert all(f"move {t}:" in moving.getvalue() for t in (1, 2, 3)) and "solved in 3" in moving.getvalue()


def test_what_cannot_be_played():
    level = parse_level(LEVEL)
    with pytest.raises(ValueError, match="thinking must be 0 or more"):
        play_level(Always(0.0, 0.0, 0.0, 0.0), level, -1)
    with pytest.raises(ValueError, match="the policy has 3 actions, the sokoban world 4"):
        play_level(Always(0.0, 0.0, 0.0), level)
