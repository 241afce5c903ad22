"""Stable-Baselines3's actor-critic policies (PPO, A2C) as our policies; needs the extra `sb3`.

A Stable-Baselines3 file holds its settings as pickles, which may run code. Here only its weights are read,
with `weights_only=True`; the network is built again from the world's spaces, the shapes of the weights, and
what the file says of its settings in plain text. What cannot be read so must be given by the caller.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

try:
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.preprocessing import preprocess_obs
    from stable_baselines3.common.torch_layers import FlattenExtractor, NatureCNN
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "policies of Stable-Baselines3 need it: pip install 'goalscope[sb3]'", name=error.name
    ) from error

from goalscope.policies import PolicyOutput
from goalscope.policies.checkpoint import Policy, check_layers
from goalscope.policies.weights import check_numbers, read_tensors, unwrapped
from goalscope.worlds.contract import World
from goalscope.worlds.gym import WorldEnv

_WITHOUT_EFFECT = {
    "ortho_init", "optimizer_class", "optimizer_kwargs", "log_std_init", "full_std", "use_expln", "net_arch",
}  # fmt: skip
"""settings that matter in training only; and net_arch, which the weights' shapes tell"""
_FLAGS = {"share_features_extractor", "normalize_images"}


class Sb3Policy(nn.Module):
    """An actor-critic policy of Stable-Baselines3 behind our contract.

    Every layer of it is a named module under `policy`, for capturing and editing. Statistics of a
    `VecNormalize` wrapper are not part of a policy: one trained behind it needs them applied before `encode`.

    Args:
        policy: feed-forward, on an image or box space [C, H, W], with discrete actions.
    """

    def __init__(self, policy: ActorCriticPolicy):
        super().__init__()
        self.policy = policy
        self.size: int = policy.observation_space.shape[-1]  # type: ignore[index]
        """W of the observations [N, C, H, W]"""

    def encode(self, observations: np.ndarray) -> Tensor:
        """[N, C, H, W] uint8 to float32 on the policy's device, by Stable-Baselines3 (images / 255)."""
        space = self.policy.observation_space
        if observations.shape[1:] != space.shape:
            raise ValueError(
                f"this policy takes observations [N, {', '.join(map(str, space.shape or ()))}], "
                f"got {list(observations.shape)}"
            )
        raw = torch.from_numpy(np.ascontiguousarray(observations)).to(self.policy.device)
        encoded = preprocess_obs(raw, space, normalize_images=self.policy.normalize_images)
        if not isinstance(encoded, Tensor):
            raise ValueError(f"observations of the space {space} are not one array")
        return encoded

    def forward(self, x: Tensor) -> PolicyOutput:
        """[N, C, H, W] encoded to logits [N, A] and value [N]."""
        actor, critic = self.policy.pi_features_extractor(x), self.policy.vf_features_extractor(x)
        logits = self.policy.action_net(self.policy.mlp_extractor.forward_actor(actor))
        value = self.policy.value_net(self.policy.mlp_extractor.forward_critic(critic))
        return PolicyOutput(logits, value.squeeze(1))


def load_sb3(
    path: str | os.PathLike[str], world: World, device: str | torch.device = "cpu", **policy_kwargs: Any
) -> Policy:
    """Loads what `model.save(path)` of Stable-Baselines3 wrote, without unpickling anything.

    Args:
        path: the zip file of a PPO or A2C model with `MlpPolicy` or `CnnPolicy`.
        world: that it was trained on, by `gym.WorldEnv(world)`; gives the spaces.
        device: where the module goes.
        policy_kwargs: settings of its policy that the file does not tell in plain text, such as a
            `features_extractor_class` of your own; they go before what the file says.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or no such model, was trained on other spaces than the world's (the message has
            both), holds settings that must be given, or its layers are not those of the world's spaces (the message
            names the layer and both shapes).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the zip file that model.save(...) wrote")
    data = path.read_bytes()
    settings, weights = _contents(data, path)
    tensors, _ = read_tensors(weights, path / "policy.pth")
    check_numbers(tensors, path)
    tensors = unwrapped(tensors, ("action_net.weight",), path)
    if "action_net.weight" not in tensors or "mlp_extractor.policy_net.0.weight" not in tensors:
        raise ValueError(
            f"{path} holds no actor-critic policy of PPO or A2C with hidden layers (its layers begin with "
            f"{', '.join(sorted({name.split('.')[0] for name in tensors}))}); other kinds are not read"
        )
    env = WorldEnv(world)
    told = _told(settings.get("policy_kwargs"), set(policy_kwargs), path)
    arguments = {**_shaped(tensors), **told, **policy_kwargs}
    try:
        with torch.random.fork_rng(devices=[]):
            policy = ActorCriticPolicy(env.observation_space, env.action_space, lambda _: 0.0, **arguments)
    except (TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(f"{path}: no policy for observations {world.observation_shape}: {error}") from error
    check_layers(policy.state_dict(), tensors, "of Stable-Baselines3 for this world", path)
    _check_spaces(settings, env, path)
    policy.load_state_dict(tensors)
    words = {name: getattr(value, "__name__", value) for name, value in arguments.items()}
    config = {"architecture": {"name": "stable-baselines3", **words}}
    module = Sb3Policy(policy).to(device).eval()
    return Policy(module, path.stem, hashlib.sha256(data).hexdigest(), config)


def stated_shape(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """The shape of the observations that a file of `model.save(path)` says it was trained on, without the batch.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or no such model, or says no shape.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the zip file that model.save(...) wrote")
    settings, _ = _contents(path.read_bytes(), path)
    space = settings.get("observation_space")
    shape = space.get("_shape") if isinstance(space, dict) else None
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(
            f"{path} does not say the shape of its observations; load it by load_sb3(path, world)"
        )
    return tuple(shape)


def _contents(data: bytes, path: Path) -> tuple[dict[str, Any], bytes]:
    """The settings, pickles inside left as text, and the bytes of the weights."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            settings = json.loads(archive.read("data"))
            return (settings if isinstance(settings, dict) else {}), archive.read("policy.pth")
    except KeyError as error:
        raise ValueError(
            f"{path} is truncated, or no model of Stable-Baselines3 ({error.args[0]}); save it again"
        ) from error
    except (zipfile.BadZipFile, ValueError, RecursionError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is truncated, damaged or no zip file ({error}); save it again") from error


def _check_spaces(settings: Mapping[str, Any], env: WorldEnv, path: Path) -> None:
    """Raises ValueError where the spaces that the file says in plain text are not the world's.

    The bounds are printed arrays, shortened by NumPy where they are long: every number that is left must be the world's.
    """
    space, actions = env.observation_space, env.action_space
    said = settings.get("observation_space")
    if isinstance(said, dict):
        kind = str(said.get(":type:", "")).split(".")[-1].strip("'>")
        shape = [int(length) for length in re.findall(r"\d+", str(said.get("_shape", said.get("shape"))))]
        bounds = [sorted(_numbers(said.get(bound))) for bound in ("low", "high")]
        theirs = f"{kind} {said.get('dtype')} {shape} from {_words(bounds[0])} to {_words(bounds[1])}"
        ours = f"Box {space.dtype} {list(space.shape or ())} from 0 to 255"
        if (kind, said.get("dtype"), shape, bounds) != (
            "Box",
            str(space.dtype),
            list(space.shape or ()),
            [[0.0], [255.0]],
        ):
            raise ValueError(
                f"{path} was trained on observations {theirs}, this world gives {ours}: a wrapper (VecNormalize, a frame "
                "stack, a conversion) stood between; train on the world's own observations, or give the world it saw"
            )
    said = settings.get("action_space")
    if isinstance(said, dict):
        kind = str(said.get(":type:", "")).split(".")[-1].strip("'>")
        theirs = f"{kind} {said.get('n', said.get('_shape'))} from {said.get('start', 0)}"
        ours = f"Discrete {actions.n} from 0"  # type: ignore[attr-defined]
        if theirs != ours:
            raise ValueError(f"{path} was trained with the actions {theirs}, this world has {ours}")


def _numbers(printed: Any) -> set[float]:
    return {float(number) for number in re.findall(r"-?(?:inf|nan|\d+\.?\d*(?:e[+-]?\d+)?)", str(printed))}


def _words(bounds: list[float]) -> str:
    return "..".join(f"{bound:g}" for bound in dict.fromkeys((bounds[0], bounds[-1]))) if bounds else "?"


def _shaped(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the weights' shapes tell: the hidden layers, and whether convolutions come before them."""
    layers: dict[str, list[tuple[int, int]]] = {"pi": [], "vf": []}
    for name, tensor in tensors.items():
        if found := re.fullmatch(r"mlp_extractor\.(policy|value)_net\.(\d+)\.weight", name):
            layers["pi" if found[1] == "policy" else "vf"].append((int(found[2]), len(tensor)))
    arguments: dict[str, Any] = {
        "net_arch": {head: [width for _, width in sorted(found)] for head, found in layers.items()},
        "features_extractor_class": FlattenExtractor,
    }
    for owner in ("features_extractor", "pi_features_extractor"):
        if f"{owner}.cnn.0.weight" in tensors and f"{owner}.linear.0.weight" in tensors:
            arguments["features_extractor_class"] = NatureCNN
            arguments["features_extractor_kwargs"] = {
                "features_dim": len(tensors[f"{owner}.linear.0.weight"])
            }
    return arguments


def _told(settings: Any, given: set[str], path: Path) -> dict[str, Any]:
    """What the file says of the policy's settings in plain text, beside their pickles."""
    arguments: dict[str, Any] = {}
    for name, value in (settings if isinstance(settings, dict) else {}).items():
        if name in given or name in _WITHOUT_EFFECT or name in (":type:", ":serialized:"):
            continue
        activation = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(value))
        if name == "activation_fn" and activation and activation[1] in nn.modules.activation.__all__:
            arguments[name] = getattr(nn, activation[1])
        elif name in _FLAGS and str(value) in ("True", "False"):
            arguments[name] = ast.literal_eval(str(value))
        else:
            raise ValueError(
                f"{path} was trained with {name} = {str(value)[:160]}, which cannot be read without running "
                f"code; give it to load_sb3 as {name}=..."
            )
    return arguments
