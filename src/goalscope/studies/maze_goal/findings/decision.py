"""What decides P(cheese): the regression on distances beside the base rate, and what a mediator leaves of it (section 3)."""

from __future__ import annotations

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.decision import DecisionRegression, conditioned, fractional_logit
from goalscope.studies.about import About, finding
from goalscope.studies.maze_goal.measure.fields import (
    Measured,
    decision_features,
    direct_way,
    reach_cheese,
)
from goalscope.worlds.maze.paths import decision_square

LEAST_FORKS = 50
"""levels with a decision square that the regression needs: five for each of its ten coefficients"""


def regress(found: Measured, seed: int) -> DecisionRegression:
    """The regression of P(cheese) on the nine distances, fitted on four fifths of the levels with a decision square.

    Raises:
        ValueError: too few such levels.
    """
    features, names = decision_features(found.base.maze)
    if len(features) < LEAST_FORKS:
        raise ValueError(f"{len(features)} levels have a decision square, the regression needs {LEAST_FORKS}")
    response = reach_cheese(found)[decision_square(found.base.maze)[:, 0] >= 0]
    train = np.random.default_rng(seed).permutation(len(response)) % 5 > 0
    return fractional_logit(features, response, names, train=train, seed=seed)


def chain_finding(found: Measured, fit: DecisionRegression, about: About) -> Finding | None:
    """Is a long way just many chances to fail? What is left of the steps where the chance of that very way is the same.

    That chance is made of the moves whose outcome is explained: a mediator, so this is no effect of the distance and
    stands apart from the coefficients. None where the chance is a function of the distances (a policy that never errs),
    so that no data tell the two apart.
    """
    features, _ = decision_features(found.base.maze)
    response = reach_cheese(found)[decision_square(found.base.maze)[:, 0] >= 0]
    train = np.random.default_rng(about.seed).permutation(len(response)) % 5 > 0
    beside = conditioned(
        fit, features, response, direct_way(found), "direct_way", train=train, seed=about.seed
    )
    name = "steps_cheese_decision"
    coefficient = beside.coefficients[fit.names.index(name)]
    if not np.isfinite([coefficient.low, coefficient.high]).all():
        return None
    return finding(
        f"decision.chain.{name}",
        f"conditioned on a mediator, the log-probability of the direct way: log-odds of reaching the cheese per SD of "
        f"{name}, beside the other distances; what is left of it, not its effect",
        coefficient, fit.coefficients[fit.names.index(name)],
        "its effect, without the mediator", "fractional logit, conditioned on a mediator", found, about, "log-odds per SD",
    )  # fmt: skip


def decision_findings(found: Measured, fit: DecisionRegression, about: About) -> list[Finding]:
    """Section 3: coefficients beside what they are without the others, and what the regression predicts."""
    made = []
    for name, both, alone, stable, vif in zip(
        fit.names, fit.coefficients, fit.alone, fit.sign_stability, fit.vif, strict=True
    ):
        question = f"log-odds of reaching the cheese per SD of {name}, beside the other eight (VIF {vif:.1f})"
        method = f"fractional logit; sign kept in {stable:.0%} of the subsets of the others"
        made.append(
            finding(
                f"decision.coef.{name}",
                question,
                both,
                alone,
                "the feature alone",
                method,
                found,
                about,
                "log-odds per SD",
            )
        )
    chain = chain_finding(found, fit, about)
    made += [chain] if chain else []
    judged = (
        (
            "accuracy",
            fit.accuracy,
            fit.base_accuracy,
            "share of levels",
            "expected accuracy on held-out levels",
        ),
        ("log_loss", fit.log_loss, fit.base_log_loss, "nats per level", "log-loss on held-out levels"),
    )
    for name, estimate, base, unit, question in judged:
        made.append(
            finding(
                f"decision.{name}",
                f"regression of P(cheese): {question}",
                estimate,
                base,
                "base rate",
                "fractional logit",
                found,
                about,
                unit,
            )
        )
    return made
