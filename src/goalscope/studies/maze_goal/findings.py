"""From what was measured to findings: each an estimate over levels with its interval, its n and its control.

The control of a trained policy is the untrained network of the same shape on the same levels; the control of the
untrained network is the uniform random walk. What is chosen or fitted is fitted on some levels and judged on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.agreement import Readouts, value_policy_agreement
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.methods.behaviour.decision import DecisionRegression, conditioned, fractional_logit
from goalscope.stats import Estimate, bootstrap_clustered, bootstrap_mean, bootstrap_ratio
from goalscope.studies.about import About, finding
from goalscope.studies.maze import cheese_first, is_square, title, toward, which_algorithm
from goalscope.studies.maze_goal.measure.far_corners import cases, words_of
from goalscope.studies.maze_goal.measure.fields import (
    Measured,
    cheese_pull,
    corner_pull,
    decision_features,
    direct_way,
    ends_near_corner,
    quadrants,
    reach_cheese,
)
from goalscope.worlds.maze import MazeState
from goalscope.worlds.maze.paths import decision_square, maze_size, top_right

QUADRANTS = ("top_left", "top_right", "bottom_left", "bottom_right")
LEAST_FORKS = 50
"""levels with a decision square that the regression needs: five for each of its ten coefficients"""
LEAST_MAZES = 12
"""mazes that the comparison of algorithms needs, half of them held out"""
SNAPSHOT_QUANTITIES: dict[str, tuple[str, Callable[[Measured], np.ndarray]]] = {
    "reach": ("P(reach the cheese), cheese anywhere", reach_cheese),
    "cheese_pull": ("P(reach the cheese) minus P(reach that square when the cheese is removed)", cheese_pull),
    "corner_instead": (
        "cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first)",
        lambda found: found.instead,
    ),
}
"""what is followed over training: finding -> (question, [N] values of the levels)"""


def uniform(found: Measured) -> Measured:
    """The uniform random walk on the same levels: every move equally likely, value 0."""
    base, bare = (
        replace(f, moves=np.full_like(f.moves, 0.2), value=np.zeros_like(f.value))
        for f in (found.base, found.bare)
    )
    return replace(
        found,
        name="uniform random walk",
        base=base,
        bare=bare,
        corners={},
        instead=np.empty(0),
        elsewhere=np.empty(0),
        near=np.empty(0),
        far={},
    )


Quantity = tuple[str, str, Callable[[int], Estimate]]
"""(id, question, seed -> estimate)"""


def _mean(values: np.ndarray, low: float = 0.0) -> Callable[[int], Estimate]:
    return lambda seed: bootstrap_mean(values, bounds=(low, 1.0), seed=seed)


def _quantities(found: Measured) -> Iterator[Quantity]:
    """Everything that one policy alone answers."""
    yield from _reach_quantities(found)
    yield from _corner_quantities(found)
    yield from _pull_quantities(found)
    yield from _field_quantities(found)


def _reach_quantities(found: Measured) -> Iterator[Quantity]:
    """How often it gets the cheese: over all mazes, by size and by where the cheese lies."""
    reached, maze = reach_cheese(found), found.base.maze
    yield (
        "reach.overall",
        f"P(reach the cheese within {found.steps} steps), cheese anywhere",
        _mean(reached),
    )
    if len(found.near):
        yield "reach.top_right_region", "P(reach the cheese), cheese in the top-right 5x5", _mean(found.near)
    sizes = maze_size(maze)
    for size in np.unique(sizes):
        yield (
            f"reach.size.{size}",
            f"P(reach the cheese), mazes of size {size}",
            _mean(reached[sizes == size]),
        )
    quadrant = quadrants(maze)
    for i, name in enumerate(QUADRANTS):
        if (quadrant == i).any():
            words = f"P(reach the cheese), cheese in the {name.replace('_', '-')} quadrant"
            yield f"reach.quadrant.{name}", words, _mean(reached[quadrant == i])
    for name, values in found.corners.items():
        words = f"P(reach the cheese), cheese in the {name.replace('_', '-')} corner of the largest mazes"
        yield f"reach.corner.{name}", words, _mean(values)


def _corner_quantities(found: Measured) -> Iterator[Quantity]:
    """Where it goes in place of the cheese."""
    if len(found.instead):
        far = "cheese in the top-left or bottom-right corner of the largest mazes"
        yield "reach.corner_instead", f"{far}: P(top-right corner first)", _mean(found.instead)
        question = f"{far}: P(the other of the two first)"
        yield "reach.other_corner_instead", question, _mean(found.elsewhere)
    for kind, value in cases(found.far):
        cheese, corner, third = (found.far[f"far.{kind}.{value}.{k}"] for k in ("cheese", "corner", "third"))
        where = words_of(kind, value)
        yield f"reach.far_cheese.{kind}_{value}", f"{where}: P(reach the cheese)", _mean(cheese)
        question = f"{where}: P(top-right corner first) minus P(the other far corner first)"
        yield f"reach.far_corner.{kind}_{value}", question, _mean(corner - third, -1)
    inside, lost = ends_near_corner(found)
    if lost.sum() > 1:
        yield (
            "reach.ends_near_corner",
            "where the cheese was not taken (and lies outside the top-right 5x5): share that ends in the 5x5",
            lambda seed: bootstrap_ratio(inside, lost, bounds=(0, 1), seed=seed),
        )


def _pull_quantities(found: Measured) -> Iterator[Quantity]:
    """What the cheese and the corner change, and which comes first at the fork."""
    yield (
        "reach.cheese_pull",
        "P(reach the cheese) minus P(reach that square when the cheese is removed)",
        _mean(cheese_pull(found), -1),
    )
    yield (
        "reach.corner_pull",
        "without cheese: P(reach the top-right corner) minus the mean of the top-left and bottom-right corners",
        _mean(corner_pull(found), -1),
    )
    pairs = (("cheese", "corner"), ("corner", "cheese"))
    for (name, other), values in zip(pairs, cheese_first(found.base, found.steps), strict=True):
        if len(values):
            question = f"from the decision square: P({name} before {other})"
            yield f"decision.{name}_first", question, _mean(values)


def _field_quantities(found: Measured) -> Iterator[Quantity]:
    base, bare = found.base, found.bare
    level = base.squares.level
    live = ~base.squares.goal
    change = np.abs(base.moves - bare.moves).sum(1) / 2
    yield (
        "field.cheese_changes",
        "how much the cheese changes the moves: total variation, with against without it, mean over squares",
        lambda seed: bootstrap_clustered(change[live], level[live], bounds=(0, 1), seed=seed),
    )
    to_cheese, to_corner = toward(base, base.maze.cheese), toward(base, top_right(base.maze))
    apart = live & ~is_square(base, top_right(base.maze)) & ~(to_cheese & to_corner).any(1)
    if apart.any():
        for name, wanted in (("cheese", to_cheese), ("corner", to_corner)):
            chance = (base.moves * wanted).sum(1)[apart]
            yield (
                f"field.toward_{name}",
                f"where the ways part (all such squares): P(move towards the {name})",
                lambda seed, c=chance: bootstrap_clustered(c, level[apart], bounds=(0, 1), seed=seed),
            )


Answers = dict[str, tuple[str, Estimate]]
"""id -> question and estimate"""


def answers(found: Measured, seed: int) -> Answers:
    """Sections 1 to 3 as far as they need no fit: reach, fields, the choice at the decision square."""
    return {name: (question, estimate(seed)) for name, question, estimate in _quantities(found)}


def behaviour_findings(
    found: Measured, mine: Answers, control: str, controls: Answers, about: About
) -> list[Finding]:
    """The answers as findings, each beside that of the control, where it has one.

    Args:
        found: the policy.
        mine: its `answers`.
        control: the control's name.
        controls: its `answers`.
        about: origin of the findings.
    """
    made = []
    for name, (question, estimate) in mine.items():
        method = "exact chain" if not name.startswith("field.") else "exact move probabilities"
        beside = controls[name][1] if name in controls else None
        made.append(finding(name, question, estimate, beside, control, method, found, about))
    return made


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


def small(maze: MazeState) -> np.ndarray:
    """[N] bool: mazes of at most half the world's side."""
    return maze_size(maze) <= maze.walls.shape[1] // 2 + 1


def algorithms(found: Measured, about: About) -> tuple[dict[str, AlgorithmComparison], list[Finding]]:
    """Section 4: the comparison in small and in large mazes, where there are enough of them, and its findings."""
    fits, made = {}, []
    few = small(found.base.maze)
    for scope, mazes in (("small", few), ("large", ~few)):
        if mazes.sum() >= LEAST_MAZES:
            fits[scope] = which_algorithm(found.base, mazes, about.seed)
            made += algorithm_findings(found, fits[scope], scope, about)
    return fits, made


def algorithm_findings(found: Measured, fit: AlgorithmComparison, scope: str, about: About) -> list[Finding]:
    """Section 4: held-out log-likelihood per step of each explanation, beside that of uniform moves."""
    made = []
    control = fit["uniform"].log_likelihood
    for model in fit.models:
        if model.name != "uniform":
            question = f"held-out log-likelihood per step of '{title(model.name)}', {scope} mazes"
            identifier = f"algorithm.{scope}.{model.name.replace(' + ', '.').replace('-', '_')}"
            behind = (
                f"{model.behind.estimate:.4f} behind the best" if model.behind.estimate > 0 else "the best"
            )
            made.append(
                finding(
                    identifier,
                    question,
                    model.log_likelihood,
                    control,
                    "uniform moves",
                    f"rules with a fitted temperature; {behind}",
                    found,
                    about,
                    "nats per step",
                )
            )
    return made


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
        made.append(finding(
            f"value.agreement.{name}", question, result.agreement, *_beside_readouts(result.readouts),
            "value-policy agreement", found, about, "share of squares",
        ))  # fmt: skip
    return made


def _beside_readouts(readouts: Readouts | None) -> tuple[Estimate | None, str]:
    """The control of an agreement: what random read-outs give, with the range of 95% of them, and its name."""
    if readouts is None:
        return (
            None,
            "none: no one linear layer gives the value, so there are no other read-outs of what it reads",
        )
    n = len(readouts.shares)
    return (
        Estimate(float(readouts.shares.mean()), readouts.low, readouts.high, n),
        f"{n} random read-outs of what the value layer reads, 95% of them",
    )


def training_findings(snapshots: Sequence[Measured], control: Measured, about: About) -> list[Finding]:
    """The main quantities of each snapshot, beside the untrained network on the same levels.

    Args:
        snapshots: in the order of training.
        control: the untrained network.
        about: origin of the findings.
    """
    made = []
    for found in snapshots:
        for name, (question, values) in SNAPSHOT_QUANTITIES.items():
            low = -1.0 if name == "cheese_pull" else 0.0
            estimate, other = (
                bootstrap_mean(values(f), bounds=(low, 1.0), seed=about.seed) for f in (found, control)
            )
            made.append(
                finding(
                    f"training.{name}", question, estimate, other, "untrained", "exact chain", found, about
                )
            )
    return made
