"""What of the plan can be read: 1 x 1 linear probes at every layer and tick, beside what the observation gives away.

Labels are what the episode goes on to do (`sokoban_measure.plan_labels`), on floor squares only: walls would be right for
free. A layer is read from all that it holds on a square (hidden and cell state of a DRC). Everything is fitted on training
levels and judged on others; the part whose probe is carried on is chosen on training levels too. The controls are a probe
on the four planes at the square, those on the planes of the 3 x 3, 5 x 5 and 7 x 7 squares around it, the untrained network
and another trained player that see the same episodes, the plans of other levels, and labels drawn at random once for every
square of a level. What the first looks hold is another matter: a
memory that has just begun is not one in the middle of an episode, so each of those ticks has probes of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.activations import capture
from goalscope.methods.reading.probe import fit_probe, map_rows
from goalscope.methods.reading.probe.scores import tally
from goalscope.progress import counted
from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES, differing, of_other_levels, window
from goalscope.studies.sokoban_plan.measure.play import CLASSES, NEVER, captured, moments, plan_labels, play
from goalscope.studies.sokoban_plan.setup import Layout, Setup, board_world, layout
from goalscope.worlds.contract import concatenate
from goalscope.worlds.sokoban import SokobanState

TARGETS = ("agent", "box")
MOMENTS = 3
"""of each episode"""
LATEST = 30
"""move before which they lie"""
PENALTY = 1e-3
LOOKS = 5
"""that are followed tick by tick, before the first move"""
FITTING = 2
"""levels that the probes of the first looks are fitted to, for each one that judges them"""
LEAST_LOG = -30.0
"""log-probability of a class that a probe has never met"""
OTHER = "other_player"
"""names the read-outs of another trained player's activations"""
SAMPLE = 3000
"""clean squares that are kept, to say what activations are ordinary"""
Maps = Mapping[str, Tensor]
"""site -> [N, C, H, W]"""


def read(setup: Setup) -> dict[str, np.ndarray]:
    """Fits and judges the probes on episodes of generated levels.

    Returns:
        `tally.TARGET.NAME` [L, 4, 5] what `probe.scores` makes scores of, by held-out level; NAME is `policy.PART.TICK`,
        `untrained.PART.TICK`, `observation`, `window_SIDE`, `both` (the largest window and all layers together), `random`
        (at the chosen part), `other_level` (likewise, the plans of other levels), `other_player` (at its own chosen part,
        last tick) or `constant`. `weights.TARGET.NAME` [5, D] and `bias.TARGET.NAME` [5].
        `differ.TARGET.window_SIDE` [L, 4] of `differing`, the chosen part beside that window; `board.TARGET.NAME` what is
        drawn of the moment where the largest window differs most: `planes` [4, H, W], `right`, `memory`, `window` [H, W].
        `fit.TARGET` [parts] macro-F1 on inner held-out training levels at the last tick. `solved` [N] of the episodes.
        `clean.PART` [M, D] activations of floor squares at the last tick, `clean.level` [M];
        `spread.PART` [ticks] root mean square distance of a square's activations from their mean.
    """
    state = setup.levels(20_000_000, setup.sizes.episodes)
    played = play(setup.module, setup.world(state), state)
    level, time = moments(played.length, MOMENTS, LATEST, setup.about.seed)
    labels = dict(zip(TARGETS, plan_labels(played, level, time), strict=True))
    rows, planes = _rows(setup, state, played.moves, level, time)
    floor = planes[:, 0] == 0
    moment, *square = np.nonzero(floor)
    by_row, square = level[moment], np.ravel_multi_index(square, state.walls.shape[1:])
    train = by_row % 10 < 6
    found = {"solved": played.solved, "floor_rows": np.array([train.sum(), (~train).sum()])}
    found |= _ordinary(setup, rows, by_row)
    for target in TARGETS:
        y = labels[target][floor].astype(np.int64)
        elsewhere = of_other_levels(labels[target], level, level % 10 < 6)[floor].astype(np.int64)
        found |= dict(_judged(target, rows, y, by_row, square, train, elsewhere, setup))
        found |= dict(_beside_windows(target, rows, y, by_row, train, found, planes, moment, setup))
    return found


def _rows(
    setup: Setup, state: SokobanState, moves: np.ndarray, level: np.ndarray, time: np.ndarray
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Name -> [R, D], one row a floor square and moment; and what was seen, [M, 4, H, W]."""
    rows: dict[str, Tensor] = {}
    floor, planes = np.empty(0), np.empty(0)
    for name, module in (("policy", setup.module), ("untrained", setup.blank.module)):
        maps, planes = captured(
            module, setup.world(state), state, setup.layout.every_site(), moves, level, time
        )
        floor = planes[:, 0] == 0
        for part in setup.layout.parts:
            for tick in range(setup.layout.ticks):
                whole = together(setup.layout, maps, part, tick)
                rows[f"{name}.{part}.{tick}"] = map_rows(whole, level, floor)[0]
        seen = torch.from_numpy(planes).float()
    rows["observation"] = map_rows(seen, level, floor)[0]
    for side in WINDOW_SIDES:
        rows[f"window_{side}"] = map_rows(window(seen, side), level, floor)[0]
    whole = rows[f"policy.{setup.layout.parts[-1]}.{setup.layout.ticks - 1}"]
    rows["both"] = torch.cat([rows[f"window_{WINDOW_SIDES[-1]}"], whole], 1)
    if setup.other is not None:
        places = layout(setup.other.module, None)
        sites = places.sites(places.parts[-1], places.ticks - 1)
        maps, _ = captured(setup.other.module, setup.world(state), state, sites, moves, level, time)
        for part in places.parts:
            whole = together(places, maps, part, places.ticks - 1)
            rows[f"{OTHER}.{part}"] = map_rows(whole, level, floor)[0]
    return rows, planes


def together(layout: Layout, maps: Maps, part: str, tick: int) -> Tensor:
    """[N, D, H, W]: what a part holds at one tick, its sites side by side."""
    return torch.cat([maps[site] for site in layout.sites(part, tick)], 1)


def _ordinary(setup: Setup, rows: dict[str, Tensor], level: np.ndarray) -> dict[str, np.ndarray]:
    kept = np.sort(np.random.default_rng([setup.about.seed, 13]).permutation(len(level))[:SAMPLE])
    found = {"clean.level": level[kept]}
    for part in setup.layout.parts:
        ticks = [rows[f"policy.{part}.{tick}"].double() for tick in range(setup.layout.ticks)]
        found[f"clean.{part}"] = ticks[-1][torch.from_numpy(kept)].float().numpy()
        found[f"spread.{part}"] = np.array(
            [float((x - x.mean(0)).square().sum(1).mean().sqrt()) for x in ticks]
        )
    return found


def _judged(
    target: str, rows: dict[str, Tensor], y: np.ndarray, level: np.ndarray, square: np.ndarray, train: np.ndarray,
    elsewhere: np.ndarray, setup: Setup,
) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
    """The entries of `read` for one target; `elsewhere` [R] are the labels of other levels."""
    last = setup.layout.ticks - 1
    for name, x in counted(rows.items(), "probes of the plan", "probes"):
        if name.startswith(OTHER):
            continue
        weights, bias = fitted(x, y, level, train)
        yield f"tally.{target}.{name}", tallied(x, weights, bias, y, level, ~train)
        if name not in ("observation", "both"):
            yield f"weights.{target}.{name}", weights
            yield f"bias.{target}.{name}", bias
    fits = _fits([rows[f"policy.{part}.{last}"] for part in setup.layout.parts], y, level, train)
    yield f"fit.{target}", fits
    best = rows[f"policy.{setup.layout.parts[int(np.argmax(fits))]}.{last}"]
    random = random_labels(y, level, square, train, setup.about.seed)
    for name, labels in (("random", random), ("other_level", elsewhere)):
        yield (
            f"tally.{target}.{name}",
            tallied(best, *fitted(best, labels, level, train), labels, level, ~train),
        )
    if others := [x for name, x in rows.items() if name.startswith(OTHER)]:
        x = others[int(_fits(others, y, level, train).argmax())]
        yield f"tally.{target}.{OTHER}", tallied(x, *fitted(x, y, level, train), y, level, ~train)
    share = np.bincount(y[train], minlength=CLASSES) / train.sum()
    constant = np.log(np.maximum(share, np.exp(LEAST_LOG)))
    nothing = torch.zeros(len(y), 1)
    yield f"tally.{target}.constant", tallied(nothing, np.zeros((CLASSES, 1)), constant, y, level, ~train)


def _fits(parts: Sequence[Tensor], y: np.ndarray, level: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Macro-F1 of each part's probe on every sixth of the training levels; the levels that judge are not looked at."""
    inner = level % 10 < 5
    return np.array([
        macro_f1(tallied(x, *fitted(x, y, level, train & inner), y, level, train & ~inner)) for x in parts
    ])  # fmt: skip


def _beside_windows(
    target: str, rows: dict[str, Tensor], y: np.ndarray, level: np.ndarray, train: np.ndarray,
    found: Mapping[str, np.ndarray], planes: np.ndarray, moment: np.ndarray, setup: Setup,
) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
    """Where the chosen part and each window say different things of held-out levels, and the moment where they do most."""
    best = f"policy.{best_part(setup, found, target)}.{setup.layout.ticks - 1}"
    names = (best, *(f"window_{side}" for side in WINDOW_SIDES))
    said = {n: log_chances(rows[n], *reader(found, target, n)).argmax(1).numpy() for n in names}
    held = ~train
    for name in names[1:]:
        yield f"differ.{target}.{name}", differing(said[best][held], said[name][held], y[held], level[held])
    apart = (said[best] != said[names[-1]]) & held
    most = int(np.bincount(moment, apart, len(planes)).argmax())
    yield f"board.{target}.planes", planes[most]
    for name, labels in (("right", y), ("memory", said[best]), ("window", said[names[-1]])):
        board = np.full(planes.shape[2:], NEVER)
        board[planes[most, 0] == 0] = labels[moment == most]
        yield f"board.{target}.{name}", board


def fitted(x: Tensor, y: np.ndarray, level: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [5, D] and bias [5] of a probe that is fitted to some rows [R] bool; a class that is not met is never said."""
    weights, bias = np.zeros((CLASSES, x.shape[1])), np.full(CLASSES, LEAST_LOG)
    met = np.unique(y[rows])
    if len(met) < 2:
        bias[met] = 0.0
        return weights, bias
    probe = fit_probe(x[torch.from_numpy(rows)], y[rows], level[rows], penalty=PENALTY)
    weights[probe.classes], bias[probe.classes] = probe.directions.numpy(), probe.bias.numpy()
    return weights, bias


def random_labels(
    y: np.ndarray, level: np.ndarray, square: np.ndarray, train: np.ndarray, seed: int
) -> np.ndarray:
    """[R] labels as often as the true ones of the training rows, drawn once for each square of a level: the same at all of
    its moments, so that a probe may learn squares by heart as it may with the true ones."""
    _, names = np.unique(np.stack([level, square]), axis=1, return_inverse=True)
    drawn = np.random.default_rng([seed, 12]).choice(y[train], int(names.max()) + 1)
    return drawn[names.ravel()]


def tallied(
    x: Tensor,
    weights: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    level: np.ndarray,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """[L, 4, 5] sums by level of a linear read-out of rows x [R, D], or of some of them, [R] bool."""  # fmt: skip
    rows = np.ones(len(y), bool) if rows is None else rows
    guess = log_chances(x[torch.from_numpy(rows)], weights, bias).numpy()
    return tally("logistic", guess, y[rows].astype(np.int64), CLASSES, level[rows])


def log_chances(x: Tensor, weights: np.ndarray, bias: np.ndarray) -> Tensor:
    """[.., D] to log-probabilities [.., 5]."""
    return (x.double() @ torch.from_numpy(weights).T + torch.from_numpy(bias)).log_softmax(-1)


def macro_f1(sums: np.ndarray) -> float:
    """Of sums by level [L, 4, 5]: the mean over classes that occur or are predicted."""
    hits, said, true = sums[:, :3].sum(0)
    there = said + true > 0
    return float((2 * hits[there] / (said + true)[there]).mean())


def best_part(setup: Setup, probes: Mapping[str, np.ndarray], target: str) -> str:
    """The part whose probe does best on training levels that it was not fitted to, at the last tick."""
    return setup.layout.parts[int(probes[f"fit.{target}"].argmax())]


def reader(probes: Mapping[str, np.ndarray], target: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights [5, D] and bias [5] of a probe of `read` or `forming`."""
    return probes[f"weights.{target}.{name}"], probes[f"bias.{target}.{name}"]


def forming(setup: Setup, probes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The plan tick by tick while the network looks at the start, judged by the episode that follows.

    Every look and tick has a probe of its own, fitted to that look and tick of other levels.

    Returns:
        `tally.TARGET.NETWORK.LOOK.TICK` [L, 4, 5] at the chosen part, looks from 0, networks `policy` and `untrained`;
        `weights.TARGET.policy.LOOK.TICK` [5, D] and `bias.TARGET.policy.LOOK.TICK` [5]; `solved` [L].
    """
    looks = looks_followed(setup.module)
    count = setup.sizes.first
    judged, fitting = setup.levels(30_000_000, count), setup.levels(40_000_000, FITTING * count)
    state = concatenate([judged, fitting])
    maps, played = first_looks(setup, setup.module, state, looks)
    blank, _ = first_looks(setup, setup.blank.module, state, looks)
    level = np.arange(len(state))
    labels = dict(zip(TARGETS, plan_labels(played, level, np.zeros_like(level)), strict=True))
    floor = ~state.walls
    by_row = level[np.nonzero(floor)[0]]
    held = by_row < count
    found = {"solved": played.solved[:count]}
    for target in TARGETS:
        y, part = labels[target][floor].astype(np.int64), best_part(setup, probes, target)
        for network, seen in (("policy", maps), ("untrained", blank)):
            for look in range(looks):
                for tick in range(setup.layout.ticks):
                    x = map_rows(together(setup.layout, seen[look], part, tick), level, floor)[0]
                    name = f"{target}.{network}.{look}.{tick}"
                    weights, bias = fitted(x, y, by_row, ~held)
                    found[f"tally.{name}"] = tallied(x, weights, bias, y, by_row, held)
                    if network == "policy":
                        found |= {f"weights.{name}": weights, f"bias.{name}": bias}
    return found


def looks_followed(module: Any) -> int:
    """A network without memory sees the same in every look."""
    return LOOKS if hasattr(module, "initial_carry") else 1


def first_looks(
    setup: Setup, module: nn.Module, state: SokobanState, looks: int
) -> tuple[list[dict[str, Tensor]], Any]:
    """Activations during `looks` looks at the start (the last one makes the first move), and the episodes."""
    sites = setup.layout.every_site()
    kept: list[dict[str, list[Tensor]]] = [{site: [] for site in sites} for _ in range(looks)]

    def watch(t: int, going: np.ndarray, now: SokobanState, inputs: tuple[Any, ...]) -> None:
        if t <= 0:
            for site, tensor in capture(module, inputs, sites).items():
                kept[t + looks - 1][site].append(tensor)

    steps = None if module is setup.module else 1
    played = play(module, board_world(module, state), state, looks - 1, watch=watch, steps=steps)
    return [{site: torch.cat(parts) for site, parts in look.items()} for look in kept], played


def read_plans(
    setup: Setup, probes: Mapping[str, np.ndarray], formed: Mapping[str, np.ndarray], maps: Maps, look: int, tick: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The agent's and the boxes' plan [N, H, W, 4] that the chosen parts hold at a tick of a look at the start: chances of
    each direction, by the probes of `forming`."""
    plans = []
    for target in TARGETS:
        x = together(setup.layout, maps, best_part(setup, probes, target), tick).movedim(1, -1)
        plans.append(log_chances(x, *reader(formed, target, f"policy.{look}.{tick}")).exp()[..., :4].numpy())
    return plans[0], plans[1]
