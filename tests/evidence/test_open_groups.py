"""A group of choices of which one member is open is open as a whole, even beside a member that came true."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from goalscope.evidence.resolve import _choices
from goalscope.evidence.rule import Answer


def test_a_group_with_an_open_member_is_open_beside_a_yes() -> None:
    members: Any = [SimpleNamespace(kind="choice", by="me", group="where", id=i) for i in ("a.x", "a.y")]
    came_true, open_ = Answer("yes", None, ""), Answer("ambiguous", None, "the interval holds it")
    settled = _choices(members, {"a.x": came_true, "a.y": open_})
    assert {answer.verdict for answer in settled.values()} == {"ambiguous"} and len(settled) == 2
    assert not _choices(members, {"a.x": came_true, "a.y": Answer("no", None, "")})
