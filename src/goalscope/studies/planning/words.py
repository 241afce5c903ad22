"""The planning study in words: every sentence is made from findings, by rules that are written here.

A plan is claimed only where the right moves of the way to come are read better, by whole intervals, than by every control:
the square, every window around it, the untrained network, ways to other squares. That it causes the moves is claimed only
where writing another one elsewhere than on the mouse's own square is followed more often than random vectors, with
activations that are not far out; or where the swapped state is. A null result comes with the effect that would have been
shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.studies.planning.findings import EQUAL, FAR_CHEESE, SOLVED, rivals
from goalscope.studies.planning.measure.windows import sides_for
from goalscope.studies.planning.setup import Setup
from goalscope.studies.words import alone, controls_said, headed, number, told

Table = Mapping[str, Finding]
Found = Mapping[str, Mapping[str, Any]]
FAR_OUT = 5.0
"""times the ordinary distance from which written squares show nothing of ordinary ones"""
LISTED = 12
"""levels that are named in a sentence"""


def not_beaten(setup: Setup, table: Table) -> list[str]:
    """The controls that the reading is not shown to beat."""
    return [name for name in rivals(setup) if table[f"read.gain.{name}"].low <= 0]


def is_lifted(table: Table, name: str) -> bool:
    """Whether a written or swapped plan is followed more often than its control."""
    lift = table.get(f"{name}.lift")
    return lift is not None and lift.low > 0


def is_far_out(table: Table) -> bool:
    """Whether the written squares lie where the network never is."""
    far = table.get("follow.way.off_manifold")
    return far is not None and far.estimate >= FAR_OUT


def headline(setup: Setup, table: Table) -> str:
    """A verdict in one sentence; then reading, writing and thinking in a line each."""
    return headed(
        verdict(setup, table), _read_line(setup, table), _follow_line(table), _think_line(setup, table)
    )


def verdict(setup: Setup, table: Table) -> str:
    """Is there a plan, and does it cause the moves?"""
    name, missed = setup.policy.name, not_beaten(setup, table)
    if missed:
        return f"No plan was found in {name}: {rivals(setup)[missed[-1]]} may tell its way as well."
    written = is_lifted(table, "follow.way")
    if written and not is_far_out(table):
        return f"{name} holds a plan of its way to the cheese, and writing another one elsewhere changes its moves."
    if is_lifted(table, "follow.swap"):
        but = (
            "is followed only far outside of ordinary activations"
            if written
            else "along the directions that were tried is not shown to be followed"
        )
        return (
            f"{name} holds a plan of its way to the cheese, and what stands on other squares causes its moves; writing "
            f"another plan there {but}."
        )
    said = (
        f"The way can be read from {name}, but that the plan on other squares causes its moves is not shown"
    )
    if is_lifted(table, "follow.own_square"):
        return f"{said}: only what is written where the mouse stands dictates a move."
    return f"{said}."


def _read_line(setup: Setup, table: Table) -> str:
    sides = sides_for(setup.world.size)
    beside = ", ".join(number(table[f"read.beside.window_{k}"].control or 0) for k in sides)
    return (
        f"The right move is read on {alone(table['read.way'])} of the squares of the way to come; windows of "
        f"{', '.join(map(str, sides))} squares around tell {beside}."
    )


def _follow_line(table: Table) -> str:
    if "follow.way" not in table:
        return ""
    swap = table["follow.swap"]
    return (
        f"Another way written on all squares but the mouse's own is followed in {told(table['follow.way'])}; with the whole "
        f"state swapped in {told(swap)}."
    )


def _think_line(setup: Setup, table: Table) -> str:
    place = "far" if "think.far.gain" in table else "all"
    if f"think.{place}.gain" not in table:
        return ""
    where = f" {FAR_CHEESE} or more steps away" if place == "far" else ""
    said = f"Four times the ticks change the chance of coming to a cheese{where} by {_points(table[f'think.{place}.gain'])}"
    if f"think.{place}.longer" in table:
        said += f", the most ticks by {_points(table[f'think.{place}.longer'])}"
    return f"{said}."


def _points(found: Finding) -> str:
    """A difference of shares in points, with its interval."""
    return f"{100 * found.estimate:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def sections(setup: Setup, table: Table, found: Found) -> list[dict[str, str]]:
    """Key, title, question and answer of each section."""
    made = {
        "read": ("Reading the way", "Can the way to come be read before it is gone, and is that more than can be seen?",
                 _read_words(setup, table)),
        "form": ("The plan forms", "Does it form while the network thinks, near squares before far ones?",
                 _form_words(table)),
        "follow": ("Writing another way", "Does it follow another way that is written into its state?",
                   _follow_words(table, found)),
        "think": ("Thinking longer", "What do more ticks buy, level by level?", _think_words(setup, table, found)),
        "replan": ("A wall closes", "Does it find the way round when the way closes before it?", _replan_words(table)),
    }  # fmt: skip
    return [
        {"key": k, "title": title, "question": question, "answer": answer}
        for k, (title, question, answer) in made.items()
    ]


def _read_words(setup: Setup, table: Table) -> str:
    rows = [f for i, f in table.items() if i.startswith("read.beside.")]
    missed = [rivals(setup)[name] for name in not_beaten(setup, table)]
    beaten = "more than each control" if not missed else f"not shown to be more than {', '.join(missed)}"
    codes = "; ".join(f"a probe of {k} gives {alone(table[f'read.code.{k}'])}" for k in ("move", "steps"))
    return (
        f"On {told(table['read.way'])}: {beaten}. Of the codes {codes}. What is read is what it then does on "
        f"{told(table['read.does'])}. {controls_said(rows)}"
    ).strip()


def _form_words(table: Table) -> str:
    if "form.rise" not in table:
        return "There is but one moment, so nothing can be told."
    rise, front = table["form.rise"], table.get("form.front")
    verb = (
        "rises"
        if rise.low > max(0.0, rise.control_high or 0.0)
        else "is not shown to rise beyond the untrained network's"
    )
    said = f"What is read {verb} from the first moment to the last: {_points(rise)}."
    if front is not None:
        shown = front.low > max(0.0, front.control_high or 0.0)
        words = (
            "Near squares come before far ones"
            if shown
            else "That near squares come before far ones is not shown"
        )
        said += f" {words}: {told(front, False)} moments later for each step."
    return said


def _follow_words(table: Table, found: Found) -> str:
    if "follow.way" not in table:
        have = found["writing"]["mazes"].astype(int).tolist()
        return f"Not asked: {have[0]} mazes to choose and {have[1]} to judge on have another way that it does not go anyway."
    way, own, swap = table["follow.way"], table["follow.own_square"], table["follow.swap"]
    said = f"Written on all squares but the mouse's own, along {way.method}: followed in {told(way)} of {way.n} levels."
    if not is_lifted(table, "follow.way"):
        least = table.get("follow.way.detectable")
        said += f" That is not told from {EQUAL}"
        said += (
            "."
            if least is None
            else f"; {100 * least.estimate:.0f} points would have been four times in five."
        )
    far = table["follow.way.off_manifold"]
    said += f" The written squares lie {alone(far, False)} times as far out as ordinary ones."
    said += f" With the next move written on its own square alone: {told(own)}."
    said += f" With the whole state of other squares swapped: {told(swap)}."
    return said


def flips(found: Found) -> dict[str, dict[str, list[int]]]:
    """Ticks -> levels of the thinking part that turn solved and unsolved there: for run.json."""
    stored = found.get("thinking", {})
    if "ticks" not in stored:
        return {}
    solved = stored["reach"] >= SOLVED
    return {
        str(t): {
            "to_solved": np.flatnonzero(now & ~before).tolist(),
            "to_unsolved": np.flatnonzero(before & ~now).tolist(),
        }
        for t, before, now in zip(stored["ticks"][1:], solved[:-1], solved[1:], strict=True)
    }


def _think_words(setup: Setup, table: Table, found: Found) -> str:
    turned = flips(found)
    if not turned:
        return "Not asked: the number of its ticks cannot be set."
    said = []
    for place, words in (("all", "All levels"), ("far", f"Cheese {FAR_CHEESE} or more steps away")):
        rows = {i.rsplit("_", 1)[1]: f for i, f in table.items() if i.startswith(f"think.{place}.ticks_")}
        if rows:
            said.append(
                f"{words}, by ticks: {', '.join(f'{t} {number(f.estimate)}' for t, f in rows.items())}."
            )
    longer = table.get("think.far.longer") or table.get("think.all.longer")
    if longer is not None and longer.high < 0:
        said.append(f"Too long hurts: {_points(longer)}.")
    for t, levels in turned.items():
        for key, words in (("to_solved", "Solved from"), ("to_unsolved", "No longer solved with")):
            if levels[key]:
                some = ", ".join(map(str, levels[key][:LISTED])) + (
                    " and more" if len(levels[key]) > LISTED else ""
                )
                said.append(f"{words} {t} ticks on: {len(levels[key])} levels ({some}).")
    return " ".join(said)


def _replan_words(table: Table) -> str:
    if "replan.takes" not in table:
        return "Not asked: no maze has an inner wall whose opening makes the way shorter."
    said = f"It walks through the opening in {told(table['replan.takes'])} of levels."
    if (reach := table.get("replan.reach")) is not None:
        said += f" Once it has closed before the mouse, it comes to the cheese in {told(reach)}."
    return said
