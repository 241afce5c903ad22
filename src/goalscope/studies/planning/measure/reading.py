"""What of the way to come can be read, moment by moment: linear probes of each square, beside all that could tell as much.

There are two codes in which a square may hold its part of a plan: the right move there (`MOVE`: a logistic probe), or how
many steps are left from there (`STEPS`: a ridge probe; the move is then the one to the neighbour with fewest left). Either
way what is judged is the same: on how many squares of the way to come, the mouse's own and the cheese's left out, the right
move is read. Only moves that lead to free squares are ever said. Moves are fitted to the ways of some levels (so is what
windows tell), steps to squares all over their mazes, since neighbours lie off the way; the ways of other levels judge. Which
code is carried on is chosen on fitting levels.

The right move is the maze's, not the policy's: what a policy that goes wrong will do can be read from it as well, and shows
nothing but that it does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from goalscope.activations import capture
from goalscope.methods.reading.probe import fit_probe
from goalscope.progress import counted
from goalscope.rollout import fields
from goalscope.rollout.forward import encoded, evaluating
from goalscope.studies.planning.measure.ways import MOVES, after, on_way, open_moves, right_moves
from goalscope.studies.planning.measure.windows import said_by, sides_for, table_of, window_keys
from goalscope.studies.planning.setup import Setup
from goalscope.worlds.contract import take
from goalscope.worlds.maze import MazeState

MOVE, STEPS = "move", "steps"
CODES = (MOVE, STEPS)
PENALTY = 1e-3
SAMPLED = 40
"""squares of a maze that a probe of steps is fitted to"""
AT_ONCE = 8
"""moments whose activations are held at once"""
BATCH = 64
"""mazes in one forward"""
FAR_OFF = 1e6
"""steps that no maze has: of squares that cannot be gone to"""
Probe = tuple[np.ndarray, np.ndarray]
"""weights [K, D] and bias [K], K = 4 moves or 1"""


class Task:
    """Which squares of N mazes probes are fitted to and judged on, and what is right there.

    Args:
        state: N mazes; ways lead from the mouse to the cheese.
        seed: of the squares that are fitted to.
    """

    def __init__(self, state: MazeState, seed: int):
        self.state, level = state, np.arange(len(state))
        self.train, self.inner = level % 10 < 6, level % 10 < 5
        self.moves, self.steps = right_moves(state.walls, state.cheese)
        self.open, self.way = open_moves(state.walls), on_way(state)
        drawn = np.random.default_rng([seed, 20]).random(state.walls.shape)
        drawn[self.moves < 0] = 2.0
        ranks = np.argsort(np.argsort(drawn.reshape(len(state), -1), 1), 1).reshape(drawn.shape)
        self.fitting = (ranks < SAMPLED) & (drawn < 2.0)

    def fitted(self, maps: Tensor, code: str, levels: np.ndarray) -> Probe:
        """A probe of maps [N, D, H, W], fitted to squares of some levels [N] bool: of moves those on the ways."""
        mask = (self.way if code == MOVE else self.fitting) & levels[:, None, None]
        x = maps.movedim(1, -1)[torch.from_numpy(mask)].double()
        level = np.nonzero(mask)[0]
        if code == STEPS:
            probe = fit_probe(x, self.steps[mask].astype(float), level, kind="ridge", penalty=PENALTY)
            return probe.directions.numpy(), probe.bias.numpy()
        weights, bias = np.zeros((MOVES, x.shape[1])), np.full(MOVES, -30.0)
        probe = fit_probe(x, self.moves[mask].astype(np.int64), level, penalty=PENALTY)
        weights[probe.classes], bias[probe.classes] = probe.directions.numpy(), probe.bias.numpy()
        return weights, bias

    def hits(self, maps: Tensor, probe: Probe, code: str, levels: np.ndarray) -> np.ndarray:
        """[R] bool: the right move is read, on the squares of the ways of some levels, in reading order."""
        chosen = np.flatnonzero(levels)
        said = said_moves(maps[torch.from_numpy(chosen)], probe, code, self.open[chosen])
        return (said == self.moves[chosen])[self.way[chosen]]


def said_moves(maps: Tensor, probe: Probe, code: str, can: np.ndarray) -> np.ndarray:
    """[N, H, W] the move that a probe of maps [N, D, H, W] says on each square, of those that can be made [N, H, W, 4]."""
    weights, bias = (torch.from_numpy(part) for part in probe)
    read = (maps.movedim(1, -1).double() @ weights.T + bias).numpy()
    if code == STEPS:
        left = read[..., 0].copy()
        left[~can.any(-1)] = FAR_OFF
        read = np.stack([-after(left, move, FAR_OFF) for move in range(MOVES)], -1)
    return np.where(can, read, -np.inf).argmax(-1)


def read(setup: Setup) -> dict[str, np.ndarray]:
    """Fits and judges the probes.

    Returns:
        of the R squares on the ways of held-out levels: `level` [R], `square` [R, 2], `steps` [R] to the cheese, and [R]
        bool whether the right move is said by `policy.CODE` (last moment, both codes), `untrained`, `observation`,
        `window_SIDE`; `does` whether what is read is what the policy then does, `right` whether that is the right move.
        `moments` and `moments_untrained` [T, R] at each moment in the chosen code; `other_goal` [R'] and
        `other_goal.level`, of ways to other squares. `fit` [2] share read in each code on inner levels. `weights.CODE.T`
        [K, D], `bias.CODE.T` [K], `mean.T` [4, D] what squares with each right move hold on average, `spread` [T] root
        mean square distance of a square's activations from their mean.
    """
    task = Task(setup.read, setup.about.seed)
    held, last = ~task.train, len(setup.sites) - 1
    level, row, column = np.nonzero(task.way & held[:, None, None])
    found = {"level": level, "steps": task.steps[level, row, column], "square": np.stack([row, column], 1)}
    end = next(maps for _, maps in moments_of(setup, setup.module, setup.read, [last]))
    probes = {code: task.fitted(end, code, task.inner) for code in CODES}
    fit = [task.hits(end, probes[c], c, task.train & ~task.inner).mean() for c in CODES]
    found["fit"], chosen = np.array(fit), CODES[int(np.argmax(fit))]
    found |= _each_moment(setup, task, chosen)
    blank = [
        task.hits(maps, task.fitted(maps, chosen, task.train), chosen, held)
        for _, maps in moments_of(setup, setup.blank.module, setup.read, range(last + 1))
    ]
    found |= {"moments_untrained": np.stack(blank), "untrained": blank[-1]}
    found |= _seen(setup, task, level, np.stack([row, column], 1))
    found |= _to_other_squares(setup, end, chosen)
    probe = (found[f"weights.{chosen}.{last}"], found[f"bias.{chosen}.{last}"])
    field = fields(setup.module, setup.world, take(setup.read, np.flatnonzero(held)))
    does = np.full(task.moves.shape, -1)
    squares = field.squares
    does[np.flatnonzero(held)[squares.level], squares.square[:, 0], squares.square[:, 1]] = (
        field.moves.argmax(1)
    )
    said = said_moves(end, probe, chosen, task.open)
    return found | {
        "does": (said == does)[level, row, column],
        "right": (does == task.moves)[level, row, column],
    }


def _each_moment(setup: Setup, task: Task, chosen: str) -> dict[str, np.ndarray]:
    """Both codes at every moment: of the chosen one what is read, of both the directions that are written later."""
    last, held = len(setup.sites) - 1, ~task.train
    found: dict[str, np.ndarray] = {}
    hits, spread = [], []
    every = moments_of(setup, setup.module, setup.read, range(last + 1))
    for t, maps in counted(every, "moments read", "moments", total=last + 1):
        x = maps.movedim(1, -1)[torch.from_numpy(task.fitting)].double()
        spread.append(float((x - x.mean(0)).square().sum(1).mean().sqrt()))
        moves = torch.from_numpy(task.moves[task.fitting & task.train[:, None, None]].astype(np.int64))
        inside = maps.movedim(1, -1)[torch.from_numpy(task.fitting & task.train[:, None, None])].double()
        means = [inside[moves == move].mean(0) for move in range(MOVES)]
        found[f"mean.{t}"] = torch.nan_to_num(torch.stack(means)).float().numpy()
        for code in CODES:
            probe = task.fitted(maps, code, task.train)
            found |= {f"weights.{code}.{t}": probe[0], f"bias.{code}.{t}": probe[1]}
            if code == chosen or t == last:
                right = task.hits(maps, probe, code, held)
                found |= {f"policy.{code}": right} if t == last else {}
                hits += [right] if code == chosen else []
    return found | {"moments": np.stack(hits), "spread": np.array(spread)}


def _seen(setup: Setup, task: Task, level: np.ndarray, square: np.ndarray) -> dict[str, np.ndarray]:
    """What the planes at the square and the windows around it say, of squares [R]."""
    planes = torch.from_numpy(setup.world.observe(setup.read)).float()
    probe = task.fitted(planes, MOVE, task.train)
    found = {"observation": task.hits(planes, probe, MOVE, ~task.train)}
    fit_level, *fit_square = np.nonzero(task.way & task.train[:, None, None])
    labels = task.moves[fit_level, *fit_square].astype(np.int64)
    right = task.moves[level, square[:, 0], square[:, 1]]
    for side in sides_for(setup.world.size):
        table = table_of(window_keys(setup.read, fit_level, np.stack(fit_square, 1), side), labels)
        said = said_by(table, window_keys(setup.read, level, square, side)).argmax(1)
        found[f"window_{side}"] = said == right
    return found


def _to_other_squares(setup: Setup, end: Tensor, code: str) -> dict[str, np.ndarray]:
    """The same probe for ways to other squares of the same mazes, drawn at random: a plan that is not the policy's."""
    rng = np.random.default_rng([setup.about.seed, 22])
    state = setup.read
    far = right_moves(state.walls, state.mouse)[1]
    picked = np.array([rng.permutation(np.argwhere(far[i] > 1))[0] for i in range(len(state))])
    task = Task(MazeState(state.walls, state.mouse, picked.astype(np.int16)), setup.about.seed)
    right = task.hits(end, task.fitted(end, code, task.train), code, ~task.train)
    level = np.nonzero(task.way & ~task.train[:, None, None])[0]
    return {"other_goal": right, "other_goal.level": level}


def moments_of(
    setup: Setup, module: torch.nn.Module, state: MazeState, which: range | list[int]
) -> Iterator[tuple[int, Tensor]]:
    """(number of the moment, [N, D, H, W]) for some moments; a few of them are held at once."""
    for first in range(0, len(which), AT_ONCE):
        some = list(which[first : first + AT_ONCE])
        sites = [setup.sites[t] for t in some]
        with evaluating(module):
            x = encoded(module, setup.world.observe(state))
            held = capture(module, x, sites, batch=BATCH)
        for t, site in zip(some, sites, strict=True):
            check_map(site, held[site], x)
            yield t, held.pop(site)


def check_map(site: str, maps: Tensor, x: Tensor) -> None:
    """Raises ValueError where a site does not hold something of every square."""
    if maps.ndim != 4 or maps.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"site {site!r} holds {tuple(maps.shape)}, wanted is [N, C, {x.shape[-2]}, {x.shape[-1]}], something of every "
            "square: name another one; goalscope.sites lists them"
        )


def chosen_code(found: Mapping[str, np.ndarray]) -> str:
    """The code that reads more on fitting levels that its probe was not fitted to."""
    return CODES[int(found["fit"].argmax())]
