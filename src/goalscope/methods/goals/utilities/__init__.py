"""Which utility does a policy act for: one, several that are gated by a context, or none?

`planning.py` the best moves of a utility in every state of a chain; `served.py` how unlikely it is that uniform moves do
as well; `inference.py` the utilities as explanations of the moves, with their description lengths paid; `irl.py` weights
of features by maximum-entropy inverse reinforcement learning.
"""

from goalscope.methods.goals.utilities.inference import Inference, Model, infer_utility
from goalscope.methods.goals.utilities.irl import Weights, maximum_entropy
from goalscope.methods.goals.utilities.planning import best_moves
from goalscope.methods.goals.utilities.served import Served, served

__all__ = [
    "Inference", "Model", "Served", "Weights", "best_moves", "infer_utility", "maximum_entropy", "served",
]  # fmt: skip
