"""A network's gzip on disk, read piece by piece: at no time is much more in memory than the network itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goalscope.policies.lc0.convert import made, read_weights
from goalscope.policies.lc0.file import LARGEST, PIECE, inflated, parse_net
from goalscope.policies.lc0.network import Lc0


def load_lc0_file(path: Path, limit: int = LARGEST) -> tuple[Lc0, dict[str, Any], str]:
    """The network in a `.pb.gz`, its config, and the file's sha256.

    Args:
        path: of the file. limit: bytes that it may unpack to.

    Raises:
        ValueError: as `convert.read_lc0`.
    """
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                yield piece

    form, weights = parse_net([inflated(pieces(), path, limit)], path)
    network, config = made(*read_weights(form, weights, path))
    return network, config, digest.hexdigest()
