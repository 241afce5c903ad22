"""Names and paths of policies, before any network is made: what is packaged, what a word means, what a config says.

Nothing of torch is imported here, so that an unknown name is refused at once. `checkpoint.py` makes the networks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goalscope.files import decoded, warn_of_namesake
from goalscope.policies import download
from goalscope.policies.architectures import ARCHITECTURES, near_matches
from goalscope.showing import drawing, text

PACKAGED = Path(__file__).parent / "packaged"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
SNAPSHOTS = "snapshots"
MODEL = "model"
"""the file with the weights in a folder that learned-planner wrote"""


@dataclass(frozen=True)
class Packaged:
    """One policy that comes with the package."""

    __repr__, _repr_html_ = text, drawing

    name: str
    card: str
    """the model card, Markdown"""
    config: dict[str, Any]
    """as in `Policy`"""
    folder: Path


def packaged() -> list[Packaged]:
    """Every policy that comes with the package, by name."""
    if not PACKAGED.is_dir():
        return []
    folders = sorted(folder for folder in PACKAGED.iterdir() if (folder / WEIGHTS).is_file())
    return [
        Packaged(
            folder.name,
            decoded(read_bytes(folder / CARD), str(folder / CARD)),
            parse_config(read_bytes(folder / CONFIG), folder / CONFIG),
            folder,
        )
        for folder in folders
    ]


def snapshots(name: str) -> list[str]:
    """The names, NAME@STEPS, of a packaged policy's states during training, in the order of training."""
    found = [path.stem for path in (PACKAGED / name / SNAPSHOTS).glob(f"{name}@*.safetensors")]
    return sorted(found, key=lambda snapshot: int(snapshot.partition("@")[2]))


def located(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder or file that is meant."""
    text = os.fspath(name_or_path)
    names = [policy.name for policy in packaged()] if os.sep not in text else []
    first = text.partition("@")[0]
    if text != first and first in names:
        names = snapshots(first)
    if text in names or text in download.SOURCES:
        warn_of_namesake(text, "packaged policy" if text in names else "policy that is fetched on request")
        if text not in names:
            return download.located(text)
        return PACKAGED / text if text == first else PACKAGED / first / SNAPSHOTS / f"{text}.safetensors"
    path = Path(text)
    try:
        found = bool(text) and path.exists()
    except (OSError, ValueError) as error:  # a name too long for the system, or with a zero byte in it
        raise ValueError(f"{text[:80]!r} cannot be a path: {error}") from error
    if found:
        return path
    if os.sep in text or path.suffix:
        parent = path.parent
        beside = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
        hint = near_matches(path.name, beside)
        raise FileNotFoundError(f"no file or folder {text}{hint or '; give the path of a checkpoint'}")
    raise KeyError(
        f"no packaged policy is called {text!r}{near_matches(text, [*names, *download.SOURCES])}; packaged are "
        f"{', '.join(names) or 'none'}; a checkpoint of your own is given by its path"
    )


def named(path: Path) -> str:
    """What the policy of a folder or file is called, in findings and reports."""
    if path.is_dir():
        return path.resolve().name
    return path.resolve().parent.name if path.name == MODEL else path.stem.removesuffix(".pb")


def read_bytes(path: Path) -> bytes:
    """A checkpoint's file; FileNotFoundError names what such a folder holds, ValueError what cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path.parent} has no {path.name}; a checkpoint folder holds {WEIGHTS} and {CONFIG}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); check its kind and permissions"
        ) from error


def parse_config(data: bytes, path: Path) -> dict[str, Any]:
    """A config whose `architecture` has a known name and plausible arguments."""
    try:
        config = json.loads(decoded(data, str(path)))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    architecture = config.get("architecture") if isinstance(config, dict) else None
    if not isinstance(architecture, dict) or not isinstance(architecture.get("name"), str):
        raise ValueError(
            f'{path} must be an object that holds "architecture": {{"name": ..., ...}}; '
            f"the names are {', '.join(ARCHITECTURES)}"
        )
    name = architecture["name"]
    if name not in ARCHITECTURES:
        hint = near_matches(name, ARCHITECTURES)
        raise ValueError(f"{path}: no architecture {name[:80]!r}{hint}; there are {', '.join(ARCHITECTURES)}")
    return config
