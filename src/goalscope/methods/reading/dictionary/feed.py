"""Rows of activations for a training, from whatever gives them, in batches of one size that begin anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from typing import Any

import numpy as np
import torch
from torch import Tensor

Rows = Tensor | np.ndarray | Iterable[Any] | Callable[[], Iterable[Any]]
"""[n, d] all at once, which are shuffled; or chunks [., d] in the order in which they shall be used: a sequence, an
iterable, or a function that gives an iterable, as `goalscope.activations.Stored.chunks`"""
FIRST = 8192
"""rows at the beginning by which activations are scaled and centred"""


class Feed:
    """Rows in batches, the same ones whenever it is asked.

    Attributes:
        first: [at most FIRST, d] the first rows.
        batch: rows of a batch; fewer than asked for where there are not so many.
    """

    def __init__(self, rows: Rows, batch: int, seed: int):
        self._seed = seed
        self._all: Tensor | None = None
        if isinstance(rows, Tensor | np.ndarray):
            self._all = _checked(rows, None, "the activations")
            self.first = self._all[torch.randperm(len(self._all), generator=self._generator(0))[:FIRST]]
            self.batch = min(batch, len(self._all))
            return
        self.batch = batch
        if callable(rows):
            self._again: Callable[[], Iterator[Any]] | None = lambda: iter(rows())  # type: ignore[operator]
        else:
            self._again = None if iter(rows) is rows else lambda: iter(rows)
        self._once = iter(rows) if self._again is None else self._again()  # type: ignore[call-overload]
        chunks: list[Tensor] = []
        for chunk in self._once:
            chunks.append(_checked(chunk, chunks[0].shape[1] if chunks else None, f"chunk {len(chunks)}"))
            if sum(map(len, chunks)) >= FIRST:
                break
        if not chunks:
            raise ValueError("there are no activations: the site gave no rows; look at what is given as rows")
        self.first = torch.cat(chunks)[:FIRST]
        self._begun = chunks

    def batches(self, start: int) -> Iterator[Tensor]:
        """[batch, d] each, from the batch of this number on, without an end.

        Raises:
            ValueError: rows that can be gone through once are at their end; a chunk of another size or not finite.
        """
        yield from self._shuffled(start) if self._all is not None else self._cut(start)

    def _shuffled(self, start: int) -> Iterator[Tensor]:
        whole: Any = self._all
        each = len(whole) // self.batch
        order, epoch = torch.zeros(0, dtype=torch.long), -1
        for number in count(start):
            if number // each != epoch:
                epoch = number // each
                order = torch.randperm(len(whole), generator=self._generator(epoch + 1))
            place = number % each * self.batch
            yield whole[order[place : place + self.batch]]

    def _cut(self, start: int) -> Iterator[Tensor]:
        skip, held, have = start * self.batch, [], 0
        for chunk in self._chunks():
            passed = min(skip, len(chunk))
            skip -= passed
            if passed < len(chunk):
                held.append(chunk[passed:])
                have += len(chunk) - passed
            while have >= self.batch:
                joined = torch.cat(held)
                yield joined[: self.batch]
                held, have = [joined[self.batch :]], have - self.batch

    def _chunks(self) -> Iterator[Tensor]:
        """Chunk after chunk; from the beginning again at the end, where that can be done."""
        size, seen = self.first.shape[1], 0
        source: Iterator[Any] = chain(self._begun, self._once) if self._again is None else self._again()
        while True:
            before = seen
            for number, chunk in enumerate(source):
                seen += len(chunk)
                yield _checked(chunk, size, f"chunk {number}")
            if self._again is None or seen == before:
                raise ValueError(
                    f"the activations end after {seen:,} rows, and more are wanted: ask for fewer steps, or give something "
                    "that can be gone through again (a tensor, a list, a function that gives an iterable)"
                )
            source = self._again()

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)


def _checked(given: Any, size: int | None, name: str) -> Tensor:
    """The rows as float32.

    Raises:
        ValueError: not [n, d] with n at least 1, another d, or not finite.
    """
    rows = torch.as_tensor(given).detach()
    if rows.ndim != 2 or not len(rows) or not rows.shape[1]:
        raise ValueError(
            f"{name}: rows [n, d] are wanted, n at least 1, got {list(rows.shape)}; of maps [N, C, H, W] every square is a "
            "row: x.movedim(1, -1).flatten(0, -2)"
        )
    if size is not None and rows.shape[1] != size:
        raise ValueError(f"{name} has {rows.shape[1]} numbers a row, {size} before")
    rows = rows.to(torch.float32)
    if not rows.isfinite().all():
        raise ValueError(
            f"{name}: row {int((~rows.isfinite()).any(1).nonzero()[0, 0])} has a number that is not finite"
        )
    return rows
