"""The commands `goalscope study ...`; a study is imported only when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from goalscope.commands.parser import App, Option
from goalscope.commands.shown import shown
from goalscope.studies import study

if TYPE_CHECKING:
    from goalscope.studies.about import Outcome

study_app = App(help="Answer one question about a policy, with evidence and a report.")

PolicyName = Annotated[
    str,
    Option("Packaged name, path of a checkpoint, or file.py:factory, which makes a torch module."),
]
World = Annotated[str, Option("'maze' (symbolic planes) or 'procgen' (pixels).")]
Distribution = Annotated[str | None, Option("Procgen's 'easy' or 'hard'.")]
Blank = Annotated[str | None, Option("The untrained control, as --policy [default: made from the policy].")]
FirstLevel = Annotated[int, Option("Number of the first level; the others follow.")]
NoCache = Annotated[
    bool, Option("Measure anew what was measured before, and keep nothing of it.", "--no-cache")
]
Force = Annotated[
    bool, Option("Replace a finished run of this name, once the new one is finished.", "--force")
]
AsJson = Annotated[bool, Option("Print the findings as JSON, and nothing else.", "--json")]


@study_app.command("maze")
def study_maze(
    policy: PolicyName = "mouse-topright",
    world: World = "maze",
    distribution: Distribution = None,
    first_level: FirstLevel = 0,
    levels: Annotated[int, Option("How many levels.")] = 500,
    seed: Annotated[int, Option("Of bootstrap, splits and sampled walks.")] = 0,
    out: Annotated[str | None, Option("Run folder to make [default: runs/maze-POLICY].")] = None,
    device: Annotated[str, Option("Where the policy runs: cpu, cuda.")] = "cpu",
    size: Annotated[
        int | None, Option("Side of the mazes, for a network without an attribute `size`.")
    ] = None,
    blank: Blank = None,
    no_cache: NoCache = False,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Does it want the cheese or the top-right corner, and what would be a simpler explanation?"""
    with shown() as say:
        outcome = study(
            "maze", policy, world=world, distribution=distribution, first_level=first_level, levels=levels,
            seed=seed, out=out, device=device, size=size, blank=blank, no_cache=no_cache,
            force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("maze-internals")
def study_maze_internals(
    policy: PolicyName = "mouse-topright",
    world: World = "maze",
    distribution: Distribution = None,
    first_level: FirstLevel = 0,
    quick: Annotated[bool, Option("A quarter of the mazes: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of bootstrap, splits, donors, targets and noise.")] = 0,
    out: Annotated[str | None, Option("Run folder to make [default: runs/maze-internals-POLICY].")] = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Which activations carry the goal, and can it be edited, moved, or trained away?"""
    with shown() as say:
        outcome = study(
            "maze-internals", policy, world=world, distribution=distribution, first_level=first_level,
            quick=quick, seed=seed, out=out, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("sokoban")
def study_sokoban(
    policy: PolicyName = "sokoban-small",
    levels: Annotated[
        str | None, Option("A file of Boxoban or XSB levels, beside the generated ones.")
    ] = None,
    quick: Annotated[bool, Option("A fifth of the levels: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of bootstrap, moments, shortcuts and random vectors.")] = 0,
    out: Annotated[str | None, Option("Run folder to make [default: runs/sokoban-POLICY].")] = None,
    size: Annotated[int | None, Option("Side of the boards, for an own network.")] = None,
    boxes: Annotated[int | None, Option("How many boxes, for an own network.")] = None,
    site: Annotated[
        list[str] | None,
        Option("Where an own network keeps [N, C, H, W] activations; repeatable."),
    ] = None,
    blank: Blank = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Does it plan, does the plan cause its moves, and what does thinking longer buy?"""
    with shown() as say:
        outcome = study(
            "sokoban", policy, levels=levels, quick=quick, seed=seed, out=out, size=size, boxes=boxes,
            sites=tuple(site) if site else None, blank=blank, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("chess")
def study_chess(
    puzzles: Annotated[str, Option("Puzzle file of Lichess, .csv or .parquet.")],
    strong: Annotated[
        str, Option("The network in question: name, path of its file, or file.py:factory.")
    ] = "maia-1900",
    weak: Annotated[str, Option("A weaker one, which says what is hard or forced.")] = "maia-1100",
    limit: Annotated[int | None, Option("Rows of the file to read [default: all].")] = None,
    seed: Annotated[int, Option("Of bootstrap, splits, draws and the untrained network.")] = 0,
    engine: Annotated[
        str | None, Option("A UCI engine that checks lines, such as 'stockfish' [default: none].")
    ] = None,
    out: Annotated[str | None, Option("Run folder to make [default: runs/chess-STRONG].")] = None,
    device: Annotated[str, Option("Where the networks run: cpu, cuda.")] = "cpu",
    blank: Blank = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Does a chess network look ahead, or does it choose its first move without the later ones?"""
    with shown() as say:
        outcome = study(
            "chess", strong, puzzles=puzzles, weak=weak, limit=limit, seed=seed, out=out, device=device,
            engine=engine, blank=blank, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("goals")
def study_goals(
    policy: PolicyName,
    world: Annotated[
        str, Option("maze, minigrid:ID, procgen:GAME, or file.py:factory, which makes a world.")
    ],
    observation: Annotated[
        str | None, Option("What it sees of a named world [default: what it says it was trained on].")
    ] = None,
    goals: Annotated[
        list[str] | None,
        Option(
            "A goal of your own, file.py:function, which says of N states where to be, or whether it is there; repeatable."
        ),
    ] = None,
    first_level: FirstLevel = 0,
    levels: Annotated[int, Option("How many levels.")] = 100,
    quick: Annotated[bool, Option("25 levels at most: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of draws, bootstrap, splits and sampled play.")] = 0,
    limit: Annotated[int, Option("States of a level at most, for exact answers.")] = 5000,
    out: Annotated[str | None, Option("Run folder to make [default: runs/goals-POLICY].")] = None,
    device: Annotated[str, Option("Where the policy runs: cpu, cuda.")] = "cpu",
    blank: Blank = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Which of a world's things and places does it pursue, also where training never put them?"""
    with shown() as say:
        outcome = study(
            "goals", policy, world=world, observation=observation, goals=goals, first_level=first_level, levels=levels,
            quick=quick, seed=seed, limit=limit, out=out, device=device, blank=blank, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("anomalies")
def study_anomalies(
    policy: PolicyName = "mouse-anywhere",
    sleeper: Annotated[
        str | None, Option("A mouse of `train sleeper` [default: the packaged one, where there is one].")
    ] = None,
    first_level: FirstLevel = 0,
    levels: Annotated[int, Option("How many levels, half of them for trusted runs.")] = 6000,
    quick: Annotated[bool, Option("2,400 levels at most: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of squares, channels, halves and intervals.")] = 0,
    out: Annotated[str | None, Option("Run folder to make [default: runs/anomalies-POLICY].")] = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Is a changed mechanism of a mouse told from mazes that are merely new?"""
    with shown() as say:
        outcome = study(
            "anomalies", policy, sleeper=sleeper, first_level=first_level, levels=levels, quick=quick, seed=seed,
            out=out, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


@study_app.command("planning")
def study_planning(
    world: Annotated[
        str, Option("'maze', or 'sokoban': then the same as `study sokoban`, whose options are more.")
    ] = "maze",
    policy: Annotated[
        str | None, Option("Packaged name, path, or file.py:factory [default: mouse-planner; sokoban-small].")
    ] = None,
    size: Annotated[int | None, Option("Side of the mazes [default: what the policy says].")] = None,
    quick: Annotated[bool, Option("A quarter of the levels: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of bootstrap, other ways and random vectors.")] = 0,
    out: Annotated[str | None, Option("Run folder to make [default: runs/planning-POLICY].")] = None,
    site: Annotated[
        list[str] | None,
        Option("Where an own network keeps [N, C, H, W] activations, in order; repeatable."),
    ] = None,
    blank: Blank = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Does it plan its way, does the plan cause its moves, and what does thinking longer buy?"""
    given = {} if policy is None else {"policy": policy}
    sites = tuple(site) if site else None
    with shown() as say:
        if world == "sokoban":
            outcome = study(
                "sokoban",
                size=size,
                quick=quick,
                seed=seed,
                out=out,
                sites=sites,
                blank=blank,
                force=force,
                say=say,
                **given,
            )
        else:
            outcome = study(
                "planning", world=world, size=size, quick=quick, seed=seed, out=out, sites=sites, blank=blank, force=force,
                say=say, **given,
            )  # fmt: skip
    _show(outcome, json)


@study_app.command("utility")
def study_utility(
    policy: PolicyName = "mouse-topright",
    world: Annotated[str, Option("maze, minigrid:ID, or file.py:factory, which makes a world.")] = "maze",
    observation: Annotated[
        str | None, Option("What it sees of a named world [default: what it says it was trained on].")
    ] = None,
    first_level: FirstLevel = 0,
    levels: Annotated[int, Option("How many levels.")] = 300,
    quick: Annotated[bool, Option("60 levels at most: a first look.", "--quick")] = False,
    seed: Annotated[int, Option("Of draws, split and bootstrap.")] = 0,
    limit: Annotated[int, Option("States of a level at most.")] = 5000,
    out: Annotated[str | None, Option("Run folder to make [default: runs/utility-POLICY].")] = None,
    device: Annotated[str, Option("Where the policy runs: cpu, cuda.")] = "cpu",
    blank: Blank = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Does it act for one utility, for several gated by where it is, or for none?"""
    with shown() as say:
        outcome = study(
            "utility", policy, world=world, observation=observation, first_level=first_level, levels=levels,
            quick=quick, seed=seed, limit=limit, out=out, device=device, blank=blank, force=force, say=say,
        )  # fmt: skip
    _show(outcome, json)


def _show(outcome: Outcome, json: bool) -> None:
    from goalscope.evidence.finding import to_json

    print(to_json(outcome.findings) if json else f"{outcome.headline}\n\nReport: {outcome.report}")
