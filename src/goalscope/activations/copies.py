"""Copies of many tensors at little more than the price of moving their bytes.

A fresh copy mostly pays for memory pages that the system hands out one by one: several times what the copying itself
costs. Here large copies share blocks of memory that ask for huge pages, apart from the heap in which the forward
finds its own memory again and again. A block lives as long as any tensor in it.
"""

from __future__ import annotations

import mmap

import torch
from torch import Tensor

_BLOCK = 8 << 20
_SMALL = 64 << 10  # smaller copies must not keep a block alive
_ALIGN = 64  # bytes, as torch aligns: vectorised sums may depend on it in their last bits
_HUGE = getattr(mmap, "MADV_HUGEPAGE", None)


class Copies:
    """Makes copies in the memory format of the tensors; one object for those that are kept together."""

    def __init__(self) -> None:
        self._block: mmap.mmap | None = None
        self._used = 0

    def copy(self, tensor: Tensor) -> Tensor:
        """A copy without a graph."""
        tensor = tensor.detach()
        size = tensor.nbytes
        if _HUGE is None or tensor.device.type != "cpu" or size < _SMALL or tensor.is_quantized:
            return tensor.clone()
        if self._block is None or self._used + size > len(self._block):
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self._block, self._used = mmap.mmap(-1, max(_BLOCK, size), flags=flags), 0
            self._block.madvise(_HUGE)
        flat = torch.frombuffer(self._block, dtype=tensor.dtype, count=tensor.numel(), offset=self._used)
        self._used += -(-size // _ALIGN) * _ALIGN
        layout = torch.empty_like(tensor, device="meta").stride()
        return flat.as_strided(tensor.shape, layout).copy_(tensor)
