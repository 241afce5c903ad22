"""Proximal policy optimisation (Schulman et al. 2017) on any World, for feed-forward and recurrent policies.

A policy whose module has `initial_carry(n)` is recurrent: its forward takes (observations, carry) and returns
(logits, value, carry), the carry being a tuple of tensors with the batch first. The run folder holds `curve.csv`,
`state.pt` (everything needed to go on exactly where a killed run was) and `snapshots/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from goalscope.training.loop import follow
from goalscope.training.saved_state import read_state, state_of, tensors_of, write_state
from goalscope.worlds.contract import World, concatenate, take, whole_number

# Training levels have seeds from here on: a study's levels, with smaller seeds, are unseen.
FIRST_TRAINING_SEED = 1_000_000_000
COUNTS = ("steps", "episodes")
"""columns of curve.csv that are whole numbers"""


@dataclass(frozen=True)
class PPO:
    """Hyperparameters. A batch is `levels` x `horizon` steps."""

    steps: int = 3_500_000
    levels: int = 128
    horizon: int = 64
    epochs: int = 2
    minibatch: int = 1024
    learning_rate: float = 1e-3
    """falls linearly to a tenth over the run"""
    discount: float = 0.97
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    """bonus coefficient; falls linearly to a tenth over the run"""
    value_weight: float = 0.5
    max_gradient: float = 0.5
    reward_scale: float = 0.1
    """the value head learns in units of this times the world's reward"""
    precision: str = "float32"
    """of the convolutions: 'float32' or 'bfloat16' (autocast)"""


@dataclass
class _Batch:
    """One batch of experience; every array is [T, N, ...]."""

    observations: np.ndarray
    starts: np.ndarray
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    rewards: np.ndarray
    ends: np.ndarray
    carry: tuple[Tensor, ...] | None
    """of the first step"""
    last_values: Tensor
    episodes: list[tuple[bool, int, float]]
    """(reached the end before the time limit, length, reward) of each episode that finished"""


class _Experience:
    """The running levels: a state, how long each level has run, and the recurrent carry."""

    def __init__(self, world: World, policy: Any, config: PPO, seed: int):
        self.world, self.policy, self.config, self.seed = world, policy, config, seed
        self.generator = torch.Generator(next(policy.parameters()).device).manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.next_seed = FIRST_TRAINING_SEED * (1 + seed)
        self.state = self._fresh(config.levels)
        self.age = np.zeros(config.levels, np.int64)
        self.returned = np.zeros(config.levels)
        self.recurrent = hasattr(policy, "initial_carry")
        self.carry = policy.initial_carry(config.levels) if self.recurrent else None

    def _fresh(self, n: int) -> Any:
        self.next_seed += n
        return self.world.generate(np.arange(self.next_seed - n, self.next_seed))

    def _forward(self, observations: np.ndarray, carry: Any) -> tuple[Tensor, Tensor, Any]:
        with torch.inference_mode(), _autocast(self.config, self.policy):
            x = self.policy.encode(observations)
            logits, value, *rest = self.policy(x, carry) if self.recurrent else self.policy(x)
        return logits.float(), value.float(), rest[0] if rest else None

    def collect(self) -> _Batch:
        """Plays `horizon` steps; a level that ended or timed out is replaced by a fresh one."""
        c, world = self.config, self.world
        observations, starts, actions, log_probs, values, rewards, ends, episodes = ([] for _ in range(8))
        carry = self.carry
        for _ in range(c.horizon):
            observation = world.observe(self.state)
            logits, value, self.carry = self._forward(observation, self.carry)
            log_prob = logits.log_softmax(1)
            action = torch.multinomial(log_prob.exp(), 1, generator=self.generator)
            outcome = world.step(self.state, action[:, 0].cpu().numpy())
            starts.append(self.age == 0)
            self.age += 1
            self.returned += outcome.reward
            reward = outcome.reward * c.reward_scale
            timed_out = (self.age >= world.time_limit) & ~outcome.ended
            over = outcome.ended | timed_out
            if timed_out.any():
                # The level would have gone on: its last reward carries the value of where it stopped.
                kept = tuple(x[torch.from_numpy(timed_out)] for x in self.carry) if self.carry else None
                stopped = world.observe(take(outcome.state, timed_out))
                reward[timed_out] += c.discount * self._forward(stopped, kept)[1].cpu().numpy()
            self.state = outcome.state
            if over.any():
                for i in np.flatnonzero(over):
                    episodes.append((bool(outcome.ended[i]), int(self.age[i]), float(self.returned[i])))
                running = take(outcome.state, ~over)
                order = np.argsort(np.concatenate([np.flatnonzero(~over), np.flatnonzero(over)]))
                self.state = take(concatenate([running, self._fresh(int(over.sum()))]), order)
                self.age[over], self.returned[over] = 0, 0
                if self.carry:
                    with torch.inference_mode():
                        self.carry = renewed(self.policy, self.carry, over)
            observations.append(observation)
            actions.append(action[:, 0])
            log_probs.append(log_prob.gather(1, action)[:, 0])
            values.append(value)
            rewards.append(reward)
            ends.append(over)
        last_values = self._forward(world.observe(self.state), self.carry)[1]
        return _Batch(
            np.stack(observations), np.stack(starts), torch.stack(actions), torch.stack(log_probs),
            torch.stack(values), np.stack(rewards), np.stack(ends), carry, last_values, episodes,
        )  # fmt: skip


def renewed(policy: Any, carry: Any, fresh: np.ndarray) -> Any:
    """The carry (None for a policy without memory) with that of the levels `fresh` [N] bool begun anew."""
    if carry is None or not fresh.any():
        return carry
    where = torch.from_numpy(fresh)
    return tuple(
        torch.where(where.to(x.device).view(-1, *[1] * (x.ndim - 1)), zero, x)
        for x, zero in zip(carry, policy.initial_carry(len(fresh)), strict=True)
    )


def _autocast(config: PPO, policy: nn.Module) -> torch.autocast:
    device = next(policy.parameters()).device.type
    return torch.autocast(device, torch.bfloat16, enabled=config.precision == "bfloat16")


def advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    ends: np.ndarray,
    last_values: np.ndarray,
    discount: float,
    lam: float,
) -> np.ndarray:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16).

    Args:
        rewards: [T, N]. values: [T, N] of the states acted in. ends: [T, N] bool, nothing follows that step.
        last_values: [N] of the state after the last step. discount: gamma. lam: lambda.

    Returns:
        [T, N]; adding `values` gives the returns that the value head learns.
    """
    result = np.zeros_like(values)
    ahead, following = np.zeros_like(last_values), last_values
    for t in range(len(rewards) - 1, -1, -1):
        goes_on = ~ends[t]
        delta = rewards[t] + discount * following * goes_on - values[t]
        ahead = delta + discount * lam * goes_on * ahead
        result[t], following = ahead, values[t]
    return result


def _evaluate(policy: Any, batch: _Batch, index: np.ndarray, recurrent: bool) -> tuple[Tensor, Tensor]:
    """Logits and values, flat, of the flat steps `index` (of whole levels `index` [n] where recurrent)."""
    if not recurrent:
        flat = batch.observations.reshape(-1, *batch.observations.shape[2:])
        out = policy(policy.encode(flat[index]))
        return out.logits.float(), out.value.float()
    carry = tuple(x[torch.from_numpy(index)].clone() for x in batch.carry or ())
    all_logits, all_values = [], []
    for t in range(len(batch.observations)):
        carry = renewed(policy, carry, batch.starts[t, index])
        logits, value, carry = policy(policy.encode(batch.observations[t, index]), carry)
        all_logits.append(logits.float())
        all_values.append(value.float())
    return torch.cat(all_logits), torch.cat(all_values)


def _update(experience: _Experience, optimizer: torch.optim.Optimizer, left: float) -> dict[str, float]:
    """One batch and its epochs, at the share `left` of learning rate and entropy bonus; what the curve says of it."""
    for group in optimizer.param_groups:
        group["lr"] = experience.config.learning_rate * left
    batch = experience.collect()
    losses = _learn(experience, optimizer, batch, experience.config.entropy * left)
    finished = np.array(batch.episodes, float).reshape(-1, 3)
    means = finished.mean(0) if len(finished) else np.full(3, np.nan)
    return {
        "episodes": len(finished), "success": means[0], "length": means[1], "reward": means[2], **losses,
    }  # fmt: skip


def _learn(
    experience: _Experience, optimizer: torch.optim.Optimizer, batch: _Batch, entropy_weight: float
) -> dict[str, float]:
    """The epochs over one batch; means of the losses."""
    policy, config, recurrent = experience.policy, experience.config, experience.recurrent
    values = batch.values.cpu().numpy()
    gains = advantages(
        batch.rewards, values, batch.ends, batch.last_values.cpu().numpy(), config.discount, config.gae_lambda
    )
    steps, levels = values.shape
    device = batch.values.device
    flat_gains = torch.from_numpy(gains).float().to(device).flatten()
    targets = flat_gains + batch.values.flatten()
    actions, old = batch.actions.flatten(), batch.log_probs.flatten()
    units = levels if recurrent else steps * levels
    size = max(1, config.minibatch // steps) if recurrent else config.minibatch
    sums: dict[str, list[float]] = {"value_loss": [], "entropy": [], "kl": [], "clipped": []}
    for _ in range(config.epochs):
        order = experience.rng.permutation(units)
        for first in range(0, units, size):
            index = order[first : first + size]
            with _autocast(config, policy):
                logits, value = _evaluate(policy, batch, index, recurrent)
            # A recurrent minibatch is whole levels, flattened step after step.
            flat = (np.arange(steps)[:, None] * levels + index).ravel() if recurrent else index
            at = torch.from_numpy(flat).to(device)
            log_probs = logits.log_softmax(1)
            new = log_probs.gather(1, actions[at, None])[:, 0]
            ratio = (new - old[at]).exp()
            gain = flat_gains[at]
            if len(gain) > 1:  # a single one has no standard deviation
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            limited = ratio.clamp(1 - config.clip, 1 + config.clip)
            policy_loss = -torch.minimum(ratio * gain, limited * gain).mean()
            value_loss = (value - targets[at]).square().mean()
            entropy = -(log_probs.exp() * log_probs).sum(1).mean()
            loss = policy_loss + config.value_weight * value_loss - entropy_weight * entropy
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(policy.parameters(), config.max_gradient)
            optimizer.step()
            with torch.no_grad():
                sums["value_loss"].append(float(value_loss))
                sums["entropy"].append(float(entropy))
                sums["kl"].append(float((ratio - 1 - ratio.log()).mean()))
                sums["clipped"].append(float((ratio != limited).float().mean()))
    return {name: float(np.mean(x)) for name, x in sums.items()}


def train(
    policy: Any, world: World, folder: Path, config: PPO, seed: int, snapshots: Sequence[int] = (),
    checkpoint_seconds: float = 60.0, progress: bool = True, start: str | None = None,
) -> float:  # fmt: skip
    """Trains `policy` in place, going on from `folder` where an earlier run with the same arguments stopped.

    Args:
        policy: module with `encode`; see the module docstring for recurrent ones. Its device is the training's.
        world: where it acts.
        folder: run folder, made where missing.
        config: hyperparameters.
        seed: of action sampling, minibatches and training levels. The caller seeds the policy's weights.
        snapshots: step counts at whose first batch end the weights are written to snapshots/step-N.safetensors.
        checkpoint_seconds: least time between two writes of state.pt.
        progress: whether it is counted for whoever listens (`goalscope.progress`).
        start: sha256 of the weights that `policy` begins with, kept with the run; None where a seed decides them.

    Returns:
        Seconds trained in all, over all resumptions.

    Raises:
        ValueError: the folder holds a run with other hyperparameters, another seed, network or start.
    """
    whole_number("seed", seed)
    whole_number("steps", config.steps)
    folder = Path(folder)
    (folder / "snapshots").mkdir(parents=True, exist_ok=True)
    policy.train()
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5)
    experience = _Experience(world, policy, config, seed)
    state, begin = folder / "state.pt", (0, 0.0)
    if state.exists():
        begin = _restore(state, experience, optimizer, start)

    def update(steps: int) -> tuple[int, dict[str, float]]:
        row = _update(experience, optimizer, 1 - 0.9 * steps / config.steps)
        done = steps + config.levels * config.horizon
        for mark in snapshots:
            if steps < mark <= done:
                weights = {k: v.contiguous() for k, v in policy.state_dict().items()}
                save_file(weights, folder / "snapshots" / f"step-{mark}.safetensors")
        return done, row

    seconds = follow(
        folder, config.steps, update, partial(_save, state, experience, optimizer, start), begin=begin,
        counts=COUNTS, shown=("success", 10), checkpoint_seconds=checkpoint_seconds, progress=progress,
    )  # fmt: skip
    policy.eval()
    return seconds


def placed(policy: nn.Module, device: str) -> nn.Module:
    """A policy that is to be trained, on its device; raises ValueError where that is not there."""
    try:
        return policy.to(device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used ({first_line}); 'cpu' always can") from error


def _save(
    path: Path, experience: _Experience, optimizer: torch.optim.Optimizer, start: str | None, steps: int,
    seconds: float,
) -> None:  # fmt: skip
    # PCG64 draws 64 bits and keeps the half that a 32-bit draw leaves over: both belong to its state.
    bits = experience.rng.bit_generator.state
    bits = {**bits["state"], "has_uint32": bits["has_uint32"], "uinteger": bits["uinteger"]}
    record = {
        "policy": experience.policy.state_dict(), "optimizer": optimizer.state_dict(),
        "generator": experience.generator.get_state(), "rng": {k: str(v) for k, v in bits.items()},
        "state": tensors_of(experience.state), "age": torch.from_numpy(experience.age),
        "returned": torch.from_numpy(experience.returned), "next_seed": experience.next_seed,
        "carry": experience.carry, "config": asdict(experience.config), "seed": experience.seed, "start": start,
        "steps": steps, "seconds": seconds,
    }  # fmt: skip
    write_state(path, record)


def _restore(
    path: Path, experience: _Experience, optimizer: torch.optim.Optimizer, start: str | None
) -> tuple[int, float]:
    policy, rng = experience.policy, experience.rng
    record = read_state(path, policy, asdict(experience.config), experience.seed, start)
    policy.load_state_dict(record["policy"])
    optimizer.load_state_dict(record["optimizer"])
    experience.generator.set_state(record["generator"])
    bits = dict(rng.bit_generator.state)
    kept = {k: int(v) for k, v in record["rng"].items()}
    bits["has_uint32"], bits["uinteger"] = kept.pop("has_uint32", 0), kept.pop("uinteger", 0)
    bits["state"] = kept
    rng.bit_generator.state = bits
    experience.state = state_of(experience.state, record["state"])
    experience.age, experience.returned = record["age"].numpy(), record["returned"].numpy()
    experience.next_seed, experience.carry = record["next_seed"], record["carry"]
    return record["steps"], record["seconds"]
