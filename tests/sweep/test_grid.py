"""The file of a sweep: what it names, and what it says of a slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from goalscope.commands.main import app
from goalscope.commands.sweep import STUDY_GIVEN, TRAIN_GIVEN, _known
from goalscope.sweep.grid import Grid, read_grid

STUDIES, TRAININGS = (
    _known(app.commands[name], given)  # pyright: ignore[reportArgumentType]
    for name, given in (("study", STUDY_GIVEN), ("train", TRAIN_GIVEN))
)

GOOD = """out = "runs/mine"

[[train]]
train = "maze"
name = "corner"
seeds = [1, 2]
cheese_region = [1, 3]
steps = 1000

[[study]]
study = "maze"
policies = ["mouse-topright", "@corner"]
seeds = [0, 1, 2]
levels = [100, 500]
no_cache = true
"""


def read(tmp_path: Path, text: str) -> Grid:
    (tmp_path / "grid.toml").write_text(text)
    return read_grid(str(tmp_path / "grid.toml"), STUDIES, TRAININGS)


def test_a_grid_is_every_combination_and_a_trained_policy_one_of_each_training(tmp_path: Path):
    grid = read(tmp_path, GOOD)
    trainings = [cell for cell in grid.cells if cell.kind == "train"]
    studies = [cell for cell in grid.cells if cell.kind == "study"]
    assert grid.out == "runs/mine" and grid.cells[:4] == tuple(trainings)
    assert sorted((c.seed, c.options["cheese_region"]) for c in trainings) == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert len(studies) == (1 + 4) * 3 * 2
    assert {c.needs for c in studies} == {"", *(c.name for c in trainings)}
    assert all(c.policy == f"runs/mine/{c.needs}/{c.needs}" for c in studies if c.needs)
    assert all(c.options["no_cache"] is True for c in studies)
    assert len({cell.name for cell in grid.cells}) == len(grid.cells)


def test_a_cell_that_is_named_twice_is_one_cell(tmp_path: Path):
    table = '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nseeds = [0, 1]\n'
    assert len(read(tmp_path, table + table).cells) == 2


def test_the_name_of_a_cell_follows_what_decides_its_outcome(tmp_path: Path):
    policy = tmp_path / "mine.safetensors"
    policy.write_bytes(b"one")
    text = f'[[study]]\nstudy = "maze"\npolicies = ["{policy}"]\nlevels = 5\n'
    names = [read(tmp_path, text).cells[0].name, read(tmp_path, text.replace("5", "6")).cells[0].name]
    other = tmp_path / "other" / "mine.safetensors"
    other.parent.mkdir()
    other.write_bytes(b"two")
    names.append(read(tmp_path, text.replace(str(policy), str(other))).cells[0].name)
    assert len(set(names)) == 3 and all(name.startswith("maze-mine-0-") for name in names)
    other.unlink()
    same = tmp_path / "same" / "mine.safetensors"
    same.parent.mkdir()
    same.write_bytes(b"one")
    assert read(tmp_path, text.replace(str(policy), str(same))).cells[0].name == names[0]


def test_a_pattern_is_every_file_like_it(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    text = f'[[study]]\nstudy = "goals"\nworld = "maze"\npolicies = ["{tmp_path}/*.safetensors"]\n'
    assert [cell.label for cell in read(tmp_path, text).cells] == ["a", "b"]


BAD = {
    "no TOML": ("[[study", "is not TOML"),
    "nothing": ("", "write [[study]] or [[train]]"),
    "unknown key at the top": ('ot = "x"\n[[study]]', "line 1: unknown key 'ot'; did you mean 'out'?"),
    "unknown table": ("[[studdy]]\n", "line 1: unknown key 'studdy'; did you mean 'study'?"),
    "one bracket": ("[study]\n", "write [[study]] with two brackets"),
    "no study": ("\n[[study]]\n", "line 2: write study ="),
    "unknown study": ('[[study]]\nstudy = "mase"\n', "line 2: there is no study 'mase'; did you mean 'maze'?"),
    "no policies": ('[[study]]\nstudy = "maze"\n', "line 1: policies ="),
    "unknown policy": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-toprigth"]\n',
        "line 3: no packaged policy is called 'mouse-toprigth'; did you mean",
    ),
    "no such file": ('[[study]]\nstudy = "maze"\npolicies = ["./gone.pt"]\n', "line 3: no file or folder"),
    "no such pattern": ('[[study]]\nstudy = "maze"\npolicies = ["gone/*.pt"]\n', "line 3: no file is like"),
    "no such factory": ('[[study]]\nstudy = "maze"\npolicies = ["gone.py:make"]\n', "line 3: no file gone.py"),
    "unknown training": (
        '[[study]]\nstudy = "maze"\npolicies = ["@corner"]\n',
        "line 3: no training is called 'corner'",
    ),
    "unknown option": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nlevls = 5\n',
        "line 4: study maze has no option 'levls'; did you mean 'levels'?",
    ),
    "an option of another study": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\npuzzles = "x.csv"\n',
        "line 4: study maze has no option 'puzzles'",
    ),
    "the folder of one cell": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nout = "x"\n',
        "line 4: study maze has no option 'out'",
    ),
    "wrong type": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nlevels = [5, "6"]\n',
        "line 4: levels must be int, got '6'",
    ),
    "a truth is no number": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nlevels = true\n',
        "line 4: levels must be int, got True",
    ),
    "no value": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nlevels = []\n',
        "line 4: levels has no value",
    ),
    "wrong seeds": (
        '[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nseeds = [-1]\n',
        "line 4: seeds = [0, 1, ...]",
    ),
    "a training without a name": ('[[train]]\ntrain = "maze"\n', "line 1: a training needs name"),
    "two of a name": (
        '[[train]]\ntrain = "maze"\nname = "a"\n[[train]]\ntrain = "maze"\nname = "a"\n',
        "line 6: two trainings are called 'a'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_slip_is_named_with_its_line(name: str, tmp_path: Path):
    text, message = BAD[name]
    with pytest.raises(ValueError) as refused:
        read(tmp_path, text)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_study_that_must_have_an_option_says_so_before_anything_runs(tmp_path: Path):
    with pytest.raises(ValueError, match="line 1: study goals needs the option 'world'"):
        read(tmp_path, '[[study]]\nstudy = "goals"\npolicies = ["mouse-corner"]\n')


def test_ten_thousand_cells_are_ten_thousand_names(tmp_path: Path):
    text = f'[[study]]\nstudy = "maze"\npolicies = ["mouse-corner"]\nseeds = {list(range(10_000))}\n'
    assert len({cell.name for cell in read(tmp_path, text).cells}) == 10_000


def test_the_example_is_a_grid():
    example = Path(__file__).parents[2] / "examples" / "sweep.toml"
    grid = read_grid(str(example), STUDIES, TRAININGS)
    assert len(grid.cells) == 2 + 4 * 2 * 2
