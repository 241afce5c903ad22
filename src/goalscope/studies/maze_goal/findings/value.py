"""Does it go where its own value is highest, more often than other read-outs of what the value layer reads (section 5)?"""

from __future__ import annotations

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.agreement import value_policy_agreement
from goalscope.studies.about import About, finding
from goalscope.studies.maze import is_square
from goalscope.studies.maze_goal.measure.fields import Measured
from goalscope.studies.value_layer import beside_readouts
from goalscope.worlds.maze.paths import decision_square

NO_LAYER = "none: no one linear layer gives the value, so there are no other read-outs of what it reads"


def agreement_findings(found: Measured, about: About) -> list[Finding]:
    """Section 5: is the most probable move the one of the highest next value? Taking the cheese counts as the highest."""
    base = found.base
    if not base.has_value:
        return []
    places = {
        "all": np.ones(len(base.squares), bool),
        "decision": is_square(base, decision_square(base.maze)),
    }
    made = []
    for name, mask in places.items():
        if not (mask & ~base.squares.goal).any():
            continue
        result = value_policy_agreement(
            base.moves, base.value, base.squares.next, base.squares.goal, base.squares.level,
            goal_value=float(base.value.max()) + 1, mask=mask, seed=about.seed,
            features=found.features,
        )  # fmt: skip
        question = f"how often the most probable move is the one of the highest next value, {name} squares"
        beside = (None, NO_LAYER) if result.readouts is None else beside_readouts(result.readouts)
        made.append(finding(
            f"value.agreement.{name}", question, result.agreement, *beside,
            "value-policy agreement", found, about, "share of squares",
        ))  # fmt: skip
    return made
