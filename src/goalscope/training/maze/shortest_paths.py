"""Imitation of the shortest path, on every free square of a maze at once, for policies that think for some ticks.

A student with `begin`, `blocks` and `head` (`policies.thinker`) is shown mazes that grow with its skill, thinks for some
ticks that nothing goes back through, then for a few more that learning goes back through, and is told at several moments of
these which move leads to the cheese, on every free square. So each tick learns to go on from wherever the ticks before
came to, and far squares are told again and again until the cheese is heard of there (Bansal et al. 2022 call it
progressive loss). A batch is made from its own number alone: a run of n updates is the beginning of every longer one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.policies.thinker import Thinker
from goalscope.training.loop import follow
from goalscope.training.ppo import FIRST_TRAINING_SEED
from goalscope.training.saved_state import read_state, write_state
from goalscope.worlds.contract import take, whole_number
from goalscope.worlds.maze import Maze, MazeState, Move
from goalscope.worlds.maze.kernels import MOVE_COLUMNS, MOVE_ROWS
from goalscope.worlds.maze.paths import distances, maze_size

SMALLEST = 5
SEEDS_A_BATCH = 4096
"""mazes of a batch have numbers of their own, of which those of the wanted size are taken"""
COUNTS = ("steps", "episodes", "size", "largest", "ticks")
NOWHERE = -1
"""the label of a wall"""


@dataclass(frozen=True)
class ShortestPaths:
    """Hyperparameters."""

    size: int = 25
    """of the largest mazes"""
    squares: int = 8000
    """of a batch, walls too, in 8 to 64 mazes of one size"""
    ticks: int = 16
    """that learning goes back through; of a student without tied weights, all that it has"""
    before: float = 0.6
    """share of batches with ticks before these, 0 to twice the mazes' side; none without tied weights"""
    moments: int = 4
    """ticks after which the student is asked, the last among them"""
    largest: float = 0.5
    """share of batches with mazes of the largest size so far; the others are of any smaller one"""
    grows: float = 0.97
    """share of squares with the right move, in the largest mazes so far, at which they become larger"""
    patience: int = 1500
    """updates after which they become larger in any case"""
    learning_rate: float = 2e-3
    """falls as 1 / sqrt(1 + updates / slows)"""
    slows: int = 5000
    warm: int = 100
    """updates in which the learning rate rises"""
    value_weight: float = 0.3
    discount: float = 0.97
    max_gradient: float = 1.0
    average: float = 0.998
    """the memory an update of the running mean of the weights, which is what a run leaves behind"""


@dataclass
class _Course:
    """How far the student has come: what the size of the next mazes is decided by."""

    largest: int = SMALLEST
    right: float = 0.0
    """running mean of the share of right moves in mazes of that size"""
    since: int = 0
    """updates since they became larger"""


def learn(
    student: Thinker, folder: Path, config: ShortestPaths, steps: int, seed: int, checkpoint_seconds: float = 120.0,
    progress: bool = True,
) -> tuple[int, float]:  # fmt: skip
    """Trains `student` in place, going on from `folder` where an earlier run stopped; `steps` may be another then.

    Args:
        student: at the end it holds the running mean of its weights.
        folder: run folder, made where missing.
        config: hyperparameters.
        steps: updates of the weights in all.
        seed: of mazes and ticks. The caller seeds the weights.
        checkpoint_seconds: least time between two writes of state.pt.
        progress: whether it is counted for whoever listens (`goalscope.progress`).

    Returns:
        Updates done (more than `steps` where the folder holds a longer run) and seconds trained in all.

    Raises:
        ValueError: the folder holds a run with other hyperparameters, another seed or another network.
    """
    whole_number("seed", seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    student.train()
    optimizer = torch.optim.Adam(student.parameters(), lr=config.learning_rate)
    average = {k: v.detach().clone() for k, v in student.state_dict().items()}
    course, state, begin = _Course(), folder / "state.pt", (0, 0.0)
    if state.exists():
        record = read_state(state, student, asdict(config), seed)
        student.load_state_dict(record["policy"])
        optimizer.load_state_dict(record["optimizer"])
        average.update(record["average"])
        course, begin = _Course(**record["course"]), (record["steps"], record["seconds"])

    def update(done: int) -> tuple[int, dict[str, float]]:
        return done + 1, _update(student, optimizer, average, course, config, seed, done)

    def save(done: int, seconds: float) -> None:
        write_state(state, {
            "policy": student.state_dict(), "average": average, "optimizer": optimizer.state_dict(),
            "course": asdict(course), "config": asdict(config), "seed": seed, "steps": done, "seconds": seconds,
        })  # fmt: skip

    seconds = follow(
        folder, steps, update, save, begin=begin, counts=COUNTS, shown=("right", 50),
        checkpoint_seconds=checkpoint_seconds, progress=progress,
    )  # fmt: skip
    student.load_state_dict(average)
    student.eval()
    return max(steps, begin[0]), seconds


def lessons(state: MazeState, discount: float) -> tuple[np.ndarray, np.ndarray]:
    """What is right on every square.

    Args:
        state: N mazes; where their mice are does not matter.
        discount: of the value.

    Returns:
        [N, W, W] int64, the Move that leads to the cheese on a shortest path, STAY at the cheese, `NOWHERE` where there
        is no way; and [N, W, W] float32, the value of going there, 1 one step before it, and at the cheese.
    """
    steps = distances(state.walls, state.cheese)
    side = steps.shape[1]
    padded = np.pad(steps, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    right = np.full(steps.shape, NOWHERE, np.int64)
    for move in Move:
        row, column = 1 + MOVE_ROWS[move], 1 + MOVE_COLUMNS[move]
        after = padded[:, row : row + side, column : column + side]
        right[(after >= 0) & (after == steps - 1)] = move
    right[steps == 0] = Move.STAY
    return right, (discount ** np.maximum(steps - 1, 0)).astype(np.float32)


def batch(config: ShortestPaths, seed: int, number: int, size: int) -> MazeState:
    """The mazes of a batch, all of one size, in a world of that size.

    Args:
        config: hyperparameters. seed: of the run. number: of the batch. size: side of the mazes.
    """
    wanted = int(np.clip(config.squares // size**2, 8, 64))
    # Sizes are drawn by the world: half as many again as will do on average.
    drawn = min(SEEDS_A_BATCH, 3 * wanted * (size // 2) // 2 + 8)
    first = FIRST_TRAINING_SEED * (1 + seed) + number * SEEDS_A_BATCH
    drawn_mazes = Maze(size, None).generate(np.arange(first, first + drawn))
    return take(drawn_mazes, np.flatnonzero(maze_size(drawn_mazes) == size)[:wanted])


def _update(
    student: Thinker, optimizer: torch.optim.Optimizer, average: dict[str, Tensor], course: _Course,
    config: ShortestPaths, seed: int, done: int,
) -> dict[str, float]:  # fmt: skip
    """One batch, one step of the optimiser; what the curve says of it."""
    rng = np.random.default_rng([seed, done])
    size = course.largest
    if rng.random() >= config.largest:
        size = int(rng.integers(SMALLEST // 2, course.largest // 2 + 1)) * 2 + 1
    before = int(rng.integers(2 * size + 1)) if student.tied and rng.random() < config.before else 0
    mazes = batch(config, seed, done, size)
    for group in optimizer.param_groups:
        group["lr"] = (
            config.learning_rate * min(1.0, (1 + done) / config.warm) / (1 + done / config.slows) ** 0.5
        )
    loss, right = _loss(student, mazes, before, config, rng)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(student.parameters(), config.max_gradient)
    optimizer.step()
    # The mean remembers a tenth of the run so far at most, so that it soon forgets the weights it began with.
    memory = min(config.average, 1 - 10 / (11 + done))
    for name, value in student.state_dict().items():
        average[name].lerp_(value, 1 - memory)
    row = {
        "episodes": len(mazes), "size": size, "largest": course.largest, "ticks": before + config.ticks,
        "loss": float(loss.detach()), "right": right,
    }  # fmt: skip
    _come_on(course, config, size, before, right)
    return row


def _loss(
    student: Thinker, mazes: MazeState, before: int, config: ShortestPaths, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """The loss over all moments, and the share of free squares with the right move after the last."""
    device = student.stem.weight.device
    moves, values = (torch.from_numpy(x).to(device) for x in lessons(mazes, config.discount))
    x = student.encode(Maze(mazes.walls.shape[1], None).observe(mazes))
    depth = config.ticks if student.tied else student.ticks
    moments = {depth - 1}
    if student.tied:
        moments |= set(rng.choice(depth, min(depth, config.moments) - 1, replace=False).tolist())
    tick = partial(_tick, student)
    if before:
        with torch.no_grad():
            h, shown = student.begin(x)
            for _ in range(before):
                h = tick(h, shown, 0)
    else:
        h, shown = student.begin(x)
    losses: list[Tensor] = []
    free, out = moves != NOWHERE, h
    for t in range(depth):
        h = tick(h, shown, t)
        if t in moments:
            out = student.head(h)
            wrong = nn.functional.cross_entropy(out[:, :-1], moves, ignore_index=NOWHERE)
            off = (out[:, -1] - values)[free].square().mean()
            losses.append(wrong + config.value_weight * off)
    right = (out[:, :-1].argmax(1) == moves)[free].float().mean()
    return torch.stack(losses).mean(), float(right)


def _tick(student: Thinker, h: Tensor, shown: Tensor, t: int) -> Tensor:
    return student.blocks[0 if student.tied else t](h, shown)


def _come_on(course: _Course, config: ShortestPaths, size: int, before: int, right: float) -> None:
    """Larger mazes, once those of the largest size are mastered by who has thought long enough, or after a while."""
    course.since += 1
    if size == course.largest and before + config.ticks >= size:
        course.right += 0.05 * (right - course.right)
    if course.largest < config.size and (course.right >= config.grows or course.since >= config.patience):
        course.largest, course.right, course.since = course.largest + 2, 0.0, 0
