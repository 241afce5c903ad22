"""One objective or two sub-policies: held-out likelihoods by condition, and the gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.methods.reading.probe import ProbeReport, probe
from goalscope.rollout import Fields
from goalscope.studies.about import finding
from goalscope.studies.maze import title, which_algorithm
from goalscope.studies.maze_internals.measure.goals import CONDITIONS
from goalscope.studies.maze_internals.setup import Setup
from goalscope.worlds.maze import MazeState

PAIR = "cheese + corner"
LEAST_GATES = 40
"""decision squares that the gate's probe needs"""


def comparisons(setup: Setup, found: dict[str, np.ndarray]) -> dict[str, AlgorithmComparison]:
    """The comparison of hand-written algorithms in each condition."""
    held = setup.held
    squares = setup.world.squares(held)
    maze = MazeState(held.walls, held.mouse, held.cheese)
    every = np.ones(len(held), bool)
    return {
        name: which_algorithm(
            Fields(maze, squares, found[f"moves.{name}"], found[f"value.{name}"]), every, setup.about.seed
        )
        for name in CONDITIONS
    }


def gate(setup: Setup, found: dict[str, np.ndarray]) -> ProbeReport | str:
    """The probe for which goal is pursued, or why there is none."""
    label = (found["gate.cheese"] > 0.5).astype(int)
    rare = int(np.bincount(label, minlength=2).min())
    if rare < LEAST_GATES:
        return f"only {rare} of {len(label)} decision squares go the rarer way, the probe needs {LEAST_GATES}"
    rows = {k: torch.from_numpy(found[f"gate.{k}"]).float() for k in ("policy", "untrained", "observation")}
    return probe(
        rows["policy"], label, np.arange(len(label)), observation=rows["observation"],
        untrained=rows["untrained"], penalty=(1e-2, 1.0), folds=3, seed=setup.about.seed,
    )  # fmt: skip


def goal_findings(
    setup: Setup, compared: dict[str, AlgorithmComparison], gated: ProbeReport | str
) -> list[Finding]:
    """Held-out likelihoods by condition, and the gate."""
    return [*_likelihoods(setup, compared), *_gate_finding(setup, gated)]


def _likelihoods(setup: Setup, compared: dict[str, AlgorithmComparison]) -> Iterator[Finding]:
    for name, words in CONDITIONS.items():
        fit = compared[name]
        for model in ("cheese", "corner", "corner-then-cheese", PAIR):
            one = fit[model]
            behind = f"{one.behind.estimate:.4f} behind the best" if one.behind.estimate > 0 else "the best"
            yield finding(
                f"goals.{name}.{model.replace(' + ', '.').replace('-', '_')}",
                f"held-out log-likelihood per step of '{title(model)}', {words}", one.log_likelihood,
                fit["uniform"].log_likelihood, "uniform moves",
                f"rules with a fitted temperature; {behind}; verdict: {title(fit.verdict)}", setup.policy, setup.about,
                "nats per step", "behaviour" if name == "plain" else setup.layout.middle,
            )  # fmt: skip


def _gate_finding(setup: Setup, gated: ProbeReport | str) -> Iterator[Finding]:
    if isinstance(gated, str):
        return
    controls = {
        "the best constant": gated.constant, "the same probe on the observation": gated.observation,
        "the same probe on the untrained network": gated.untrained,
    }  # fmt: skip
    name, control = max(
        ((n, c) for n, c in controls.items() if c is not None), key=lambda nc: nc[1].scores.score.estimate
    )
    yield finding(
        "gate.accuracy", "at the decision square: read from the activations whether the cheese comes before the corner",
        gated.scores.score, control.scores.score, f"{name}, the strongest of three controls",
        "logistic probe, split by level",
        setup.policy, setup.about, "share of mazes", setup.layout.middle,
    )  # fmt: skip
