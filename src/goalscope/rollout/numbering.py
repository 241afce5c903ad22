"""Numbers for rows of bytes: equal rows get one number, in the order in which they first came. Exact, not by hash alone."""

from __future__ import annotations

import numba
import numpy as np


class Numbering:
    """A table of all rows seen so far."""

    def __init__(self) -> None:
        self._rows = np.empty((0, 0), np.uint8)
        self._slots = np.full(1024, -1, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of each row, new ones numbered on.

        Args:
            rows: [N, B] uint8, B the same in every call.

        Returns:
            [N] int64 numbers, and the indices of the rows that are new, in the order of their numbers.

        Raises:
            ValueError: rows of another length than before.
        """
        n, width = rows.shape
        if self._count and width != self._rows.shape[1]:
            raise ValueError(
                f"a state has {width} bytes where one before had {self._rows.shape[1]}: the arrays of a world's states "
                "must keep their shapes and types"
            )
        if self._count + n > len(self._rows):
            grown = np.empty((2 * (self._count + n), width), np.uint8)
            if self._count:
                grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        while len(self._slots) < 3 * (self._count + n):
            self._slots = np.full(4 * len(self._slots), -1, np.int64)
            _refill(self._rows, self._count, self._slots)
        number, fresh = np.empty(n, np.int64), np.empty(n, np.int64)
        new = _add(np.ascontiguousarray(rows), self._rows, self._count, self._slots, number, fresh)
        self._count += new
        return number, fresh[:new]


@numba.njit(cache=True)
def _slot(row, rows, slots):
    """Where the row is in the table, or the free slot where it goes."""
    hashed = np.uint64(14695981039346656037)  # FNV-1a, then mixed: its low bits alone are poor
    for byte in row:
        hashed = (hashed ^ np.uint64(byte)) * np.uint64(1099511628211)
    hashed ^= hashed >> np.uint64(29)
    mask = np.uint64(len(slots) - 1)
    at = hashed & mask
    while slots[at] >= 0:
        there = rows[slots[at]]
        same = True
        for i in range(len(row)):
            if there[i] != row[i]:
                same = False
                break
        if same:
            return at
        at = (at + np.uint64(1)) & mask
    return at


@numba.njit(cache=True)
def _refill(rows, count, slots):
    for k in range(count):
        slots[_slot(rows[k], rows, slots)] = k


@numba.njit(cache=True)
def _add(given, rows, count, slots, number, fresh):
    new = 0
    for n in range(len(given)):
        at = _slot(given[n], rows, slots)
        if slots[at] < 0:
            rows[count + new] = given[n]
            slots[at] = count + new
            fresh[new] = n
            new += 1
        number[n] = slots[at]
    return new
