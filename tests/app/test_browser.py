"""The maze view in a real browser: what the hand does arrives, and what the page shows are Python's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import goalscope
from goalscope.plots.boards.parts import MOVE_NAMES
from goalscope.worlds.maze import Maze

WAIT = 60_000
WORLD = Maze(13, cheese_region=None)
OPEN = "\n".join(["." * 13] * 12 + ["M" + "." * 11 + "C"])
IDLE = "() => !document.body.dataset.busy && document.querySelector('[data-number=reach]')"


def text_of(seed: int) -> str:
    return WORLD.text(WORLD.generate([seed]))[0]


@pytest.fixture(scope="module")
def browsing(chromium, served) -> Iterator[Any]:
    """One window, whose cookie holds the token."""
    window = chromium.new_context(
        viewport={"width": 1280, "height": 1000}, permissions=["clipboard-read", "clipboard-write"]
    )
    window.set_default_timeout(WAIT)
    tab = window.new_page()
    tab.goto(served.link)
    tab.wait_for_function(IDLE)
    tab.close()
    yield window
    window.close()


@pytest.fixture
def tab(browsing, served) -> Iterator[Any]:
    """A page with an open maze; whatever it complains of on the console fails the test."""
    found, complaints = browsing.new_page(), []
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("console", lambda line: complaints.append(line.text) if line.type == "error" and "ERR_CONN" not in line.text
             and "400" not in line.text else None)  # fmt: skip
    found.goto(served.link.split("?")[0] + "#maze?maze=" + OPEN.replace("\n", "-"))
    found.wait_for_function(IDLE)
    yield found
    found.close()
    assert complaints == []


def shown(tab: Any) -> str:
    """The maze's text, once nothing is under way."""
    tab.wait_for_function(IDLE)
    return tab.locator("textarea").input_value()


def put(tab: Any, text: str) -> None:
    tab.locator("textarea").fill(text)
    tab.get_by_role("button", name="Show this text").click()
    tab.wait_for_function(IDLE)


def point(tab: Any, row: float, column: float) -> tuple[float, float]:
    """Where a square of the first board is in the window."""
    box = tab.locator(".sheet").first.bounding_box()
    side = box["width"] / (13 + 0.9)
    return box["x"] + (column + 0.95) * side, box["y"] + (row + 0.95) * side


def drag(tab: Any, *squares: tuple[int, int]) -> None:
    tab.mouse.move(*point(tab, *squares[0]))
    tab.mouse.down()
    for square in squares[1:]:
        tab.mouse.move(*point(tab, *square), steps=3)
    tab.mouse.up()


def at(text: str, row: int, column: int) -> str:
    return text.splitlines()[row][column]


def reach(tab: Any) -> float:
    tab.wait_for_function(IDLE)
    return float(tab.locator("[data-number=reach]").first.get_attribute("data-exact"))


def test_what_the_page_shows_of_100_mazes_are_pythons_numbers(tab, served):
    policy = served.desk.given
    for seed in range(100):
        text = text_of(seed)
        put(tab, text)
        assert shown(tab) == text
        field = goalscope.vector_field(policy, text)
        assert reach(tab) == field.reach_start
        said = tab.evaluate(
            "() => ({big: document.querySelector('[data-number=reach]').textContent,"
            " value: document.querySelector('[data-number=value]').dataset.exact,"
            " tips: [...document.querySelectorAll('.board .drawn rect > title')].map(x => x.textContent)})"
        )
        assert said["big"] == f"{100 * field.reach_start:.1f}%"
        start = int((field.squares == field.maze.mouse[0]).all(1).argmax())
        assert float(said["value"]) == float(field.value[start])
        tips = {}
        for tip in said["tips"]:
            row, column, words = re.fullmatch(r"row (\d+), column (\d+): (.*)", tip).groups()  # type: ignore[union-attr]
            tips[int(row), int(column)] = words
        assert len(tips) == len(field.squares)
        for square, moves, chance in zip(field.squares.tolist(), field.moves, field.reach, strict=True):
            shares = (
                f"{name} {100 * share:.0f}%"
                for name, share in zip(MOVE_NAMES, moves, strict=True)
                if share >= 0.005
            )
            assert tips[tuple(square)] == f"P(reach the cheese) {100 * chance:.1f}%; {', '.join(shares)}"


def test_mouse_and_cheese_are_dragged(tab, served):
    drag(tab, (12, 0), (8, 3), (4, 6))
    assert at(shown(tab), 4, 6) == "M" and at(shown(tab), 12, 0) == "."
    drag(tab, (12, 12), (10, 2))
    text = shown(tab)
    assert at(text, 10, 2) == "C" and text.count("C") == text.count("M") == 1
    assert reach(tab) == goalscope.vector_field(served.desk.given, text).reach_start


def test_walls_are_drawn_by_a_stroke_erased_by_another_and_undone(tab):
    drag(tab, (3, 2), (3, 9))
    walled = shown(tab)
    assert walled.splitlines()[3] == "..########..."
    drag(tab, (3, 4), (3, 6))
    assert shown(tab).splitlines()[3] == "..##...###..."
    tab.get_by_role("button", name="Undo").click()
    assert shown(tab) == walled, "a stroke is one step"
    tab.locator(".sheet").first.focus()
    tab.keyboard.press("Control+z")
    assert shown(tab) == OPEN
    tab.keyboard.press("Control+y")
    tab.get_by_role("button", name="Redo").click()
    assert shown(tab).splitlines()[3] == "..##...###..."
    assert tab.get_by_role("button", name="Redo").is_disabled()


def test_a_level_is_pasted_and_a_bad_one_is_told_where_it_is_wrong(tab):
    good = text_of(3)
    tab.evaluate("text => navigator.clipboard.writeText(text)", good)
    tab.locator("textarea").focus()
    tab.keyboard.press("Control+a")
    tab.keyboard.press("Control+v")
    tab.wait_for_function(
        "goal => location.hash.includes(goal)", arg=good.replace("#", "x").replace("\n", "-")
    )
    before = reach(tab)
    bad = good.splitlines()
    bad[2] = bad[2][:4] + "?" + bad[2][5:]
    put(tab, "\n".join(bad))
    tab.locator(".message", has_text="line 3, column 5: unknown character '?'").wait_for()
    assert tab.locator("textarea").get_attribute("aria-invalid") == "true"
    assert reach(tab) == before
    tab.get_by_role("button", name="No cheese").click()
    tab.wait_for_function("() => document.querySelector('[data-number=reach]').textContent === 'no cheese'")
    assert shown(tab) == good.replace("C", "."), "the last good state goes on"


def test_a_wall_that_cuts_the_cheese_off_springs_back(tab):
    drag(tab, (11, 12), (11, 12))
    drag(tab, (12, 11), (12, 11))
    tab.locator(".message", has_text="cannot be reached").wait_for()
    tab.get_by_role("button", name="Undo").click()
    assert shown(tab) == OPEN


def test_everything_goes_by_keyboard_alone(tab, served):
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.classList.contains('sheet')"):
            break
    for key in ["ArrowDown"] * 2 + ["ArrowRight"] * 3 + [" "]:
        tab.keyboard.press(key)
    assert at(shown(tab), 3, 4) == "#"
    tab.locator(".hover", has_text="row 3, column 4: wall").wait_for()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("m")
    assert at(shown(tab), 3, 5) == "M"
    for key in ["ArrowDown", "c"]:
        tab.keyboard.press(key)
    text = shown(tab)
    assert at(text, 4, 5) == "C" and reach(tab) == goalscope.vector_field(served.desk.given, text).reach_start
    tab.keyboard.press("x")
    tab.wait_for_function("() => document.querySelector('[data-number=reach]').textContent === 'no cheese'")
    named = "e => (e.labels && e.labels.length) || e.getAttribute('aria-label') || e.textContent.trim()"
    for element in tab.locator("main :is(button, input, select, textarea, .sheet)").all():
        assert element.evaluate(named), element.evaluate("e => e.outerHTML")


def test_the_newest_state_wins_and_a_drag_never_queues(tab, served):
    before = served.requests
    with served.desk.lock:
        drag(tab, (12, 0), (12, 2), (10, 4), (8, 6), (6, 8), (4, 10))
        assert served.requests - before <= 1
    text = shown(tab)
    assert at(text, 4, 10) == "M" and served.requests - before <= 2
    assert reach(tab) == goalscope.vector_field(served.desk.given, text).reach_start


def test_the_address_brings_a_state_back(tab, browsing):
    put(tab, text_of(6))
    tab.get_by_label("Painted", exact=True).select_option("final")
    tab.get_by_label("Beside it", exact=True).select_option("mouse-corner")
    tab.wait_for_function("() => location.hash.includes('mouse-corner') && !document.body.dataset.busy")
    assert tab.locator(".board").count() == 2 and tab.locator(".difference svg").count() == 2
    numbers = tab.locator(".numbers").inner_text()
    other = browsing.new_page()
    other.goto(tab.url)
    other.wait_for_function(IDLE)
    assert shown(other) == text_of(6) and other.locator(".numbers").inner_text() == numbers
    assert other.get_by_label("Painted", exact=True).input_value() == "final"
    other.close()


def test_snapshots_of_training_stand_on_a_slider(tab):
    tab.get_by_label("Training", exact=True).focus()
    tab.keyboard.press("Home")
    tab.wait_for_function(
        "() => location.hash.includes('mouse-topright%4039062') && !document.body.dataset.busy"
    )
    text = shown(tab)
    assert reach(tab) == goalscope.vector_field("mouse-topright@39062", text).reach_start


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "light"), (320, "dark"), (1280, "dark"), (2560, "light")]
)
def test_it_fits_and_can_be_read_at_any_width_in_the_dark_too(tab, width, scheme):
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.wait_for_function(IDLE)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    contrast = """() => {
      const linear = (c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
      const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => linear(c / 255));
        return .2126 * r + .7152 * g + .0722 * b; };
      const ground = light(getComputedStyle(document.querySelector('section')).backgroundColor);
      return [...document.querySelectorAll('.note, dt, dd, .big strong, .big span, label')].map((e) => {
        const ink = light(getComputedStyle(e).color);
        return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05); });
    }"""
    found = tab.evaluate(contrast)
    assert len(found) > 10 and min(found) >= 4.5


def test_a_server_that_goes_away_is_said_and_the_level_is_kept(tab, served):
    served.stop()
    drag(tab, (12, 0), (6, 6))
    tab.locator(".away", has_text="does not answer").wait_for()
    served.start()
    text = shown(tab)
    assert at(text, 6, 6) == "M" and tab.locator(".away").is_hidden()
    assert reach(tab) == goalscope.vector_field(served.desk.given, text).reach_start
