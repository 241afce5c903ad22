"""What a pickle says, as plain data: nothing is imported, called or made, so nothing of it can run.

A pickle is a program for a small stack machine. Its opcodes are read here one by one; where it would call something,
a `Made` stands that says what would have been called and with what.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_PLAIN = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
}  # fmt: skip
"""opcodes whose argument is the value"""
_FIXED: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PUT, _GET = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")
_RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_MARK = object()


@dataclass(eq=False)
class Made:
    """What the pickle would have made."""

    what: str
    """'module name' of what would have been called; '' for the thing itself"""
    arguments: Any
    state: Any = None
    """what it would have been given afterwards"""


def said(data: bytes, path: Path) -> Any:
    """The value of a pickle: numbers, texts, bytes, tuples, lists, dicts, and `Made` for all else.

    Args:
        data: the whole file. path: where it came from, for messages.

    Raises:
        ValueError: damaged, or it has opcodes that no numbers need.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return stack.pop()
            _do(opcode.name, argument, stack, memo)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, or no pickle of numbers ({error}); copy it again") from error
    raise ValueError(f"{path} is a pickle that ends early; copy it again")


def _do(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in ("PROTO", "FRAME"):
        return
    if name in _PLAIN:
        stack.append(argument)
    elif name in _FIXED:
        stack.append(_FIXED[name])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in _PUT:
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in _GET:
        stack.append(memo[argument])
    elif name in ("EMPTY_LIST", "EMPTY_DICT"):
        stack.append([] if name == "EMPTY_LIST" else {})
    else:
        _put_together(name, argument, stack)


def _put_together(name: str, argument: Any, stack: list[Any]) -> None:
    """Opcodes that take from the stack."""
    if name == "GLOBAL":
        stack.append(Made("", argument))
    elif name == "STACK_GLOBAL":
        last = stack.pop()
        stack.append(Made("", f"{stack.pop()} {last}"))
    elif name in ("REDUCE", "NEWOBJ"):
        arguments = stack.pop()
        stack.append(Made(stack.pop().arguments, arguments))
    elif name == "BUILD":
        state = stack.pop()
        stack[-1].state = state
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        if len(stack) < count:
            raise ValueError(f"{name} without enough before it")
        stack[-count:] = [tuple(stack[-count:])]
    elif name == "TUPLE":
        stack.append(tuple(_marked(stack)))
    elif name == "APPEND":
        value = stack.pop()
        stack[-1].append(value)
    elif name == "APPENDS":
        values = _marked(stack)
        stack[-1].extend(values)
    elif name in ("SETITEM", "SETITEMS"):
        values = [stack.pop() for _ in range(2)][::-1] if name == "SETITEM" else _marked(stack)
        stack[-1].update(zip(values[::2], values[1::2], strict=True))
    else:
        raise ValueError(f"opcode {name}")


def _marked(stack: list[Any]) -> list[Any]:
    """What lies above the last mark, taken off with it."""
    values: list[Any] = []
    while (value := stack.pop()) is not _MARK:
        values.append(value)
    return values[::-1]


def array_of(thing: Any, name: str, path: Path) -> np.ndarray:
    """The NumPy array of floats that a pickle would have made.

    Raises:
        ValueError: it is something else; the message has `name`.
    """
    wanted = f"{path}: {name} is no array of float32 or float64"
    if not isinstance(thing, Made) or thing.what not in _RECONSTRUCT:
        raise ValueError(wanted)
    state = thing.state
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError(wanted)
    _, shape, kind, fortran, data = state
    code = kind.arguments[0] if isinstance(kind, Made) and kind.what == "numpy dtype" else None
    big = isinstance(kind, Made) and isinstance(kind.state, tuple) and kind.state[1:2] == (">",)
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if code not in ("f4", "f8") or not whole or not isinstance(data, bytes) or fortran is not False:
        raise ValueError(wanted)
    dtype = np.dtype((">" if big else "<") + code)
    if len(data) != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{path}: {name} has {len(data)} bytes, {list(shape)} of {code} take another number")
    return np.frombuffer(data, dtype).reshape(shape).astype(np.float64)
