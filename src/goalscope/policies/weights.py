"""A weights file to tensors by layer name, without trusting it.

Read are safetensors and what `torch.save` writes, the latter with `weights_only=True`: a zip archive, or the chain of
pickles that it wrote before torch 1.6. Nothing that could run code is ever unpickled, and whatever the bytes are, the
only error is a ValueError that names the file.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""what a file of torch before 1.6 begins with: a pickle of its magic number"""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def is_lc0(data: bytes) -> bool:
    """Whether a file begins as a Leela chess network does: a gzip, or protobuf with the magic number 0x1c0."""
    return data[:2] == b"\x1f\x8b" or data[:5] == b"\x0d\xc0\x01\x00\x00"


def is_onnx(data: bytes) -> bool:
    """Whether a file begins as a model of ONNX does: a small version number, then one of its further fields."""
    following = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
    return len(data) > 8 and data[0] == 0x08 and data[1] < 0x40 and data[2] in following and data[8:9] != b"{"


def read_tensors(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """Tensors by layer name, on the CPU; the format is told by the content, not by the suffix.

    Args:
        data: the whole file.
        path: where it came from, for messages.

    Returns:
        The tensors, and the file's metadata; None for a file of torch.save, which has none.

    Raises:
        ValueError: the bytes are damaged, truncated, of another kind, or a pickle of more than tensors.
    """
    if data[:2] == b"PK" and b"policy.optimizer.pth" in data:
        raise ValueError(
            f"{path} is a model of Stable-Baselines3: load it with goalscope.policies.sb3.load_sb3(path, "
            "world), which needs the extra sb3"
        )
    if data[:2] == b"PK":
        _check_archive(data, path)
        return _state_dict(_load_torch(data, path), path), None
    if data.startswith(OLD_TORCH):
        return _state_dict(_load_torch(data, path), path), None
    if data[:1] == b"\x80" and data[8:9] != b"{":
        raise ValueError(
            f"{path} is a bare pickle, which may run code, and is not opened; in a program that you trust "
            "write its state dict with torch.save(module.state_dict(), path), torch 1.6 or newer"
        )
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except Exception as error:  # damaged headers make the reader raise almost any type
        raise ValueError(
            f"{path} ({len(data)} bytes) is truncated, damaged or no checkpoint: neither safetensors nor a "
            f"file of torch.save ({str(error) or type(error).__name__}); copy or download it again"
        ) from error
    return tensors, header.get("__metadata__") or {}


def _check_archive(data: bytes, path: Path) -> None:
    """Raises ValueError for a zip of files, which torch.save did not write: says what is in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return  # torch's reader says what is damaged
    if names and not any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        shown = ", ".join(name[:60] for name in sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(
            f"{path} is a zip archive of {len(names)} file{'s' * (len(names) > 1)} ({shown}): unpack it and give the one "
            "that is meant"
        )


def _load_torch(data: bytes, path: Path) -> Any:
    """What torch.save wrote, tensors and plain containers only."""
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        detail = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()[0]
        raise ValueError(
            f"{path} holds more than tensors or is damaged, and was not opened, since it could run code "
            f"({detail}); where you trust it, write its state dict: torch.save(module.state_dict(), path)"
        ) from error
    except Exception as error:  # damaged bytes make torch's reader raise almost any type
        detail = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path} ({len(data)} bytes) is a truncated or damaged file of torch.save ({detail}); copy or "
            "download it again"
        ) from error


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by layer name, from a state dict or a dict that holds one."""
    if isinstance(content, Mapping):
        for key in ("state_dict", "model_state_dict", "model_state"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not content:
        kind = type(content).__name__
        raise ValueError(
            f"{path} holds no state dict but {kind}; write torch.save(module.state_dict(), path)"
        )
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or not _is_dense(tensor):
            raise ValueError(
                f"{path}: the entry {str(name)[:80]!r} is {type(tensor).__name__}, not a dense tensor; "
                "what is read is a state dict, or a dict with one under 'state_dict', 'model_state_dict' or 'model_state'"
            )
    return dict(content)


def _is_dense(tensor: Tensor) -> bool:
    """Whether every number stands in the file: few bytes, repeated, can claim to be terabytes."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


WRAPPERS = ("module", "_orig_mod")
"""what DataParallel and torch.compile put before the names of a network, or of a part of it"""


def unwrapped(tensors: Mapping[str, Tensor], expected: Collection[str], path: Path) -> dict[str, Tensor]:
    """The tensors without the prefixes that wrappers put before the names of all layers, or of a whole part.

    Args:
        tensors: by layer name.
        expected: names of the network's own layers, all or some.
        path: where they came from, for messages.

    Raises:
        ValueError: some layers have a wrapper's prefix and some do not, two would get one name, or there are several
            networks under different prefixes; the message names them.
    """
    known, found = set(expected), dict(tensors)
    while found and not known & found.keys():
        first = next(iter(found)).partition(".")[0]
        if not all(name.startswith(f"{first}.") for name in found):
            break
        found = {name.partition(".")[2]: tensor for name, tensor in found.items()}
    wrapped = [name for name in found if name.partition(".")[0] in WRAPPERS]
    if 0 < len(wrapped) < len(found) and not known.issuperset(wrapped):
        other = next(name for name in found if name not in wrapped)
        raise ValueError(
            f"{path}: {len(wrapped)} of {len(found)} layers have the prefix of a wrapper ({wrapped[0][:80]}) and the "
            f"others have not ({other[:80]}): it is put together of two; write the state dict of one network"
        )
    plain = [".".join(part for part in name.split(".") if part not in WRAPPERS) for name in found]
    if not known >= found.keys() and known & set(plain):
        twice = [name for name in plain if plain.count(name) > 1]
        if twice:
            raise ValueError(
                f"{path} has the layer {twice[0][:80]} twice, once with the prefix of a wrapper; drop one of them"
            )
        found = dict(zip(plain, found.values(), strict=True))
    if known & found.keys():
        return found
    _check_several(tensors, known, path)
    return dict(tensors)


def _check_several(tensors: Mapping[str, Tensor], known: set[str], path: Path) -> None:
    """Raises ValueError where the layers under one prefix are the network's, and there are other prefixes."""
    prefixes = dict.fromkeys(
        name[: -len(layer)] for layer in known for name in tensors if name.endswith(f".{layer}")
    )
    whole = [p for p in prefixes if all(f"{p}{layer}" in tensors for layer in known)]
    if whole:
        kept = f"{{k.removeprefix({whole[0]!r}): v for k, v in state.items() if k.startswith({whole[0]!r})}}"
        others = len(tensors) - len(known)
        raise ValueError(
            f"{path} holds the network under the prefix {' and under '.join(map(repr, sorted(whole)))}, and {others} other "
            f"layers; say which is meant by writing those of one prefix: torch.save({kept}, path)"
        )


def check_numbers(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises ValueError where a layer holds anything but finite floating-point numbers."""
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ValueError(
                f"{path}: layer {name} holds {tensor.dtype}, not floating-point numbers; save it as float32"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"{path}: layer {name} holds numbers that are not finite: the training diverged or the file "
                "is damaged; take an earlier checkpoint"
            )
