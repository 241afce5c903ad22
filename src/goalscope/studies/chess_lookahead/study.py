"""Does a chess network look ahead? Puzzles, twins, patched squares and probes, with the controls that critics asked for.

Reads top to bottom. A strong network is asked about puzzles beside a weak one (which puzzles are hard, which replies are
forced) and its own untrained twin (what any network of this shape would show). What is slow is stored stage by stage and
resumed after a kill; findings, figures and words are made anew each time. A null result comes with the effect that
the data could have shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.evidence.run_folder import RunFolder
from goalscope.methods.chess.engine import find_engine
from goalscope.methods.chess.motifs import motifs
from goalscope.methods.chess.twins import Kept, PuzzleRule, keep_puzzles
from goalscope.studies import frame
from goalscope.studies.about import About, Outcome
from goalscope.studies.chess_lookahead import figures as chess_figures
from goalscope.studies.chess_lookahead import words as chess_words
from goalscope.studies.chess_lookahead.findings.made import Findings, by_id
from goalscope.studies.chess_lookahead.findings.patches import (
    Branches,
    Patched,
    branch_findings,
    case_findings,
    patch_findings,
)
from goalscope.studies.chess_lookahead.findings.play import (
    confidence_findings,
    engine_findings,
    filter_findings,
    play_findings,
    value_findings,
)
from goalscope.studies.chess_lookahead.findings.probes import Probed, mate_findings, probe_findings
from goalscope.studies.chess_lookahead.measure.lines import first_moves, measure_lines, measure_successors
from goalscope.studies.chess_lookahead.measure.patches import (
    LEAST_CONFIDENCE,
    RULES,
    Case,
    layer_sites,
    lookahead_lines,
    usual_offsets,
)
from goalscope.studies.chess_lookahead.measure.player import Player
from goalscope.studies.chess_lookahead.measure.probes import halves
from goalscope.studies.chess_lookahead.measure.stages import (
    BRANCHES,
    LEAST_LINES,
    SHUFFLED,
    branches_stage,
    engine_stage,
    part,
    patches_stage,
    probed_puzzles,
    probes_stage,
    restored_cases,
    restored_effects,
    twins_stage,
)
from goalscope.studies.chess_lookahead.setup import Subject, Table
from goalscope.studies.frame import Conclusion, Say
from goalscope.worlds.chess.puzzles import Puzzle, read_puzzles

PATCHED = 400
"""puzzles that are tried for a twin, drawn at random from those that qualify"""
PROBED = 1500
"""puzzles that probes see, likewise"""
FORCED = PuzzleRule().weak_reply
"""the weak network gives a forced reply more than this"""
ENGINE_LINES, ENGINE_NODES = 60, 20_000
"""lines that an engine checks where one is named, and nodes for each question"""
LEAST_CASES = 12
"""with a twin, for a rule to be answered for"""


@dataclass(frozen=True)
class Options:
    """What was asked for; the command line's defaults."""

    puzzles: str | Sequence[Puzzle]
    """a puzzle file of Lichess, or puzzles"""
    strong: Any = "maia-1900"
    """the network that is asked, whatever `policies.given.policy_of` takes"""
    weak: Any = "maia-1100"
    """the network that hardly notices, likewise"""
    limit: int | None = None
    """rows of the file that are read; None reads all"""
    seed: int = 0
    """of bootstrap, splits, draws and the untrained network"""
    out: str | None = None
    device: str = "cpu"
    engine: str | None = None
    """a UCI engine that checks lines, such as 'stockfish'; None asks none"""
    blank: Any = None
    """the untrained control, as `strong`; None makes one from its factory, config or layers"""
    force: bool = False
    """replaces a finished run, once this one is finished"""


@dataclass(frozen=True)
class _Measured:
    """What all stages gave."""

    lines: dict[str, dict[str, np.ndarray]]
    """network -> what `first_moves` says"""
    after: dict[str, np.ndarray]
    """of `measure_successors`"""
    cases: dict[str, list[Case]]
    """rule, or BRANCHES -> cases"""
    stored: dict[str, np.ndarray]
    """of `twins_stage`"""
    patched: dict[str, Patched]
    """rule -> effects, where there are cases enough"""
    branches: Branches | None
    probes: dict[str, np.ndarray]
    """of `probes_stage`; empty where there are too few lines"""
    engine: dict[str, np.ndarray]
    """of `engine_stage`; empty where none was asked"""
    probed: np.ndarray
    """[N] the puzzles that the probes saw"""


def study(options: Options, say: Say = lambda _: None) -> Outcome:
    """Runs the study and writes its run folder.

    Args:
        options: what to study.
        say: called with one line at each step, for progress.

    Raises:
        ValueError, KeyError, FileNotFoundError: a network or the puzzles cannot be loaded, or no puzzle is left.
        FileExistsError: the output folder exists.
    """
    frame.check_seed(options.seed)
    puzzles, rejected, source = _puzzles(options)
    strong, weak, blank = _players(options)
    sites = layer_sites(strong)
    if options.engine:
        find_engine(options.engine)
    say(f"{len(puzzles)} puzzles: motifs")
    table = _table(puzzles)
    about = frame.about(f"chess puzzles {source}", options.seed)
    provenance = _provenance(options, (strong, weak, blank), puzzles, rejected, about)
    out = frame.folder_of(options.out, f"chess-{strong.name}")
    with RunFolder.create(out, provenance, options.force) as run:
        found = _measure(run, options, puzzles, table, (strong, weak, blank), sites, say)
        say("findings")
        findings = _findings(found, puzzles, table, strong, weak, sites, about)
        made = _conclude(found, findings, strong, sites, len(puzzles), rejected)
        return frame.finish(run, out, made, provenance, _command(options, source), say)


def _conclude(
    found: _Measured,
    findings: list[Finding],
    strong: Player,
    sites: list[str],
    count: int,
    rejected: list[str],
) -> Conclusion:
    """Headline, sections and figures, all from the findings and what was measured."""
    subject = by_id(findings, strong.name)
    figures = chess_figures.figures(findings, strong.name, found.patched, sites)
    rule = chess_words.answered_rule(subject)
    figures += chess_figures.examples(strong, found.cases[rule] if rule else [], sites)
    return Conclusion(
        title=f"Does {strong.name} look ahead?",
        headline=chess_words.headline(strong.name, subject, count),
        sections=chess_words.sections(subject, rejected),
        findings=findings,
        figures=figures,
        shown=chess_figures.SHOWN,
    )


def _puzzles(options: Options) -> tuple[list[Puzzle], list[str], str]:
    """Puzzles, what was wrong with the other rows, and what the file is called."""
    if not isinstance(options.puzzles, str):
        puzzles, rejected, source = list(options.puzzles), [], "given"
    else:
        file = read_puzzles(options.puzzles, options.limit)
        puzzles = list(file.puzzles)
        rejected = [f"row {r.row} ({r.id or 'no id'}): {r.reason}" for r in file.rejected]
        source = Path(options.puzzles).name
    if not puzzles:
        first = f"; {rejected[0]}" if rejected else ""
        raise ValueError(f"there is no puzzle in {source} ({len(rejected)} rows are none{first})")
    return puzzles, rejected, source


def _players(options: Options) -> tuple[Player, Player, Player]:
    policies = [frame.given(p, options.device) for p in (options.strong, options.weak)]
    named = [p.name for p in policies]
    digests = [p.sha256 for p in policies]
    if digests[0] == digests[1] if all(digests) else named[0] == named[1]:
        both = " and ".join(dict.fromkeys(named))
        raise ValueError(f"the strong and the weak network are the same ({both}): give two different ones")
    if named[0] == named[1]:  # two files of one name: findings tell them apart by their sha256
        policies = [replace(p, name=f"{p.name}-{p.sha256[:8]}") for p in policies]
    blank = frame.control_of(policies[0], options.seed, options.device, options.blank)
    return Player(policies[0]), Player(policies[1]), Player(blank)


def _table(puzzles: Sequence[Puzzle]) -> Table:
    found = [motifs(puzzle.board, puzzle.line) for puzzle in puzzles]
    names = sorted({name for witnesses in found for name in witnesses})
    boards = [puzzle.board.epd() for puzzle in puzzles]
    return Table(
        rating=np.array([puzzle.rating for puzzle in puzzles]),
        level=np.unique(boards, return_inverse=True)[1],
        motifs={name: np.array([name in witnesses for witnesses in found]) for name in names},
        mate=np.array(["mate" in witnesses for witnesses in found]),
    )


def _measure(
    run: RunFolder, options: Options, puzzles: list[Puzzle], table: Table, players: tuple[Player, Player, Player],
    sites: list[str], say: Say,
) -> _Measured:  # fmt: skip
    """All stages, slow ones stored."""
    strong, weak, blank = players
    seed, lines = options.seed, {}
    for player in players:
        say(f"{player.name}: every move of {len(puzzles)} lines")
        rows = run.stage(f"lines-{player.name}", lambda p=player: measure_lines(p, puzzles))
        lines[player.name] = first_moves(rows, len(puzzles))
    say("values of the positions after every first move")
    after = run.stage("successors", lambda: measure_successors(strong, puzzles, seed))
    qualified = lookahead_lines(puzzles) & (lines[strong.name]["first"] > LEAST_CONFIDENCE)
    stored = run.stage("twins", lambda: twins_stage(puzzles, qualified, strong, weak, PATCHED, seed))
    cases = {rule: restored_cases(stored, rule) for rule in (*RULES, BRANCHES)}
    offsets = usual_offsets(puzzles, np.flatnonzero(halves(table.level, seed)))
    patched = {}
    both = {"strong": strong, "blank": blank}
    for rule in RULES:
        if len(chosen := cases[rule]) < LEAST_CASES:
            continue
        say(f"patching the squares of {len(chosen)} cases ({rule} twins)")
        arrays = run.stage(f"patches-{rule}", lambda c=chosen: patches_stage(c, offsets, both, sites, seed))
        index = [case.puzzle for case in chosen]
        mine, blanks, shuffled = (restored_effects(arrays, name, sites) for name in (*both, SHUFFLED))
        forced = lines[weak.name]["reply"][index] > FORCED
        patched[rule] = Patched(mine, blanks, shuffled, table.level[index], forced)
    branches = None
    if chosen := cases[BRANCHES]:
        arrays = run.stage("patches-branches", lambda: branches_stage(chosen, offsets, strong, sites, seed))
        level = table.level[[case.puzzle for case in chosen]]
        single, together = (restored_effects(arrays, name, sites) for name in ("single", "both"))
        branches = Branches(single, together, level)
    probed = probed_puzzles(puzzles, PROBED, seed)
    probes = {}
    if len(np.unique(table.level[probed])) >= LEAST_LINES:
        say(f"probes for the third move of {len(probed)} lines, and for mate")
        probes = run.stage(
            "probes", lambda: probes_stage(strong, blank, puzzles, table, probed, sites, PROBED, seed)
        )
    checked = {}
    if options.engine and len(stored["tried"]):
        some = stored["tried"][:ENGINE_LINES]
        say(f"{options.engine} checks {len(some)} lines")
        checked = run.stage("engine", lambda: engine_stage(puzzles, some, str(options.engine), ENGINE_NODES))
    return _Measured(lines, after, cases, stored, patched, branches, probes, checked, probed)


def _findings(
    found: _Measured, puzzles: Sequence[Puzzle], table: Table, strong: Player, weak: Player, sites: list[str],
    about: About,
) -> list[Finding]:  # fmt: skip
    """All findings, in the order of the report."""
    made = Findings(about)
    subject = Subject(strong.name, strong.sha256)
    subjects = {player.name: Subject(player.name, player.sha256) for player in (strong, weak)}
    mine, other = found.lines[strong.name], found.lines[weak.name]
    play_findings(made, subjects, found.lines, table)
    filter_findings(made, subject, _kept(puzzles, mine, other), table)
    tried = found.stored["tried"]
    counts = {
        rule: np.isin(tried, [case.puzzle for case in found.cases[rule]]).astype(float) for rule in RULES
    }
    case_findings(made, subject, counts, table.level[tried])
    if found.engine:
        engine_findings(made, subject, found.engine, table)
    confidence_findings(made, subject, mine, other, table)
    value_findings(made, subject, found.lines, found.after, table)
    for rule, patched in found.patched.items():
        patch_findings(made, subject, rule, patched, sites)
    branch_findings(made, subject, found.branches, int(found.stored["branches_tried"]), sites)
    if found.probes:
        third, mate = part(found.probes, "third"), part(found.probes, "mate")
        level = table.level[found.probed]
        motifs = {name: has[found.probed] for name, has in table.motifs.items()}
        confident = mine["first"][found.probed] > 0.5
        probe_findings(made, subject, Probed(third, level, motifs, confident), sites)
        if "score.network" in mate:
            rows = mate["index"]
            motifs = {name: has[rows] for name, has in table.motifs.items()}
            mate_findings(
                made, subject, mate, str(third["site"]), table.level[rows], table.mate[rows], motifs
            )
    return made.made


def _kept(puzzles: Sequence[Puzzle], strong: dict[str, np.ndarray], weak: dict[str, np.ndarray]) -> Kept:
    return keep_puzzles(
        plies=np.array([len(puzzle.line) for puzzle in puzzles]),
        mate_in_one=np.array([puzzle.boards()[1].is_checkmate() for puzzle in puzzles]),
        weak_first=weak["first"],
        strong_own=strong["own"],
        weak_reply=weak["reply"],
    )


def _provenance(
    options: Options,
    players: tuple[Player, ...],
    puzzles: Sequence[Puzzle],
    rejected: Sequence[str],
    about: About,
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for puzzle in puzzles:
        moves = " ".join(move.uci() for move in puzzle.line)
        digest.update(f"{puzzle.id} {puzzle.board.fen()} {moves} {puzzle.rating}\n".encode())
    return frame.provenance(
        "chess",
        [player.policy for player in players],
        about,
        strong=players[0].name,
        weak=players[1].name,
        puzzles=len(puzzles),
        puzzles_sha256=digest.hexdigest(),
        rows_left_out=list(rejected),
        engine=options.engine or "none",
        device=options.device,
    )


def _command(options: Options, source: str) -> str:
    return frame.command(
        "chess", strong=options.strong, weak=options.weak, puzzles=source, limit=options.limit,
        engine=options.engine, seed=options.seed, blank=options.blank,
    )  # fmt: skip
