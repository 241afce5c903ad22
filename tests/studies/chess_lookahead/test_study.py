"""The study on a network that plans, on one that only knows first moves, and on one that knows nothing."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

import chess

from goalscope.evidence.finding import Finding, read_findings
from goalscope.evidence.forecast import known_findings
from goalscope.methods.chess.square_patch import SquareEffects
from goalscope.methods.chess.twins import changed_boards
from goalscope.policies.checkpoint import Policy
from goalscope.studies.about import Outcome
from goalscope.studies.chess_lookahead import study as chess_lookahead
from goalscope.studies.chess_lookahead import words as chess_words
from goalscope.studies.chess_lookahead.findings.patches import Patched, chosen_layers
from goalscope.studies.chess_lookahead.measure import patches as chess_patches
from goalscope.studies.chess_lookahead.measure.lines import measure_lines
from goalscope.studies.chess_lookahead.measure.patches import SLOTS, find_cases, lookahead_lines, two_mates
from goalscope.studies.chess_lookahead.measure.player import Player, network_squares
from goalscope.studies.chess_lookahead.measure.probes import halves
from goalscope.studies.chess_lookahead.study import Options, study
from goalscope.worlds.chess.puzzles import Puzzle

_path = Path(__file__).with_name("chess_planner.py")
_spec = importlib.util.spec_from_file_location("chess_planner", _path)
assert _spec and _spec.loader
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)

COUNT = 64


@pytest.fixture(scope="module")
def puzzles() -> list[Puzzle]:
    return made.made_puzzles(COUNT)


def run(strong: Policy, puzzles: list[Puzzle], out: Path) -> tuple[Outcome, dict[str, Finding]]:
    weak = made.planner("expects-replies", puzzles, plans=False, plies=(1,))
    blank = made.planner("untrained", [], plans=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chess_patches, "CANDIDATES", 12)  # here nearly every change is a twin
        outcome = study(Options(puzzles, strong, weak, out=str(out), blank=blank))
    return outcome, {f.id: f for f in outcome.findings if f.policy == strong.name}


@pytest.fixture(scope="module")
def planning(
    puzzles: list[Puzzle], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, dict[str, Finding]]:
    return run(
        made.planner("planner", puzzles, plans=True), puzzles, tmp_path_factory.mktemp("chess") / "plans"
    )


@pytest.fixture(scope="module")
def reacting(
    puzzles: list[Puzzle], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, dict[str, Finding]]:
    return run(
        made.planner("reacts", puzzles, plans=False), puzzles, tmp_path_factory.mktemp("chess") / "reacts"
    )


def test_a_network_that_copies_its_third_move_shows_look_ahead(
    planning: tuple[Outcome, dict[str, Finding]],
) -> None:
    outcome, found = planning
    third, first = (found[f"lookahead.published.{name}.margin"] for name in ("third", "first"))
    assert third.low > 3 and third.n > 20
    assert first.estimate == pytest.approx(0, abs=1e-3)
    assert outcome.headline.startswith(
        "planner shows look-ahead.\n\nPatching the square where its third move ends"
    )
    assert len(outcome.headline.split("\n\n")) == 4
    share, foreign = (found[f"lookahead.published.third.{name}"] for name in ("share", "shuffled"))
    # The mark on that square is all the way, and any other position's activations take it away as well.
    assert share.estimate == pytest.approx(1, abs=0.01) and share.control is None
    assert foreign.control == pytest.approx(foreign.estimate) and foreign.control_could_differ is True
    assert found["lookahead.published.third.margin"].control_could_differ is False
    later, beyond = (found[f"lookahead.published.third.{name}"] for name in ("later", "beyond_input"))
    # The second block hands on what the first one gave: it adds nothing.
    assert later.low > 3 and beyond.estimate == pytest.approx(0)
    assert found["probe.third.gain.co_occurrence"].low > 0.5
    assert "A linear probe for the third move reads it better than every control" in outcome.headline


def test_one_that_decides_by_the_first_move_does_not(reacting: tuple[Outcome, dict[str, Finding]]) -> None:
    outcome, found = reacting
    third, first = (found[f"lookahead.published.{name}.margin"] for name in ("third", "first"))
    assert first.low > 3
    assert abs(third.estimate) < 1e-3 and third.high < 0.1
    assert outcome.headline.startswith("No look-ahead was found in reacts")
    assert found["probe.third.gain.co_occurrence"].low <= 0
    assert "is not shown to be better than every control" in outcome.headline


def test_both_solve_all_and_pass_the_published_filter(
    planning: tuple[Outcome, dict[str, Finding]], reacting: tuple[Outcome, dict[str, Finding]]
) -> None:
    for _, found in (planning, reacting):
        assert found["play.overall"].estimate == 1 and found["play.overall"].control == 0
        assert found["filter.strong_finds"].estimate == 1 and found["filter.forced"].estimate == 1
        assert found["filter.all"].estimate > 0.5


def test_every_finding_says_its_control_and_the_null_says_what_would_show(
    reacting: tuple[Outcome, dict[str, Finding]],
) -> None:
    outcome, found = reacting
    assert len(outcome.findings) > 40
    for f in outcome.findings:
        assert f.low <= f.estimate <= f.high and f.n >= 1 and f.control_name
    # This planner's margins are the same in every case: from no scatter no power can be told, and none is claimed.
    assert "lookahead.published.third.detectable" not in found and "would have shown" not in outcome.headline
    margin = found["lookahead.published.third.margin"]
    least = replace(margin, id="lookahead.published.third.detectable", estimate=0.3, low=0.3, high=0.3)
    said = chess_words.headline("reacts", {**found, least.id: least}, COUNT)
    assert "; 0.30, the same in every case, would have been shown four times in five)" in said
    assert "-0.00" not in outcome.report.read_text().split("<table")[0]


def test_what_only_some_lines_show_is_told_as_such(reacting: tuple[Outcome, dict[str, Finding]]) -> None:
    """Forced replies that leave zero behind are named in the section, and do not turn the null result."""
    _, found = reacting
    third = "lookahead.published.third"
    before = chess_words.headline("reacts", found, COUNT)
    forced = replace(found[f"{third}.margin"], id=f"{third}.forced", estimate=0.2, low=0.1, high=0.3, n=31)
    after = chess_words.headline("reacts", {**found, forced.id: forced}, COUNT)
    assert after == before and before.startswith(
        "No look-ahead was found in reacts: the square where its third move"
    )
    answers = {s["key"]: s["answer"] for s in chess_words.sections({**found, forced.id: forced}, [])}
    assert "Third move, forced replies (one subset of several): 0.20 [0.10, 0.30" in answers["lookahead"]
    turned = replace(found[f"{third}.margin"], estimate=0.2, low=0.1, high=0.3)
    said = chess_words.headline("reacts", {**found, turned.id: turned}, COUNT)
    assert said.startswith(
        "No look-ahead was found in reacts: what the square where its third move ends does, an untrained"
    )
    own = replace(found[f"{third}.share"], estimate=0.2, low=0.1, high=0.3)
    said = chess_words.headline("reacts", {**found, turned.id: turned, own.id: own}, COUNT)
    assert said.startswith("reacts shows look-ahead, though small")
    less = replace(turned, estimate=-0.2, low=-0.3, high=-0.1)
    said = chess_words.headline("reacts", {**found, less.id: less}, COUNT)
    assert "does less for the first move than matched squares." in said and "not told from" not in said


def test_a_network_that_knows_nothing_is_not_answered_for(puzzles: list[Puzzle], tmp_path: Path) -> None:
    outcome, found = run(made.planner("blank", [], plans=True), puzzles, tmp_path / "blank")
    assert outcome.headline.startswith("Whether blank looks ahead is not answered")
    assert not [name for name in found if name.startswith("lookahead.")]


def test_the_same_seed_gives_the_same_file_and_a_killed_study_goes_on(
    puzzles: list[Puzzle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    planning: tuple[Outcome, dict[str, Finding]],
) -> None:
    strong = made.planner("planner", puzzles, plans=True)
    calls: list[str] = []
    measure = chess_lookahead.measure_lines

    def killed(player: Player, *rest: object) -> dict[str, np.ndarray]:
        calls.append(player.name)
        if calls == ["planner", "expects-replies"]:
            raise KeyboardInterrupt
        return measure(player, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(chess_lookahead, "measure_lines", killed)
    with pytest.raises(KeyboardInterrupt):
        run(strong, puzzles, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    outcome, _ = run(strong, puzzles, tmp_path / "run")
    assert calls == ["planner", "expects-replies", "expects-replies", "untrained"]
    files = [each.folder / "findings.parquet" for each in (outcome, planning[0])]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(read_findings(files[0])) == len(outcome.findings)


def test_the_run_folder_and_what_it_says(planning: tuple[Outcome, dict[str, Finding]]) -> None:
    folder = planning[0].folder
    assert {p.name for p in folder.iterdir()} == {"run.json", "findings.parquet", "figures", "report.html"}
    record = json.loads((folder / "run.json").read_text())
    assert [s["key"] for s in record["sections"]] == [
        "play",
        "filter",
        "confidence",
        "value",
        "lookahead",
        "probe",
    ]
    assert record["command"].startswith("goalscope study chess --strong planner --weak expects-replies")
    names = {p.stem for p in (folder / "figures").glob("*.svg")}
    assert {"margins", "patch-grid-published", "probe-third", "example-1", "play-rating"} <= names


def test_rows_that_are_no_puzzles_are_named_in_the_report(tmp_path: Path) -> None:
    rows = ["PuzzleId,FEN,Moves,Rating,Themes", "bad,8/8/8/8/8/8/8/8 w - - 0 1,e2e4 e7e5,1500,fork"]
    rows += [f"p{i},{chess.STARTING_FEN},e2e4 e7e5 d2d4 e5d4,1500,short" for i in range(30)]
    path = tmp_path / "puzzles.csv"
    path.write_text("\n".join(rows) + "\n")
    weak, strong, blank = (made.planner(n, [], plans=False) for n in ("weak", "strong", "untrained"))
    outcome = study(Options(str(path), strong, weak, out=str(tmp_path / "run"), blank=blank))
    report = outcome.report.read_text()
    assert "row 1 (bad)" in report and "illegal position" in report
    # One position thirty times is one unit, and no interval can be had from it.
    assert outcome.findings == [] and "is not answered" in outcome.headline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"puzzles": []}, "there is no puzzle"),
        ({"seed": -1}, "--seed must be"),
        ({"weak": "same"}, r"are the same \(strong\): give two different ones"),
        ({"weak": "copy"}, r"are the same \(strong and weak\): give two different ones"),
    ],
)
def test_wrong_options_are_named(change: dict, message: str, puzzles: list[Puzzle], tmp_path: Path) -> None:
    strong, weak = (made.planner(name, puzzles[:2], plans=True) for name in ("strong", "weak"))
    given = {
        "puzzles": puzzles,
        "strong": strong,
        "weak": weak,
        "out": str(tmp_path / "run"),
        "blank": weak,
        **change,
    }
    if given["weak"] == "same":
        given["weak"] = strong
    elif given["weak"] == "copy":  # one file under two names
        given["strong"], given["weak"] = (replace(p, sha256="0" * 64) for p in (strong, weak))
    with pytest.raises(ValueError, match=message):
        study(Options(**given))
    assert list(tmp_path.iterdir()) == []


def test_two_files_of_one_name_are_two_networks() -> None:
    strong, weak = (replace(made.planner("net", [], plans=True), sha256=digit * 64) for digit in "ab")
    players = chess_lookahead._players(Options([], strong, weak, blank=strong))
    assert [player.name for player in players[:2]] == ["net-aaaaaaaa", "net-bbbbbbbb"]


def test_no_case_has_a_say_in_the_layer_that_it_is_judged_at() -> None:
    """Each half is at its best in another layer; each is judged in the one that is best for the other half."""
    level = np.arange(40)
    half = halves(level, 5)
    effect = np.zeros((40, 3, 4 + 3 * 3 + 1))
    effect[half, 1, SLOTS["third"]] = 1.0
    effect[~half, 2, SLOTS["third"]] = 1.0
    squares = np.zeros(effect.shape[::2], int)
    seen = SquareEffects(("a", "b", "c"), squares, np.zeros(40), np.zeros(40), effect)
    layers = chosen_layers(Patched(seen, seen, seen, level, np.ones(40, bool)), "third", 5)
    assert set(layers[half]) == {2} and set(layers[~half]) == {1}
    later = chosen_layers(Patched(seen, seen, seen, level, np.ones(40, bool)), "third", 5, first=2)
    assert set(later) == {2}


def test_lines_that_retake_are_not_taken_for_look_ahead() -> None:
    board = chess.Board("3rk3/8/8/8/8/8/8/3RK3 w - - 0 1")
    lines = ["d1d8 e8d8 e1e2", "d1d8 e8d8 e1d1", "d1d2 d8d2 e1d2"]
    puzzles = [
        Puzzle(line, board, tuple(map(chess.Move.from_uci, line.split())), 1500, frozenset())
        for line in lines
    ]
    assert lookahead_lines(puzzles).tolist() == [True, False, False]


def test_two_mates_are_found_where_either_suffices() -> None:
    """After Ra7, Kg8 the rook mates on a8, and the queen on d8 would as well."""
    fen = "7k/8/6K1/8/8/8/R7/3Q4 w - - 0 1"
    line = tuple(map(chess.Move.from_uci, ("a2a7", "h8g8", "a7a8")))
    puzzle = Puzzle("two", chess.Board(fen), line, 1500, frozenset())
    assert puzzle.boards()[-1].is_checkmate()
    ((index, board, rest, other),) = two_mates([puzzle])
    assert index == 0 and board.fen() == fen and rest == line
    after = puzzle.boards()[-2]
    mates = {m.to_square for m in after.legal_moves if _mates(after, m)}
    assert mates == {chess.A8, chess.D8} and other == chess.D8
    single = Puzzle("one", chess.Board("7k/8/5K2/8/8/8/8/Q7 w - - 0 1"), tuple(
        map(chess.Move.from_uci, ("a1a7", "h8g8", "a7g7"))), 1500, frozenset())  # fmt: skip
    assert two_mates([single]) == []


def test_any_mate_solves_the_last_move_and_nothing_else_does() -> None:
    """Lichess takes Qd8# for Ra8#; where the line does not mate only its own move counts."""
    fen = "6k1/R7/6K1/8/8/8/8/3Q4 w - - 0 1"

    def puzzle(word: str) -> Puzzle:
        return Puzzle(word, chess.Board(fen), (chess.Move.from_uci(word),), 1500, frozenset())

    def solves(preferred: str, word: str) -> bool:
        player = Player(made.planner("net", [puzzle(preferred)], plans=False, plies=(0,)))
        return bool(measure_lines(player, [puzzle(word)])["top"][0])

    assert solves("a7a8", "a7a8") and solves("d1d8", "a7a8")
    assert not solves("d1d7", "a7a8") and not solves("d1d8", "d1d7") and solves("d1d7", "d1d7")
    blank = Player(made.planner("blank", [], plans=False))
    assert not measure_lines(blank, [puzzle("a7a8")])["top"][0]


def test_a_twin_is_the_best_of_all_changes(puzzles: list[Puzzle]) -> None:
    strong = Player(made.planner("planner", puzzles, plans=True))
    weak = Player(made.planner("expects-replies", puzzles, plans=False, plies=(1,)))
    chosen = np.arange(len(puzzles)) < 1
    cases, _ = find_cases(puzzles, chosen, strong, weak, most=1)
    (case,) = cases["published"]
    assert case.twin.candidates == len(changed_boards(puzzles[0].board, puzzles[0].line[0])) > 100


def _mates(board: chess.Board, move: chess.Move) -> bool:
    after = board.copy()
    after.push(move)
    return after.is_checkmate()


def test_squares_of_the_network_and_back() -> None:
    squares = np.array([0, 12, 63, -1])
    assert network_squares(squares, True, 0).tolist() == [0, 12, 63, -1]
    assert network_squares(squares, False, 0).tolist() == [56, 52, 7, -1]
    assert network_squares(squares, True, 1).tolist() == [7, 11, 56, -1]


def test_every_finding_is_announced_so_that_a_forecast_can_name_it(
    planning: tuple[Outcome, dict[str, Finding]],
) -> None:
    known = known_findings()
    for finding in planning[0].findings:
        assert any(fnmatchcase(finding.id, pattern) for pattern in known), finding.id


def test_every_figure_says_what_it_draws(planning: tuple[Outcome, dict[str, Finding]]) -> None:
    outcome = planning[0]
    ids = {finding.id for finding in outcome.findings}
    index = json.loads((outcome.folder / "figures" / "index.json").read_text())
    drawn = {entry["file"].removesuffix(".svg"): entry["findings"] for entry in index}
    assert drawn["margins"]
    for figure, patterns in drawn.items():
        assert not patterns or any(fnmatchcase(i, p) for i in ids for p in patterns), figure
