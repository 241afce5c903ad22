"""One objective or two sub-policies? Mixtures by held-out likelihood, on behaviour and under the edits; and a gate.

Two sub-policies would show in three ways: a mixture of cheese-seeking and corner-seeking, maze by maze, describes held-out
walks better than either; each survives when the other's vector is subtracted; and which of the two runs can be read
from the activations at the decision square before the mouse turns, better than from the observation.
"""

from __future__ import annotations

import numpy as np

from goalscope.rollout import fields
from goalscope.studies.maze import cheese_first
from goalscope.studies.maze_internals.measure.steering import corner_vector
from goalscope.studies.maze_internals.setup import Setup, activations, cheese_vector, run, shifted
from goalscope.worlds.contract import take
from goalscope.worlds.maze import place_mouse, remove_cheese
from goalscope.worlds.maze.paths import decision_square, maze_size

CONDITIONS = {
    "plain": "no edit",
    "no_cheese_vector": "cheese vector subtracted",
    "no_corner_vector": "top-right vector subtracted",
}


def goals(setup: Setup) -> dict[str, np.ndarray]:
    """The policy's moves in each condition, and at the decision squares what it does there.

    Returns:
        `moves.CONDITION`, `value.CONDITION`: the fields on the held-out mazes; `gate.cheese` [D] P(cheese before corner)
        from the decision square of reading mazes; `gate.NETWORK` [D, ..] activations there, and `gate.observation`.
    """
    held, site = setup.held, setup.layout.middle
    own, upward = cheese_vector(setup, held, site), corner_vector(setup, remove_cheese(held), site)
    runs = {
        "plain": run(setup, held),
        "no_cheese_vector": shifted(setup, held, site, -own),
        "no_corner_vector": shifted(setup, held, site, -upward),
    }
    found = {f"{k}.{name}": getattr(f, k) for name, f in runs.items() for k in ("moves", "value")}
    fork = decision_square(setup.reading)
    here = np.flatnonzero((fork[:, 0] >= 0) & (maze_size(setup.reading) >= 5))
    state = take(setup.reading, here)
    found["gate.cheese"] = cheese_first(fields(setup.module, setup.world, state), setup.steps)[0]
    standing = place_mouse(state, fork[here])
    found["gate.observation"] = setup.world.observe(standing).reshape(len(here), -1)
    for network, policy in (("policy", setup.policy), ("untrained", setup.blank)):
        there = activations(policy.module, setup.world, standing, site)[site]
        found[f"gate.{network}"] = there.flatten(1).numpy()
    return found
