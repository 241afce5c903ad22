"""The networks of Procgen agents.

`network.py` IMPALA without memory; `others.py` the same with one, and the small network of Atari agents; `convert.py` the
state dicts of train-procgen-pytorch, procgen-tools and their forks.
"""

from goalscope.policies.impala.convert import from_state_dict
from goalscope.policies.impala.network import Impala, Residual

__all__ = ["Impala", "Residual", "from_state_dict"]
