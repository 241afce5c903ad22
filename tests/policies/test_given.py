"""One rule for whatever acts: names, paths, factories, policies, modules; and the untrained control of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import goalscope
from goalscope.policies.checkpoint import Policy, load
from goalscope.policies.compact import Compact
from goalscope.policies.given import fresh, module_of, policy_of
from goalscope.policies.names import snapshots


class Own(nn.Module):
    """Nothing but a forward: planes [N, 3, W, W] to five logits."""

    def __init__(self, size: int = 5):
        super().__init__()
        self.linear = nn.Linear(3 * size * size, 5)

    def forward(self, x):
        return self.linear(x.flatten(1))


FACTORY = """
import torch
from torch import nn

class Own(nn.Module):
    size = 5
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(75, 5)
    def forward(self, x):
        return self.linear(x.flatten(1))

def fresh():
    return Own()

def trained():
    made = Own()
    with torch.no_grad():
        made.linear.weight.fill_(0.5)
        made.linear.bias.fill_(0.5)
    return made

def broken():
    return 1 / 0

def number():
    return 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FACTORY, encoding="utf-8")
    return path


def weights(policy: Policy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.module.parameters()])


def test_a_policy_a_module_a_name_and_a_factory_are_taken(file: Path):
    loaded = load("mouse-topright")
    assert policy_of(loaded) is loaded and module_of(loaded.module) is loaded.module
    assert policy_of("mouse-topright").sha256 == loaded.sha256
    own = Own()
    given = policy_of(own)
    assert given.module is own and given.name == "Own" and len(given.sha256) == 64
    made = policy_of(f"{file}:fresh")
    assert made.name == "mine-fresh" and isinstance(made.module, nn.Module) and not made.module.training


def test_other_weights_have_another_digest():
    own = Own()
    before = policy_of(own).sha256
    with torch.no_grad():
        own.linear.weight[0, 0] += 1
    assert policy_of(own).sha256 != before


def test_the_control_of_a_factory_is_the_factory_called_again(file: Path):
    policy = policy_of(f"{file}:fresh")
    first, again, other = (fresh(policy, seed) for seed in (1, 1, 2))
    assert first.name == "untrained" and torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other)) and not torch.equal(
        weights(first), weights(policy)
    )


def test_a_factory_that_loads_its_weights_is_no_control_of_itself(file: Path):
    policy = policy_of(f"{file}:trained")
    blank = fresh(policy, 0)
    assert (weights(policy) == 0.5).all()
    assert not torch.equal(weights(blank), weights(policy)) and len(weights(blank).unique()) > 100


def test_the_control_of_a_module_is_drawn_layer_by_layer():
    own = Own()
    with torch.no_grad():
        own.linear.weight.fill_(0.5)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    blank = fresh(policy_of(own), 3)
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers are left alone"
    assert len(weights(blank).unique()) > 100 and (own.linear.weight == 0.5).all()


def test_a_packaged_policys_control_comes_from_its_config():
    policy = load("mouse-topright")
    blank = fresh(policy, 0)
    assert isinstance(blank.module, Compact) and not torch.equal(weights(blank), weights(policy))


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x.flatten(1)[:, :5] * self.scale


def test_where_no_control_can_be_had_it_says_what_to_give():
    with pytest.raises(ValueError, match=r"layer 'itself' \(Bare\) has no reset_parameters.*blank="):
        fresh(policy_of(Bare()), 0)
    with pytest.raises(ValueError, match=r"no parameters to draw anew.*--blank"):
        fresh(policy_of(nn.Flatten()), 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"mine\.py, line \d+: broken\(\) fails: ZeroDivisionError"),
        ("number", r"number\(\) returns int; a torch.nn.Module or a Policy is wanted"),
        ("absent", r"has no function 'absent'; it has Own, broken, fresh"),
    ],
)
def test_a_factory_that_gives_no_policy_is_named(file: Path, name: str, message: str):
    with pytest.raises(ValueError, match=message):
        policy_of(f"{file}:{name}")


def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "bad.py"
    path.write_text("x = 1\nimport no_such_module\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.py, line 2: ModuleNotFoundError"):
        policy_of(f"{path}:make")
    path.write_text("x = 1\n\ny = (\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.py, line 3: SyntaxError"):
        policy_of(f"{path}:make")
    with pytest.raises(FileNotFoundError, match="names a Python file and a function"):
        policy_of(f"{tmp_path / 'absent.py'}:make")


def test_a_file_imports_what_lies_beside_it_and_not_what_lies_beside_another(tmp_path: Path):
    for width, folder in ((3, tmp_path / "a"), (7, tmp_path / "b")):
        folder.mkdir()
        (folder / "parts_of_mine.py").write_text(f"WIDTH = {width}\n", encoding="utf-8")
        (folder / "mine.py").write_text(
            "from torch import nn\nfrom parts_of_mine import WIDTH\ndef make():\n    return nn.Linear(2, WIDTH)\n",
            encoding="utf-8",
        )
    before = list(sys.path)
    widths = [policy_of(f"{tmp_path / name / 'mine.py'}:make").module.out_features for name in ("a", "b")]
    assert widths == [3, 7] and sys.path == before and "parts_of_mine" not in sys.modules


def test_a_file_may_hold_dataclasses(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n"
        "@dataclass\nclass Sizes:\n    width: int = 3\ndef make():\n    return nn.Linear(2, Sizes().width)\n",
        encoding="utf-8",
    )
    assert isinstance(policy_of(f"{tmp_path / 'mine.py'}:make").module, nn.Linear)


def test_a_file_that_ends_the_program_is_named(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text("import sys\n\nsys.exit(3)\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"script\.py, line 3: SystemExit: 3"):
        policy_of(f"{path}:make")
    path.write_text("import sys\ndef make():\n    sys.exit(3)\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"script\.py, line 3: make\(\) fails: SystemExit: 3"):
        policy_of(f"{path}:make")


@pytest.mark.parametrize("end", ["", ":", ":2nd"])
def test_code_without_a_function_says_how_one_is_named(file: Path, end: str):
    with pytest.raises(ValueError, match=r"names no function: .*mine\.py:NAME is a policy"):
        policy_of(f"{file}{end}")


def test_a_policy_made_by_hand_has_a_control_too():
    policy = Policy(Own(), "hand", "", {})
    blank = fresh(policy, 0)
    assert blank.name == "untrained" and not torch.equal(weights(blank), weights(policy))
    with pytest.raises(ValueError, match=r"no untrained hand can be made.*blank="):
        fresh(Policy(Bare(), "hand", "", {}), 0)


def test_a_factory_of_a_policy_has_a_control_whatever_its_config(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nfrom goalscope.policies.checkpoint import Policy\n"
        "def make():\n    return Policy(nn.Linear(75, 5), 'mine', '', {'world': {'name': 'maze'}})\n",
        encoding="utf-8",
    )
    policy = policy_of(f"{tmp_path / 'mine.py'}:make")
    assert policy.name == "mine" and not torch.equal(weights(fresh(policy, 0)), weights(policy))


def test_a_factory_that_loads_some_of_its_weights_is_no_control_of_itself(tmp_path: Path):
    """The body comes out trained again and again; only the head would be new."""
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\nTRAINED = nn.Linear(75, 8).state_dict()\n"
        "def make():\n    made = nn.Sequential(nn.Linear(75, 8), nn.Linear(8, 5))\n"
        "    made[0].load_state_dict(TRAINED)\n    return made\n",
        encoding="utf-8",
    )
    policy = policy_of(f"{tmp_path / 'mine.py'}:make")
    body, blank = policy.module.get_parameter("0.weight"), fresh(policy, 0).module.get_parameter("0.weight")
    assert not torch.equal(body, blank)


def test_weights_that_hold_no_numbers_are_named():
    with pytest.raises(ValueError, match=r"LazyLinear has no numbers in its layer 'weight' yet: run it once"):
        policy_of(nn.LazyLinear(5))
    with pytest.raises(ValueError, match=r"Linear has no numbers .*: load its weights first"):
        policy_of(nn.Linear(2, 2, device="meta"))


def test_what_is_no_policy_is_refused():
    with pytest.raises(TypeError, match="got int"):
        policy_of(3)


@pytest.mark.parametrize("take", [policy_of, goalscope.load])
def test_a_packaged_name_that_is_also_a_folder_is_said(
    take: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    snapshot = next(name for name in snapshots("mouse-topright"))
    for name in ("mouse-topright", snapshot):
        (tmp_path / name).mkdir()
        with pytest.warns(UserWarning, match=rf"packaged policy; for the file or folder.*write \./{name}"):
            taken = take(name)
        assert taken.name == name
    (tmp_path / "maia-1900").touch()
    with (
        pytest.raises(FileNotFoundError, match="policies add maia-1900"),
        pytest.warns(UserWarning, match=r"fetched on request; for the file or folder.*write \./maia-1900"),
    ):
        take("maia-1900")


def test_the_verbs_take_whatever_acts():
    policy = goalscope.load("mouse-topright")
    x = policy.module.encode(np.zeros((2, 3, 13, 13), np.uint8))  # type: ignore[operator]
    named, loaded, bare = (
        goalscope.capture(p, x, ["stem"])["stem"] for p in ("mouse-topright", policy, policy.module)
    )
    assert torch.equal(named, loaded) and torch.equal(loaded, bare)
    assert goalscope.sites("mouse-topright", x) == goalscope.sites(policy.module, x)
    with goalscope.editing(policy, {"stem": lambda a: a * 0}):
        assert (goalscope.capture(policy, x, ["stem"])["stem"] == 0).all()
    with pytest.raises(TypeError, match="editing needs the network that is run"):
        goalscope.editing("mouse-topright", {})
