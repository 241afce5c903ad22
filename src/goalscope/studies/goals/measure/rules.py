"""Which simple rule explains the moves: rules made from the candidates, judged on levels they were not fitted on.

The rules: the shortest way to a candidate (in actions, from the chain of states), one action always, keeping the wall at
the right hand, and mixtures that play one of two ways throughout a level. Beside them stand uniform moves and a lookup of
the walls around, which know no goal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goalscope.methods.behaviour.algorithms import AlgorithmComparison, AlgorithmModel, compare_algorithms
from goalscope.rollout import States, drawn_walks, steps_to
from goalscope.studies.any_world import open_squares
from goalscope.studies.goals.measure.solving import Exact
from goalscope.studies.goals.setup import Candidate
from goalscope.worlds.contract import take

LEAST_LEVELS = 12
"""levels that the comparison needs, half of them held out"""
WALK_STEPS = 60
"""of each walk that the rules are judged on, which ends where it comes to a state for the second time: what a policy does
when it is lost, or has arrived, would drown the rest"""
ALIKE = 0.01
"""nats a step: rules that are no further apart explain as much"""
TURNS = 3
"""actions on one square before a step to a neighbour, such as turning round"""
WAYS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""up, right, down, left: clockwise"""
ITSELF = "the policy itself"


@dataclass(frozen=True)
class Explained:
    """The rules, and what the best of them leaves."""

    rules: AlgorithmComparison
    """every rule on held-out levels"""
    left: AlgorithmModel
    """the best rule held against the policy's own probabilities: `behind` is what it leaves unexplained, nats a step"""
    whole: float
    """nats a step by which the policy's own probabilities are ahead of uniform moves: what there is to explain"""


def explained(solution: Exact, candidates: Sequence[Candidate], seed: int) -> Explained | str:
    """The rules held against the policy's walks in the levels of a case, or why they are not."""
    case, states = solution.case, solution.case.states
    if states is None or len(states.start) < LEAST_LEVELS:
        count = 0 if states is None else len(states.start)
        return f"{count} different levels, and {LEAST_LEVELS} are needed"
    walks = drawn_walks(solution.moves, states.next, states.over, states.start, WALK_STEPS, seed)
    time, level = np.nonzero(walks.going & _new(walks.node))
    node, action = walks.node[time, level], walks.move[time, level]
    agent = case.world.agent(states.state) if hasattr(case.world, "agent") else None
    scores = {name: table[node] for name, table in to_scores(states, case.flags, candidates).items()}
    pattern = None
    if agent is not None:
        scores["right hand"] = hand_scores(states, agent)[node, _headings(agent[walks.node])[time, level]]
        pattern = _around(case.world, case.start, states, agent)[node]
    actions = [str(getattr(a, "name", a)).lower() for a in case.world.actions]
    always = np.eye(states.next.shape[1])
    scores |= {f"always {actions[a]}": np.tile(always[a], (len(node), 1)) for a in range(len(always))}
    train = (np.random.default_rng(seed).permutation(len(states.start)) % 2 == 0)[level]
    ways = [name for name in scores if name.startswith("to ")]
    things = [f"to {c.name}" for c in candidates if c.kind in ("thing", "own")]
    mixtures = [(one, other) for i, one in enumerate(ways) for other in ways[i + 1 :] if one in things]
    rules = compare_algorithms(
        scores, action, level, train=train, pattern=pattern, mixtures=mixtures, seed=seed
    )
    # Of the rules that explain as much, the simplest: a mixture holds its members, and is ahead of them by a hair.
    ruled = [model for model in rules.models if model.members]
    least = ruled[0].log_likelihood.estimate - ALIKE
    best = min((m for m in ruled if m.log_likelihood.estimate >= least), key=lambda model: len(model.members))
    own = {**{name: scores[name] for name in best.members}, ITSELF: np.log(solution.moves[node].clip(1e-12))}
    mixed = [best.members] if len(best.members) > 1 else []
    beside = compare_algorithms(own, action, level, train=train, mixtures=mixed, seed=seed)
    ahead = beside[ITSELF].log_likelihood.estimate - beside["uniform"].log_likelihood.estimate
    return Explained(rules, beside[best.name], ahead)


def _new(node: np.ndarray) -> np.ndarray:
    """[T, N] bool of states [T, N]: none so far, this one included, was come to twice."""
    seen = np.stack([(node[:t] == node[t]).any(0) for t in range(len(node))])
    return ~np.maximum.accumulate(seen)


def to_scores(states: States, flags: Any, candidates: Sequence[Candidate]) -> dict[str, np.ndarray]:
    """'to NAME' -> [K, A]: 1 for an action that leads nearer to the candidate, else 0; no opinion where none does.

    The end of the level stands among them where no candidate is its end.
    """
    scores = {}
    for candidate in candidates:
        if candidate.kind != "start":
            steps = steps_to(states.next, flags[candidate.key])
            scores[f"to {candidate.name}"] = (steps[states.next] < steps[:, None]).astype(float)
    steps = steps_to(states.next, states.over)
    end = (steps[states.next] < steps[:, None]).astype(float)
    if states.over.any() and not any(np.array_equal(end, table) for table in scores.values()):
        scores["to the end of the level"] = end
    return scores


def hand_scores(states: States, agent: np.ndarray) -> np.ndarray:
    """[K, 4, A]: what the right-hand rule prefers in each state of one who came by going up, right, down or left.

    1 for the actions that lead soonest to the first neighbour square that can be entered, of right, ahead, left and back.

    Args:
        states: of the chain. agent: [K, 2] the square in each.
    """
    step = agent[states.next] - agent[:, None]
    stays = (step == 0).all(2) & (states.next != np.arange(len(agent))[:, None])
    costs = np.empty((4, *states.next.shape))
    for k, way in enumerate(WAYS):
        goes, soonest = (step == way).all(2), np.full(len(agent), np.inf)
        for _ in range(TURNS + 1):
            costs[k] = np.where(goes, 1.0, np.where(stays, 1.0 + soonest[states.next], np.inf))
            soonest = costs[k].min(1)
    scores = np.zeros((len(agent), 4, states.next.shape[1]))
    for heading in range(4):
        undecided = np.ones(len(agent), bool)
        for turn in (1, 0, 3, 2):
            cost = costs[(heading + turn) % 4]
            takes = undecided & np.isfinite(cost.min(1))
            scores[takes, heading] = cost[takes] == cost[takes].min(1, keepdims=True)
            undecided &= ~takes
    return scores


def _headings(squares: np.ndarray) -> np.ndarray:
    """[T, N] of squares [T, N, 2]: the way of the last step before; up at first."""
    heading = np.zeros(squares.shape[:2], np.int64)
    for t in range(1, len(squares)):
        step = squares[t] - squares[t - 1]
        heading[t] = heading[t - 1]
        for k, way in enumerate(WAYS):
            heading[t][(step == way).all(1)] = k
    return heading


def _around(world: Any, start: Any, states: States, agent: np.ndarray) -> np.ndarray:
    """[K] int: which of the eight squares around the agent are open, as bits."""
    squares = np.pad(open_squares(world, take(start, slice(None))), ((0, 0), (1, 1), (1, 1)))
    row, column = agent.T
    around = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    return sum(squares[states.level, row + r, column + c].astype(int) << i for i, (r, c) in enumerate(around))  # type: ignore[return-value]
