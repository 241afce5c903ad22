"""A policy in a world.

`maze_fields.py` what it does on every square of mazes, exactly; `maze_ticks.py` what thinking longer does there;
`extremes.py` the worst and best over a set of mazes; `maze_view.py` one maze, drawn; `chain.py` the same as fields in every
state of any deterministic world, which `numbering.py` tells apart; `sampled.py` sampled play in any world; `forward.py` how
its network is run.
"""

from goalscope.rollout.chain import (
    Chain,
    NoExactChain,
    States,
    chain,
    enumerate_states,
    expected_time,
    first_of_two,
    steps_to,
)
from goalscope.rollout.maze_fields import BATCH, Fields, Walks, drawn_walks, fields, sample_walks
from goalscope.rollout.maze_view import VectorField, average_facings, vector_field
from goalscope.rollout.sampled import Rollout, play

__all__ = [
    "BATCH",
    "Chain",
    "Fields",
    "NoExactChain",
    "Rollout",
    "States",
    "VectorField",
    "Walks",
    "average_facings",
    "chain",
    "drawn_walks",
    "enumerate_states",
    "expected_time",
    "fields",
    "first_of_two",
    "play",
    "sample_walks",
    "steps_to",
    "vector_field",
]
