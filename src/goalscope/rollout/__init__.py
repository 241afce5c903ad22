"""A policy in a world.

`maze_fields.py` what it does on every square of mazes, exactly; `maze_view.py` one maze, drawn; `sampled.py` sampled play in
any world; `forward.py` how its network is run.
"""

from goalscope.rollout.maze_fields import BATCH, Fields, Walks, fields, sample_walks
from goalscope.rollout.maze_view import VectorField, average_facings, vector_field
from goalscope.rollout.sampled import Rollout, play

__all__ = [
    "BATCH",
    "Fields",
    "Rollout",
    "VectorField",
    "Walks",
    "average_facings",
    "fields",
    "play",
    "sample_walks",
    "vector_field",
]
