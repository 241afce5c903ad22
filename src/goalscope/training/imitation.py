"""Imitation of a teacher in a world, in the states that the student itself comes to (DAgger, Ross et al. 2011).

The student plays, a teacher says of every state which actions are good, and the student learns to put its probability
on them; nothing is played twice. Learning goes back through time over windows of whole-batch steps, so a policy
with memory (one with `initial_carry`, see `ppo`) learns to use it. The value head learns the student's own discounted
return, so that PPO can go on from here. The run folder holds `curve.csv` and `state.pt`: everything needed to go on
exactly where a killed run was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.training.loop import follow
from goalscope.training.ppo import FIRST_TRAINING_SEED, advantages, renewed
from goalscope.training.saved_state import read_state, state_of, tensors_of, write_state
from goalscope.worlds.contract import World, concatenate, take, whole_number

VALUE_CLIP = 0.5
"""largest value error, in units of the value head, that counts in full (the Huber loss's bend)"""
COUNTS = ("steps", "episodes", "given_up")
"""columns of curve.csv that are whole numbers"""


@dataclass(frozen=True)
class Imitation:
    """Hyperparameters. A batch is `levels` x `window` steps."""

    steps: int = 5_000_000
    """states that the student is taught in, in all"""
    levels: int = 128
    window: int = 20
    """steps that learning goes back in time"""
    learning_rate: float = 1e-3
    """falls linearly to a twentieth over `decay`"""
    decay: int = 0
    """states over which learning rate and guidance fall; 0 is all of them. A longer decay is a run that is cut short"""
    guided: float = 0.1
    """part of `decay` over which the teacher's share of the actions falls from all to none"""
    thinking: int = 4
    """a level begins with 0 to so many looks without a step, so that thinking longer is nothing new"""
    discount: float = 0.97
    gae_lambda: float = 0.95
    value_weight: float = 0.1
    reward_scale: float = 0.1
    """the value head learns in units of this times the world's reward"""
    max_gradient: float = 1.0
    average: float = 0.998
    """of the weights of all batches, the running mean's memory a batch; the mean is what a run leaves behind"""
    precision: str = "float32"
    """of the convolutions: 'float32' or 'bfloat16' (autocast)"""


class Teacher(Protocol):
    """Knows levels and what is good in them. A slot is a place in the batch, where one level runs at a time."""

    def begin(self, slots: np.ndarray, seeds: np.ndarray) -> Any:
        """Fresh levels [n] for the slots [n], each determined by its seed [n]."""
        ...

    def good(self, state: Any) -> np.ndarray:
        """[N, A] bool: the good actions in the states of all N slots, asked once before every step.

        None is good where the teacher knows no way on (a dead end, or a search that takes too long).
        """
        ...

    def memory(self) -> dict[str, np.ndarray]:
        """What it must be told to go on from here beside the states of all slots."""
        ...

    def recall(self, state: Any, memory: dict[str, np.ndarray]) -> None:
        """Goes on with the states of all N slots and what `memory` gave then."""
        ...


@dataclass
class _Window:
    """What one window adds up."""

    loss: Tensor
    episodes: list[tuple[bool, int]]
    """(solved, steps) of every level that ended or timed out"""
    hopeless: int = 0
    """levels given up because nothing good was known"""
    taught: int = 0
    """states with a good action"""
    probability: float = 0.0
    """mean that the student puts on the good actions"""


class _Lesson:
    """The running levels, their age, the student's memory of them, and the network's clock."""

    def __init__(self, policy: Any, world: World, teacher: Teacher, config: Imitation, seed: int):
        self.policy, self.world, self.teacher, self.config = policy, world, teacher, config
        device = next(policy.parameters()).device
        self.generator = torch.Generator().manual_seed(seed)
        self.recurrent = hasattr(policy, "initial_carry")
        self.carry = policy.initial_carry(config.levels) if self.recurrent else None
        self.next_seed = FIRST_TRAINING_SEED * (1 + seed)
        self.age = np.zeros(config.levels, np.int64)
        self.looks = np.zeros(config.levels, np.int64)
        self.state = self._fresh(np.arange(config.levels))
        self.device_type = device.type
        self.network_seconds = 0.0

    def _fresh(self, slots: np.ndarray) -> Any:
        seeds = np.arange(self.next_seed, self.next_seed + len(slots))
        self.next_seed += len(slots)
        looks = torch.randint(self.config.thinking + 1, (len(slots),), generator=self.generator)
        self.age[slots], self.looks[slots] = 0, looks.numpy()
        return self.teacher.begin(slots, seeds)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Counts the time within: the policy's forward, the backward and the optimiser's step, and nothing else.

        A GPU works on after a call returns; its work counts where the result is waited for.
        """
        began = time.perf_counter()
        yield
        self.network_seconds += time.perf_counter() - began

    def window(self, guided: float) -> _Window:
        """Plays `window` steps, the teacher acting with probability `guided`, and gives the loss of them."""
        c = self.config
        carry = tuple(x.detach() for x in self.carry) if self.carry else None
        losses, values, rewards, ends = ([] for _ in range(4))
        result = _Window(torch.zeros(()), [])
        with torch.autocast(self.device_type, torch.bfloat16, enabled=c.precision == "bfloat16"):
            for _ in range(c.window):
                good, hopeless = self._good()
                carry = renewed(self.policy, carry, hopeless)
                x = self.policy.encode(self.world.observe(self.state))
                with self.network():
                    logits, value, *rest = self.policy(x, carry) if self.recurrent else self.policy(x)
                carry = rest[0] if rest else None
                log_prob = logits.float().log_softmax(1)
                wanted = torch.from_numpy(good).to(log_prob.device)
                taught = wanted.any(1)
                mass = log_prob.masked_fill(~wanted, -torch.inf)[taught].logsumexp(1)
                losses.append(-mass.sum())
                values.append(value.float())
                result.taught += len(mass)
                result.probability += float(mass.detach().exp().sum())
                action = self._act(log_prob.detach().cpu(), torch.from_numpy(good), guided)
                reward, over = self._step(action.numpy(), result)
                carry = renewed(self.policy, carry, over)
                rewards.append(reward * c.reward_scale)
                ends.append(over)
                if hopeless.any() and len(ends) > 1:
                    ends[-2] |= hopeless
                result.hopeless += int(hopeless.sum())
            value_loss = self._value_loss(torch.stack(values), np.stack(rewards), np.stack(ends))
        self.carry = carry
        result.loss = torch.stack(losses).sum() / max(result.taught, 1) + c.value_weight * value_loss
        result.probability /= max(result.taught, 1)
        return result

    def _good(self) -> tuple[np.ndarray, np.ndarray]:
        """The good actions, after levels without any have been replaced by fresh ones (which [N] bool)."""
        good = self.teacher.good(self.state)
        hopeless = ~good.any(1)
        if hopeless.any():
            self._replace(hopeless)
            good = self.teacher.good(self.state)
        return good, hopeless

    def _replace(self, which: np.ndarray) -> None:
        slots = np.flatnonzero(which)
        order = np.argsort(np.concatenate([np.flatnonzero(~which), slots]))
        self.state = take(concatenate([take(self.state, ~which), self._fresh(slots)]), order)

    def _act(self, log_prob: Tensor, good: Tensor, guided: float) -> Tensor:
        """[N] actions, the student's own or, with probability `guided`, one of the good ones."""
        own = torch.multinomial(log_prob.exp(), 1, generator=self.generator)[:, 0]
        if not guided:
            return own
        shown = torch.multinomial(good.float() + 1e-9, 1, generator=self.generator)[:, 0]
        return torch.where(torch.rand(len(own), generator=self.generator) < guided, shown, own)

    def _step(self, action: np.ndarray, result: _Window) -> tuple[np.ndarray, np.ndarray]:
        """Rewards [N] and which levels are over [N]; those are replaced by fresh ones."""
        looking = self.looks > 0
        outcome = self.world.step(self.state, action)
        self.state = _where(looking, self.state, outcome.state)
        ended = outcome.ended & ~looking
        self.looks -= looking
        self.age += ~looking
        over = ended | (self.age >= self.world.time_limit)
        for i in np.flatnonzero(over):
            result.episodes.append((bool(ended[i]), int(self.age[i])))
        if over.any():
            self._replace(over)
        return np.where(looking, 0, outcome.reward).astype(np.float32), over

    def _value_loss(self, values: Tensor, rewards: np.ndarray, ends: np.ndarray) -> Tensor:
        """How far the values are from the returns that followed; nothing is known beyond the window's last value."""
        c = self.config
        seen = values.detach().cpu().numpy()
        gains = advantages(rewards[:-1], seen[:-1], ends[:-1], seen[-1], c.discount, c.gae_lambda)
        target = torch.from_numpy(gains + seen[:-1]).to(values.device)
        return nn.functional.smooth_l1_loss(values[:-1], target, beta=VALUE_CLIP)


def _where(kept: np.ndarray, old: Any, new: Any) -> Any:
    """The levels `kept` [N] bool of the old state, the others of the new one."""
    if not kept.any():
        return new
    values = {f.name: (getattr(old, f.name), getattr(new, f.name)) for f in fields(old)}
    return replace(
        new, **{k: np.where(kept.reshape(-1, *[1] * (b.ndim - 1)), a, b) for k, (a, b) in values.items()}
    )


def imitate(
    policy: Any, world: World, teacher: Teacher, folder: Path, config: Imitation, seed: int,
    checkpoint_seconds: float = 120.0, progress: bool = True,
) -> float:  # fmt: skip
    """Trains `policy` in place, going on from `folder` where an earlier run with the same arguments stopped.

    Args:
        policy: module with `encode`; recurrent where it has `initial_carry`. At the end it holds the running mean of
            its weights.
        world: where it acts.
        teacher: gives levels and says what is good in them.
        folder: run folder, made where missing.
        config: hyperparameters.
        seed: of actions, looks and levels. The caller seeds the policy's weights.
        checkpoint_seconds: least time between two writes of state.pt.
        progress: whether it is counted for whoever listens (`goalscope.progress`).

    Returns:
        Seconds trained in all, over all resumptions.

    Raises:
        ValueError: the folder holds a run with other hyperparameters, another seed or another network.
    """
    whole_number("seed", seed)
    whole_number("steps", config.steps)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    policy.train()
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5)
    lesson = _Lesson(policy, world, teacher, config, seed)
    average = {k: v.detach().clone() for k, v in policy.state_dict().items()}
    state, begin = folder / "state.pt", (0, 0.0)
    if state.exists():
        begin = _restore(state, lesson, optimizer, average, seed)

    def update(steps: int) -> tuple[int, dict[str, float]]:
        row = _update(lesson, optimizer, average, steps)
        return steps + config.levels * config.window, row

    seconds = follow(
        folder, config.steps, update, partial(_save, state, lesson, optimizer, average, seed), begin=begin,
        counts=COUNTS, shown=("solved", 20), checkpoint_seconds=checkpoint_seconds, progress=progress,
    )  # fmt: skip
    policy.load_state_dict(average)
    policy.eval()
    return seconds


def _update(
    lesson: _Lesson, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], steps: int
) -> dict[str, float]:
    """One window, one step of the optimiser; what the curve says of it."""
    config, policy = lesson.config, lesson.policy
    done = steps / (config.decay or config.steps)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * (1 - 0.95 * done)
    began, lesson.network_seconds = time.perf_counter(), 0.0
    window = lesson.window(max(0.0, 1 - done / config.guided) if config.guided else 0.0)
    optimizer.zero_grad(set_to_none=True)
    with lesson.network():
        window.loss.backward()
    nn.utils.clip_grad_norm_(policy.parameters(), config.max_gradient)
    with lesson.network():
        optimizer.step()
    # The mean remembers a tenth of the run so far at most, so that it soon forgets the weights it began with.
    batches = 1 + steps / (config.levels * config.window)
    memory = min(config.average, 1 - 10 / (10 + batches))
    for name, value in policy.state_dict().items():
        average[name].lerp_(value, 1 - memory)
    finished = np.array(window.episodes, float).reshape(-1, 2)
    means = finished.mean(0) if len(finished) else np.full(2, np.nan)
    return {
        "episodes": len(finished), "solved": float(means[0]), "length": float(means[1]),
        "given_up": window.hopeless, "loss": float(window.loss.detach()), "good": window.probability,
        "outside": 1 - lesson.network_seconds / (time.perf_counter() - began),
    }  # fmt: skip


def _save(
    path: Path, lesson: _Lesson, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], seed: int,
    steps: int, seconds: float,
) -> None:  # fmt: skip
    record = {
        "policy": lesson.policy.state_dict(), "average": average, "optimizer": optimizer.state_dict(),
        "generator": lesson.generator.get_state(), "state": tensors_of(lesson.state), "carry": lesson.carry,
        "age": torch.from_numpy(lesson.age), "looks": torch.from_numpy(lesson.looks),
        "teacher": {k: torch.from_numpy(v) for k, v in lesson.teacher.memory().items()},
        "next_seed": lesson.next_seed, "config": asdict(lesson.config), "seed": seed, "steps": steps,
        "seconds": seconds,
    }  # fmt: skip
    write_state(path, record)


def _restore(
    path: Path, lesson: _Lesson, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], seed: int
) -> tuple[int, float]:
    record = read_state(path, lesson.policy, asdict(lesson.config), seed)
    lesson.policy.load_state_dict(record["policy"])
    optimizer.load_state_dict(record["optimizer"])
    average.update(record["average"])
    lesson.generator.set_state(record["generator"])
    lesson.state = state_of(lesson.state, record["state"])
    lesson.carry, lesson.next_seed = record["carry"], record["next_seed"]
    lesson.age, lesson.looks = record["age"].numpy(), record["looks"].numpy()
    lesson.teacher.recall(lesson.state, {k: v.numpy() for k, v in record["teacher"].items()})
    return record["steps"], record["seconds"]
