"""Stable-Baselines3's policies: the same numbers as its own, and nothing of its pickles runs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.rollout import vector_field
from goalscope.worlds.gym import WorldEnv
from goalscope.worlds.maze import Maze

stable_baselines3 = pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")

from goalscope.policies.checkpoint import load  # noqa: E402
from goalscope.policies.sb3 import load_sb3  # noqa: E402


def saved(
    path: Path, world: Maze, kind: str = "MlpPolicy", algorithm: str = "PPO", steps: int = 0, **settings: Any
) -> Any:
    """A model saved by Stable-Baselines3, after `steps` of its training or with every weight disturbed."""
    quick = {"PPO": {"n_steps": 8, "batch_size": 8, "n_epochs": 2}, "A2C": {"n_steps": 4}}[algorithm]
    model = getattr(stable_baselines3, algorithm)(
        kind, WorldEnv(world), learning_rate=0.01, policy_kwargs=settings, seed=1, device="cpu", **quick
    )
    if steps:
        model.learn(steps)
    else:
        with torch.no_grad():
            for parameter in model.policy.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    model.save(path)
    return model


def theirs(model: Any, observations: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        tensor, _ = model.policy.obs_to_tensor(observations)
        return model.policy.get_distribution(tensor).distribution.logits, model.policy.predict_values(tensor)[
            :, 0
        ]


def ours(module: Any, observations: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        logits, value = module(module.encode(observations))
    return torch.distributions.Categorical(logits=logits).logits, value


@pytest.mark.parametrize(
    ("algorithm", "kind", "size", "settings"),
    [
        ("PPO", "MlpPolicy", 5, {"steps": 16}),
        ("A2C", "MlpPolicy", 5, {"net_arch": [7]}),
        ("PPO", "MlpPolicy", 7, {"net_arch": {"pi": [9, 8], "vf": [5]}, "activation_fn": torch.nn.ReLU}),
        ("PPO", "MlpPolicy", 5, {"normalize_images": False, "activation_fn": torch.nn.ELU}),
        ("PPO", "MlpPolicy", 5, {"share_features_extractor": False, "ortho_init": False}),
        ("PPO", "CnnPolicy", 37, {"share_features_extractor": False, "net_arch": [5]}),
        ("PPO", "CnnPolicy", 37, {"net_arch": [6], "features_extractor_kwargs": {"features_dim": 11}}),
    ],
)
def test_same_numbers_as_stable_baselines3(
    tmp_path: Path, algorithm: str, kind: str, size: int, settings: dict[str, Any]
):
    world = Maze(size)
    model = saved(tmp_path / "model.zip", world, kind, algorithm, **settings)
    given = {name: value for name, value in settings.items() if name == "features_extractor_kwargs"}
    policy = load_sb3(tmp_path / "model.zip", world, **given)
    observations = world.observe(world.generate(np.arange(9)))
    for mine, its in zip(ours(policy.module, observations), theirs(model, observations), strict=True):
        assert mine.shape == its.shape and torch.equal(mine, its)
    assert not policy.module.training and policy.name == "model" and len(policy.sha256) == 64


def test_another_model_gives_other_numbers(tmp_path: Path):
    world = Maze(5)
    saved(tmp_path / "relu.zip", world, activation_fn=torch.nn.ReLU)
    model = saved(tmp_path / "tanh.zip", world)
    observations = world.observe(world.generate(np.arange(9)))
    other = load_sb3(tmp_path / "relu.zip", world).module
    assert not torch.equal(ours(other, observations)[0], theirs(model, observations)[0])


def test_it_draws_a_vector_field_and_leaves_the_random_numbers_alone(tmp_path: Path):
    saved(tmp_path / "model.zip", Maze(5))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    policy = load_sb3(tmp_path / "model.zip", Maze(5))
    assert torch.equal(torch.rand(3), expected)
    field = vector_field(policy, Maze(5).generate([3]))
    assert np.allclose(field.moves.sum(1), 1) and 0 <= field.reach_start <= 1


class Bomb:
    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def edited(path: Path, **changes: bytes | None) -> None:
    """The zip with entries replaced (a None leaves one out)."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | changes).items():
            if data is not None:
                archive.writestr(name, data)


def test_pickles_in_the_file_do_not_run(tmp_path: Path):
    mark, path = tmp_path / "ran", tmp_path / "model.zip"
    model = saved(path, Maze(5))
    model.policy_kwargs = {"optimizer_kwargs": Bomb(mark)}
    model.save(path)
    load_sb3(path, Maze(5))
    assert not mark.exists()
    torch.save(Bomb(mark), tmp_path / "bomb.pth")
    edited(path, **{"policy.pth": (tmp_path / "bomb.pth").read_bytes()})
    with pytest.raises(ValueError, match=r"policy\.pth holds more than tensors"):
        load_sb3(path, Maze(5))
    assert not mark.exists()


def test_settings_that_need_a_pickle_must_be_given(tmp_path: Path):
    class Half(stable_baselines3.common.torch_layers.FlattenExtractor):
        def forward(self, observations: torch.Tensor) -> torch.Tensor:
            return super().forward(observations) / 2

    model = saved(tmp_path / "model.zip", Maze(5), features_extractor_class=Half)
    with pytest.raises(
        ValueError, match=r"was trained with features_extractor_class = .*Half.*give it to load_sb3"
    ):
        load_sb3(tmp_path / "model.zip", Maze(5))
    policy = load_sb3(tmp_path / "model.zip", Maze(5), features_extractor_class=Half)
    observations = Maze(5).observe(Maze(5).generate(np.arange(4)))
    assert torch.equal(ours(policy.module, observations)[0], theirs(model, observations)[0])


def test_clear_errors(tmp_path: Path):
    path = tmp_path / "model.zip"
    with pytest.raises(FileNotFoundError, match=r"no file .*model\.zip"):
        load_sb3(path, Maze(5))
    saved(path, Maze(5))
    whole = path.read_bytes()
    with pytest.raises(
        ValueError,
        match=r"trained on observations Box uint8 \[3, 5, 5\].*this world gives Box uint8 \[3, 7, 7\]",
    ):
        load_sb3(path, Maze(7))
    with pytest.raises(ValueError, match=r"takes observations \[N, 3, 5, 5\], got \[1, 3, 7, 7\]"):
        load_sb3(path, Maze(5)).module.encode(Maze(7).observe(Maze(7).generate([0])))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"model of Stable-Baselines3: load it with .*load_sb3"):
        load(path)
    stripped(path, {"policy_net.0.weight": "policy_net.0.other"})
    with pytest.raises(
        ValueError, match=r"lacks layer mlp_extractor\.policy_net\.0\.weight|no policy of PPO"
    ):
        load_sb3(path, Maze(5))
    for kept in (0, 100, len(whole) // 2, -10):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"model\.zip is truncated"):
            load_sb3(path, Maze(5))
    for name in ("data", "policy.pth"):
        path.write_bytes(whole)
        edited(path, **{name: None})
        with pytest.raises(ValueError, match=f"no model of Stable-Baselines3 .*{name}"):
            load_sb3(path, Maze(5))
    path.write_bytes(whole)
    edited(path, data=json.dumps({"policy_kwargs": {"activation_fn": "<class 'os.system'>"}}).encode())
    with pytest.raises(ValueError, match=r"activation_fn = <class 'os\.system'>"):
        load_sb3(path, Maze(5))


@pytest.mark.parametrize(
    ("kind", "size", "settings"), [("MlpPolicy", 5, {"net_arch": [9, 8]}), ("CnnPolicy", 37, {})]
)
def test_a_dqn_takes_the_action_of_the_greatest_q(
    tmp_path: Path, kind: str, size: int, settings: dict[str, Any]
):
    world = Maze(size)
    model = stable_baselines3.DQN(
        kind, WorldEnv(world), buffer_size=10, policy_kwargs=settings, seed=1, device="cpu"
    )
    observations = np.random.default_rng(0).integers(256, size=(40, 3, size, size)).astype(np.uint8)
    with torch.no_grad():  # else one action is the best everywhere
        q = model.q_net(model.policy.obs_to_tensor(observations)[0])
        model.q_net.q_net[-1].bias -= q.mean(0)
    model.save(tmp_path / "dqn.zip")
    logits, value = ours(load_sb3(tmp_path / "dqn.zip", world).module, observations)
    with torch.no_grad():
        q = model.q_net(model.policy.obs_to_tensor(observations)[0])
    assert torch.allclose(value, q.amax(1), atol=1e-5)
    actions, _ = model.predict(observations, deterministic=True)
    assert len(set(actions)) > 1 and np.array_equal(logits.argmax(1).numpy(), actions)
    assert logits.exp().amax(1).median() > 0.99


def stripped(path: Path, rename: dict[str, str]) -> None:
    """The file with layers called otherwise, as another algorithm's are."""
    with zipfile.ZipFile(path) as archive:
        state = torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)
    file = io.BytesIO()
    for old, new in rename.items():
        state = {name.replace(old, new, 1): tensor for name, tensor in state.items()}
    torch.save(state, file)
    edited(path, **{"policy.pth": file.getvalue()})


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (
            {"mlp_extractor.value_net.0.weight": "lstm_actor.weight_ih_l0"},
            r"agent with a memory \(RecurrentPPO\)",
        ),
        ({"value_net.bias": "log_std"}, r"agent of continuous actions"),
        (
            {"mlp_extractor.policy_net": "actor.mu", "action_net": "actor.mu"},
            r"continuous actions \(SAC, TD3, DDPG\)",
        ),
        ({"mlp_extractor": "quantile_net"}, r"agent of QR-DQN"),
        ({"action_net": "head"}, r"no policy of PPO, A2C or DQN .*begin with head, mlp_extractor, value_net"),
    ],
)
def test_other_algorithms_are_refused_by_name(tmp_path: Path, rename: dict[str, str], message: str):
    saved(tmp_path / "model.zip", Maze(5))
    stripped(tmp_path / "model.zip", rename)
    with pytest.raises(ValueError, match=message):
        load_sb3(tmp_path / "model.zip", Maze(5))


def test_without_a_world_the_file_says_what_it_takes(tmp_path: Path):
    saved(tmp_path / "model.zip", Maze(5))
    module = load_sb3(tmp_path / "model.zip").module
    observations = Maze(5).observe(Maze(5).generate(np.arange(4)))
    same = load_sb3(tmp_path / "model.zip", Maze(5)).module
    assert torch.equal(ours(module, observations)[0], ours(same, observations)[0])
    with pytest.raises(
        ValueError, match=r"trained on uint8 observations and got float64: a conversion stood"
    ):
        ours(module, observations / 255)
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        settings = json.loads(archive.read("data"))
    for change, message in (
        ({":type:": "<class 'gymnasium.spaces.dict.Dict'>"}, r"observations Dict, a Box is wanted"),
        ({"high": "[[[1 2 ... 255]]]"}, r"does not say all bounds"),
    ):
        other = {**settings, "observation_space": {**settings["observation_space"], **change}}
        edited(tmp_path / "model.zip", data=json.dumps(other).encode())
        with pytest.raises(ValueError, match=message):
            load_sb3(tmp_path / "model.zip")
    other = {**settings, "action_space": {":type:": "<class 'gymnasium.spaces.box.Box'>"}}
    edited(tmp_path / "model.zip", data=json.dumps(other).encode())
    with pytest.raises(ValueError, match=r"with the actions Box; numbered ones"):
        load_sb3(tmp_path / "model.zip")


NORMALISED = {"dtype": "float32", "low": "[[[-10. ... -10.]]]", "high": "[[[10.]]]"}
SPACES = {
    "VecNormalize": ("observation_space", NORMALISED, r"Box float32 \[3, 5, 5\] from -10 to 10"),
    "floats": ("observation_space", {"dtype": "float32"}, r"Box float32 \[3, 5, 5\] from 0 to 255"),
    "other bounds": ("observation_space", {"high": "[[[1 1 ... 255]]]"}, r"Box uint8 \[3, 5, 5\] from 0 to 1\.\.255"),
    "stack": ("observation_space", {"_shape": [12, 5, 5]}, r"Box uint8 \[12, 5, 5\].*it saw 4 frames at once"),
    "flat": ("observation_space", {"_shape": "[75]"}, r"Box uint8 \[75\]"),
    "another kind": ("observation_space", {":type:": "<class 'gymnasium.spaces.dict.Dict'>"}, "observations Dict"),
    "actions from 1": ("action_space", {"start": "1"}, "actions Discrete 5 from 1"),
    "another number": ("action_space", {"n": "6"}, "actions Discrete 6 from 0, this world has Discrete 5 from 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPACES)
def test_other_spaces_than_the_worlds_are_refused(tmp_path: Path, case: str):
    key, change, message = SPACES[case]
    saved(tmp_path / "model.zip", Maze(5))
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        settings = json.loads(archive.read("data"))
    settings[key].update(change)
    edited(tmp_path / "model.zip", data=json.dumps(settings).encode())
    with pytest.raises(ValueError, match=f"was trained .*{message}"):
        load_sb3(tmp_path / "model.zip", Maze(5))


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module."])
def test_a_policy_saved_behind_a_wrapper_is_the_same(tmp_path: Path, prefix: str):
    saved(tmp_path / "model.zip", Maze(5))
    expected = load_sb3(tmp_path / "model.zip", Maze(5)).module.state_dict()
    state, file = {f"{prefix}{k.removeprefix('policy.')}": v for k, v in expected.items()}, io.BytesIO()
    torch.save(state, file)
    edited(tmp_path / "model.zip", **{"policy.pth": file.getvalue()})
    found = load_sb3(tmp_path / "model.zip", Maze(5)).module.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
