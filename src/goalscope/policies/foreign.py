"""Files that somebody else wrote: which project's a file is, and its network.

Told by the content, never by the name. Each project's own reader is in its room.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from goalscope.policies.emergent_planning.archive import holds
from goalscope.policies.games.convert import is_game, load_game
from goalscope.policies.learned_planner.msgpack import is_msgpack
from goalscope.policies.weights import is_lc0, is_onnx

CONFIG = "cfg.json"
"""beside the weights of a checkpoint of learned-planner: what network they are of"""
RATING, RATING_BEFORE = "elo_embedding_low.weight", "elo_embedding.weight"
"""layers that every file of Maia-3, and every one of Maia-2, has"""


def is_maia3(names: Collection[str]) -> bool:
    """Whether layers of these names are of Maia-3."""
    return any(name.endswith(RATING) for name in names)


def check_kind(names: Collection[str], path: Path) -> None:
    """Raises ValueError for layers of a network that is known and not read."""
    if any(name.endswith(RATING_BEFORE) for name in names):
        raise ValueError(
            f"{path} is Maia-2, which is not read: its tokens are channels of a convolution, not squares. Maia-3 and the "
            "Maia networks in Leela's format are"
        )


def load_packed(path: Path) -> tuple[nn.Module, dict[str, Any], str] | None:
    """The network in a gzip, its config and the file's sha256, read piece by piece; None for a file that is none.

    Raises:
        ValueError: it is no network of Leela's format.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
    except OSError:
        return None  # whoever reads the file next says what is wrong with it
    if not packed:
        return None
    from goalscope.policies.lc0.packed import load_lc0_file

    return load_lc0_file(path)


def load_foreign(data: bytes, path: Path) -> tuple[nn.Module, dict[str, Any]] | None:
    """The network in a file and the config it would have had; None for a file that is of no such kind.

    Args:
        data: the whole file.
        path: where it came from, for messages and for what lies beside it.

    Raises:
        FileNotFoundError: a file that is nothing without another one, which is not beside it.
        ValueError: as the readers.
    """
    if is_lc0(data):
        from goalscope.policies.lc0.convert import load_lc0

        return load_lc0(data, path)
    if is_onnx(data):
        from goalscope.policies.lc0.onnx import load_onnx

        return load_onnx(data, path)
    if is_msgpack(data):
        return _flax(data, path)
    if holds(data, b"actor_net_state_dict"):
        from goalscope.policies.emergent_planning.convert import load_emergent_planning

        return load_emergent_planning(data, path)
    if is_game(data):
        return load_game(data, path)
    _check_tar(data, path)
    return None


def _flax(data: bytes, path: Path) -> tuple[nn.Module, dict[str, Any]]:
    from goalscope.policies.learned_planner.convert import load_learned_planner

    config = path.with_name(CONFIG)
    if not config.is_file():
        raise FileNotFoundError(
            f"{path} is what flax writes, as the checkpoints of learned-planner are, and {config} is not there: it says "
            "what network the weights are of; put it beside them"
        )
    return load_learned_planner(data, config.read_bytes(), path)


def _check_tar(data: bytes, path: Path) -> None:
    """Raises ValueError for an archive of files, whatever their names."""
    if data[257:262] != b"ustar":
        return
    import io
    import tarfile

    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            names = ", ".join(name[:60] for name in archive.getnames()[:8])
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        names = f"damaged: {error}"
    raise ValueError(
        f"{path} is a tar archive of files ({names}), of which none is unpacked here: unpack it and give the checkpoint "
        "that is meant"
    )
