"""The pictures of the Sokoban study: curves, heat maps, and boards on which the plan is drawn tick by tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from goalscope.evidence.finding import Finding
from goalscope.plots.boards.sokoban import SokobanBoard, animation, filmstrip, plan_of_moves
from goalscope.plots.charts import Line, curves, heat
from goalscope.plots.figure import Figure
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed
from goalscope.studies.sokoban_plan.findings.probes import PLANS
from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES
from goalscope.studies.sokoban_plan.measure.probes import (
    TARGETS,
    first_looks,
    looks_followed,
    read_plans,
)
from goalscope.studies.sokoban_plan.measure.shortcuts import NOTHING
from goalscope.studies.sokoban_plan.setup import Setup, board_of
from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import SokobanState

Table = Mapping[str, Finding]
Found = Mapping[str, Mapping[str, Any]]
ENOUGH = 20
"""levels of a set whose gains are drawn"""
SHOWN_FLIPS = 4
"""levels of each kind that are drawn"""
LEAST_MOVES = 12
"""of the level whose plan is drawn tick by tick"""
AROUND = f"{WINDOW_SIDES[-1]} x {WINDOW_SIDES[-1]}"
"""the largest window"""
FRAMES = 40
"""of the animation, at most"""
SHOWN = {
    "solve-rates": ("solve.*", "resnet.generated.solve"),
    "thinking-gains": ("thinking.*.gain_*",),
    "cycles": ("cycles.generated.think_*",),
    "probe-agent": ("probe.agent.*",),
    "probe-box": ("probe.box.*",),
    "plan-ticks": ("plan.tick.*",),
    "written": ("write.agent_shortcut", "write.agent_shortcut.own_square", "write.box_shortcut"),
}
"""figure -> the findings that it draws"""


def figures(setup: Setup, table: Table, found: Found) -> Iterator[Placed]:
    """All figures, in the order of the report."""
    yield from _tick_by_tick(setup, found)
    yield from _solving(setup, table)
    yield from _flips(setup, found)
    yield from _cycles(setup, table)
    yield from _probes(setup, table, found["probes"])
    yield from _forming(setup, table)
    yield from _written(setup, table, found)


def _line(name: str, x: ArrayLike, rows: Sequence[Finding], control: bool = False) -> Line:
    keys = ("control", "control_low", "control_high") if control else ("estimate", "low", "high")
    return Line(name, x, *([getattr(f, k) for f in rows] for k in keys))


def _flat(name: str, x: ArrayLike, row: Finding, control: bool = False) -> Line:
    return _line(name, x, [row] * len(np.ravel(x)), control)


def _solving(setup: Setup, table: Table) -> Iterator[Placed]:
    lines, spots = [], np.empty(0)
    for name, levels in setup.sets.items():
        if len(levels.thinking) > 2 and len(levels) > 1:
            spots = np.array(levels.thinking)
            lines.append(
                _line(levels.words, spots, [table[f"solve.{name}.think_{k}"] for k in levels.thinking])
            )
    if setup.plain is not None:
        plain = table["resnet.generated.solve"]
        lines.append(_flat(f"{setup.plain.name}, without memory", spots, plain))
    svg = curves(
        lines, title="Levels solved, by looks before the first move", x_label="looks before the first move",
        percent=True, x_ticks=spots, y_limits=_around(lines),
    )  # fmt: skip
    caption = "Bands are exact 95% intervals of each rate; the paired change is below."
    yield "solve-rates", "solve", Figure.of(svg, caption)
    rows = [f for i, f in table.items() if i.startswith("solve.") and i.endswith("think_0")]
    labels = [f.question.split(": ")[0] for f in rows]
    yield "solve-sets", "solve", Figure.of(
        forest_of(labels, rows, "Levels solved without looks, by set", percent=True),
        "Levels with more boxes and larger boards than it was trained on; the untrained network on the same levels.",
    )  # fmt: skip
    rows = [f for i, f in table.items() if i.startswith("thinking.") and ".gain_" in i and f.n >= ENOUGH]
    if rows:
        labels = [f"{f.id.rsplit('_', 1)[1]} looks" for f in rows]
        groups = [f.question.split(": ")[0] for f in rows]
        svg = forest_of(
            labels,
            rows,
            "What looks change: P(solved), paired by level",
            groups=groups,
            percent=True,
            reference=0,
        )
        yield "thinking-gains", "thinking", Figure.of(svg, "Right of the line, looks help.")


def _around(lines: Sequence[Line]) -> tuple[float, float]:
    """Ends of an axis of shares that leave the bands readable: tenths, not always from 0."""
    low = min(float(np.min(line.low if line.low is not None else line.y)) for line in lines)
    return max(0.0, np.floor(10 * low - 0.5) / 10), 1.0


def _flips(setup: Setup, found: Found) -> Iterator[Placed]:
    levels, stored = setup.sets["generated"], found["solve-generated"]
    last = levels.thinking[-1]
    bare, now = stored["solved.0"], stored[f"solved.{last}"]
    boards = []
    for words, which in (("only with", now & ~bare), ("only without", bare & ~now)):
        for i in np.flatnonzero(which)[:SHOWN_FLIPS]:
            number = levels.names[i].removeprefix("generated ")
            boards.append(_board(board_of(levels, int(i)), 0, f"{words} {last} looks: {number}"))
    if boards:
        svg = filmstrip(boards, title=f"Levels that flip with {last} looks")
        caption = f"The first ones of each kind, up to {SHOWN_FLIPS}; all are listed in run.json under flips."
        yield "flips", "thinking", Figure.of(svg, caption)


def _board(state: SokobanState, i: int, caption: str, agent: Any = None, box: Any = None) -> SokobanBoard:
    return SokobanBoard(state.walls[i], state.goals[i], state.boxes[i], state.player[i], agent, box, caption)


def _cycles(setup: Setup, table: Table) -> Iterator[Placed]:
    levels = setup.sets["generated"]
    spots = np.array(levels.thinking)
    rows = [table[f"cycles.generated.think_{k}"] for k in levels.thinking]
    svg = curves(
        [_line(setup.policy.name, spots, rows)], title="Levels with an early cycle, by looks before the first move",
        x_label="looks before the first move", percent=True, x_ticks=spots,
    )  # fmt: skip
    control = rows[0].control or 0
    caption = f"Comes back to a position within eight moves; the untrained network does in {control:.0%}."
    yield "cycles", "cycles", Figure.of(svg, caption)


def _probes(setup: Setup, table: Table, stored: Mapping[str, Any]) -> Iterator[Placed]:
    layout = setup.layout
    ticks = [f"tick {k + 1}" for k in range(layout.ticks)]
    for target in TARGETS:
        names = {part: "all_layers" if part == "all" else f"layer_{int(part) + 1}" for part in layout.parts}
        rows = {
            p: [table[f"probe.{target}.{n}.tick_{k + 1}"] for k in range(layout.ticks)]
            for p, n in names.items()
        }
        title = f"Where the {'player' if target == 'agent' else 'box'} will go: F1 by layer and tick"
        if layout.ticks > 1:
            x = np.arange(1, layout.ticks + 1)
            lines = [_line(layout.words(part), x, mine) for part, mine in rows.items()]
            lines += [
                _flat(
                    "observation, the square", x, table[f"probe.{target}.beside.observation"], control=True
                ),
                *(
                    _flat(
                        f"observation, {k} x {k}", x, table[f"probe.{target}.beside.window_{k}"], control=True
                    )
                    for k in WINDOW_SIDES
                ),
                _line("untrained, all layers", x, rows[layout.parts[-1]], control=True),
            ]
            svg = curves(lines, title=title, x_label="tick of a look", x_ticks=x, y_limits=(0, 1), height=260)
        else:
            shown = [mine[0] for mine in rows.values()]
            svg = forest_of([layout.words(part) for part in rows], shown, title)
        yield f"probe-{target}", "probe", Figure.of(svg, f"Macro-F1 on held-out levels: {PLANS[target]}.")
    matrix = [
        [table[f"probe.{t}.{n}.tick_{k + 1}"].estimate for k in range(layout.ticks)]
        for t in TARGETS
        for n in names.values()
    ]
    labels = [
        f"{'player' if t == 'agent' else 'box'}, {layout.words(p)}" for t in TARGETS for p in layout.parts
    ]
    svg = heat(matrix, labels, ticks, title="F1 of the plan probes by layer and tick", value_range=(0, 1))
    yield "probe-heat", "probe", Figure.of(svg, "Of each layer, all that it holds on a square is read.")
    for target in TARGETS:
        yield _differing(stored, target)


def _differing(stored: Mapping[str, Any], target: str) -> Placed:
    """The held-out moment in which the memory and the largest window say the most different things."""
    walls, goals, boxes, player = stored[f"board.{target}.planes"].astype(bool)
    boards = []
    for name, words in (
        ("right", "what it then did"), ("memory", "read from the memory"), ("window", f"read from the {AROUND} around"),
    ):  # fmt: skip
        labels = stored[f"board.{target}.{name}"]
        arrows = np.stack([labels == move for move in range(4)], -1).astype(float)
        plans = (arrows, None) if target == "agent" else (None, arrows)
        boards.append(SokobanBoard(walls, goals, boxes, np.argwhere(player)[0], *plans, words))
    words = "player" if target == "agent" else "boxes"
    svg = filmstrip(boards, columns=3, title=f"Where memory and window differ most: the plan of the {words}")
    caption = "Of all held-out moments the one with most squares on which the two say different things; not a typical one."
    return f"differ-{target}", "probe", Figure.of(svg, caption)


def _forming(setup: Setup, table: Table) -> Iterator[Placed]:
    looks, ticks = looks_followed(setup.module), setup.layout.ticks
    if looks * ticks == 1:
        return
    lines, x = [], np.arange(1, looks * ticks + 1)
    names = [f"look_{i + 1}_tick_{k + 1}" for i in range(looks) for k in range(ticks)]
    for target in TARGETS:
        rows = [table[f"plan.tick.{target}.{name}"] for name in names]
        words = "player" if target == "agent" else "box"
        lines += [
            _line(f"plan of the {words}", x, rows),
            _line(f"{words}, untrained network", x, rows, control=True),
        ]
    svg = curves(
        lines, title="The plan while it looks at the start: F1 by tick", x_label=f"tick ({ticks} a look)",
        x_ticks=x[ticks - 1 :: ticks], y_limits=(0, 1), height=260,
    )  # fmt: skip
    yield (
        "plan-ticks",
        "plan",
        Figure.of(svg, "Judged by what the episode goes on to do; bands are 95% intervals over levels."),
    )


def _tick_by_tick(setup: Setup, found: Found) -> Iterator[Placed]:
    """One level: the plan at the ticks of the first looks, then at every move."""
    solved = found["forming"]["solved"]
    state = setup.levels(30_000_000, min(len(solved), 40))
    looks = looks_followed(setup.module)
    maps, played = first_looks(setup, setup.module, state, looks)
    fit = played.solved & (played.length >= LEAST_MOVES)
    i = int(np.flatnonzero(fit)[0]) if fit.any() else 0
    boards = []
    for look in range(looks):
        for tick in range(setup.layout.ticks):
            one = {k: v[i : i + 1] for k, v in maps[look].items()}
            agent, box = read_plans(setup, found["probes"], found["forming"], one, look, tick)
            boards.append(
                _board(state, i, f"look {look + 1}, tick {tick + 1}", *_shown(state, i, agent[0], box[0]))
            )
    ticks = setup.layout.ticks
    last = f"solved in {played.length[i]} moves" if played.solved[i] else "not solved"
    boards_shown = [*boards[: 2 * ticks], boards[-1], _taken(state, i, played, f"what it did: {last}")]
    svg = filmstrip(boards_shown, title=f"The plan in {setup.policy.name}'s memory, tick by tick")
    caption = (
        "Read by linear probes that never saw this level; fainter arrows are less sure. Last: the moves that followed. "
        f"The first generated level with at least {LEAST_MOVES} moves that is solved."
    )
    yield "plan-film", "headline", Figure.of(svg, caption)
    for t in range(1, min(int(played.length[i]), FRAMES - len(boards)) + 1):
        moment = SokobanState(
            state.walls[i : i + 1],
            state.goals[i : i + 1],
            played.boxes[t][i : i + 1],
            played.player[t][i : i + 1],
        )
        boards.append(_board(moment, 0, f"after move {t}"))
    svg = animation(boards, title="The plan forms, then the moves are made")
    yield (
        "plan-moving",
        "plan",
        Figure.of(svg, "The same level: every tick of the looks at the start, then every move."),
    )


def _shown(state: SokobanState, i: int, agent: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the floor has a plan; an arrow is drawn where leaving in some direction is likelier than not leaving."""
    drawn = []
    for plan in (agent, box):
        likely = (plan.max(-1) > 1 - plan.sum(-1)) & ~state.walls[i]
        drawn.append(np.where(likely[..., None], plan, 0))
    return drawn[0], drawn[1]


def _taken(state: SokobanState, i: int, played: Any, caption: str) -> SokobanBoard:
    t = int(played.length[i])
    return _board(
        state, i, caption, *_paths(played.player[: t + 1, i], played.boxes[: t + 1, i], played.moves[:t, i])
    )


def _paths(player: np.ndarray, boxes: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plans that an episode followed."""
    _, height, width = boxes.shape
    shape = (height, width)
    moved = (player[1:] != player[:-1]).any(1)
    pushed = (boxes[1:] != boxes[:-1]).any((1, 2))
    agent = plan_of_moves(shape, player[:-1][moved], moves[moved])
    return agent, plan_of_moves(shape, player[1:][pushed], moves[pushed])


def _written(setup: Setup, table: Table, found: Found) -> Iterator[Placed]:
    said = {
        "": "longer way taken", ".own_square": "by the player's square alone", ".solved": "level solved in the end",
    }  # fmt: skip
    named = [(table.get(f"write.{t}_shortcut{k}"), words) for t in TARGETS for k, words in said.items()]
    rows = [f for f, _ in named if f is not None]
    if rows:
        labels = [words for f, words in named if f is not None]
        groups = [f"{f.question.split(' levels')[0].capitalize()} levels" for f in rows]
        svg = forest_of(labels, rows, "A longer way is written into the memory", groups=groups, percent=True)
        yield (
            "written",
            "write",
            Figure.of(svg, "Left alone, the network takes the shorter way in all of these."),
        )
    for target in TARGETS:
        stored = found["writing"]
        if f"{target}.trial" in stored:
            yield from _example(setup, stored, target)


def _example(setup: Setup, stored: Mapping[str, Any], target: str) -> Iterator[Placed]:
    part = {k: stored[f"{target}.example.{k}"] for k in ("walls", "goals", "boxes", "player", "plan")}
    state = take(SokobanState(part["walls"], part["goals"], part["boxes"], part["player"]), [0])
    plan = part["plan"][0]
    arrows = np.stack([plan == move for move in range(4)], -1).astype(float) * (plan != NOTHING)[..., None]
    boards = [_board(state, 0, "written", *((arrows, None) if target == "agent" else (None, arrows)))]
    for name, words in (("clean", "left alone"), ("written", "with the plan written")):
        way = [stored[f"{target}.example.{name}.{k}"] for k in ("player", "boxes", "moves")]
        agent, box = _paths(*way)
        boards.insert(
            0 if name == "clean" else 2,
            _board(state, 0, words, *((agent, box) if target == "agent" else (None, box))),
        )
    words = "player" if target == "agent" else "box"
    svg = filmstrip(boards, columns=3, title=f"The longer way of a {words}, written")
    success = bool(stored[f"{target}.example.success"])
    caption = "One level where it worked, the first." if success else "One level; it worked in none."
    yield (
        f"example-{target}",
        "write",
        Figure.of(svg, f"{caption} Arrows: what it did, what was written (never where the player stands)."),
    )
