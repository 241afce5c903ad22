"""Which rule describes it, in small and in large mazes (section 4)."""

from __future__ import annotations

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.methods.behaviour.algorithms import AlgorithmComparison
from goalscope.studies.about import About, finding
from goalscope.studies.maze import title, which_algorithm
from goalscope.studies.maze_goal.measure.fields import Measured
from goalscope.worlds.maze import MazeState
from goalscope.worlds.maze.paths import maze_size

LEAST_MAZES = 12
"""mazes that the comparison of algorithms needs, half of them held out"""


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
