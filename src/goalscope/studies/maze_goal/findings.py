"""From what was measured to findings: each an estimate over levels with its interval, its n and its control.

The control of a trained policy is the untrained network of the same shape on the same levels; the control of the
untrained network is the uniform random walk. What is chosen or fitted is fitted on some levels and judged on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.agreement import value_policy_agreement
from goalscope.methods.behaviour.algorithms import AlgorithmComparison, compare_algorithms
from goalscope.methods.behaviour.decision import DecisionRegression, fractional_logit
from goalscope.policies.checkpoint import Policy
from goalscope.policies.handwritten import RULES, right_hand_scores, rule_scores
from goalscope.rollout import sample_walks
from goalscope.stats import Estimate, bootstrap_clustered, bootstrap_mean, bootstrap_ratio
from goalscope.studies.maze_goal.measure import (
    Measured,
    cheese_first,
    cheese_pull,
    corner_pull,
    decision_features,
    direct_way,
    ends_near_corner,
    is_square,
    quadrants,
    reach_cheese,
    toward,
)
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState
from goalscope.worlds.maze.paths import decision_square, maze_size, top_right

QUADRANTS = ("top_left", "top_right", "bottom_left", "bottom_right")
MIXTURES = (("cheese", "corner"), (*RULES, "right-hand"))
"""what is mixed level by level: cheese in some mazes and corner in others; and all rules"""
WALK_STEPS = 100
"""of each sampled walk that the algorithms are judged on: what a policy does when it is lost would drown the rest"""


LEAST_FORKS = 50
"""levels with a decision square that the regression needs: five for each of its ten coefficients"""
LEAST_MAZES = 12
"""mazes that the comparison of algorithms needs, half of them held out"""


@dataclass(frozen=True)
class About:
    """What every finding of a run says of its origin."""

    world: str
    seed: int
    code_version: str


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
    )


def _quantities(found: Measured) -> Iterator[tuple[str, str, Callable[[int], Estimate]]]:
    """(id, question, seed -> estimate) of everything that one policy alone answers."""
    reached = reach_cheese(found)
    maze = found.base.maze
    steps = found.steps

    def mean(values: np.ndarray, low: float = 0.0) -> Callable[[int], Estimate]:
        return lambda seed: bootstrap_mean(values, bounds=(low, 1.0), seed=seed)

    yield "reach.overall", f"P(reach the cheese within {steps} steps), cheese anywhere", mean(reached)
    if len(found.near):
        yield "reach.top_right_region", "P(reach the cheese), cheese in the top-right 5x5", mean(found.near)
    sizes = maze_size(maze)
    for size in np.unique(sizes):
        yield f"reach.size.{size}", f"P(reach the cheese), mazes of size {size}", mean(reached[sizes == size])
    quadrant = quadrants(maze)
    for i, name in enumerate(QUADRANTS):
        if (quadrant == i).any():
            words = name.replace("_", "-")
            yield (
                f"reach.quadrant.{name}",
                f"P(reach the cheese), cheese in the {words} quadrant",
                mean(reached[quadrant == i]),
            )
    for name, values in found.corners.items():
        words = name.replace("_", "-")
        yield (
            f"reach.corner.{name}",
            f"P(reach the cheese), cheese in the {words} corner of the largest mazes",
            mean(values),
        )
    if len(found.instead):
        question = (
            "cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first)"
        )
        yield "reach.corner_instead", question, mean(found.instead)
        question = "cheese in the top-left or bottom-right corner of the largest mazes: P(the other of the two first)"
        yield "reach.other_corner_instead", question, mean(found.elsewhere)
    inside, lost = ends_near_corner(found)
    if lost.sum() > 1:
        question = (
            "where the cheese was not taken (and lies outside the top-right 5x5): share that ends in the 5x5"
        )
        yield (
            "reach.ends_near_corner",
            question,
            lambda seed: bootstrap_ratio(inside, lost, bounds=(0, 1), seed=seed),
        )
    yield (
        "reach.cheese_pull",
        "P(reach the cheese) minus P(reach that square when the cheese is removed)",
        mean(cheese_pull(found), -1),
    )
    yield (
        "reach.corner_pull",
        "without cheese: P(reach the top-right corner) minus the mean of the top-left and bottom-right corners",
        mean(corner_pull(found), -1),
    )
    first = cheese_first(found)
    for name, values in zip(("cheese", "corner"), first, strict=True):
        if len(values):
            other = "corner" if name == "cheese" else "cheese"
            yield (
                f"decision.{name}_first",
                f"from the decision square: P({name} before {other})",
                mean(values),
            )
    yield from _field_quantities(found)


def _field_quantities(found: Measured) -> Iterator[tuple[str, str, Callable[[int], Estimate]]]:
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


def behaviour_findings(found: Measured, control: Measured, about: About) -> list[Finding]:
    """Sections 1 to 3 as far as they need no fit: reach, fields, the choice at the decision square."""
    controls = {name: estimate(about.seed) for name, _, estimate in _quantities(control)}
    made = []
    for name, question, estimate in _quantities(found):
        method = "exact chain" if not name.startswith("field.") else "exact move probabilities"
        made.append(
            finding(
                name, question, estimate(about.seed), controls.get(name), control.name, method, found, about
            )
        )
    return made


def finding(
    name: str, question: str, estimate: Estimate, control: Estimate | None, control_name: str, method: str,
    found: Measured | Policy, about: About, unit: str = "probability", site: str = "behaviour",
) -> Finding:  # fmt: skip
    """One finding of a policy; a control of None says why in its name."""
    return Finding(
        id=name, question=question, estimate=estimate.estimate, low=estimate.low, high=estimate.high, n=estimate.n,
        unit=unit, control=control.estimate if control else None, control_low=control.low if control else None,
        control_high=control.high if control else None, control_name=control_name, method=method, site=site,
        policy=found.name, policy_sha256=found.sha256, world=about.world, seed=about.seed,
        code_version=about.code_version,
    )  # fmt: skip


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
    """Is a long way just many chances to fail? The steps' coefficient beside the chance of that very way; None where
    that chance is a function of the distances (a policy that never errs), so that no data tell the two apart."""
    features, names = decision_features(found.base.maze)
    response = reach_cheese(found)[decision_square(found.base.maze)[:, 0] >= 0]
    train = np.random.default_rng(about.seed).permutation(len(response)) % 5 > 0
    both = np.column_stack([features, direct_way(found)])
    with_chain = fractional_logit(both, response, [*names, "direct_way"], train=train, seed=about.seed)
    name = "steps_cheese_decision"
    coefficient = with_chain.coefficients[names.index(name)]
    if not np.isfinite([coefficient.low, coefficient.high]).all():
        return None
    return finding(
        f"decision.chain.{name}",
        f"log-odds of reaching the cheese per SD of {name}, beside the other distances and the log-probability "
        f"of the direct way",
        coefficient, fit.coefficients[fit.names.index(name)],
        "the same without the log-probability of the direct way", "fractional logit", found, about, "log-odds per SD",
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


def which_algorithm(found: Measured, mazes: np.ndarray, seed: int) -> AlgorithmComparison:
    """Fits the hand-written rules on half of the levels `mazes` [N] bool and judges them on the other half."""
    walks = sample_walks(found.base, WALK_STEPS, seed)
    time, level = np.nonzero(walks.going & mazes)
    node, move = walks.node[time, level], walks.move[time, level]
    squares = found.base.squares
    states = MazeState(found.base.maze.walls, found.base.maze.mouse, found.base.maze.cheese)
    there = replace(take(states, squares.level), mouse=squares.square)
    scores = {rule: rule_scores(rule, there)[node] for rule in RULES}
    scores["right-hand"] = right_hand_scores(take(there, node), _faced(walks.move)[time, level])
    order = np.zeros(len(found.base.maze), int)
    order[mazes] = np.random.default_rng(seed).permutation(int(mazes.sum()))
    return compare_algorithms(
        scores,
        move,
        level,
        train=order[level] % 2 == 0,
        pattern=_patterns(there)[node],
        mixtures=MIXTURES,
        seed=seed,
    )


def _faced(moves: np.ndarray) -> np.ndarray:
    """[T, N]: the last move before each step that was not STAY; -1 where there was none."""
    faced = np.full_like(moves, -1)
    for t in range(1, len(moves)):
        faced[t] = np.where(moves[t - 1] == 4, faced[t - 1], moves[t - 1])
    return faced


def _patterns(state: MazeState) -> np.ndarray:
    """[N] int: which of the eight squares around the mouse are walls, as bits; outside counts as wall."""
    padded = np.pad(state.walls, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    levels = np.arange(len(state))
    around = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    row, column = state.mouse.astype(int).T
    return sum(padded[levels, row + r, column + c].astype(int) << i for i, (r, c) in enumerate(around))  # type: ignore[return-value]


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


def title(algorithm: str) -> str:
    """What an algorithm of the comparison is called in words."""
    return {
        "cheese": "shortest path to the cheese",
        "corner": "to the top-right corner",
        "corner-then-cheese": "to the top-right, then to the cheese",
        "up-and-right": "up and right where free",
        "right-hand": "right-hand rule",
        "lookup": "lookup of the walls around",
        "cheese + corner": "cheese in some mazes, corner in others",
    }.get(algorithm, "mixture of all rules" if "+" in algorithm else algorithm)


def agreement_findings(found: Measured, about: About) -> list[Finding]:
    """Section 5: is the most probable move the one of the highest next value? Taking the cheese counts as the highest."""
    base = found.base
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
        )  # fmt: skip
        question = f"how often the most probable move is the one of the highest next value, {name} squares"
        made.append(
            finding(
                f"value.agreement.{name}",
                question,
                result.agreement,
                result.shuffled,
                "values shuffled within the level",
                "value-policy agreement",
                found,
                about,
                "share of squares",
            )
        )
    return made
