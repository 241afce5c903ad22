"""Stable-Baselines3's policies (PPO, A2C, DQN) as our policies; needs the extra `sb3`. Nothing is unpickled.

`load.py` a file to a policy; `network.py` the networks behind our contract; `spaces.py` what a file says it was trained on,
held against a world; `statistics.py` those of a `VecNormalize` wrapper, by `pickled.py`, which reads a pickle as data.
"""

from goalscope.policies.sb3.load import load_sb3
from goalscope.policies.sb3.network import Sb3Policy, Sb3Q
from goalscope.policies.sb3.statistics import Statistics, read_statistics

__all__ = ["Sb3Policy", "Sb3Q", "Statistics", "load_sb3", "read_statistics"]
