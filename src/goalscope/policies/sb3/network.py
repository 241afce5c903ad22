"""Networks of Stable-Baselines3 behind our contract; every layer of them is a named module under `policy`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn

from goalscope.policies import PolicyOutput
from goalscope.policies.sb3.statistics import Statistics

SHARP = 1e4
"""a DQN agent takes the action of the greatest Q, and so does softmax of so many times Q"""


class Sb3Policy(nn.Module):
    """An actor-critic policy.

    Args:
        policy: feed-forward, on a Box space, with numbered actions.
        statistics: of the `VecNormalize` wrapper that it was trained behind, if there was one.
    """

    def __init__(self, policy: ActorCriticPolicy, statistics: Statistics | None = None):
        super().__init__()
        self.policy = policy
        self.statistics = statistics
        self.size: int = policy.observation_space.shape[-1]  # type: ignore[index]
        """W of the observations [N, C, H, W]"""

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, ...] of the policy's space to float32 on its device, by Stable-Baselines3 (images / 255)."""
        return _encoded(self.policy, self.statistics, observations)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, ...] encoded to logits [N, A] and value [N]."""
        actor, critic = self.policy.pi_features_extractor(x), self.policy.vf_features_extractor(x)
        logits = self.policy.action_net(self.policy.mlp_extractor.forward_actor(actor))
        value = self.policy.value_net(self.policy.mlp_extractor.forward_critic(critic))
        return PolicyOutput(logits, value.squeeze(1))


class Sb3Q(nn.Module):
    """The Q-network of a DQN, which acts greedily; `policy.q_net.q_net` has the Q of every action.

    Args:
        policy: on a Box space, with numbered actions.
        statistics: as `Sb3Policy`.
    """

    def __init__(self, policy: DQNPolicy, statistics: Statistics | None = None):
        super().__init__()
        self.policy = policy
        self.statistics = statistics
        self.size: int = policy.observation_space.shape[-1]  # type: ignore[index]
        """W of the observations [N, C, H, W]"""

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, ...] of the policy's space to float32 on its device, by Stable-Baselines3 (images / 255)."""
        return _encoded(self.policy, self.statistics, observations)

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, ...] encoded to logits [N, A], all on the greatest Q, and that as the value [N]."""
        net = self.policy.q_net
        q = net.q_net(net.features_extractor(x))
        best = q.amax(1)
        return PolicyOutput((q - best[:, None]) * SHARP, best)


def _encoded(policy: Any, statistics: Statistics | None, observations: np.ndarray) -> Tensor:
    space = policy.observation_space
    if observations.shape[1:] != space.shape:
        raise ValueError(
            f"this policy takes observations [N, {', '.join(map(str, space.shape or ()))}], got {list(observations.shape)}"
        )
    floats = [np.issubdtype(dtype, np.floating) for dtype in (observations.dtype, space.dtype)]
    if floats[0] != floats[1]:
        raise ValueError(
            f"this policy was trained on {space.dtype} observations and got {observations.dtype}: a conversion stood "
            "between; give it what it was trained on"
        )
    if statistics is not None:
        observations = statistics.normalised(observations)
    raw = torch.from_numpy(np.ascontiguousarray(observations)).to(policy.device)
    encoded = preprocess_obs(raw, space, normalize_images=policy.normalize_images)
    if not isinstance(encoded, Tensor):
        raise ValueError(f"observations of the space {space} are not one array")
    return encoded
