"""The goals study on policies whose goal is known, and on one that has none, in a room of MiniGrid and in mazes."""

from __future__ import annotations

import importlib.util
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import goalscope
from goalscope.commands.main import main
from goalscope.evidence.finding import read_findings
from goalscope.evidence.forecast import known_findings
from goalscope.policies.handwritten import Handwritten
from goalscope.studies.about import Outcome
from goalscope.studies.goals import study as goals_study
from goalscope.worlds.maze import Maze
from goalscope.worlds.minigrid import MiniGrid

_path = Path(__file__).with_name("walkers.py")
_spec = importlib.util.spec_from_file_location("walkers", _path)
assert _spec is not None and _spec.loader is not None
walkers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(walkers)
Walker = walkers.Walker
pytest.importorskip("minigrid", reason="needs the extra goalscope[minigrid]")
ROOM = "MiniGrid-Empty-5x5-v0"


def run(policy: nn.Module | str, folder: Path, world: Any = None, **options: Any) -> Outcome:
    return goalscope.goal_study(
        policy,
        world or MiniGrid("MiniGrid-Empty-6x6-v0", "full"),
        out=str(folder),
        **{"levels": 60, **options},
    )


def by_id(outcome: Outcome) -> dict:
    return {f.id: f for f in outcome.findings}


def verdicts(outcome: Outcome) -> dict[str, str]:
    return json.loads((outcome.folder / "run.json").read_text())["verdicts"]


@pytest.fixture(scope="module")
def goal(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(Walker("goal"), tmp_path_factory.mktemp("goals") / "goal")


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(Walker("corner"), tmp_path_factory.mktemp("goals") / "corner")


def test_who_walks_to_the_goal_pursues_the_goal_and_no_corner(goal: Outcome) -> None:
    assert verdicts(goal)["green goal"] == "yes"
    assert "yes" not in {answer for name, answer in verdicts(goal).items() if name != "green goal"}
    assert goal.headline.startswith("Walker pursues the green goal")
    found = by_id(goal)
    assert found["pull.green_goal"].low > 0.3 and found["pull.green_goal.present"].low > 0.5
    assert found["map.green_goal.unseen"].estimate == pytest.approx(1, abs=1e-3)
    assert found["first.green_goal.bottom_right_corner"].estimate > 0.95
    assert found["rule.to_green_goal"].estimate > -0.05 and found["rule.unexplained"].estimate < 0.01


def test_who_walks_to_the_corner_pursues_that_corner_and_not_the_goal_that_always_lay_there(
    corner: Outcome,
) -> None:
    found = by_id(corner)
    assert found["come.green_goal"].estimate == pytest.approx(1, abs=1e-6), "as generated the two are one"
    assert verdicts(corner)["green goal"] == "no" and verdicts(corner)["bottom-right corner"] == "yes"
    assert corner.headline.startswith("Walker pursues the bottom-right corner.")
    assert found["pull.green_goal"].estimate == pytest.approx(0, abs=1e-9), (
        "it does not see the goal: not even by chance"
    )
    assert found["first.green_goal.bottom_right_corner"].high < -0.8
    assert found["map.green_goal.unseen"].estimate < 0.6


def test_who_wanders_pursues_nothing(tmp_path: Path) -> None:
    outcome = run(Walker("wander"), tmp_path / "wander")
    assert "yes" not in verdicts(outcome).values()
    assert outcome.headline.startswith("No goal was found in Walker")


def test_every_finding_has_its_control_and_is_one_that_the_study_declares(goal: Outcome) -> None:
    known = known_findings()
    for f in goal.findings:
        assert any(fnmatchcase(f.id, pattern) for pattern in known), f.id
        assert f.low <= f.estimate <= f.high and (f.control is not None or f.control_name)
        assert f.role != "undeclared"
    assert {f.control_name for f in goal.findings if f.id.startswith(("pull", "lead", "come"))} == {
        "random walk"
    }
    assert "interval, for" in by_id(goal)["pull.green_goal"].method, "what decides is paid for"


def test_the_report_shows_where_it_goes_and_every_placement(goal: Outcome) -> None:
    figures = {
        entry["file"]: entry for entry in json.loads((goal.folder / "figures" / "index.json").read_text())
    }
    assert {"headline.svg", "verdicts.svg", "map.svg", "come.svg", "rules.svg"} <= set(figures)
    assert "green goal at row 4, column 4" in figures["headline.svg"]["alt"]
    drawn = (goal.folder / "figures" / "map.svg").read_text()
    for square in ("row 4, column 4", "row 2, column 3"):
        assert f"{square}: chance of coming to it 100.0%" in drawn, "where it lies, and where it is put"
    page = goal.report.read_text()
    assert "the world puts it on 1 of them" in page or "the world itself puts it on 1" in page


@pytest.fixture(scope="module")
def mazes() -> Maze:
    return Maze(7, cheese_region=3)


def test_in_mazes_the_cheese_is_told_from_the_corner_where_it_always_lies_near(
    mazes: Maze, tmp_path: Path
) -> None:
    cheese = run(Handwritten("cheese", 7, 0.05), tmp_path / "cheese", mazes)
    corner = run(Handwritten("corner", 7, 0.05), tmp_path / "corner", mazes)
    assert verdicts(cheese)["cheese"] == "yes" and verdicts(cheese)["top-right corner"] != "yes"
    assert verdicts(corner)["cheese"] != "yes" and verdicts(corner)["top-right corner"] == "yes"
    assert by_id(corner)["pull.cheese"].estimate == pytest.approx(0, abs=0.02)


def test_the_value_of_the_shortest_way_rises_on_it(mazes: Maze, tmp_path: Path) -> None:
    found = by_id(run(Handwritten("cheese", 7, 0.05), tmp_path / "value", mazes, levels=20))
    assert found["value.agreement.states"].estimate > 0.99


class Remembers(nn.Module):
    """Walks to the goal, with a memory that it does not use."""

    def __init__(self):
        super().__init__()
        self.walker = Walker("goal")

    def initial_carry(self, count: int) -> torch.Tensor:
        return torch.zeros(count, 1)

    def forward(self, x: torch.Tensor, carry: torch.Tensor) -> tuple:
        return self.walker(x), torch.zeros(len(x)), carry


def test_with_a_memory_play_is_sampled_and_says_so(goal: Outcome, tmp_path: Path) -> None:
    outcome = run(Remembers(), tmp_path / "memory", MiniGrid("MiniGrid-Empty-6x6-v0", "full", 30), levels=6)
    found, exact = by_id(outcome), by_id(goal)
    assert found["pull.green_goal"].method.startswith("sampled play") and not any(
        f.id.startswith("first") for f in outcome.findings
    )
    assert exact["pull.green_goal"].method.startswith("exact chain")
    assert found["map.green_goal.unseen"].estimate == pytest.approx(1, abs=0.05)
    answers = " ".join(s["answer"] for s in json.loads((outcome.folder / "run.json").read_text())["sections"])
    assert "Sampled, 4 plays of each level: Remembers has a memory" in answers


def test_too_many_states_are_sampled_too(goal: Outcome, tmp_path: Path) -> None:
    found = by_id(run(Walker("goal"), tmp_path / "many", MiniGrid(ROOM, "full", 20), levels=6, limit=20))
    both = (found["pull.green_goal"], by_id(goal)["pull.green_goal"])
    assert both[0].method.startswith("sampled play")
    assert both[0].low < both[1].high and both[1].low < both[0].high


def on_the_way(state: Any) -> np.ndarray:
    return (state.agent[:, :2] == (1, 2)).all(1)


def test_the_users_own_goal_is_asked_about_like_a_place(tmp_path: Path) -> None:
    goals = {"second square": on_the_way, "the middle": lambda state: np.full((len(state), 2), 2)}
    outcome = run(Walker("goal"), tmp_path / "own", MiniGrid(ROOM, "full"), goals=goals, levels=20)
    found = by_id(outcome)
    assert found["come.second_square"].estimate == pytest.approx(1, abs=0.02)
    assert found["come.the_middle"].estimate < 0.05 and "lead.the_middle" in found


@pytest.mark.parametrize(
    ("goals", "words"),
    [
        (
            {"nowhere": lambda state: np.zeros(len(state), bool)},
            "the goal 'nowhere' is reached by no actions in any of 1 levels",
        ),
        (
            {"odd": lambda state: np.zeros(3)},
            r"the goal 'odd' gives float64 \[3\] for \d+ states; squares \[\d+, 2\] int or \[\d+\] bool",
        ),
        ({"Green goal": on_the_way}, "two candidates would be called 'green_goal'"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goals: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        run(Walker("goal"), tmp_path / "bad", MiniGrid(ROOM, "full"), goals=goals, levels=4)


def test_goals_of_the_users_file_are_asked_about_from_the_command_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import numpy as np\nfrom torch import nn\n"
        "def policy(): return nn.Sequential(nn.Flatten(), nn.Linear(75, 7))\n"
        "def second_square(state): return (state.agent[:, :2] == (1, 2)).all(1)\n"
        "def in_the_wall(state): return np.full((len(state), 2), 0)\n"
        "def wrong(state): return state.cheese\n"
    )
    monkeypatch.chdir(tmp_path)
    words = [
        "study",
        "goals",
        "--policy",
        "grid-corner",
        "--world",
        "minigrid:MiniGrid-Empty-6x6-v0",
        "--levels",
        "4",
    ]
    main([*words, "--levels", "2", "--goals", "mine.py:second_square", "--out", "own"])
    record = json.loads((tmp_path / "own" / "run.json").read_text())
    assert "second square" in record["verdicts"] and "--goals mine.py:second_square" in record["command"]
    for goal, said in {
        "mine.py:in_the_wall": "the goal 'in the wall' is reached by no actions in any of 1 levels",
        "mine.py:wrong": "the goal 'wrong' fails on 62 states of type MiniGridState: AttributeError: ",
        "mine.py:gone": "mine.py has no function 'gone'; it has in_the_wall, policy, second_square, wrong",
        "gone.py:it": "no file gone.py",
        "mine.py": "mine.py:NAME is a goal",
        "the key": "a goal is 'file.py:function', a function of N states; got 'the key'",
    }.items():
        with pytest.raises(SystemExit):
            main([*words, "--goals", goal, "--out", "bad"])
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith("error: ") and said in told
        assert not (tmp_path / "bad").exists()


class Mute(Maze):
    """Says of nothing where it lies."""

    things = agent = free = move = remove = add = move_agent = property()  # type: ignore[assignment]


def test_a_world_that_says_nothing_needs_goals_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the maze world has no `things.*`: there is nothing to ask about; give goals="
    ):
        run(Handwritten("cheese", 7), tmp_path / "mute", Mute(7), levels=4)
    goals = {"the cheese": lambda state: (state.mouse == state.cheese).all(1)}
    outcome = run(Handwritten("cheese", 7, 0.05), tmp_path / "told", Mute(7), goals=goals, levels=30)
    assert verdicts(outcome) == {"the cheese": "yes"}


def test_a_quick_run_says_so_and_a_policy_of_another_observation_is_refused(tmp_path: Path) -> None:
    quick = run(Walker("goal"), tmp_path / "quick", MiniGrid(ROOM, "full"), quick=True)
    assert quick.headline.startswith("A quick run") and all(f.quick for f in quick.findings)
    with pytest.raises(ValueError, match="cannot take the observations"):
        run(
            nn.Sequential(nn.Flatten(), nn.Linear(12, 7)),
            tmp_path / "other",
            MiniGrid(ROOM, "full"),
            levels=4,
        )


def test_a_killed_study_goes_on_and_gives_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, measure, calls = MiniGrid(ROOM, "full"), goals_study.measure, []
    whole = run(Walker("goal"), tmp_path / "whole", world, levels=6)

    def killed(module: nn.Module, asked: Any) -> dict:
        calls.append(type(module).__name__)
        if calls == ["Walker", "Uniform"]:
            raise KeyboardInterrupt
        return measure(module, asked)

    monkeypatch.setattr(goals_study, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(Walker("goal"), tmp_path / "killed", world, levels=6)
    resumed = run(Walker("goal"), tmp_path / "killed", world, levels=6)
    assert calls == ["Walker", "Uniform", "Uniform"], "the finished stage was computed again"
    files = [outcome.folder / "findings.parquet" for outcome in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes() and len(read_findings(files[0])) > 10


class Longer(Mute):
    """The same name, other rules."""

    def step(self, state, actions):
        return super().step(state, actions)


def test_a_killed_study_of_another_goal_or_world_under_the_same_name_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = goals_study.measure, []

    def killed(module: nn.Module, asked: Any) -> dict:
        calls.append(module)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return measure(module, asked)

    def there(of: str) -> dict:
        return {
            "there": {"cheese": lambda s: (s.mouse == s.cheese).all(1), "edge": lambda s: s.mouse[:, 0] == 1}[
                of
            ]
        }

    monkeypatch.setattr(goals_study, "measure", killed)
    policy, out = Handwritten("cheese", 7, 0.05), tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run(policy, out, Mute(7), goals=there("cheese"), levels=4)
    for world, of in ((Mute(7), "edge"), (Longer(7), "cheese")):
        with pytest.raises(ValueError, match="unfinished run of something else"):
            run(policy, out, world, goals=there(of), levels=4)
    with pytest.raises(KeyboardInterrupt):  # and the same again is
        run(policy, out, Mute(7), goals=there("cheese"), levels=4)


def test_a_trained_network_stands_beside_an_untrained_one(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(75, 7))
    outcome = run(network, tmp_path / "network", MiniGrid(ROOM, "full"), levels=10)
    assert {"untrained", "random walk"} >= {
        f.control_name for f in outcome.findings if f.id.startswith("come")
    }
    record = json.loads((outcome.folder / "run.json").read_text())
    assert set(record["provenance"]["policies"]) == {"Sequential", "untrained", "random walk"}


def test_packaged_agents_are_told_apart_by_name_and_see_what_they_were_trained_on(tmp_path: Path) -> None:
    """One learned in rooms with the goal always in its corner, the other with the goal anywhere."""
    told = {}
    for name in ("grid-corner", "grid-anywhere"):
        outcome = run(name, tmp_path / name, "minigrid:MiniGrid-Empty-6x6-v0")
        told[name] = {thing for thing, answer in verdicts(outcome).items() if answer == "yes"}
        assert {"untrained", "random walk"} == {
            f.control_name for f in outcome.findings if f.id[:4] in ("pull", "lead")
        }
    assert told == {"grid-corner": {"bottom-right corner"}, "grid-anywhere": {"green goal"}}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            ("grid-corner", "minigrid:MiniGrid-Empty-6x6-v0", "partial"),
            r"grid-corner does not see what MiniGrid-Empty-6x6-v0 shows: this policy takes observations \[N, 3, 6, 6\], got "
            r"\[1, 3, 7, 7\]; it takes --observation full",
        ),
        (
            ("grid-corner", f"minigrid:{ROOM}", None),
            r"\[N, 3, 6, 6\], got \[1, 3, 5, 5\]; no observation of this world fits it",
        ),
        (
            ("mouse-topright", "sokoban", None),
            r"does not see what sokoban shows: .*\[N, 3, 13, 13\], got \[1, 4, 10, 10\]$",
        ),
        (("grid-corner", "minigrid:MiniGrid-Empty-6x5-v0", None), "did you mean MiniGrid-Empty-6x6-v0"),
        (("grid-corner", "gym:Pendulum-v1", None), "the actions of Pendulum-v1 are continuous"),
        (("grid-corner", "minigrid:MiniGrid-Dynamic-Obstacles-6x6-v0", None), "its obstacles move at random"),
    ],
    ids=["other view", "other size", "other world", "no such id", "continuous", "draws"],
)
def test_what_an_agent_cannot_act_in_is_refused_with_what_would_fit(
    asked: tuple, words: str, tmp_path: Path
) -> None:
    name, where, observation = asked
    with pytest.raises(ValueError, match=words):
        run(name, tmp_path / "other", where, observation=observation, levels=4)
    assert not list(tmp_path.iterdir())
