"""What a thing adds to a map of activations around the cell it lies in, and writing that at another cell.

A convolutional network computes the same everywhere (up to its borders): so what the goal adds to the activations,
averaged over many inputs with the goal's cell in the middle, is a small pattern that can be put anywhere. A steering
vector without its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goalscope.showing import drawing, text


@dataclass(frozen=True)
class Stencil:
    """A pattern around a cell."""

    __repr__, _repr_html_ = text, drawing

    values: Tensor
    """[C, 2r + 1, 2r + 1] mean difference, the cell in the middle"""
    standard_error: Tensor
    """[C, 2r + 1, 2r + 1] over inputs; 0 where fewer than two inputs have that cell on their map"""
    count: Tensor
    """[2r + 1, 2r + 1] int: inputs that have this neighbour on their map"""

    @property
    def radius(self) -> int:
        """r, in cells."""
        return self.values.shape[1] // 2

    def strongest(self, count: int) -> Stencil:
        """The same with all but the `count` values of largest magnitude set to 0.

        Raises:
            ValueError: count is below 1 or above the number of values.
        """
        flat = self.values.flatten()
        if not 1 <= count <= len(flat):
            raise ValueError(f"count must be 1 to {len(flat)}, got {count}")
        kept = torch.zeros_like(flat)
        order = flat.abs().argsort(descending=True, stable=True)[:count]
        kept[order] = flat[order]
        return Stencil(kept.view(self.values.shape), self.standard_error, self.count)


def stencil(difference: Tensor, cells: Tensor, radius: int) -> Stencil:
    """Mean of maps of differences with each one's cell in the middle.

    Args:
        difference: [N, C, h, w] activations with the thing minus without it.
        cells: [N, 2] int (row, column) of the cell that the thing lies in.
        radius: r, cells around it that count.

    Raises:
        ValueError: shapes that do not fit, a cell outside the map, values that are not finite, radius below 0.
    """
    if difference.ndim != 4 or not len(difference) or radius < 0:
        raise ValueError(
            f"need difference [N, C, h, w] and radius >= 0, got {tuple(difference.shape)}, {radius}"
        )
    if not difference.isfinite().all():
        sample = int((~difference.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"the difference of sample {sample} is not finite")
    at = _indices(cells, len(difference), difference.shape[2:], radius)
    inside = torch.nn.functional.pad(torch.ones_like(difference[:, :1]), (radius,) * 4)
    padded = torch.nn.functional.pad(difference, (radius,) * 4).double()
    # [N, 2r + 1, 2r + 1, C] and [N, 2r + 1, 2r + 1]
    around, there = padded.permute(0, 2, 3, 1)[at], inside[:, 0][at].double()
    count = there.sum(0)
    mean = around.sum(0) / count.clamp(min=1)[..., None]
    spread = ((around - mean) * there[..., None]).square().sum(0)
    error = (spread / (count - 1).clamp(min=1)[..., None] / count.clamp(min=1)[..., None]).sqrt()
    return Stencil(
        mean.permute(2, 0, 1).to(difference.dtype),
        error.permute(2, 0, 1).to(difference.dtype),
        count.long(),
    )


def place(pattern: Stencil, cells: Tensor, height: int, width: int) -> Tensor:
    """[N, C, height, width]: the pattern around each cell [N, 2], 0 elsewhere; what falls off the map is cut.

    Raises:
        ValueError: a cell outside the map.
    """
    radius, channels = pattern.radius, len(pattern.values)
    at = _indices(cells, len(cells), (height, width), radius)
    maps = torch.zeros(
        len(cells), height + 2 * radius, width + 2 * radius, channels, dtype=pattern.values.dtype
    )
    maps[at] = pattern.values.permute(1, 2, 0)
    return maps[:, radius : radius + height, radius : radius + width].permute(0, 3, 1, 2)


def _indices(
    cells: Tensor, samples: int, size: tuple[int, ...] | torch.Size, radius: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample, row and column [N, 2r + 1, 2r + 1] in a map with `radius` cells of padding."""
    cells = torch.as_tensor(cells).long()
    if cells.shape != (samples, 2):
        raise ValueError(f"cells must be [{samples}, 2], got {tuple(cells.shape)}")
    outside = (cells < 0).any(1) | (cells[:, 0] >= size[0]) | (cells[:, 1] >= size[1])
    if outside.any():
        sample = int(outside.nonzero()[0])
        raise ValueError(
            f"cell {cells[sample].tolist()} of sample {sample} lies outside the map {list(size)}"
        )
    span = torch.arange(2 * radius + 1)
    rows = (cells[:, :1] + span)[:, :, None].expand(-1, -1, len(span))
    columns = (cells[:, 1:] + span)[:, None].expand(-1, len(span), -1)
    return torch.arange(samples)[:, None, None].expand_as(rows), rows, columns
