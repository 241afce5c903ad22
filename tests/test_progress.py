"""Long work is counted where it is done: what listeners hear, and what the command line shows of it."""

from __future__ import annotations

import io

import pytest

from goalscope.commands.shown import shown
from goalscope.progress import Step, counted, duration, heard, step


def test_items_come_through_and_each_is_counted_once_it_is_done():
    told = []
    with heard(lambda s: told.append((s.words, s.done, s.total, s.unit))):
        assert [x * 2 for x in counted([1, 2, 3], "doubling", "numbers")] == [2, 4, 6]
        assert list(counted(iter("ab"), "reading", "letters")) == ["a", "b"]
    assert told[:4] == [("doubling", n, 3, "numbers") for n in range(4)]
    assert told[4:] == [("reading", n, None, "letters") for n in range(3)]


def test_without_a_listener_nothing_happens_and_afterwards_nobody_hears():
    told = []
    with heard(told.append):
        pass
    assert list(counted(range(3), "x", "y")) == [0, 1, 2] and told == []


def test_of_loops_inside_each_other_the_outermost_counts():
    told = []
    with heard(lambda s: told.append(s.words)):
        for _ in counted(range(2), "outer", "rounds"):
            for _ in counted(range(5), "inner", "rounds"):
                pass
        with pytest.raises(ValueError), step("broken", "steps"):
            raise ValueError
        for _ in counted(range(1), "after", "rounds"):
            break
        list(counted(range(1), "last", "rounds"))
    assert told == ["outer"] * 3 + ["broken", "after"] + ["last"] * 2


def test_a_line_says_count_rate_and_time_left():
    now = Step("retargeting", "mazes", 1200, began=100.0, start=200, done=200)
    assert now.line(110.0) == "retargeting: 200 of 1,200 mazes"
    now.done, now.note = 300, "success 0.910"
    assert now.line(
        110.0
    ) == "retargeting: 300 of 1,200 mazes, 10 a second, 90 s left; success 0.910".replace("90 s", "2 min")
    slow = Step("reading", "runs", None, began=0.0, done=2)
    assert slow.line(60.0) == "reading: 2 runs, 30 s each"
    assert [duration(s) for s in (5, 89, 90, 5000, 9000)] == ["5 s", "89 s", "2 min", "83 min", "2 h 30 min"]


class Screen(io.StringIO):
    def __init__(self, terminal: bool):
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def watched(monkeypatch: pytest.MonkeyPatch, terminal: bool, seconds: float, term: str = "xterm") -> str:
    """What standard error gets of ten items that take so long each."""
    clock = iter(range(10**6))
    screen = Screen(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("time.monotonic", lambda: next(clock) * seconds)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "40")
    with shown() as say:
        for i in counted(range(10), "reading a long name of something", "mazes"):
            if i == 8:
                say("a line of its own")
    return screen.getvalue()


def test_a_terminal_sees_one_line_that_fits_and_goes(monkeypatch: pytest.MonkeyPatch):
    out = watched(monkeypatch, True, 1.0)
    assert "\n" not in out.replace("a line of its own\n", "")
    parts = out.split("\r\x1b[K")
    assert len(parts) > 8 and max(len(part.splitlines()[0]) for part in parts if part) <= 39
    assert out.endswith("\r\x1b[K") and "\x1b[3" not in out


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_file_gets_plain_lines_now_and_then(term: str, monkeypatch: pytest.MonkeyPatch):
    out = watched(monkeypatch, term == "dumb", 10.0, term)
    assert "\r" not in out and "\x1b" not in out
    lines = out.splitlines()
    assert "a line of its own" in lines and 2 < len(lines) < 6
    assert all("left" in line for line in lines if line.startswith("reading"))
    assert watched(monkeypatch, False, 0.1) == "a line of its own\n"


def test_many_short_steps_in_a_file_are_no_minutes_of_silence(monkeypatch: pytest.MonkeyPatch):
    clock, screen = iter(range(10**6)), Screen(False)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("time.monotonic", lambda: next(clock) * 2.0)
    with shown():
        for _ in range(20):
            for _ in counted(range(4), "short", "mazes"):
                pass
    assert 6 < len(screen.getvalue().splitlines()) < 20
