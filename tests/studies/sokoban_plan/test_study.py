"""The Sokoban study on a network whose memory holds a known plan, and on networks that have none."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.evidence.forecast import known_findings
from goalscope.evidence.run_folder import RunFolder
from goalscope.policies.checkpoint import Policy, untrained
from goalscope.policies.resnet import ResNet
from goalscope.studies import about
from goalscope.studies.sokoban_plan import setup as sokoban_setup
from goalscope.studies.sokoban_plan import study as sokoban_plan
from goalscope.studies.sokoban_plan.findings.writing import write_findings_of
from goalscope.studies.sokoban_plan.measure import writing as sokoban_writing
from goalscope.studies.sokoban_plan.measure.play import moments, plan_labels, play
from goalscope.studies.sokoban_plan.measure.probes import LATEST, MOMENTS
from goalscope.studies.sokoban_plan.measure.shortcuts import (
    NOTHING,
    Shortcuts,
    agent_shortcuts,
    joined,
    symmetric,
    ways_taken,
)
from goalscope.studies.sokoban_plan.measure.solving import solve_set
from goalscope.studies.sokoban_plan.setup import FIRST_LEVEL, Setup, Sizes
from goalscope.studies.sokoban_plan.study import Options, study
from goalscope.studies.sokoban_plan.words import FAR, _write_words, far_out, headline, is_cause
from goalscope.worlds.sokoban.solver import Outcome, solve

_path = Path(__file__).with_name("sokoban_planner.py")
_spec = importlib.util.spec_from_file_location("sokoban_planner", _path)
assert _spec and _spec.loader
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)

ERRORS = 0.1
TINY = Sizes(levels=16, others=6, file=20, episodes=60, first=16, shortcuts=8, chosen=1, random=1)
SMALL = Sizes(levels=8, others=6, file=20, episodes=24, first=10, shortcuts=3, chosen=1, random=1)
CONFIG = {
    "architecture": {"name": "drc", "layers": 2, "ticks": 2, "channels": 4, "hidden": 8},
    "world": {"name": "sokoban", "size": 8, "boxes": 2},
}


@pytest.fixture(scope="module")
def options() -> Options:
    policy = Policy(made.Planner(ERRORS).eval(), "planner", "", CONFIG)
    blank = Policy(made.Planner(plans=False).eval(), "blank", "", CONFIG)
    return Options(policy, sites=("plan",), blank=blank, sizes=TINY)


@pytest.fixture(scope="module")
def planted(options: Options, tmp_path_factory: pytest.TempPathFactory) -> tuple[about.Outcome, dict]:
    outcome = study(replace(options, out=str(tmp_path_factory.mktemp("sokoban") / "planted")))
    return outcome, {f.id: f for f in outcome.findings}


def bayes(mine: np.ndarray, other: np.ndarray) -> float:
    """The best accuracy for labels [R], of which one copy with errors is seen, and one of other labels [R]."""
    joint = np.zeros((5, 5))
    np.add.at(joint, (mine, other), 1 / len(mine))
    channel = np.where(np.eye(5, dtype=bool), 1 - ERRORS, ERRORS / 4)
    return float(np.einsum("ab,ax,by->axy", joint, channel, channel).max(0).sum())


def test_a_planted_plan_is_read_at_its_bayes_accuracy(options: Options) -> None:
    setup = sokoban_plan.prepare(options)
    found = sokoban_plan.read(setup)

    def accuracy(name: str) -> float:
        sums = found[f"tally.{name}"].sum(0)
        return sums[0].sum() / sums[2].sum()

    state = setup.levels(20_000_000, TINY.episodes)
    played = play(setup.module, setup.world(state), state)
    level, time = moments(played.length, MOMENTS, LATEST, 0)
    floor = ~state.walls[level]
    labels = [plan[floor] for plan in plan_labels(played, level, time)]
    for target, mine, other in (("agent", *labels), ("box", *labels[::-1])):
        best = bayes(mine, other)
        assert accuracy(f"{target}.policy.0.0") == pytest.approx(best, abs=0.012) and best > 0.9
        assert accuracy(f"{target}.untrained.0.0") == pytest.approx(accuracy(f"{target}.constant"), abs=0.01)
        assert accuracy(f"{target}.random") < accuracy(f"{target}.constant") + 0.02
        assert accuracy(f"{target}.observation") < best - 0.03


def test_writing_another_plan_changes_the_moves(planted: tuple[about.Outcome, dict]) -> None:
    outcome, found = planted
    verdict, *lines = outcome.headline.split("\n\n")
    assert verdict.startswith(
        "planner holds a plan of where the player and the boxes will go, and writing another one for the player and the "
        "boxes changes what it does"
    )
    gain = found["probe.box.gain.other_player"]
    assert ("that another trained player tells less of where the boxes will go is not shown" in verdict) == (
        gain.low <= 0
    )
    assert [line.split()[0] for line in lines] == ["Macro-F1", "A", "It"]
    for target in ("agent", "box"):
        written = found[f"write.{target}_shortcut"]
        assert written.estimate > 0.9 and written.control is not None and written.control < 0.5
        assert found[f"write.{target}_shortcut.lift"].low > 0
        assert found[f"write.{target}_shortcut.bare"].estimate == 0
    distance = found["write.agent_shortcut.off_manifold"]
    assert distance.estimate < FAR and far_out(found, "agent") == "" == far_out({}, "agent")
    beyond = replace(distance, estimate=91.4, low=91.2, high=91.8)
    assert "91 times as far out" in far_out({distance.id: beyond}, "agent")
    setup: Any = SimpleNamespace(
        policy=SimpleNamespace(name="planner"),
        plain=None,
        other=None,
        sets={"generated": SimpleNamespace(thinking=(0, 1, 2, 4, 8, 16))},
    )
    assert headline(setup, found) == outcome.headline
    far = found | {
        i: replace(found[i], estimate=91.4, low=91.2, high=91.8) for i in found if i.endswith("off_manifold")
    }
    said = headline(setup, far)
    assert (
        "holds a plan" not in said
        and "that this causes its moves is not shown" in said
        and "91 times" in said
    )
    own = found["write.agent_shortcut.own_square"]
    assert own.estimate < 0.1 and "write.box_shortcut.own_square" not in found
    assert found["solve.generated.think_0"].estimate == 1 and found["solve.generated.think_0"].control == 0


def test_a_plan_that_a_network_without_memory_tells_better_is_not_said_to_be_held(
    planted: tuple[about.Outcome, dict],
) -> None:
    """What is read is used all the same; that it takes a memory is not shown. One target suffices, either way it is said."""
    _, found = planted
    plain = SimpleNamespace(name="forgets")
    setup: Any = SimpleNamespace(
        policy=SimpleNamespace(name="planner"), plain=plain, other=SimpleNamespace(name="forgets"),
        sets={"generated": SimpleNamespace(thinking=(0, 1, 2, 4, 8, 16))},
    )  # fmt: skip

    def verdict(low: float, high: float, targets: tuple[str, ...], setup: Any = setup) -> str:
        gains = [found[f"probe.{t}.gain.other_player"] for t in targets]
        better = {f.id: replace(f, estimate=(low + high) / 2, low=low, high=high) for f in gains}
        return headline(setup, found | better).split("\n\n")[0]

    both = ("agent", "box")
    said = verdict(-0.06, -0.02, both)
    assert "holds a plan" not in said and "what is read is used: writing another one for the player" in said
    assert said.endswith(
        "; but forgets, which has no memory, tells more of where the player and the boxes will go, so nothing shows that it "
        "takes a memory."
    )
    assert "tells more of where the boxes will go, so nothing" in verdict(-0.06, -0.02, ("box",))
    assert "holds a plan" in verdict(-0.06, 0.02, both) and "tells less of where the player" in verdict(
        -0.06, 0.02, both
    )
    assert "holds a plan" in verdict(0.02, 0.06, both) and "forgets" not in verdict(0.02, 0.06, both)
    remembers: Any = SimpleNamespace(**{**vars(setup), "plain": None})
    assert verdict(-0.06, -0.02, both, remembers).endswith(
        "but forgets tells more of where the player and the boxes will go."
    )


def test_a_network_that_obeys_its_own_square_is_not_said_to_follow_a_plan(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the next move where it stands and nothing else: no plan ahead of it can steer it."""
    obeying = made.Planner(ERRORS, reads="own").eval()
    obeying.known = options.policy.module.known  # type: ignore[union-attr]
    setup = sokoban_plan.prepare(replace(options, policy=Policy(obeying, "obeying", "", CONFIG)))
    probes = sokoban_plan.read(setup)
    monkeypatch.setattr(sokoban_writing, "TARGETS", ("agent",))
    written = sokoban_writing.write(setup, probes, lambda _: None) | {"box.looked": np.zeros(2)}
    found = {f.id: f for f in write_findings_of(setup, written)}
    main, own = (found[f"write.agent_shortcut{k}"] for k in ("", ".own_square"))
    assert not is_cause(found, "agent") and main.estimate < 0.1
    assert own.estimate > 0.9 and own.control is not None and own.low > own.control
    words = _write_words(found, {"writing": written})
    assert (
        "can be dictated where the player stands, but that a plan elsewhere is followed is not shown" in words
    )


def test_an_episode_that_ends_where_its_way_is_decided_gives_the_same_answer(options: Options) -> None:
    setup = sokoban_plan.prepare(options)
    levels = symmetric(joined(made.first_shortcuts(agent_shortcuts, 2)))
    vectors = torch.zeros(1, 5, 11)
    vectors[0, :4, :4] = torch.eye(4)

    def writer(squares: str) -> sokoban_writing.Writer:
        return sokoban_writing.Writer(setup, levels, "agent", "0", vectors, squares)

    for squares, expected in ((sokoban_writing.AHEAD, True), (sokoban_writing.OWN, False)):
        whole = sokoban_writing.run(setup, levels, writer(squares))
        assert (sokoban_writing.taken(setup, levels, writer(squares), "agent") == expected).all()
        assert (ways_taken(levels, whole, "agent")[0] == expected).all()
    everyone, player = np.arange(len(levels)), levels.states.player
    ahead, own = (
        writer(k).plan(everyone, levels.states) for k in (sokoban_writing.AHEAD, sokoban_writing.OWN)
    )
    at = (everyone, player[:, 0], player[:, 1])
    assert (ahead[at] == NOTHING).all() and (own[at] == levels.plan[at]).all() and (own[at] != NOTHING).all()
    assert (np.where(ahead == NOTHING, own, ahead) == levels.plan).all() and (own != NOTHING).sum() == len(
        levels
    )


def test_one_kept_level_is_told_as_one(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(setup: Setup, target: str) -> tuple[list[Shortcuts], int]:
        return made.first_shortcuts(sokoban_writing.FAMILIES[target], 1), 40

    monkeypatch.setattr(sokoban_writing, "families", kept)
    written = sokoban_writing.write(sokoban_plan.prepare(options), {}, lambda _: None)
    assert {k: v.tolist() for k, v in written.items()} == {"agent.looked": [40, 1], "box.looked": [40, 1]}
    assert "1 of 40 box-shortcut levels are solved by the shorter way, too few to judge." in _write_words(
        {}, {"writing": written}
    )


def test_first_looks_are_read_by_probes_of_their_own() -> None:
    """The memory holds as much at the first look as later, in another code: that is no rise."""
    policy = Policy(made.Forgetful(ERRORS).eval(), "forgetful", "", CONFIG)
    blank = Policy(made.Forgetful(plans=False).eval(), "blank", "", CONFIG)
    setup = sokoban_plan.prepare(Options(policy, sites=("plan",), blank=blank, sizes=TINY))
    formed = sokoban_plan.forming(setup, {"fit.agent": np.zeros(1), "fit.box": np.zeros(1)})
    for target in ("agent", "box"):
        first, second = (formed[f"tally.{target}.policy.{look}.0"].sum(0) for look in (0, 1))
        accuracy = [sums[0].sum() / sums[2].sum() for sums in (first, second)]
        assert min(accuracy) > 0.88 and accuracy[0] == pytest.approx(accuracy[1], abs=0.01)
        assert len(formed[f"tally.{target}.policy.0.0"]) == len(formed["solved"]) == TINY.first


def test_controls_say_whether_they_could_have_come_out_otherwise(
    planted: tuple[about.Outcome, dict],
) -> None:
    """The blank planner and labels of other levels give what the most frequent label gives; windows see more."""
    outcome, found = planted
    for target in ("agent", "box"):
        untrained = found[f"probe.{target}.layer_1.tick_1"]
        constant = found[f"probe.{target}.beside.constant"].control
        assert untrained.control_could_differ is False and untrained.floor == constant
        assert found[f"probe.{target}.beside.random"].control_could_differ is False
        for name in ("window_3", "window_5", "window_7", "other_player"):
            assert found[f"probe.{target}.beside.{name}"].control_could_differ is True, name
        differs, right = (found[f"probe.{target}.{k}.window_7"] for k in ("differs", "right_where_differs"))
        assert differs.low > 0.05 and right.control is not None and right.low > right.control
    record = json.loads((outcome.folder / "run.json").read_text())
    said = next(s["answer"] for s in record["sections"] if s["key"] == "probe")
    assert "so that nothing shows that it could have failed the claim: untrained network (" in said
    assert "the same probe on sokoban-small-resnet, trained too, on the same episodes (" in said


def test_looks_change_nothing_in_a_network_without_memory(planted: tuple[about.Outcome, dict]) -> None:
    _, found = planted
    for name in ("generated", "boxes", "larger"):
        flips = [f for i, f in found.items() if i.startswith(f"thinking.{name}.")]
        assert flips and all(f.estimate == 0 for f in flips)
    torch.manual_seed(0)
    config = CONFIG | {"architecture": {"name": "resnet", "blocks": 1, "channels": 4, "hidden": 8}}
    resnet = Policy(ResNet(blocks=1, channels=4, hidden=8).eval(), "resnet", "", config)
    setup = sokoban_plan.prepare(Options(resnet, sizes=SMALL))
    stored = solve_set(setup, setup.sets["generated"])
    for looks in (1, 16):
        for what in ("solved", "cycle", "moves"):
            assert (stored[f"{what}.0"] == stored[f"{what}.{looks}"]).all()


@pytest.fixture(scope="module")
def unplanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Options, about.Outcome]:
    policy = Policy(untrained(CONFIG, seed=5).module, "blank", "", CONFIG)
    options = Options(policy, out=str(tmp_path_factory.mktemp("sokoban") / "whole"), sizes=SMALL)
    return options, study(options)


def test_where_no_plan_is_none_is_claimed(unplanned: tuple[Options, about.Outcome]) -> None:
    outcome = unplanned[1]
    found = {f.id: f for f in outcome.findings}
    assert outcome.headline.startswith("No plan was found in blank")
    assert not any(name.startswith("write.") for name in found)
    record = json.loads((outcome.folder / "run.json").read_text())
    answers = {section["key"]: section["answer"] for section in record["sections"]}
    assert "agent-shortcut levels are solved by the shorter way, too few to judge" in answers["write"]
    assert set(record["flips"]["generated"]) == {"1", "2", "4", "8", "16"}


def test_a_killed_study_goes_on_and_gives_the_same_files(
    unplanned: tuple[Options, about.Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, whole = unplanned
    again = replace(options, out=str(tmp_path / "killed"))
    stage, killed = RunFolder.stage, []

    def failing(self: RunFolder, name: str, compute):  # type: ignore[no-untyped-def]
        if name == "forming" and not killed:
            killed.append(name)
            raise KeyboardInterrupt
        return stage(self, name, compute)

    monkeypatch.setattr(RunFolder, "stage", failing)
    with pytest.raises(KeyboardInterrupt):
        study(again)
    assert not (tmp_path / "killed").exists()
    monkeypatch.setattr(sokoban_plan, "read", lambda setup: pytest.fail("a finished stage was run again"))
    study(again)
    files = sorted(p.relative_to(whole.folder) for p in whole.folder.rglob("*") if p.is_file())
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "killed" / file).read_bytes() == (whole.folder / file).read_bytes(), file


@pytest.mark.parametrize("options, words", [
    ({"policy": Policy(nn.Linear(3, 4), "other", "", CONFIG)}, "knows the sites of the DRC"),
    ({"policy": "mouse-topright"}, "is not a Sokoban policy"),
    ({"seed": -1}, "--seed must be"),
])  # fmt: skip
def test_what_the_study_cannot_take_is_refused(options: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        study(Options(**{"out": str(tmp_path / "x"), **options}))
    assert not any(tmp_path.iterdir())


def test_levels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    config = CONFIG | {"architecture": {**CONFIG["architecture"], "size": 8}}
    wide = "; wide\n" + "#" * 12 + "\n#@$.       #\n" + "#" * 12
    (tmp_path / "levels.txt").write_text(wide)
    policy = Policy(untrained(config, seed=0).module, "fixed", "", config)
    with pytest.raises(ValueError, match="is 3 x 12, the policy takes 8 x 8"):
        study(Options(policy, str(tmp_path / "levels.txt"), out=str(tmp_path / "x")))
    (tmp_path / "levels.txt").write_text(wide + "\n\n; fits\n#####\n#@$.#\n#####\n")
    setup = sokoban_plan.prepare(Options(policy, str(tmp_path / "levels.txt"), sizes=SMALL))
    assert setup.sets["file"].names == ("level 2",) or "fits" in setup.sets["file"].names[0]
    assert "3 x 12" in setup.sets["file"].note and set(setup.sets) == {"generated", "boxes", "file"}
    assert FIRST_LEVEL > 1_000_000


def test_levels_without_a_task_are_named_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cornered = "; cornered\n######\n#$ @.#\n#    #\n######"
    done = "; done\n#####\n#@ *#\n#####"
    ways = "; far\n#######\n#@ $ .#\n#     #\n#######"
    policy = Policy(untrained(CONFIG, seed=0).module, "any", "", CONFIG)
    file = tmp_path / "levels.txt"
    file.write_text(f"{cornered}\n\n{done}\n\n{ways}\n")
    levels = sokoban_plan.prepare(Options(policy, str(file), sizes=SMALL)).sets["file"]
    assert levels.names == ("far",)
    assert levels.note == "Left out: 'cornered' has no solution; 'done' is solved already."
    # A level at which the search gives up may have a solution, so it stays.
    monkeypatch.setattr(sokoban_setup, "NODES", 1)
    assert solve(ways.split("\n", 1)[1], 1).outcome is Outcome.LIMIT_REACHED
    levels = sokoban_plan.prepare(Options(policy, str(file), sizes=SMALL)).sets["file"]
    assert levels.names == ("far",)
    file.write_text(done)
    with pytest.raises(ValueError, match="no level fits any and can be solved: 'done' is solved already"):
        sokoban_plan.prepare(Options(policy, str(file), sizes=SMALL))


def test_every_finding_is_announced_so_that_a_forecast_can_name_it(
    planted: tuple[about.Outcome, dict],
) -> None:
    known = known_findings()
    for finding in planted[0].findings:
        assert any(fnmatchcase(finding.id, pattern) for pattern in known), finding.id


def test_every_figure_says_what_it_draws(planted: tuple[about.Outcome, dict]) -> None:
    outcome = planted[0]
    ids = {finding.id for finding in outcome.findings}
    index = json.loads((outcome.folder / "figures" / "index.json").read_text())
    drawn = {entry["file"].removesuffix(".svg"): entry["findings"] for entry in index}
    assert drawn["solve-rates"]
    for figure, patterns in drawn.items():
        assert not patterns or any(fnmatchcase(i, p) for i in ids for p in patterns), figure
