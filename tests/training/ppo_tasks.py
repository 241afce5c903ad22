"""What the tests of PPO train on: a world in which remembering is everything, and networks with and without memory."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.compact import Compact
from goalscope.training.ppo import PPO
from goalscope.worlds.contract import Step


class Say(IntEnum):
    ZERO = 0
    ONE = 1


@dataclass(frozen=True)
class Recalled:
    """N levels: a cue [N] int64 shown when the clock [N] int64 is 0; the answer counts two steps later."""

    cue: np.ndarray
    clock: np.ndarray


class Recall:
    """A cue is shown at first; whoever repeats it two steps later gets 1."""

    name, actions, time_limit, observation_shape = "recall", Say, 10, (3, 1, 1)

    def generate(self, seeds) -> Recalled:
        seeds = np.asarray(seeds)
        return Recalled((seeds * 2654435761 >> 7) % 2, np.zeros(len(seeds), np.int64))

    def step(self, state: Recalled, actions) -> Step[Recalled]:
        if np.shape(actions) != state.cue.shape or not np.isin(actions, (0, 1)).all():
            raise ValueError("actions are 0 or 1")
        clock = np.minimum(state.clock + 1, 3)
        right = (state.clock == 2) & (np.asarray(actions) == state.cue)
        return Step(Recalled(state.cue, clock), right.astype(np.float32), clock == 3)

    def observe(self, state: Recalled) -> np.ndarray:
        first, last = state.clock == 0, state.clock == 2
        planes = np.stack([first & (state.cue == 0), first & (state.cue == 1), last], 1)
        return planes.astype(np.uint8)[:, :, None, None]

    def text(self, state: Recalled) -> list[str]:
        return [f"{cue} {clock}" for cue, clock in zip(state.cue, state.clock, strict=True)]

    def parse(self, text: str) -> Recalled:
        return Recalled(*(np.array([int(x)]) for x in text.split()))


class Memory(nn.Module):
    """A gated recurrent unit between the observation and the heads; without memory where `forgets`."""

    def __init__(self, forgets: bool = False):
        super().__init__()
        self.cell = nn.GRUCell(3, 16)
        self.heads = nn.Linear(16, 3)
        self.forgets = forgets

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float().flatten(1)

    def initial_carry(self, n: int) -> tuple[Tensor, ...]:
        return (torch.zeros(n, 16),)

    def forward(self, x: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        hidden = self.cell(x, torch.zeros_like(carry[0]) if self.forgets else carry[0])
        out = self.heads(hidden)
        return out[:, :2], out[:, 2], (hidden,)


class Reflex(nn.Module):
    """The feed-forward counterpart."""

    def __init__(self):
        super().__init__()
        self.hidden, self.heads = nn.Linear(3, 32), nn.Linear(32, 3)

    def encode(self, observations: np.ndarray) -> Tensor:
        return torch.from_numpy(observations).float().flatten(1)

    def forward(self, x: Tensor) -> PolicyOutput:
        out = self.heads(self.hidden(x).relu())
        return PolicyOutput(out[:, :2], out[:, 2])


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def weights(policy: nn.Module) -> list[Tensor]:
    return [x.clone() for x in policy.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def compact(seed: int = 0) -> Compact:
    torch.manual_seed(seed)
    return Compact(5, channels=8, blocks=1)


SMALL = PPO(steps=2048, levels=16, horizon=16, epochs=2, minibatch=64)
