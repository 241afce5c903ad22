"""A run folder as a study leaves it, made of a small random maze and plausible numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goalscope.plots.boards.maze import Board, difference, panel_grid
from goalscope.plots.charts import Line, curves, forest
from goalscope.plots.figure import Figure, write_figures

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
MOVES = ((0, -1), (1, 0), (-1, 0), (0, 1), (0, 0))


def spanning_tree(size: int, seed: int) -> np.ndarray:
    """[size, size] walls of a random spanning tree on the even squares."""
    rng = np.random.default_rng(seed)
    walls = np.ones((size, size), bool)
    walls[size - 1, 0] = False
    grown = [(size - 1, 0)]
    while grown:
        row, column = grown[int(rng.integers(max(0, len(grown) - 3), len(grown)))]
        ways = [(row + 2 * a, column + 2 * b, row + a, column + b) for a, b in MOVES[:4]]
        ways = [w for w in ways if 0 <= w[0] < size and 0 <= w[1] < size and walls[w[0], w[1]]]
        if not ways:
            grown.remove((row, column))
            continue
        to_row, to_column, by_row, by_column = ways[int(rng.integers(len(ways)))]
        walls[to_row, to_column] = walls[by_row, by_column] = False
        grown.append((to_row, to_column))
    return walls


def steps_to(walls: np.ndarray, goal: tuple[int, int]) -> np.ndarray:
    """[W, W] steps from each free square to `goal`; a large number where there is no way."""
    steps = np.full(walls.shape, 10_000)
    steps[goal] = 0
    queue = [goal]
    for row, column in queue:
        for a, b in MOVES[:4]:
            near = (row + a, column + b)
            inside = 0 <= near[0] < len(walls) and 0 <= near[1] < len(walls)
            if inside and not walls[near] and steps[near] > steps[row, column] + 1:
                steps[near] = steps[row, column] + 1
                queue.append(near)
    return steps


def way(walls: np.ndarray, start: tuple[int, int], goal: tuple[int, int]) -> np.ndarray:
    """[L, 2] the squares from start to goal."""
    steps, path = steps_to(walls, goal), [start]
    while path[-1] != goal:
        row, column = path[-1]
        near = [(row + a, column + b) for a, b in MOVES[:4]]
        near = [s for s in near if 0 <= s[0] < len(walls) and 0 <= s[1] < len(walls) and not walls[s]]
        path.append(min(near, key=lambda square: steps[square]))
    return np.array(path)


def field_board(
    walls: np.ndarray, cheese: tuple[int, int] | None, pull: float, caption: str, seed: int
) -> Board:
    """The board of a policy drawn partly to the cheese, partly to the corner."""
    rng, size = np.random.default_rng(seed), len(walls)
    corner, start = (0, size - 1), (size - 1, 0)
    squares = np.argwhere(~walls)
    steps = (1 - pull) * steps_to(walls, corner) + (pull * steps_to(walls, cheese) if cheese else 0)
    logits = np.zeros((len(squares), 5))
    for i, (row, column) in enumerate(squares.tolist()):
        for j, (a, b) in enumerate(MOVES):
            to = (row + a, column + b)
            free = 0 <= to[0] < size and 0 <= to[1] < size and not walls[to]
            logits[i, j] = -1.7 * steps[to if free else (row, column)] - 0.8 * (not free)
    logits += rng.normal(scale=0.5, size=logits.shape)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    value = 10 * 0.96 ** steps[squares[:, 0], squares[:, 1]] * (1.0 if cheese else 0.6)
    paths = {"start to corner": way(walls, start, corner)}
    fork = None
    if cheese:
        paths = {"start to cheese": way(walls, start, cheese), **paths}
        both = list(zip(*(map(tuple, path.tolist()) for path in paths.values()), strict=False))
        fork = [a for a, b in both if a == b][-1]
    return Board(
        walls,
        start,
        cheese,
        squares=squares,
        probabilities=shares / shares.sum(axis=1, keepdims=True),
        value=value,
        paths=paths,
        decision_square=fork,
        caption=caption,
    )


def fake_figures(size: int = 13) -> list[tuple[str, str, Figure]]:
    """Figures of a study, as the drawing functions make them."""
    walls = spanning_tree(size, seed=11)
    free = [(row, column) for row, column in np.argwhere(~walls).tolist()]
    cheese = next(s for s in free if s[0] < 5 and s[1] > size - 6 and s != (0, size - 1))
    moved = next(s for s in free if s[0] > size // 2 and s[1] > size // 2)
    shown = field_board(walls, cheese, 0.6, "cheese as trained", 0)
    other = field_board(walls, moved, 0.35, "cheese moved down", 1)
    gone = field_board(walls, None, 0.0, "cheese removed", 2)
    gap = difference(shown, gone, caption="change when removed")
    sizes = np.arange(3, size + 1, 2)
    lines = []
    for name, fall in (("mouse-topright", 0.01), ("mouse-corner", 0.16), ("untrained network", 0.3)):
        reach = np.exp(-fall * (sizes - 3))
        lines.append(Line(name, sizes, reach, np.clip(reach - 0.03, 0, 1), np.clip(reach + 0.02, 0, 1)))
    hero = "Where mouse-topright goes: four versions of one maze"
    rows = ("steps cheese to decision square", "steps cheese to corner", "Euclidean cheese to corner")
    drawn = {
        "field": ("headline", hero, panel_grid([shown, other, gone, gap], columns=2, title=hero)),
        "reach_size": (
            "reach",
            "Reach by size",
            curves(
                lines,
                title="Reach falls with the size of the maze",
                x_label="maze size",
                y_label="P(reach the cheese within 200 steps)",
                percent=True,
            ),
        ),
        "reach_place": (
            "reach",
            "Reach by place",
            forest(
                ["top right", "top left", "bottom right", "bottom left"],
                [0.98, 0.41, 0.38, 0.2],
                [0.97, 0.36, 0.33, 0.15],
                [0.99, 0.46, 0.43, 0.26],
                [250, 240, 260, 250],
                control=[0.08, 0.07, 0.09, 0.2],
                control_low=[0.06, 0.05, 0.07, 0.16],
                control_high=[0.1, 0.09, 0.11, 0.25],
                control_name="untrained network",
                title="Reach by quadrant of the cheese",
                x_label="P(reach the cheese)",
                percent=True,
            ),
        ),
        "coefficients": (
            "decision",
            "Coefficients",
            forest(
                rows,
                [-0.62, -1.31, 0.1],
                [-0.9, -1.6, -0.2],
                [-0.3, -1.0, 0.4],
                [812] * 3,
                control=[0.02, 0.01, -0.04],
                control_low=[-0.2] * 3,
                control_high=[0.21] * 3,
                control_name="labels shuffled between levels",
                reference=0,
                title="What decides whether it takes the cheese",
                x_label="log-odds per standard deviation",
            ),
        ),
    }
    caption = "Arrows show where the policy expects to move; the ground is its value. Follow the orange line."
    return [
        (name, section, Figure(svg, title, caption, f"{title}. Numbers are in the table."))
        for name, (section, title, svg) in drawn.items()
    ]


def finding(name: str, estimate: float, half: float, **given: Any) -> dict[str, Any]:
    """One row of the findings file."""
    row = {
        "id": name,
        "question": f"What is {name.split('.', 1)[-1].replace('.', ' ').replace('_', ' ')}?",
        "estimate": estimate,
        "low": estimate - half,
        "high": estimate + half,
        "n": 1000,
        "unit": "probability",
        "control": 0.08,
        "control_low": 0.06,
        "control_high": 0.1,
        "control_name": "untrained network",
        "method": "exact reach probability",
        "site": "policy",
        "policy": "mouse-topright",
        "policy_sha256": SHA,
        "world": "maze size 13 cheese region 5",
        "seed": 0,
        "code_version": "0.1.0+abc1234",
    }
    return {**row, **given}


def fake_findings() -> list[dict[str, Any]]:
    """Findings of three policies over all sections."""
    rows = []
    for policy, level in (("mouse-topright", 0.97), ("mouse-corner", 0.4), ("untrained network", 0.08)):
        for size in (3, 5, 7, 9, 11, 13):
            reach = level ** (1 + size / 13)
            rows.append(finding(f"reach.size.{size}", reach, 0.015, policy=policy, n=160 + size))
    shuffled = {"control": 0.0, "control_low": -0.2, "control_high": 0.2, "control_name": "labels shuffled"}
    logit = {"unit": "log-odds per SD", "method": "fractional logit", "n": 812, **shuffled}
    rows.append(finding("decision.coef.steps_cheese_decision", -0.62, 0.3, **logit))
    rows.append(finding("decision.coef.euclidean_cheese_corner", 0.1, 0.3, **logit))
    rows.append(finding("algorithm.small.shortest_path", -0.31, 0.02, unit="nats per step", control=-1.609))
    rows.append(finding("value.agreement.decision_squares", 0.71, 0.04))
    rows.append(finding("headline.corner_pull", float("nan"), 0.1))
    return rows


def write_fake_run(folder: Path, *, size: int = 13, name: str = "mouse-topright") -> Path:
    """Writes a whole run folder and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = {
        "reach": (
            "Reach",
            "How often does it reach the cheese?",
            "In 97% of mazes like those of its training.",
        ),
        "field": (
            "Vector field",
            "Where does it go from every square?",
            "Up and right, with and without cheese.",
        ),
        "decision": (
            "Decision",
            "What decides whether it takes the cheese?",
            "The steps from cheese to corner.",
        ),
        "algorithm": (
            "Algorithm",
            "Which simple rule is it most like?",
            "To the top right, then to the cheese.",
        ),
        "value": ("Value", "Do its value and its moves agree?", "At 71% of the decision squares."),
        "headline": ("Headline", "What does it want?", "The region first, the cheese second."),
    }
    run = {
        "title": f"What does {name} want?",
        "headline": f"{name} reaches the cheese in 97% of mazes like those of its training (untrained: 8%), "
        "but only in 38% where the cheese lies at the bottom right. That it merely walks to the corner is "
        "ruled out: near the corner it turns off for the cheese in 71% of the levels. That it walks to the "
        "top right first and looks for the cheese there is not ruled out.",
        "sections": [
            {"key": key, "title": title, "question": question, "answer": answer}
            for key, (title, question, answer) in titles.items()
        ],
        "provenance": {
            "policy": {"name": name, "sha256": SHA},
            "world": {"name": "maze", "size": size, "cheese_region": 5, "time_limit": 200},
            "levels": 1000,
            "seeds": [0, 1, 2],
            "code_version": "0.1.0+abc1234",
            "started": "2024-05-01T09:30:00Z",
            "wall_seconds": 41.2,
        },
        "command": "goalscope study maze --policy mouse-topright --levels 1000 --seed 0",
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(fake_findings()), folder / "findings.parquet")
    write_figures(folder, fake_figures(size))
    return folder


@pytest.fixture(scope="session")
def written_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes each kind of run once; drawing it takes longer than copying it."""
    return lru_cache(lambda **options: write_fake_run(tmp_path_factory.mktemp("written"), **options))


@pytest.fixture
def make_run(tmp_path: Path, written_runs: Callable[..., Path]) -> Callable[..., Path]:
    """Lays a run folder under the test's own folder."""
    return lambda **options: Path(shutil.copytree(written_runs(**options), tmp_path / "run"))
