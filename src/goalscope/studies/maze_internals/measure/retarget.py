"""Retargeting: edit activations so that the mouse goes to a square of our choice, with the cheese left in the top right.

Two edits. *Moving the goal*: what the cheese adds to the map around its cell (a stencil, averaged over discovery mazes) is
taken away at the cheese and written at the target. *One channel*: a single activation, at the target's cell, is
raised. Both are chosen on discovery mazes and judged on others, all of the largest size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import capture, editing, sites
from goalscope.methods.behaviour.reach import reach_probability
from goalscope.methods.intervening.retarget import Cases, confirm, search
from goalscope.methods.intervening.side_effects import collateral
from goalscope.methods.intervening.stencil import Stencil, place, stencil
from goalscope.policies import PolicyOutput
from goalscope.progress import counted
from goalscope.rollout import Fields, fields
from goalscope.studies.maze import toward
from goalscope.studies.maze_internals.setup import Setup, cells, cheese_vector, run
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Move, place_cheese
from goalscope.worlds.maze.paths import corner, distances, top_right

RADII = (1, 2, 3)
DOSES = (1.0, 2.0, 3.0, 4.0)
FLOOR_DRAWS = 2
CORNERS = {"top_left": (True, False), "bottom_right": (False, True)}
BUDGETS = (1e-4, 1e-3, 1e-2, 1e-1)
"""shares of all activations of a forward"""
BUDGET_DOSES = (2.0, 3.0, 5.0, 8.0)
FORWARD = 1024
"""rows in one forward"""
HELD = 1 << 27
"""bytes of one maze's inputs, repeated for every target, that stand in memory at a time. Of Procgen's pictures a target is
12 MB (254 rows) and, with the copies and the activations of the IMPALA network, 110 MB, of which a maze has 125 targets;
of symbolic planes all targets together are 20 MB at most"""
SEARCHED, SEARCHED_TARGETS = 4, 2
"""discovery mazes, and targets in each, of the search that tries every channel"""


@dataclass(frozen=True)
class MoveGoal:
    """The stencil taken away at one cell and written at the target's, `dose` times."""

    pattern: Stencil
    dose: float
    source: tuple[int, int]
    """the cheese's cell, the same in all mazes of the largest size with the cheese in the top right"""

    def change(self, targets: Tensor, height: int, width: int) -> Tensor:
        """[N, C, height, width]: what is added to the activations; targets are cells [N, 2]."""
        source = torch.tensor([self.source])
        return self.dose * (
            place(self.pattern, targets, height, width) - place(self.pattern, source, height, width)
        )

    def at(self, where: Tensor):
        """The edit on inputs whose targets are at `where` [N, h, w]."""
        flat = where.flatten(1).int().argmax(1)
        targets = torch.stack([flat // where.shape[2], flat % where.shape[2]], 1)
        return lambda x: x + self.change(targets, *where.shape[1:])

    def random_direction(self, where: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Noise on the same cells."""
        change = self.at(where)(torch.zeros(shape))
        return torch.randn(shape, generator=generator) * (change != 0)


def retarget(setup: Setup) -> dict[str, np.ndarray]:
    """Chooses and confirms the edits; all arrays by case, a case being a maze and a target.

    Returns:
        `move.{success,bare,floor,ceiling,level,steps}` [G] of the moved goal on random targets in the held-out mazes,
        `map.{success,bare,floor,ceiling,level,row,column}` on every free square of some of them,
        `move.fraction`, `move.dose`, `move.radius`; `grid` [R, D] mean success on discovery mazes;
        `corner.NAME.{success,bare,floor,ceiling,level}` likewise of the far corners; `channel.{success,bare,floor,level}`,
        `channel.channel`, `channel.value`; `budget.{fraction,dose,count}` [B] share of a forward's activations that is
        edited, dose, and values of the pattern, which has `budget.most`; `budget.site` the site's share of a forward's
        activations; `budget.{success,floor}` [B, G], `budget.level`;
        `collateral.{kl,flipped,noise_kl,noise_flipped}` [3] estimate, low, high and `collateral.n`.
    """
    seed = setup.about.seed
    rng = np.random.default_rng(seed)
    moved = move_goal(setup, rng)
    edit, mazes, drawn = moved.edit, moved.mazes, moved.cases
    found = dict(moved.found)
    shown = mazes[: setup.sizes.mapped]
    every = [_targets(setup, maze, rng, True) for maze in shown]
    cases = (
        c for i, (maze, t) in enumerate(zip(shown, every, strict=True)) for c in _groups(setup, maze, t, i)
    )
    found |= _confirmed(setup, edit, "map", shown, every, cases)[0]
    squares = np.concatenate(every)
    found |= {"map.row": squares[:, 0], "map.column": squares[:, 1]}
    found |= _corners(setup, edit, mazes) | _one_channel(setup, _cheese_in_corner(setup.largest), drawn, rng)
    return (
        found
        | _budgets(setup, edit, moved.trial, drawn)
        | _side_effects(setup, edit, _cheese_in_corner(setup.largest_held), rng)
    )


@dataclass(frozen=True)
class Moved:
    """The moved goal, chosen on discovery mazes and judged on others."""

    edit: MoveGoal
    found: dict[str, np.ndarray]
    """`move.*` and `grid` as `retarget` says"""
    trial: Trial
    """what it was chosen on"""
    mazes: list[Any]
    """the held-out mazes"""
    cases: list[Cases]
    """one of each"""


def move_goal(setup: Setup, rng: np.random.Generator) -> Moved:
    """Chooses radius and dose of the moved goal on discovery mazes, and judges it on random targets in held-out ones."""
    found_on, held = _cheese_in_corner(setup.largest), _cheese_in_corner(setup.largest_held)
    trial = _trial(setup, found_on, rng)
    edit, grid = _choose(setup, trial)
    mazes = [take(held, i) for i in range(len(held))]
    few = [_targets(setup, maze, rng, False) for maze in mazes]
    drawn = [_cases(setup, maze, t, i) for i, (maze, t) in enumerate(zip(mazes, few, strict=True))]
    found, fraction = _confirmed(setup, edit, "move", mazes, few, drawn)
    found |= {"move.dose": np.array(edit.dose), "move.radius": np.array(edit.pattern.radius), "grid": grid}
    found["move.fraction"] = np.array(fraction)
    found["move.steps"] = np.concatenate([_steps_to(maze, t) for maze, t in zip(mazes, few, strict=True)])
    return Moved(edit, found, trial, mazes, drawn)


def _confirmed(
    setup: Setup, edit: MoveGoal, name: str, mazes: list[Any], targets: list[np.ndarray], cases: Iterable[Cases]
) -> tuple[dict[str, np.ndarray], float]:  # fmt: skip
    """The edit on held-out cases, beside the cheese put on each target; and the share of the site that it changes."""
    ceiling = np.concatenate([_ceiling(setup, maze, t) for maze, t in zip(mazes, targets, strict=True)])
    judged = confirm(
        edit, setup.module, setup.layout.middle, cases, ceiling=ceiling, floor_draws=FLOOR_DRAWS,
        seed=setup.about.seed, batch=FORWARD,
    )  # fmt: skip
    return {f"{name}.{key}": values for key, values in judged.cases.items()}, judged.fraction


def _corners(setup: Setup, edit: MoveGoal, mazes: list[Any]) -> dict[str, np.ndarray]:
    """The moved goal with the two far corners as targets."""
    found: dict[str, np.ndarray] = {}
    for name, sides in CORNERS.items():
        targets = [corner(maze, *sides) for maze in mazes]
        cases = (_cases(setup, maze, t, i) for i, (maze, t) in enumerate(zip(mazes, targets, strict=True)))
        found |= _confirmed(setup, edit, f"corner.{name}", mazes, targets, cases)[0]
    return found


def _cheese_in_corner(state: Any) -> Any:
    return place_cheese(state, top_right(state))


def _targets(setup: Setup, state: Any, rng: np.random.Generator, every: bool) -> np.ndarray:
    """[T, 2] free squares of one maze, all or some by chance: not the mouse's, and not those in the cheese's cell.

    A cell lies over several squares: to one in the cheese's own cell the goal cannot be moved.
    """
    squares = np.unique(setup.world.squares(state).square, axis=0)
    side = activations_at(setup, setup.module.encode(setup.world.observe(state))).shape[-1]  # type: ignore[operator]
    elsewhere = (cells(setup, squares, side) != cells(setup, state.cheese, side)).any(1)
    free = squares[(squares != state.mouse).any(1) & elsewhere]
    return free if every else free[rng.permutation(len(free))[: setup.sizes.targets]]


@dataclass(frozen=True)
class Trial:
    """Discovery mazes, each repeated once for every target."""

    state: Any
    targets: np.ndarray
    """[G, 2]"""


def _trial(setup: Setup, state: Any, rng: np.random.Generator) -> Trial:
    targets = [_targets(setup, take(state, i), rng, False) for i in range(len(state))]
    return Trial(
        take(state, np.repeat(np.arange(len(state)), list(map(len, targets)))), np.concatenate(targets)
    )


def _score(setup: Setup, edit: MoveGoal, trial: Trial, side: int) -> float:
    """Mean P(reach the target) over the discovery cases."""
    change = edit.change(torch.from_numpy(cells(setup, trial.targets, side)), side, side)
    moved = run(setup, trial.state, setup.layout.middle, lambda x, level: x + change[level])
    goal = (moved.squares.square == trial.targets[moved.squares.level]).all(1)
    return float(moved.reach_from_start(setup.steps, goal).mean())


def _choose(setup: Setup, trial: Trial) -> tuple[MoveGoal, np.ndarray]:
    """The radius and dose with the highest mean success on the discovery cases."""
    vector = cheese_vector(setup, setup.discovery, setup.layout.middle)
    side = vector.shape[-1]
    at = torch.from_numpy(cells(setup, setup.discovery.cheese, side))
    row, column = cells(setup, top_right(trial.state)[:1], side)[0]
    grid, edits = np.zeros((len(RADII), len(DOSES))), {}
    patterns = [stencil(vector, at, radius) for radius in RADII]
    tried = [(i, j) for i in range(len(RADII)) for j in range(len(DOSES))]
    for i, j in counted(tried, "radius and dose of the edit", "edits"):
        edits[i, j] = MoveGoal(patterns[i], DOSES[j], (int(row), int(column)))
        grid[i, j] = _score(setup, edits[i, j], trial, side)
    best = np.unravel_index(grid.argmax(), grid.shape)
    return edits[int(best[0]), int(best[1])], grid


def _groups(setup: Setup, state: Any, targets: np.ndarray, level: int) -> Iterator[Cases]:
    """`_cases` of one maze with as many of the T targets at a time as `HELD` allows, in their order."""
    x = _inputs(setup, state)
    most = max(1, HELD // (x.numel() * x.element_size()))
    for first in range(0, len(targets), most):
        yield _cases(setup, state, targets[first : first + most], level, x)


def _inputs(setup: Setup, state: Any) -> Tensor:
    """What the network is given on each square of one maze."""
    world = setup.world
    return setup.module.encode(world.observe(world.at_squares(state, world.squares(state), slice(None))))  # type: ignore[operator]


def _cases(setup: Setup, state: Any, targets: np.ndarray, level: int, x: Tensor | None = None) -> Cases:
    """One maze [1] with T targets: every square of it is an input (`x`, where known), once for each target."""
    world, squares = setup.world, setup.world.squares(state)
    x = _inputs(setup, state) if x is None else x
    count, side = len(squares), activations_at(setup, x[:1]).shape[-1]
    where = torch.zeros(len(targets), count, side, side, dtype=torch.bool)
    for i, (row, column) in enumerate(cells(setup, targets, side)):
        where[i, :, row, column] = True
    table = move_table(world)
    shift = np.arange(len(targets))[:, None, None] * count
    following = (squares.next[None] + shift).reshape(-1, squares.next.shape[1])
    goal = (squares.square[None] == targets[:, None]).all(2).ravel()
    start = squares.start[0] + np.arange(len(targets)) * count

    def objective(out: Any) -> np.ndarray:
        moves = out.logits.double().softmax(1).cpu().numpy() @ table
        return reach_probability(moves, following, goal, world.time_limit)[start]

    inputs = x.repeat(len(targets), 1, 1, 1)
    return Cases(inputs, where.flatten(0, 1), objective, np.full(len(targets), level))


def move_table(world: Any) -> np.ndarray:
    """[A, 5]: the Move that each action of the world makes."""
    return np.eye(len(Move))[np.asarray(world.moves)]


def toward_square(setup: Setup, state: Any, target: np.ndarray) -> np.ndarray:
    """[K, 5] float: the moves that bring the mouse nearer to a square, in one maze."""
    squares = setup.world.squares(state)
    nothing = Fields(state, squares, np.empty(0), np.empty(0))
    return toward(nothing, np.asarray(target)[None]).astype(float)


def _ceiling(setup: Setup, state: Any, targets: np.ndarray) -> np.ndarray:
    """[T] P(reach the target) with the cheese put there."""
    many = place_cheese(take(state, np.zeros(len(targets), int)), targets)
    return fields(setup.module, setup.world, many).reach_from_start(setup.steps)


def _steps_to(state: Any, targets: np.ndarray) -> np.ndarray:
    there = distances(state.walls, state.mouse)[0]
    return there[targets[:, 0], targets[:, 1]]


def _joined(cases: list[Cases]) -> Cases:
    """Several mazes at once."""
    ends = np.cumsum([len(c.where) for c in cases])
    spans = [slice(end - len(c.where), end) for end, c in zip(ends, cases, strict=True)]

    def objective(out: Any) -> np.ndarray:
        parts = [PolicyOutput(out.logits[s], out.value[s]) for s in spans]
        return np.concatenate([c.objective(part) for c, part in zip(cases, parts, strict=True)])

    inputs, where = torch.cat([c.inputs for c in cases]), torch.cat([c.where for c in cases])  # type: ignore[misc]
    return Cases(inputs, where, objective, np.concatenate([c.level for c in cases]))


def _one_channel(
    setup: Setup, found_on: Any, drawn: list[Cases], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The single channel and value, clamped from below at the target's cell, that draws the mouse there best."""
    site, few = setup.layout.middle, [take(found_on, i) for i in range(min(SEARCHED, len(found_on)))]
    # Every channel and value is run: a gradient would say little about the outcome of two hundred steps.
    tried = _joined(
        [
            _cases(setup, maze, _targets(setup, maze, rng, False)[:SEARCHED_TARGETS], i)
            for i, maze in enumerate(few)
        ]
    )
    chosen = search(setup.module, site, tried, kind="at_least", most=1, worthwhile=-1.0, batch=FORWARD)
    judged = confirm(
        chosen.edit, setup.module, site, drawn, floor_draws=FLOOR_DRAWS, seed=setup.about.seed, batch=FORWARD
    )
    found = {f"channel.{name}": values for name, values in judged.cases.items()}
    return found | {
        "channel.channel": np.array(chosen.edit.channels[0]), "channel.value": np.array(chosen.edit.values[0]),
    }  # fmt: skip


def _budgets(setup: Setup, best: MoveGoal, trial: Trial, drawn: list[Cases]) -> dict[str, np.ndarray]:
    """For each budget: the strongest values of the stencil that it pays for, at the dose that is best on discovery."""
    site, case = setup.layout.middle, drawn[0]
    side = case.where.shape[-1]
    with torch.no_grad():
        shapes = sites(setup.module, case.inputs[:1])
    total = sum(math.prod(shape[1:]) for shape in shapes.values())
    columns: dict[str, list[np.ndarray]] = {"success": [], "floor": []}
    fractions, doses, counts, most = [], [], [], best.pattern.values.numel()
    for budget in BUDGETS:
        # As many values at the target as at the cheese.
        count = min(max(1, int(budget * total) // 2), most)
        edits = [MoveGoal(best.pattern.strongest(count), dose, best.source) for dose in BUDGET_DOSES]
        edit = max(edits, key=lambda e: _score(setup, e, trial, side))
        judged = confirm(
            edit, setup.module, site, drawn, floor_draws=FLOOR_DRAWS, seed=setup.about.seed, batch=FORWARD
        )
        for name, rows in columns.items():
            rows.append(judged.cases[name])
        fractions.append(judged.fraction * math.prod(case_shape(setup, case)) / total)
        doses.append(edit.dose)
        counts.append(count)
    found = {f"budget.{name}": np.stack(rows) for name, rows in columns.items()}
    level = np.concatenate([c.level for c in drawn])
    return {
        **found,
        "budget.fraction": np.array(fractions),
        "budget.level": level,
        "budget.dose": np.array(doses),
        "budget.count": np.array(counts),
        "budget.most": np.array(most),
        "budget.site": np.array(math.prod(case_shape(setup, case)) / total),
    }


def case_shape(setup: Setup, case: Cases) -> tuple[int, ...]:
    """(C, h, w) at the middle site."""
    return tuple(activations_at(setup, case.inputs[:1]).shape[1:])  # type: ignore[index]


def _side_effects(setup: Setup, edit: MoveGoal, held: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """How much moving the goal changes the policy where the ways to target and cheese begin alike."""
    clean, edited, noisy, same_way, level = [], [], [], [], []
    generator = torch.Generator().manual_seed(setup.about.seed)
    for i in counted(range(len(held)), "side effects of the edit", "mazes"):
        state = take(held, i)
        for target in _targets(setup, state, rng, False)[:2]:
            case = _cases(setup, state, target[None], i)
            plain = activations_at(setup, case.inputs)
            change = edit.at(case.where)(torch.zeros_like(plain))
            noise = edit.random_direction(case.where, plain.shape, generator)
            noise *= change.flatten(1).norm(dim=1)[0] / noise.flatten(1).norm(dim=1)[:, None, None, None]
            for rows, shift in ((clean, None), (edited, change), (noisy, noise)):
                rows.append(_logits(setup, case.inputs, shift))
            same = toward_square(setup, state, target) * toward_square(setup, state, state.cheese[0])
            same_way.append(same.any(1))
            level.append(np.full(len(same), i))
    found: dict[str, np.ndarray] = {}
    for name, rows in (("", edited), ("noise_", noisy)):
        cost = collateral(
            torch.cat(clean), torch.cat(rows), level=np.concatenate(level), counted=np.concatenate(same_way),
            seed=setup.about.seed,
        )  # fmt: skip
        for kind in ("kl", "flipped"):
            e = getattr(cost, kind)
            found[f"collateral.{name}{kind}"] = np.array([e.estimate, e.low, e.high])
        found["collateral.n"] = np.array(cost.kl.n)
    return found


def activations_at(setup: Setup, x: Any) -> Tensor:
    """The middle site's activations on encoded inputs."""
    with torch.no_grad():
        return capture(setup.module, x, [setup.layout.middle])[setup.layout.middle]


def _logits(setup: Setup, x: Any, shift: Tensor | None) -> Tensor:
    edits = (
        nullcontext() if shift is None else editing(setup.module, {setup.layout.middle: lambda a: a + shift})
    )
    with torch.no_grad(), edits:
        return setup.module(x).logits
