"""What does a policy pursue, of all things and places of its world and what the user names? Reads top to bottom.

The candidates are taken from the world; levels are made in which one thing lies elsewhere or is gone; the policy, the
untrained network of its shape and a random walk are measured in all of them (slow, stored, resumed after a kill); from
these come findings, verdicts, figures and words (quick, made anew each time).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from goalscope.activations.content import digest
from goalscope.evidence.run_folder import RunFolder
from goalscope.policies.checkpoint import Policy
from goalscope.rollout import NoExactChain
from goalscope.rollout.forward import answer, encoded, first_carry
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.any_world import code_of, compared, distinct, world_for
from goalscope.studies.frame import Conclusion, Placed, Say
from goalscope.studies.goals import figures as goal_figures
from goalscope.studies.goals import words as goal_words
from goalscope.studies.goals.findings import Controls, all_findings, rule_findings, value_finding, verdicts
from goalscope.studies.goals.measure.quantities import (
    PLACES,
    Asked,
    case_of,
    every_square,
    measure,
    moved_cases,
)
from goalscope.studies.goals.measure.rules import Explained, explained
from goalscope.studies.goals.measure.solving import PLAYS, Case, Exact, solved
from goalscope.studies.goals.setup import Candidate, Goals, candidates_of, goals_of, moved
from goalscope.worlds.contract import concatenate, take
from goalscope.worlds.minigrid.views import OBSERVATIONS
from goalscope.worlds.named import world_of

LAST_LEVEL = 2**31 - 1
"""level numbers stay below this"""
QUICK_LEVELS = 25
"""of a quick run"""
MAPS, MOST_PLACEMENTS = 2, 400
"""levels in which the first thing is put on every square, and placements in all"""
DRAWS = 2
"""pairs of squares that a thing is moved to, a level; one where play is sampled, which takes long"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    policy: Any
    """whatever `policies.given.policy_of` takes"""
    world: Any = "maze"
    """whatever `worlds.named.world_of` takes"""
    observation: str | None = None
    """of a world that is named: 'full', 'partial', ... of MiniGrid; None is what the policy says it was trained on"""
    goals: Goals | Sequence[str] | None = None
    """the user's own candidates: name -> function of N states that gives squares [N, 2], or [N] bool; or texts
    'file.py:function', each such a function"""
    first_level: int = 0
    levels: int = 100
    quick: bool = False
    seed: int = 0
    """of draws, bootstrap, splits and sampled play"""
    limit: int = 5000
    """states of one level at most, for exact answers; with more, play is sampled"""
    out: str | None = None
    force: bool = False
    """replaces a finished run, once this one is finished"""
    device: str = "cpu"
    blank: Any = None
    """the untrained control, as `policy`; None makes one from the policy's factory, config or layers"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: the policy or world cannot be loaded, or do not fit each other; an option is
            out of range; there is nothing to ask about, or a goal of the user's can be reached in no level.
        FileExistsError: the output folder exists.
    """
    frame.check_number("--levels", options.levels, 2, LAST_LEVEL)
    frame.check_number("--first-level", options.first_level, 0, LAST_LEVEL - options.levels)
    frame.check_number("--limit", options.limit, 1)
    frame.check_seed(options.seed)
    goals = goals_of(options.goals)
    policy = frame.given(options.policy, options.device)
    world = world_for(policy, options.world, options.observation)
    _refuse_misfit(policy, world, options)
    count = min(options.levels, QUICK_LEVELS) if options.quick else options.levels
    policies = compared(policy, world, options.seed, options.device, options.blank)
    about = frame.about(f"{world.name}, time limit {world.time_limit}", options.seed, options.quick)
    provenance = frame.provenance(
        "goals", policies, about, first_level=options.first_level, levels=count, limit=options.limit,
        goals={name: digest(goal) for name, goal in goals.items()}, rules=code_of(world),
        device=options.device,
    )  # fmt: skip
    out = frame.folder_of(options.out, f"goals-{policy.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        state = world.generate(np.arange(options.first_level, options.first_level + count))
        say(f"{policy.name} in {world.name}: what can be reached in {count} levels")
        asked, how = _asked(policy, world, state, goals, options)
        answers = {}
        for each in policies:
            say(f"{each.name}: where it goes")
            answers[each.name] = run.stage(
                f"measure-{each.name}", lambda each=each: measure(each.module, asked)
            )
        say("findings")
        made = _conclude(policy, answers, asked, state, how, about)
        return frame.finish(run, out, made, provenance, _command(options, world), say)


def _refuse_misfit(policy: Policy, world: Any, options: Options) -> None:
    """Refuses a policy that cannot take what the world shows, before anything is enumerated, with what it could take."""
    misfit = _misfit(policy.module, world)
    if not misfit:
        return
    if isinstance(options.policy, str) and options.policy.endswith(".zip"):
        from goalscope.policies.sb3 import load_sb3  # an extra, which takes long to import

        # The file has its own statement of its spaces, and says what stood between.
        load_sb3(options.policy, world)
    hint = ""
    if isinstance(options.world, str) and options.world.startswith("minigrid:"):
        others = [kind for kind in OBSERVATIONS if kind != world.observation]
        fits = [
            kind for kind in others if not _misfit(policy.module, world_of(options.world, observation=kind))
        ]
        hint = (
            f"; it takes --observation {' or '.join(fits)}"
            if fits
            else "; no observation of this world fits it"
        )
    raise ValueError(f"{policy.name} does not see what {world.name} shows: {misfit}{hint}")


def _misfit(module: nn.Module, world: Any) -> str:
    """Why a network cannot act in the first level of a world; '' where it can."""
    try:
        x = encoded(module, world.observe(world.generate([0])))
        answer(module, x, first_carry(module, 1), len(world.actions), world.name)
    except ValueError as error:
        return str(error)
    return ""


def _asked(policy: Policy, world: Any, state: Any, goals: Goals, options: Options) -> tuple[Asked, str]:
    """What is asked, and in words whether it is answered exactly."""
    candidates = candidates_of(world, state, goals)
    try:
        asked = _cases(world, candidates, state, options.limit, len(_rows(state)), options.seed)
        for case in _all_cases(asked):
            _ = case.states
        solved(policy.module, replace(asked.base, start=take(asked.base.start, slice(1))))
    except NoExactChain as error:
        asked = _cases(world, candidates, state, None, len(_rows(state)), options.seed)
        return asked, f"Sampled, {PLAYS} plays of each level: {error}."
    _refuse_unreachable(asked, goals)
    levels = len(_rows(asked.base.start))
    only = "the one level that the world gives" if levels == 1 else f"{levels} different levels"
    return asked, f"Exact, from all {len(asked.base.states or ()):,} states of {only}."


def _rows(state: Any) -> np.ndarray:
    return np.asarray(next(iter(vars(state).values())))


def _cases(
    world: Any, candidates: list[Candidate], state: Any, limit: int | None, count: int, seed: int
) -> Asked:
    base = case_of(world, candidates, distinct(state), limit, seed)
    found = {}
    if hasattr(world, "free"):
        can_stand = None
        if base.states is not None:
            can_stand = np.zeros(world.free(base.start).shape, bool)
            can_stand[base.states.level, *world.agent(base.states.state).T] = True
        draws = count * (1 if limit is None else DRAWS)
        for i, thing in enumerate(_movable(candidates, limit)):
            levels = moved(world, base.start, thing, can_stand, draws, seed + i)
            if levels is not None:
                found[thing.key] = moved_cases(world, candidates, levels, limit, seed)
    return Asked(candidates, base, found)


def _movable(candidates: Sequence[Candidate], limit: int | None) -> list[Candidate]:
    """The things; where play is sampled, of equal ones ('box', 'box 2') the first."""
    things = [c for c in candidates if c.kind == "thing"]
    return things if limit is not None else [c for c in things if not re.search(r" \d+$", c.name)]


def _all_cases(asked: Asked) -> Iterator[Case]:
    yield asked.base
    for cases in asked.moved.values():
        yield from (case for case in (cases.here, cases.twin, cases.without) if case is not None)


def _refuse_unreachable(asked: Asked, goals: Goals) -> None:
    """What the user names must be there to be come to."""
    for candidate in asked.candidates:
        if candidate.name in goals and not any(case.flags[candidate.key].any() for case in _all_cases(asked)):
            levels = len(asked.base.states.start) if asked.base.states else 0
            raise ValueError(
                f"the goal {candidate.name!r} is reached by no actions in any of {levels} levels: look at what its function "
                "gives, or give it up"
            )


def _conclude(
    policy: Policy, answers: dict[str, dict[str, np.ndarray]], asked: Asked, state: Any, how: str, about: About
) -> Conclusion:  # fmt: skip
    """Headline, sections, findings and figures, all from what was measured."""
    mine, exact = answers[policy.name], asked.base.states is not None
    seen, put = _seen(asked, state)
    controls = Controls({name: found for name, found in answers.items() if name != policy.name}, exact)
    findings = all_findings(policy, mine, controls, asked, seen, about)
    judged = verdicts(asked, mine, findings)
    fit = _rules(policy.module, asked, about.seed)
    told = [] if isinstance(fit, str) else rule_findings(policy, fit, about)
    findings += told + value_finding(policy, mine, controls, asked, about)
    found, names = {f.id: f for f in findings}, {c.key: c.name for c in asked.candidates}
    drawn: list[Placed] = [*_pictures(policy, asked, put), *goal_figures.finding_figures(findings, names)]
    drawn += goal_figures.rules_figure(fit, told)
    return Conclusion(
        title=f"What does {policy.name} pursue in {asked.base.world.name}?",
        headline=goal_words.headline(policy.name, found, judged, fit),
        sections=goal_words.sections(found, judged, fit, how, _asides(asked, found)),
        findings=findings,
        figures=drawn,
        shown=goal_figures.SHOWN,
        further={"verdicts": {v.candidate.name: v.answer for v in judged}},
    )


def _seen(asked: Asked, state: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each thing that is moved: [C, 2] bool, the world puts it on these squares too; and [H, W] bool, where it does."""
    squares, put = {}, {}
    for key, cases in asked.moved.items():
        found = cases.moved
        world = asked.base.world
        put[key] = np.zeros(world.free(state).shape[1:], bool)
        for here in world.things(state):
            if found.thing.name in here:
                put[key][here[found.thing.name]] = True
        pairs = np.stack([found.here, found.twin], 1)
        squares[key] = put[key][pairs[..., 0], pairs[..., 1]]
    return squares, put


def _rules(module: nn.Module, asked: Asked, seed: int) -> Explained | str:
    """The rules held against the moves in levels with the first thing moved: as generated, it may lie in a special place."""
    case = next((cases.here for cases in asked.moved.values()), asked.base)
    found = solved(module, case)
    return explained(found, asked.candidates, seed) if isinstance(found, Exact) else "play was sampled"


def _pictures(policy: Policy, asked: Asked, put: dict[str, np.ndarray]) -> Iterator[Placed]:
    """Where it goes in four levels, and the map over the placements of the first thing."""
    world = asked.base.world
    if not hasattr(world, "free"):
        return
    shown = [(replace(asked.base, start=take(asked.base.start, slice(1))), "as generated")]
    for cases in asked.moved.values():
        found, at_here = cases.moved, cases.here
        few = range(min(len(found.level), max(1, 3 // len(asked.moved))))
        shown += [(replace(at_here, start=take(at_here.start, i)), f"{found.thing.name} moved") for i in few]
    squares = [(every_square(case), words) for case, words in shown[:4]]
    chances = [
        {name: found.comes(name) for name in case.targets}
        for case, _ in squares
        for found in [solved(policy.module, case)]
    ]
    yield from goal_figures.paths_figure(
        policy.name, world, [(case.start, words) for case, words in squares], chances
    )
    for key, cases in list(asked.moved.items())[:1]:
        found = cases.moved
        levels = take(asked.base.start, np.unique(found.level)[:MAPS])
        maps = [_map(policy.module, asked, found.thing, take(levels, i)) for i in range(len(_rows(levels)))]
        yield from goal_figures.map_figure(policy.name, found.thing.name, world, levels, maps, put[key])


def _map(module: nn.Module, asked: Asked, thing: Candidate, level: Any) -> np.ndarray:
    """[H, W] P(comes to the thing) with it where it lies and on each free square of one level, NaN elsewhere."""
    world, base = asked.base.world, asked.base
    free = world.free(level)[0]
    squares = np.argwhere(free)[: MOST_PLACEMENTS // MAPS]
    placed = world.move(take(level, np.zeros(len(squares), int)), thing.name, squares)
    case = case_of(world, [thing], concatenate([level, placed]), base.limit, base.seed)
    heat = np.full(free.shape, np.nan)
    rows, columns = np.array([world.things(level)[0][thing.name], *squares]).T
    heat[rows, columns] = solved(module, case).comes(thing.key)
    return heat


def _asides(asked: Asked, found: dict[str, Any]) -> list[str]:
    """What was not asked about, and why."""
    missed = [c.name for c in asked.candidates if c.kind != "start" and f"come.{c.key}" not in found]
    said = (
        [f"Not asked, since the agent begins there or no level has it: {', '.join(missed)}."]
        if missed
        else []
    )
    judged = {f"lead.{c.key}": c.name for c in asked.candidates if c.kind in PLACES}
    equal = [name for key, name in judged.items() if key not in found]
    if equal:
        said.append(
            f"Held against no other place, since no states are equally near to two: {', '.join(equal)}."
        )
    still = [c.name for c in asked.candidates if c.kind == "thing" and c.key not in asked.moved]
    if still:
        why = "the world cannot, there is no room, or another of its kind is"
        said.append(f"Not moved, since {why}: {', '.join(still)}.")
    return said


def _command(options: Options, world: Any) -> str:
    return frame.command(
        "goals", policy=options.policy, world=options.world if isinstance(options.world, str) else world.name,
        observation=options.observation,
        goals=() if options.goals is None or isinstance(options.goals, Mapping) else tuple(options.goals),
        first_level=options.first_level, levels=options.levels, quick=options.quick, seed=options.seed, limit=options.limit,
        blank=options.blank,
    )  # fmt: skip
