"""The folder of a training run: `state.pt`, all that is needed to go on, and `curve.csv`, a row for each update."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from goalscope.files import whole_file, write_whole


def write_state(path: Path, record: dict[str, Any]) -> None:
    """Writes what `read_state` gives back; whoever kills the run finds the old file or the new one, never half of it."""
    with whole_file(path) as file:
        torch.save(record, file)


def tensors_of(state: Any) -> dict[str, Tensor]:
    """A batched state of a world as the record of a run can hold it; words as their bytes."""
    arrays = {f.name: np.ascontiguousarray(getattr(state, f.name)) for f in fields(state)}
    return {
        name: torch.from_numpy(a if a.dtype.kind not in "SU" else a[..., None].view(np.uint8))
        for name, a in arrays.items()
    }


def state_of(like: Any, tensors: dict[str, Tensor]) -> Any:
    """The state of the same kind as `like` that `tensors_of` was given."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    for name, array in arrays.items():
        dtype = getattr(like, name).dtype
        if dtype.kind in "SU":
            arrays[name] = array.view(dtype)[..., 0]
    return type(like)(**arrays)


def read_state(
    path: Path, policy: nn.Module, config: dict[str, Any], seed: int, start: str | None = None
) -> dict[str, Any]:
    """The record of a run, once it is known to be of the same run.

    Args:
        path: of state.pt.
        policy: that is to go on; its own weights do not matter, their names and shapes do.
        config: hyperparameters by name.
        seed: of the run.
        start: sha256 of the weights that the run began with; None where the seed decides them. A record that does
            not say passes.

    Raises:
        ValueError: a run with other hyperparameters, another seed, another network or another start.
    """
    record = torch.load(path, weights_only=True)
    old = record["config"]
    changed = [name for name in {**config, **old} if config.get(name) != old.get(name)]
    changed += ["seed"] * (record["seed"] != seed)
    changed += ["starting weights"] * (record.get("start", start) != start)
    shapes = [{k: v.shape for k, v in weights.items()} for weights in (policy.state_dict(), record["policy"])]
    changed += ["network"] * (shapes[0] != shapes[1])
    if changed:
        raise ValueError(
            f"{path.parent} holds a run with other settings ({', '.join(changed)}): name another folder, or delete it"
        )
    return record


def rows_until(path: Path, steps: int, counts: tuple[str, ...]) -> list[dict[str, float]]:
    """The rows of curve.csv up to a number of steps; none where there is no such file.

    Args:
        path: of curve.csv.
        steps: rows after these are of updates that will be done again.
        counts: columns of whole numbers; all others are read as float.
    """
    if not path.exists():
        return []
    with path.open() as file:
        rows = [
            {k: int(v) if k in counts else float(v) for k, v in row.items()} for row in csv.DictReader(file)
        ]
    return [row for row in rows if row["steps"] <= steps]


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Writes curve.csv anew, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())
