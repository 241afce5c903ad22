"""Files that call themselves format 6 but hold several heads are read as lc0 reads them: as 7, embedding dense.

The networks have random weights; the numbers beside them are those of an independent implementation of the format.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

from goalscope.policies.checkpoint import load  # noqa: E402
from goalscope.policies.lc0 import Lc0  # noqa: E402
from goalscope.policies.lc0.moves import NAMES  # noqa: E402

FOLDER = Path(str(DATA)) / "planners" / "d-leela"


def by_name(policy: np.ndarray) -> np.ndarray:
    """[N, 1858] in the order of the names from [N, 4288]: from * 64 + to, then the promotions by files and piece."""
    columns = []
    for name in NAMES:
        start, target = ("abcdefgh".index(name[i]) + 8 * int(name[i + 1]) - 8 for i in (0, 2))
        promoted = 4096 + start % 8 * 24 + target % 8 * 3 + "qrb".index(name[4]) if len(name) == 5 else None
        columns.append(policy[:, start * 64 + target if promoted is None else promoted])
    return np.stack(columns, 1)


@torch.no_grad()
@pytest.mark.parametrize("form", ["134", "7", "6-heads"])
def test_the_three_ways_to_say_several_heads_are_one_network(form: str):
    module = load(FOLDER / f"bt4-like-{form}.pb.gz").module
    assert isinstance(module, Lc0)
    with np.load(FOLDER / "bt4-like.npz", allow_pickle=False) as said:
        planes = torch.from_numpy(said["planes"])
        output = module(planes)
        np.testing.assert_allclose(module.body(planes), said["encoder1"], atol=2e-5)
        np.testing.assert_allclose(output.logits, by_name(said["policy4288"]), atol=2e-5)
        np.testing.assert_allclose(output.wdl, torch.from_numpy(said["wdl_logits"]).softmax(1), atol=2e-5)
        assert float(output.logits.std()) > 1e-2
