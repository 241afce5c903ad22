"""The Sokoban study in words: every sentence is made from findings, by rules that are written here.

That a plan is in the memory is claimed only where its probe beats, by whole intervals, what the square, the untrained
network and random labels give. What the surroundings give away is said beside it, and that it causes the moves only where
writing it, on other squares than the player's own, beats random vectors. A null result comes with the effect that the data
could have shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.studies.sokoban_plan.findings.probes import OF, WINDOW
from goalscope.studies.sokoban_plan.measure.beside import WINDOW_SIDES
from goalscope.studies.sokoban_plan.measure.probes import OTHER, TARGETS, best_part
from goalscope.studies.sokoban_plan.setup import Setup
from goalscope.studies.words import alone, controls_said, headed, number, told

Table = Mapping[str, Finding]
Found = Mapping[str, Mapping[str, Any]]
NAMES = {"agent": "the player", "box": "the boxes"}
ENOUGH = 20
"""levels without which no effect of thinking is spoken of"""
AROUND = f"{WINDOW_SIDES[-1]} x {WINDOW_SIDES[-1]}"
"""the largest window"""
FAR = 5.0
"""times the ordinary distance from which written squares are called out in the headline"""
LISTED = 12
"""levels that are named in a sentence; a small file's levels are all told"""


def _f1(finding: Finding) -> str:
    return told(finding, percent=False)


def _points(finding: Finding) -> str:
    """A difference of shares in points, with its interval."""
    return f"{100 * finding.estimate:+.1f} points [{100 * finding.low:+.1f}, {100 * finding.high:+.1f}]"


def is_read(table: Table, target: str) -> bool:
    """Whether the memory says more of the plan than the square, the untrained network and random labels."""
    return all(table[f"probe.{target}.gain.{k}"].low > 0 for k in ("observation", "untrained", "random"))


def is_cause(table: Table, target: str) -> bool:
    """Whether a written plan is followed more often than random vectors are."""
    lift = table.get(f"write.{target}_shortcut.lift")
    return lift is not None and lift.low > 0


def far_out(table: Table, target: str) -> str:
    """What must be said beside an effect of activations that the network never meets; else nothing."""
    found = table.get(f"write.{target}_shortcut.off_manifold")
    if found is None or found.estimate < FAR:
        return ""
    return f", but only with squares written {found.estimate:.0f} times as far out as ordinary ones"


def headline(setup: Setup, table: Table) -> str:
    """A verdict in one sentence, is there a plan and does it cause the moves; then reading, writing and thinking in a line
    each."""
    read = [t for t in TARGETS if is_read(table, t)]
    lines = _read_line(table), _written_line(table, read), _solved_line(setup, table)
    return headed(_verdict(setup, table, read), *lines)


def _verdict(setup: Setup, table: Table, read: list[str]) -> str:
    name = setup.policy.name
    # What a network does with activations that it never meets shows nothing of what it does with its own.
    caused = [t for t in read if is_cause(table, t) and not far_out(table, t)]
    if not read:
        return f"No plan was found in {name}: probes do no better than their controls."
    # A network that has no memory, or all that can be seen around a square, may give as much: then no memory is needed.
    gain = {t: f for t in read if (f := table.get(f"probe.{t}.gain.{OTHER}")) is not None}
    more = [t for t, f in gain.items() if f.high < 0]
    other = [t for t, f in gain.items() if f.low <= 0 and t not in more]
    seen = [t for t in read if table[f"probe.{t}.beyond_window"].low <= 0 and t not in (*other, *more)]
    beside = f"; of {_both(seen)} the squares around may give all of it" if seen else ""
    if other:
        beside += f"; that another trained player tells less of where {_both(other)} will go is not shown"
    if more:
        beside += _told_more(setup, more)
    if not caused:
        return f"Where {_both(read)} will go can be read from {name}, but that this causes its moves is not shown{beside}."
    wrote = f"writing another one for {_both(caused)} changes what it does{beside}."
    if more:
        return f"Where {_both(read)} will go can be read from {name}, and what is read is used: {wrote}"
    return f"{name} holds a plan of where {_both(read)} will go, and {wrote}"


def _told_more(setup: Setup, targets: list[str]) -> str:
    """That another network is read better than the policy, and what follows from it where that one has no memory."""
    other = "another trained player" if setup.other is None else setup.other.name
    if setup.plain is None or setup.plain.name != other:
        return f"; but {other} tells more of where {_both(targets)} will go"
    told_more = f"; but {other}, which has no memory, tells more of where {_both(targets)} will go"
    return f"{told_more}, so nothing shows that it takes a memory"


def _read_line(table: Table) -> str:
    """What the memory gives, beside the largest window."""
    said = []
    for target in TARGETS:
        around, other = (table.get(f"probe.{target}.beside.{k}") for k in (WINDOW, OTHER))
        if around is not None:
            beside = f"the {AROUND} squares around: {number(around.control or 0, False)}"
            if other is not None:
                beside += f"; {other.control_name.split(',')[0].removeprefix(OF)}: {number(other.control or 0, False)}"
            said.append(f"{NAMES[target]} {alone(around, False)[:-1]}; {beside}]")
    return f"Macro-F1 of a linear probe of its memory: {', '.join(said)}."


def _written_line(table: Table, read: list[str]) -> str:
    """How often a written way is followed; nothing where none is."""
    said = [
        f"{'a box' if t == 'box' else 'the player'} {told(table[f'write.{t}_shortcut'])}{far_out(table, t)}"
        for t in read
        if is_cause(table, t)
    ]
    if not said:
        return ""
    return f"A longer way that is written, on all squares but the player's own, is taken: {', '.join(said)}."


def _solved_line(setup: Setup, table: Table) -> str:
    thinking = _thinking(table, "generated", setup.sets["generated"].thinking[-1])
    return f"It solves {told(table['solve.generated.think_0'])} of new levels; {thinking}."


def _both(targets: list[str]) -> str:
    return " and ".join(NAMES[target] for target in targets)


def _thinking(table: Table, name: str, looks: int) -> str:
    gain, least = table[f"thinking.{name}.gain_{looks}"], table.get(f"thinking.{name}.detectable_{looks}")
    if gain.low > 0:
        return f"{looks} looks before the first move add {_points(gain)}"
    if gain.high < 0:
        return f"{looks} looks before the first move cost {_points(gain)}"
    if gain.n < ENOUGH:
        return f"{gain.n} {'level' if gain.n == 1 else 'levels'} cannot show an effect of {looks} looks"
    said = f"no effect of {looks} looks before the first move is shown: {_points(gain)}"
    if least is None:
        return said
    return f"{said}, where {100 * least.estimate:.1f} points, the same in every level, would have been four times in five"


def sections(setup: Setup, table: Table, found: Found) -> list[dict[str, str]]:
    """Key, title, question and answer of each section that has findings."""
    titles = {
        "solve": ("Solve rates", "Which levels does it solve?"),
        "thinking": ("Thinking longer", "What do looks before the first move change, level by level?"),
        "cycles": ("Early cycles", "Does it walk in circles at first, and does looking longer stop that?"),
        "probe": ("Reading the plan", "Can it be read from the memory where player and boxes will go, and is that more than "
                  "what can be seen?"),
        "plan": ("The plan forms", "Does the plan get better from tick to tick?"),
        "write": ("Writing a plan", "Does it follow a longer way that is written into its memory?"),
        "larger": ("Larger boards", "Do policy and probes carry over to boards that it was not trained on?"),
        "resnet": ("Without memory", "What does a trained network without memory do?"),
    }  # fmt: skip
    answers = {
        "solve": _solve_words(setup, table, found),
        "thinking": _thinking_words(setup, table, found),
        "cycles": _cycle_words(setup, table),
        "probe": " ".join(_probe_words(setup, table, found, target) for target in TARGETS),
        "plan": _plan_words(table),
        "write": _write_words(table, found),
        "larger": _larger_words(setup, table),
        "resnet": _resnet_words(setup, table),
    }
    return [
        {"key": key, "title": title, "question": question, "answer": answers[key]}
        for key, (title, question) in titles.items()
        if key in ("write", "resnet") or any(name.startswith(f"{key}.") for name in table)
    ]


def _solve_words(setup: Setup, table: Table, found: Found) -> str:
    said = []
    for name, levels in setup.sets.items():
        said.append(f"{_capital(levels.words)}: {told(table[f'solve.{name}.think_0'])}.")
        if 1 <= len(levels) <= LISTED and name == "file":
            stored = found[f"solve-{name}"]
            for i, level in enumerate(levels.names):
                solved = [str(k) for k in levels.thinking if stored[f"solved.{k}"][i]]
                said.append(f"{level!r} is solved " + (f"after {', '.join(solved)} looks." if solved else
                            f"after none of {', '.join(map(str, levels.thinking))} looks."))  # fmt: skip
        if levels.note:
            said.append(levels.note)
    return " ".join(said)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _thinking_words(setup: Setup, table: Table, found: Found) -> str:
    said = []
    for name, levels in setup.sets.items():
        last = levels.thinking[-1]
        if f"thinking.{name}.gain_{last}" not in table:
            continue
        listed = _flip_lists(found[f"solve-{name}"], levels.names, last)
        up, down = (len(listed[k]) for k in ("to_solved", "to_unsolved"))
        said.append(
            f"{_capital(levels.words)}: {_thinking(table, name, last)}; {up} turned solved, {down} unsolved."
        )
        if name == "generated":
            kinds = ((f"Solved only after {last} looks:", "to_solved"), ("Only without:", "to_unsolved"))
            said += [f"{words} {_listed(listed[key])}." for words, key in kinds if listed[key]]
    best = max(
        (f for i, f in table.items() if i.startswith("thinking.generated.gain_")), key=lambda f: f.estimate
    )
    said.append(f"The best number of looks, chosen on these very levels and so flattered: {best.id.rsplit('_', 1)[1]}, "
                f"{_points(best)}.")  # fmt: skip
    return " ".join(said)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (" and more" if len(names) > LISTED else "")


def _flip_lists(stored: Mapping[str, np.ndarray], names: tuple[str, ...], looks: int) -> dict[str, list[str]]:
    bare, now = stored["solved.0"], stored[f"solved.{looks}"]
    which = {"to_solved": now & ~bare, "to_unsolved": bare & ~now}
    return {
        key: [names[i].removeprefix("generated ") for i in np.flatnonzero(flipped)]
        for key, flipped in which.items()
    }


def flips(setup: Setup, found: Found) -> dict[str, Any]:
    """Set -> looks -> the levels that flip each way, all of them: for run.json."""
    return {
        name: {str(k): _flip_lists(found[f"solve-{name}"], levels.names, k) for k in levels.thinking[1:]}
        for name, levels in setup.sets.items()
    }


def _cycle_words(setup: Setup, table: Table) -> str:
    levels = setup.sets["generated"]
    first, last = (table[f"cycles.generated.think_{k}"] for k in (levels.thinking[0], levels.thinking[-1]))
    said = f"Without looks {told(first)} of the levels begin with a cycle, after {levels.thinking[-1]} looks {told(last)}."
    gone = table.get(f"cycles.generated.vanish_{levels.thinking[-1]}")
    if gone is not None:
        said += f" Of the {gone.n} early cycles {told(gone)} vanish."
    return said


def _probe_words(setup: Setup, table: Table, found: Found, target: str) -> str:
    part, last = best_part(setup, found["probes"], target), setup.layout.ticks
    where = "all_layers" if part == "all" else f"layer_{int(part) + 1}"
    best = table[f"probe.{target}.{where}.tick_{last}"]
    beside = {
        k: table[f"probe.{target}.beside.{k}"] for k in _CONTROLS if f"probe.{target}.beside.{k}" in table
    }
    beyond = table[f"probe.{target}.beyond_window"]
    verdict = "more than each control" if is_read(table, target) else "not more than every control"
    adds = (
        f"Beside those the memory adds {_f1(beyond)}, so it holds what cannot be seen there in a straight line."
        if beyond.low > 0
        else f"Beside those the memory adds {_f1(beyond)}: nothing is shown that the squares around do not give away."
    )
    windows = ", ".join(
        f"{side} x {side} {number(f.control, False)}"
        for side in WINDOW_SIDES
        if (f := beside[f"window_{side}"]).control is not None
    )
    return (
        f"Where {NAMES[target]} will go is read from {setup.layout.words(part)} with a macro-F1 of {_f1(best)}; from the "
        f"observation at the square with {number(beside['observation'].control or 0, False)}: {verdict}. The squares around "
        f"it, far larger read-outs, give {windows}. {adds} {_differs_words(table, target)} "
        + controls_said([best, *beside.values()], percent=False)
    )


_CONTROLS = (
    "observation",
    *(f"window_{side}" for side in WINDOW_SIDES),
    "other_player",
    "other_level",
    "random",
)


def _differs_words(table: Table, target: str) -> str:
    """On how many squares the memory and the largest window differ, and who is right there."""
    differs = table[f"probe.{target}.differs.{WINDOW}"]
    words = f"Memory and the {AROUND} window say different things on {alone(differs)} of the squares"
    if (right := table.get(f"probe.{target}.right_where_differs.{WINDOW}")) is None:
        return f"{words}."
    return (
        f"{words}; there the memory is right in {alone(right)}, the window in {number(right.control or 0)}."
    )


def _plan_words(table: Table) -> str:
    said = []
    for target in TARGETS:
        rise, later = (table.get(f"plan.rise.{target}.{k}") for k in ("first_look", "later_looks"))
        if rise is not None:
            beyond = rise.low > max(0.0, rise.control_high or 0.0)
            verb = "rises" if beyond else "is not shown to rise beyond the untrained network's"
            said.append(f"For {NAMES[target]} the F1 {verb} within the first look: {_f1(rise)}")
            if later is not None:
                more = (
                    "and more"
                    if later.low > 0
                    else "and falls"
                    if later.high < 0
                    else "and no change is shown"
                )
                said[-1] += f", {more} in the looks after it: {_f1(later)}"
            said[-1] += "."
    return " ".join(said) or "A network without memory has but one plan a look, so nothing can be told."


def _write_words(table: Table, found: Found) -> str:
    said = []
    for target in TARGETS:
        key = f"write.{target}_shortcut"
        looked, kept = found["writing"][f"{target}.looked"].astype(int)
        solved_short = f"{kept} of {looked} {target}-shortcut levels are solved by the shorter way"
        if key not in table:
            said.append(f"{solved_short}, too few to judge.")
            continue
        main, solved, far = (table[k] for k in (key, f"{key}.solved", f"{key}.off_manifold"))
        verdict, least = "", table.get(f"{key}.detectable")
        if not is_cause(table, target):
            verdict = " That is not told from random vectors"
            if least is not None:
                size = f"{100 * least.estimate:.0f} points"
                verdict += f"; {size}, the same in every level, would have been four times in five"
            verdict += "."
        said.append(
            f"{_capital(target)}-shortcut ({main.n} levels in eight symmetries; {solved_short}): with the plan written on "
            f"all squares but the player's own the longer way is taken in {told(main)}.{verdict} The level is then "
            f"solved in {told(solved)}. The written squares lie {_f1(far)} times as far out as ordinary ones. "
            f"{_choice_words(main)}"
        )  # fmt: skip
        if (own := table.get(f"{key}.own_square")) is not None:
            said.append(_own_words(own, is_cause(table, target)))
    return " ".join(said)


def _choice_words(main: Finding) -> str:
    """How part and strength were chosen, and how fragile that is."""
    return f"Layers and strength were {main.method.split('; ', 1)[1]}."


def _own_words(own: Finding, ahead: bool) -> str:
    """What it means that the player's own square alone dictates the moves, or does not."""
    words = (
        "With nothing but the next move written, on the player's own square and in the layers where that does most, the "
        f"longer way is taken in {told(own)}."
    )
    if own.control_high is None or own.low <= own.control_high:
        return f"{words} That the move can be dictated there is not shown."
    if ahead:
        return (
            f"{words} So a move can be dictated where the player stands, plan or not; the number before this leaves that "
            "square out, and shows that what is written elsewhere is followed as well."
        )
    return f"{words} So a move can be dictated where the player stands, but that a plan elsewhere is followed is not shown."


def _larger_words(setup: Setup, table: Table) -> str:
    said = []
    for name in ("boxes", "larger", "largest"):
        if name in setup.sets:
            said.append(
                f"{_capital(setup.sets[name].words)}: solved in {told(table[f'solve.{name}.think_0'])}."
            )
    for target in TARGETS:
        if (f := table.get(f"larger.probe.{target}")) is not None:
            said.append(
                f"The probe for {NAMES[target]}, fitted on smaller boards, reads the larger ones with {_f1(f)}."
            )
    return " ".join(said)


def _resnet_words(setup: Setup, table: Table) -> str:
    if setup.plain is None:
        return (
            "Not answered: no trained network without memory is packaged for these boards. The control of the solve rates "
            "is the untrained network."
        )
    gain, flips = table["resnet.generated.gain"], table["resnet.generated.flips"]
    return (
        f"{setup.policy.name} solves {_points(gain)} more than {setup.plain.name} on the same levels. Looks change "
        f"{told(flips)} of the levels of a network without memory."
    )
