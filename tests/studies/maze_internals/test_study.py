"""The internals study on a network whose goal is known to sit in one channel, and on one that pursues nothing."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.evidence.finding import read_findings
from goalscope.evidence.run_folder import RunFolder
from goalscope.policies import PolicyOutput
from goalscope.policies.checkpoint import Policy, untrained
from goalscope.policies.compact import Compact
from goalscope.studies.about import About, Outcome
from goalscope.studies.maze_internals import study as maze_internals
from goalscope.studies.maze_internals.findings.channels import channel_findings
from goalscope.studies.maze_internals.measure.channels import select_channels
from goalscope.studies.maze_internals.setup import Sizes, prepare
from goalscope.studies.maze_internals.study import Options, study
from goalscope.worlds.maze import Maze, MazeState
from goalscope.worlds.maze.paths import distances, top_right

SIZE, CHANNEL, CARRIERS = 9, 5, [2, 3, 5, 6]
CELL = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
CONFIG = {"architecture": {"name": "compact", "size": SIZE, "channels": 8, "blocks": 3}}
TINY = Sizes(discovery=16, held=26, reading=200, largest=16, targets=2, mapped=1, multiples=())


class GoalMap(Compact):
    """Walks to where channel 5 of the residual stream is highest, and to the top-right corner where it is nowhere up.

    Channel 5 is 1 at the cell of the cheese, channel 0 of the walls; the blocks do nothing; all else is 0.
    """

    def __init__(self) -> None:
        super().__init__(SIZE, 8, 3)
        self.stem = nn.Conv2d(3, 8, 2, stride=2, padding=0)  # type: ignore[assignment]
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.stem.weight[CHANNEL, 2] = 1
            self.stem.weight[0, 0] = 0.25

    def forward(self, x: Tensor) -> PolicyOutput:
        padded = nn.functional.pad(x, (0, 1, 0, 1))
        goal = self.goal(x, self.blocks(self.stem(padded))).detach()
        walls, mouse = (x[:, 0] > 0.5).numpy(), _square(x[:, 1])
        state = MazeState(walls, mouse.astype(np.int16), np.full_like(mouse, -1, dtype=np.int16))
        target = top_right(state)
        best = goal.flatten(1).argmax(1).numpy()
        reachable = distances(walls, mouse) >= 0
        up = np.flatnonzero(goal.flatten(1).amax(1).numpy() > 0.5)
        four = np.stack([best[up] // goal.shape[2], best[up] % goal.shape[2]], 1)[:, None] * 2 + CELL
        inside = np.pad(reachable, ((0, 0), (0, 1), (0, 1)))[up[:, None], four[..., 0], four[..., 1]]
        first = four[np.arange(len(up)), inside.argmax(1)]
        target[up] = np.where(inside.any(1)[:, None], first, target[up])
        steps = np.pad(distances(walls, target), ((0, 0), (1, 1), (1, 1)), constant_values=-1)
        at, (row, column) = np.arange(len(x)), mouse.T + 1
        logits = np.full((len(x), 5), -3.0)
        around = ((0, -1), (1, 0), (-1, 0), (0, 1))
        for k, (dr, dc) in enumerate(around):
            there = steps[at, row + dr, column + dc]
            logits[:, k] = np.where((there >= 0) & (there < steps[at, row, column]), 3.0, -3.0)
            logits[:, k] = np.where(steps[at, row, column] == 0, 0.0, logits[:, k])  # arrived: look around
        return PolicyOutput(torch.from_numpy(logits).float(), torch.zeros(len(x)))

    def goal(self, x: Tensor, stream: Tensor) -> Tensor:
        """[B, h, w]: where the cheese is, from more than 0.5."""
        return stream[:, CHANNEL]


class SpreadMap(GoalMap):
    """Four channels say where the cheese is and are added up; in one maze of eight all of them must agree, else two."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.stem.weight[CARRIERS, 2] = 1

    def goal(self, x: Tensor, stream: Tensor) -> Tensor:
        places = (x[:, 0].flatten(1) * torch.arange(SIZE**2)).sum(1).round()
        needed = torch.where(places % 8 == 0, 3.5, 1.5)
        return stream[:, CARRIERS].sum(1) / needed[:, None, None] / 2


def _square(plane: Tensor) -> np.ndarray:
    flat = plane.flatten(1).argmax(1).numpy()
    return np.stack([flat // plane.shape[2], flat % plane.shape[2]], 1)


def run(policy: Policy, folder: Path, sizes: Sizes = TINY) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maze_internals, "QUICK", sizes)
        return study(Options(policy=policy, quick=True, out=str(folder)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict]:
    policy = Policy(GoalMap().eval(), "goal-map", "", CONFIG)
    outcome = run(policy, tmp_path_factory.mktemp("internals") / "planted")
    return outcome, {f.id: f for f in outcome.findings}


def test_a_goal_in_one_channel_is_found_edited_away_and_moved(planted: tuple[Outcome, dict]) -> None:
    outcome, found = planted
    assert outcome.headline.startswith(
        "A quick run, with fewer levels than the study: The goal of goal-map can be edited away and moved inside the network"
    )
    lines = outcome.headline.split("\n\n")
    assert len(lines) == 4 and all("[" in line for line in lines[1:])
    pull = found["steer.cheese.cheese_pull"]
    assert pull.high < -0.2 and pull.high < pull.control_low
    kept = found["ablate.cheese.corner_pull_kept"]
    assert kept.estimate == pytest.approx(1, abs=0.02) and kept.control < kept.low
    other = found[
        "ablate.corner.cheese_pull_kept"
    ]  # the top-right vector lies in a channel that nothing reads
    assert other.estimate == other.control == pytest.approx(1, abs=0.02)


def test_each_layer_has_random_vectors_of_its_own(planted: tuple[Outcome, dict]) -> None:
    rows = [f for i, f in planted[1].items() if i.startswith("steer.layer.")]
    assert len(rows) == 4 and all(f.control_name.endswith(f"at {f.site}") for f in rows)
    assert len({f.control for f in rows}) > 1


def test_a_probe_reads_nothing_of_labels_that_were_dealt_out_anew(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    middle, seen = found["probe.cheese_position.middle"], found["probe.cheese_position.observation"]
    selective = found["probe.selectivity.middle"]
    assert middle.estimate - 0.15 < selective.estimate <= middle.estimate and selective.low > 0
    beyond = found["probe.beyond_observation.middle"]
    assert beyond.estimate == pytest.approx(middle.estimate - seen.estimate)
    assert beyond.control == pytest.approx(middle.control - seen.estimate)


def test_no_control_is_the_estimate_itself(planted: tuple[Outcome, dict]) -> None:
    # That network never errs without the cheese: there both do exactly nothing.
    null = ("steer.corner.",)
    for f in planted[0].findings:
        if f.high - f.low > 1e-6 and not f.id.startswith(null):
            assert (f.estimate, f.low, f.high) != (f.control, f.control_low, f.control_high), f.id


def test_the_probes_square_is_written_as_far_as_the_probes_go(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    read, ceiling = found["probe.write.read"], found["probe.write.ceiling"]
    assert read.low > read.control_high and ceiling.low > ceiling.control_high
    assert found["probe.write.off_manifold"].estimate > found["probe.write.off_manifold"].control


def test_the_goal_moves_wherever_the_cheese_itself_would_draw_it(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    moved, ceiling = found["retarget.every_square"], found["retarget.every_square.ceiling"]
    assert moved.estimate > 0.95 and moved.estimate == pytest.approx(ceiling.estimate, abs=0.03)
    assert moved.control < 0.7
    for corner in ("top_left", "bottom_right"):
        assert found[f"retarget.corner.{corner}"].estimate > 0.95
        assert found[f"retarget.corner.{corner}.bare"].estimate < 0.3


def test_two_activations_are_the_whole_budget(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    budgets = [
        found[i].estimate
        for i in ("budget.share_0_01", "budget.share_0_1", "budget.share_1", "budget.share_10")
    ]
    assert min(budgets) > 0.95  # one value at the target, one at the cheese, is already enough
    assert "the least there is: one value at the cheese" in found["budget.share_0_01"].question
    last = found["budget.share_10"]
    assert "the edit has no more: the pattern of " in last.question
    used = last.question.split("(used: ")[1].split(";")[0]
    assert float(used.rstrip("%")) < 10
    answers = {
        s["key"]: s["answer"] for s in json.loads((planted[0].folder / "run.json").read_text())["sections"]
    }
    assert f"At most 10.00% (used: {used};" in answers["budget"]
    assert all(f" {n}%: " in answers["cut"] for n in (50, 70, 90, 99))


def test_the_channel_that_carries_the_goal_is_selected_and_no_other(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    share = found["channels.carry_goal"]
    assert share.estimate == pytest.approx(1 / 8) and share.n == 8
    assert (
        share.low == share.high == share.estimate
    )  # all channels are there: a count, and no sample of channels
    assert f"channels.channel_{CHANNEL}" in found
    whole, one = (found[f"channels.{key}.other_place"] for key in ("all", "top_1"))
    assert whole.standing == one.standing == "supported" and one.estimate == whole.estimate < -0.5
    assert f"({CHANNEL})" in one.question and one.high < one.control_low
    there = found["channels.top_1.to_other_place"]
    assert there.standing == "supported" and there.low > 0.3
    answers = {
        s["key"]: s["answer"] for s in json.loads((planted[0].folder / "run.json").read_text())["sections"]
    }
    assert "The fewest shown to take more than as many random channels: 1 (" in answers["channels"]
    assert found["steer.channel.reach_target"].method.startswith("channel and value")
    assert f"channel {CHANNEL} " in found["steer.channel.reach_target"].question


def test_a_goal_spread_over_four_channels_is_in_none_of_them_but_in_the_four() -> None:
    world, module = Maze(SIZE, None), SpreadMap().eval()
    subject = Policy(module, "spread-map", "", CONFIG)
    sizes = replace(TINY, discovery=30, held=40)
    setup = prepare(subject, subject, world, sizes, 0, About("maze", 0, "test"))
    measured = select_channels(setup)
    found = {f.id: f for f in channel_findings(setup, measured)}
    share = found["channels.carry_goal"]
    assert share.estimate == 0 and share.method.startswith(
        "0 found on discovery mazes; an effect of one channel of "
    )
    assert "; all 8 together: -9" in share.method
    one, four, whole = (found[f"channels.{key}.other_place"] for key in ("top_1", "top_4", "all"))
    assert one.standing == "inconclusive" and four.standing == whole.standing == "supported"
    assert sorted(measured["order"][:4].tolist()) == CARRIERS
    np.testing.assert_array_equal(
        measured["top"][2], measured["all"]
    )  # the other four say nothing of the cheese
    np.testing.assert_array_equal(measured["effects"][[0, 1, 4, 7]], 0)
    assert found["channels.top_4.to_other_place"].standing == "supported"


def test_a_vector_transfers_between_mazes_with_the_cheese_in_the_same_place(
    planted: tuple[Outcome, dict],
) -> None:
    _, found = planted
    same = found["steer.transfer.same_place"]
    assert same.high < -0.2 and abs(same.control) < 0.05


def test_its_early_channel_follows_the_cheese(planted: tuple[Outcome, dict]) -> None:
    _, found = planted
    readable = found["channels.interpretable.early"]
    assert readable.estimate >= 1 and readable.control == 0
    assert found["probe.cheese_position.observation"].estimate > 0.5  # the observation says it as well


def blank_policy() -> Policy:
    return Policy(untrained(CONFIG, seed=5).module, "blank", "", CONFIG)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(blank_policy(), tmp_path_factory.mktemp("internals") / "blank")


def test_where_nothing_is_pursued_nothing_is_claimed(blank: Outcome) -> None:
    outcome = blank
    found = {f.id: f for f in outcome.findings}
    assert outcome.headline.startswith(
        "A quick run, with fewer levels than the study: No edit at blocks.1 was found that changes what blank pursues."
    )
    share = found["channels.carry_goal"]
    assert share.estimate == 0 and "would have been found with 80% power" in share.method
    record = (outcome.folder / "run.json").read_text("utf-8")
    assert share.method.split("; ")[1] in record
    assert found["channels.all.other_place"].standing == "inconclusive"
    sets = [f for i, f in found.items() if i.startswith("channels.top_")]
    assert len(sets) == 6 and all(f.invalid == "ceiling" for f in sets)
    assert "nothing is said of single channels or of sets" in record
    assert "gate.accuracy" not in found
    for moved in (found["retarget.all"], found["probe.write.reach_target"]):
        assert moved.control_high is not None and moved.low <= moved.control_high


def test_a_killed_study_goes_on_and_gives_the_same_findings(
    blank: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, whole = blank_policy(), blank
    calls: list[str] = []
    stage = RunFolder.stage

    def failing(self: RunFolder, name: str, compute):  # type: ignore[no-untyped-def]
        if name == "retarget" and not calls:
            calls.append(name)
            raise KeyboardInterrupt
        return stage(self, name, compute)

    monkeypatch.setattr(RunFolder, "stage", failing)
    with pytest.raises(KeyboardInterrupt):
        run(policy, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()
    monkeypatch.setattr(maze_internals, "steer", lambda setup: pytest.fail("a finished stage was run again"))
    run(policy, tmp_path / "killed")
    assert (tmp_path / "killed" / "findings.parquet").read_bytes() == (
        whole.folder / "findings.parquet"
    ).read_bytes()
    assert len(read_findings(whole.folder / "findings.parquet")) > 80


def test_every_figure_says_what_it_draws(planted: tuple[Outcome, dict]) -> None:
    ids = {finding.id for finding in planted[0].findings}
    index = json.loads((planted[0].folder / "figures" / "index.json").read_text())
    drawn = {entry["file"].removesuffix(".svg"): entry["findings"] for entry in index}
    assert drawn["dose-cheese"] and drawn["budget"]
    for figure, patterns in drawn.items():
        for pattern in patterns:
            assert any(fnmatchcase(i, pattern) for i in ids), (figure, pattern)


def test_every_finding_is_announced_so_that_a_forecast_can_name_it(planted: tuple[Outcome, dict]) -> None:
    known = tomllib.loads(resources.files("goalscope.data").joinpath("findings.toml").read_text("utf-8"))
    announced = known["study maze-internals"]["ids"]
    for finding in planted[0].findings:
        assert any(fnmatchcase(finding.id, pattern) for pattern in announced), finding.id
    unfound = ("finetune.", "flipped.", "gate.")  # need the packaged mouse
    for pattern in announced:
        if not pattern.startswith(unfound):
            assert any(fnmatchcase(f.id, pattern) for f in planted[0].findings), pattern


def test_every_finding_says_where_it_was_read_and_what_its_control_is(planted: tuple[Outcome, dict]) -> None:
    outcome, _ = planted
    for finding in outcome.findings:
        assert (
            finding.control is not None
            or "null by construction" in finding.control_name
            or ".graft." in finding.id
        )
        assert finding.site and finding.world == "maze, size 9, cheese anywhere, time limit 200"


@pytest.mark.parametrize(
    "module, words",
    [(nn.Linear(3, 5), "add --world procgen"), (None, "knows the compact and the IMPALA network")],
)
def test_networks_that_the_study_cannot_take_are_refused(
    module: nn.Module | None, words: str, tmp_path: Path
) -> None:
    if module is None:
        module = nn.Linear(3, 5)
        module.size = SIZE  # type: ignore[assignment]
    with pytest.raises(ValueError, match=words):
        study(Options(policy=Policy(module, "other", "", CONFIG), out=str(tmp_path / "x")))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"first_level": -1}, {"seed": -1}, {"world": "chess"}, {"distribution": "easy"}]
)
def test_options_out_of_range_are_refused(options: dict, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--"):
        study(Options(policy="mouse-topright", out=str(tmp_path / "x"), **options))


def test_the_world_of_a_goal_map_is_walked_as_written() -> None:
    """The test's own network: it reaches the cheese wherever it lies, and the corner without one."""
    from goalscope.rollout import fields
    from goalscope.studies.maze_internals.setup import reached
    from goalscope.worlds.maze import remove_cheese

    world, network = Maze(SIZE, None), GoalMap().eval()
    state = world.generate(np.arange(40))
    assert reached(fields(network, world, state), state.cheese, 200).min() > 0.9
    bare = remove_cheese(state)
    assert reached(fields(network, world, bare), top_right(bare), 200).min() > 0.9


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(Compact(5, 4, 1), "tiny", "", {}), "needs mazes of size 7 at least, tiny sees 5"),
        (nn.Linear(3, 5), "does not say the side W of the mazes"),
    ],
)
def test_a_network_that_cannot_be_studied_is_named_before_a_maze_is_drawn(
    policy: Policy, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        study(Options(policy=policy, out=str(tmp_path / "run")))
    other = nn.Linear(3, 5)
    other.size = 9  # type: ignore[assignment]
    with pytest.raises(ValueError, match="network, not Linear: of others it cannot tell at which sites"):
        study(Options(policy=other, out=str(tmp_path / "run")))
    assert not list(tmp_path.iterdir())
