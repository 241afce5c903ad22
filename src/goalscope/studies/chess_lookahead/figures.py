"""The pictures of the chess study: from findings and effects to figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import chess
import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.plots.boards.chess import Arrow, ChessBoard, chess_grid
from goalscope.plots.charts import Bars, Line, bars, curves, heat
from goalscope.plots.figure import Figure
from goalscope.studies.chess_lookahead.findings.made import by_id
from goalscope.studies.chess_lookahead.findings.patches import Patched
from goalscope.studies.chess_lookahead.measure.patches import SLOTS, TARGETS, Case, matched_slots, patch_cases
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.studies.figures import forest_of
from goalscope.studies.frame import Placed

EXAMPLES = 2
"""cases that are drawn"""
DRAWN = (0.0, 0.5, 1.0)
"""depths of the layers that are drawn of each, as shares of the network's"""

SHOWN = {
    "play-rating": ("play.rating.*",),
    "play-motif": ("play.motif.*",),
    "confidence": ("confidence.*",),
    "value-drift": ("value.drift.*",),
    "patch-grid-published": ("lookahead.published.*.block_*",),
    "patch-grid-relaxed": ("lookahead.relaxed.*.block_*",),
    "margins": ("lookahead.*.margin",),
    "branches": ("lookahead.branches.*",),
    "probe-third": ("probe.third.block_*",),
    "probe-motifs": ("probe.third.without.*",),
    "probe-mate": ("probe.mate.*",),
}
"""figure -> the findings that it draws"""


def figures(
    findings: Sequence[Finding], subject: str, patched: Mapping[str, Patched], sites: Sequence[str]
) -> list[Placed]:
    """All charts, in the order of the report."""
    mine = by_id(findings, subject)
    made = [*_play(findings), *_confidence(mine), *_value(mine)]
    for rule, effects in patched.items():
        made += _grid(rule, effects, sites)
    made += _margins(mine) + _branches(mine) + _probe(mine) + _mate(mine)
    return made


def _play(findings: Sequence[Finding]) -> list[Placed]:
    """Solved by rating and by motif, every network; the untrained one is everybody's control."""
    policies = list(dict.fromkeys(f.policy for f in findings if f.id == "play.overall"))
    made: list[Placed] = []
    for key, title, caption in (
        (
            "rating",
            "Puzzles solved, by rating",
            "Every move of the solver is the network's most probable one; at the end of a mating line any mate counts.",
        ),
        ("motif", "Puzzles solved, by motif", "Motifs by geometry and material; a puzzle may have several."),
    ):
        ids = list(dict.fromkeys(f.id for f in findings if f.id.startswith(f"play.{key}.")))
        if not ids:
            continue
        series = []
        for policy in policies:
            here = by_id(findings, policy)
            values = [
                [getattr(here[i], k) if i in here else np.nan for i in ids]
                for k in ("estimate", "low", "high")
            ]
            series.append(Bars(policy, *values))
        first = by_id(findings, policies[0])
        blank = [first[i].control if i in first and first[i].control is not None else np.nan for i in ids]
        series.append(Bars("untrained", np.array(blank, float)))
        labels = [_scope(findings, i) for i in ids]
        svg = bars(labels, series, title=title, percent=True)
        made.append((f"play-{key}", "play", Figure.of(svg, caption)))
    return made


def _scope(findings: Sequence[Finding], identifier: str) -> str:
    question = next(f.question for f in findings if f.id == identifier)
    words = question.removeprefix("share of ").removeprefix("puzzles ").split(" in which")[0]
    return words.removeprefix("with ").removeprefix("rated ")


def _confidence(mine: Mapping[str, Finding]) -> list[Placed]:
    shown = {"confidence.sure": "sure of the first move", "confidence.unsure": "unsure of it"}
    rows = {words: mine[i] for i, words in shown.items() if i in mine}
    if not rows:
        return []
    title = "How probable are the solver's later moves?"
    svg = forest_of([*rows], [*rows.values()], title, percent=True)
    caption = "Puzzles split at the median probability of the first move; control: the weak network on the same puzzles."
    return [("confidence", "confidence", Figure.of(svg, caption))]


def _value(mine: Mapping[str, Finding]) -> list[Placed]:
    shown = {
        "value.drift.all": "all puzzles", "value.drift.sure": "first move above 50%",
        "value.drift.unsure": "first move at most 50%",
    }  # fmt: skip
    rows = {words: mine[i] for i, words in shown.items() if i in mine}
    if not rows:
        return []
    svg = forest_of([*rows], [*rows.values()], "How far the value rises along the line", reference=0)
    caption = "Value (win minus loss) at the solver's last move minus at its first; 0 where all was foreseen."
    return [("value-drift", "value", Figure.of(svg, caption))]


def _grid(rule: str, patched: Patched, sites: Sequence[str]) -> list[Placed]:
    """Mean effect by layer and kind of square: the targets and what they are matched with."""
    effect = patched.strong.effect
    columns = {
        f"{target} move" if target != "reply" else target: effect[:, :, SLOTS[target]] for target in TARGETS
    }
    for target in ("first", "third"):
        values = effect[:, :, matched_slots(target)]
        columns[f"matched, {target}"] = values.transpose(0, 2, 1).reshape(-1, len(sites))
    columns["usual third"] = effect[:, :, SLOTS["usual"]]
    columns = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    matrix = np.stack([np.nanmean(values, axis=0) for values in columns.values()], axis=1)
    title = f"What patching a square does to the first move ({rule} twins)"
    svg = heat(matrix, [f"block {i}" for i in range(len(sites))], list(columns), title=title, diverging=False)
    caption = (
        f"Mean fall of the first move's log-odds in {len(effect)} puzzles, when one square is taken from the corrupted "
        "twin after a block. Matched squares have the same occupation, attacks and nearly the same distance."
    )
    return [(f"patch-grid-{rule}", "lookahead", Figure.of(svg, caption))]


def _margins(mine: Mapping[str, Finding]) -> list[Placed]:
    names, rows, groups = [], [], []
    for rule in ("published", "relaxed"):
        for target in TARGETS:
            if (f := mine.get(f"lookahead.{rule}.{target}.margin")) is not None:
                names.append(f"square of the {target}{' move' * (target != 'reply')}")
                rows.append(f)
                groups.append(f"{rule} twins")
    if not rows:
        return []
    title = "Is the square special? Effect above that of matched squares"
    svg = forest_of(names, rows, title, groups=groups, reference=0)
    caption = "Log-odds of the first move; the layer was chosen on the other half of the cases."
    return [("margins", "headline", Figure.of(svg, caption))]


def _branches(mine: Mapping[str, Finding]) -> list[Placed]:
    shown = {"line": "the line's mate", "other": "the other mate", "both": "both together"}
    rows = {w: mine[f"lookahead.branches.{k}"] for k, w in shown.items() if f"lookahead.branches.{k}" in mine}
    if not rows:
        return []
    svg = forest_of(
        [*rows], [*rows.values()], "Where either of two mates suffices: effect of their squares", reference=0
    )
    return [
        ("branches", "lookahead", Figure.of(svg, "Log-odds of the first move; control: matched squares."))
    ]


def _probe(mine: Mapping[str, Finding]) -> list[Placed]:
    blocks = sorted(
        (int(i.rsplit("_", 1)[1]), f) for i, f in mine.items() if i.startswith("probe.third.block_")
    )
    if not blocks:
        return []
    x = [number for number, _ in blocks]
    here = [f for _, f in blocks]
    lines = [Line("probe", x, *([getattr(f, k) for f in here] for k in ("estimate", "low", "high")))]
    controls = [(name, mine.get(f"probe.third.control.{key}")) for name, key in (
        ("co-occurrence", "co_occurrence"), ("planes", "observation"), ("untrained", "untrained"),
        ("random labels", "random_labels"))]  # fmt: skip
    for name, f in controls:
        if f is not None:
            flat = [[value] * len(x) for value in (f.estimate, f.low, f.high)]
            lines.append(Line(name, x, *flat) if len(x) > 1 else Line(name, x, flat[0]))
    title = "Can the third move's square be read off?"
    top = max(
        float(np.nanmax(np.asarray(line.y if line.high is None else line.high, float))) for line in lines
    )
    svg = curves(
        lines, title=title, x_label="after block", percent=True, x_ticks=x, y_limits=(0, min(1.0, 1.2 * top))
    )
    caption = (
        "Share of held-out puzzles in which the probe's best of 64 squares is right; bands are 95% intervals."
    )
    made = [("probe-third", "probe", Figure.of(svg, caption))]
    rows = {_motif(i): f for i, f in mine.items() if i.startswith("probe.third.without.")}
    if rows:
        svg = forest_of(
            [*rows], [*rows.values()], "The same, for a motif that the probe has not seen", percent=True
        )
        made.append(
            (
                "probe-motifs",
                "probe",
                Figure.of(svg, "Control: a probe trained with the motif, on as many puzzles."),
            )
        )
    return made


def _mate(mine: Mapping[str, Finding]) -> list[Placed]:
    rows = {f"all mates; control: {f.control_name.removeprefix('the same probe on ')}": f
            for i, f in mine.items() if i in ("probe.mate.observation", "probe.mate.untrained")}  # fmt: skip
    rows |= {f"{_motif(i)}, unseen": f for i, f in mine.items() if i.startswith("probe.mate.without.")}
    if not rows:
        return []
    svg = forest_of([*rows], [*rows.values()], "Does it read that the line ends in mate?", reference=0.5)
    caption = (
        "Area under the curve, 0.5 is chance; the control of a motif is the planes, with it left out as well."
    )
    return [("probe-mate", "probe", Figure.of(svg, caption))]


def _motif(identifier: str) -> str:
    """'probe.mate.without.mate_in2' is about 'mate in 2'."""
    return re.sub(r"(\D)(\d)$", r"\1 \2", identifier.rsplit(".", 1)[1].replace("_", " "))


def examples(player: Player, cases: Sequence[Case], sites: Sequence[str]) -> list[Placed]:
    """The first cases: the line, and what each square does in the first, the middle and the last block."""
    layers = sorted({round(share * (len(sites) - 1)) for share in DRAWN})
    made: list[Placed] = []
    for i, case in enumerate(cases[:EXAMPLES], 1):
        effect = patch_cases(player, [case], np.arange(64)[None], [sites[n] for n in layers]).effect[0]
        if not np.isfinite(effect).any():
            continue
        fen = case.board.fen()
        arrows = tuple(
            Arrow(place(move.from_square), place(move.to_square), name)
            for move, name in zip(case.line[:3], ("first move", "reply", "third move"), strict=True)
        )
        rings = {"changed in the twin": tuple(place(s) for s in case.twin.changed)}
        flipped = case.board.turn == chess.BLACK
        boards = [
            ChessBoard(fen, arrows=arrows, rings=rings, flipped=flipped, caption="The line"),
            *(ChessBoard(
                fen, np.flipud(heat.reshape(8, 8)), "fall of the first move's log-odds", diverging=True, flipped=flipped,
                rings=rings | {"third move ends here": (place(case.line[2].to_square),)},
                caption=f"Patched after block {layer}",
            ) for layer, heat in zip(layers, effect, strict=True)),
        ]  # fmt: skip
        svg = chess_grid(boards, title=f"Puzzle {case.puzzle + 1}: what each square does for the first move")
        caption = "Each square in turn takes its activations from the corrupted twin; all 64 are drawn."
        made.append((f"example-{i}", "lookahead", Figure.of(svg, caption)))
    return made


def place(square: int) -> tuple[int, int]:
    """(row, column) with row 0 on rank 8 of a square with a1 = 0."""
    return 7 - chess.square_rank(square), chess.square_file(square)
