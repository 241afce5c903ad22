"""A file of Stable-Baselines3 (PPO, A2C, DQN) to a policy of ours.

Such a file holds its settings as pickles, which may run code. Here only its weights are read, with `weights_only=True`;
the network is built again from the spaces, the shapes of the weights, and what the file says of its settings in plain
text. What cannot be read so must be given by the caller.
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

import torch
from torch import Tensor, nn

try:
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.torch_layers import FlattenExtractor, NatureCNN
    from stable_baselines3.dqn.policies import DQNPolicy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "policies of Stable-Baselines3 need it: pip install 'goalscope[sb3]'", name=error.name
    ) from error

from goalscope.policies.checkpoint import Policy, check_layers
from goalscope.policies.sb3.network import Sb3Policy, Sb3Q
from goalscope.policies.sb3.spaces import check_spaces, spaces_of, stated_spaces
from goalscope.policies.sb3.statistics import Statistics, read_statistics
from goalscope.policies.weights import check_numbers, read_tensors, unwrapped
from goalscope.worlds.contract import World

_WITHOUT_EFFECT = {
    "ortho_init", "optimizer_class", "optimizer_kwargs", "log_std_init", "full_std", "use_expln", "net_arch",
}  # fmt: skip
"""settings that matter in training only; and net_arch, which the weights' shapes tell"""
_FLAGS = {"share_features_extractor", "normalize_images"}


_ACTOR_CRITIC = ("action_net.weight", "mlp_extractor.policy_net.0.weight")
_Q = "q_net.q_net.0.weight"
_REFUSED = {
    "lstm_": "an agent with a memory (RecurrentPPO): what it does depends on what it saw before",
    "log_std": "an agent of continuous actions: it has no probabilities of numbered ones",
    "actor.": "an agent of continuous actions (SAC, TD3, DDPG): it has no probabilities of numbered ones",
    "quantile_net.": "an agent of QR-DQN",
}
"""beginnings of layers' names, and what has them"""


def load_sb3(
    path: str | os.PathLike[str], world: World | None = None, device: str | torch.device = "cpu",
    statistics: str | os.PathLike[str] | bool | None = None, **policy_kwargs: Any,
) -> Policy:  # fmt: skip
    """Loads what `model.save(path)` of Stable-Baselines3 wrote, without unpickling anything.

    Args:
        path: the zip file of a PPO, A2C or DQN model with `MlpPolicy` or `CnnPolicy`.
        world: that it was trained on, by `gym.WorldEnv(world)` or the environment that it stands for; gives the spaces.
            Where it is not given the spaces are those that the file states.
        device: where the module goes.
        statistics: the file that `VecNormalize.save(...)` wrote, where such a wrapper stood between; None is
            NAME_vecnorm.pkl beside NAME.zip, where it is there; False lets the agent see the numbers as they are.
        policy_kwargs: settings of its policy that the file does not tell in plain text, such as a
            `features_extractor_class` of your own; they go before what the file says.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or no such model, was trained on other spaces than the world's (the message has
            both), holds settings that must be given, its statistics are missing, or its layers are not those of the
            spaces (the message names the layer and both shapes).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the zip file that model.save(...) wrote")
    data = path.read_bytes()
    settings, weights = _contents(data, path)
    tensors, _ = read_tensors(weights, path / "policy.pth")
    check_numbers(tensors, path)
    tensors = unwrapped(tensors, (_ACTOR_CRITIC[0], _Q), path)
    kind = _kind_of(tensors, path)
    space, actions = stated_spaces(settings, path) if world is None else spaces_of(world)
    if world is not None:
        check_spaces(settings, world, space, actions, path)
    told = _told(settings.get("policy_kwargs"), set(policy_kwargs), path)
    arguments = {**_shaped(tensors), **told, **policy_kwargs}
    try:
        with torch.random.fork_rng(devices=[]):
            policy: Any = kind(space, actions, lambda _: 0.0, **arguments)
    except (TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(f"{path}: no policy for observations {space.shape}: {error}") from error
    check_layers(policy.state_dict(), tensors, "of Stable-Baselines3 for this world", path)
    policy.load_state_dict(tensors)
    between = _statistics(statistics, settings, kind, space.shape, path)
    words = {name: getattr(value, "__name__", value) for name, value in arguments.items()}
    config = {"architecture": {"name": "stable-baselines3", **words}}
    if between is not None:
        config["statistics"] = {"sha256": between.sha256}
    module = (Sb3Policy if kind is ActorCriticPolicy else Sb3Q)(policy, between).to(device).eval()
    return Policy(module, path.stem, hashlib.sha256(data).hexdigest(), config)


def _kind_of(tensors: Mapping[str, Tensor], path: Path) -> type[ActorCriticPolicy] | type[DQNPolicy]:
    """The class that has such layers.

    Raises:
        ValueError: none that is read; the message says what it probably is.
    """
    for beginning, what in _REFUSED.items():
        if any(name.startswith(beginning) for name in tensors):
            raise ValueError(f"{path} is {what} (layers {beginning}*), and is not read; PPO, A2C and DQN are")
    if _Q in tensors:
        return DQNPolicy
    if not set(_ACTOR_CRITIC) <= tensors.keys():
        raise ValueError(
            f"{path} holds no policy of PPO, A2C or DQN with hidden layers (its layers begin with "
            f"{', '.join(sorted({name.split('.')[0] for name in tensors}))}); other kinds are not read"
        )
    return ActorCriticPolicy


def _statistics(
    given: str | os.PathLike[str] | bool | None,
    settings: Mapping[str, Any],
    kind: type,
    shape: tuple[int, ...],
    path: Path,
) -> Statistics | None:
    """What stood between environment and agent.

    Raises:
        ValueError: it is missing, though the file shows that something did; or it is of other observations.
    """
    if given is False:
        return None
    beside = path.with_name(f"{path.stem}_vecnorm.pkl")
    if given is None and beside.is_file():
        given = beside
    if given is None:
        # Where nothing stands between, PPO and A2C keep no observations as they were before it. DQN always does.
        if kind is ActorCriticPolicy and settings.get("_last_original_obs") is not None:
            raise ValueError(
                f"{path} was trained behind VecNormalize, and no {beside.name} is beside it: without those statistics the "
                "agent would act on other numbers; give load_sb3 statistics='FILE' (what VecNormalize.save wrote), or "
                "statistics=False to let it"
            )
        return None
    found = read_statistics(Path(given)) if not isinstance(given, bool) else None
    if isinstance(given, bool):
        raise ValueError("statistics must be a file, None or False, got True")
    if found is not None and found.mean.shape != shape:
        raise ValueError(f"{given} is of observations {list(found.mean.shape)}, {path} takes {list(shape)}")
    return found


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


def _shaped(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the weights' shapes tell: the hidden layers, and whether convolutions come before them."""
    layers: dict[str, list[tuple[int, int]]] = {"pi": [], "vf": [], "q": []}
    heads = {"mlp_extractor.policy_net": "pi", "mlp_extractor.value_net": "vf", "q_net.q_net": "q"}
    for name, tensor in tensors.items():
        if found := re.fullmatch(rf"({'|'.join(map(re.escape, heads))})\.(\d+)\.weight", name):
            layers[heads[found[1]]].append((int(found[2]), len(tensor)))
    widths = {head: [width for _, width in sorted(found)] for head, found in layers.items()}
    # The last layer of a Q-network is its output.
    q = widths.pop("q")[:-1]
    arguments: dict[str, Any] = {
        "net_arch": q if _Q in tensors else widths,
        "features_extractor_class": FlattenExtractor,
    }
    for owner in ("features_extractor", "pi_features_extractor", "q_net.features_extractor"):
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
