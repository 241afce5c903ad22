"""Charts: marks stand where the numbers say, controls beside them, gaps stay gaps, labels never collide."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalscope.plots.charts import Bars, Line, bars, curves, forest, heat
from goalscope.plots.palette import BLUE, DIVERGING, MISSING, VERMILLION

Check = Callable[[str], ElementTree.Element]
LONG = "a checkpoint with_a_name_that_has_no_place_to_break_it_anywhere_at_all.safetensors"


def texts(svg: str) -> list[str]:
    """Every line of text in a drawing."""
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def discs(svg: str) -> list[float]:
    """x of the estimates of a forest, without the sample in the legend."""
    return [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)][1:]


def tick_places(svg: str) -> dict[str, float]:
    """Text of centred labels to their x."""
    return {
        t: float(x) for x, t in re.findall(r'<text x="([-\d.]+)"[^>]*text-anchor="middle"[^>]*>(.*?)<', svg)
    }


def test_forest_places_estimates_on_its_axis(check_svg: Check) -> None:
    svg = forest(
        ["a", "b", "c"], [0.0, 0.5, 1.0], [0, 0.4, 0.9], [0.1, 0.6, 1], [10, 1200, 3], title="t", percent=True
    )
    check_svg(svg)
    ticks = tick_places(svg)
    left, right = ticks["0%"], ticks["100%"]
    assert discs(svg) == pytest.approx([left, (left + right) / 2, right], abs=0.02)
    assert {"n 10", "n 1,200", "n 3", "50%"} <= set(texts(svg))


def test_forest_draws_intervals_and_controls() -> None:
    svg = forest(
        ["a"], [0.8], [0.6], [1.0], [9], control=[0.2], control_low=[0.0], control_high=[0.4], title="t"
    )
    ticks = tick_places(svg)
    step = (ticks["0.50"] - ticks["0"]) / 2.5
    spans = [(float(a), float(b)) for a, b in re.findall(r'd="M([\d.]+) [\d.]+H([\d.]+)M', svg)][2:]
    assert [b - a for a, b in spans] == pytest.approx([2 * step, 2 * step], abs=0.05)
    assert spans[0][0] - spans[1][0] == pytest.approx(3 * step, abs=0.05)
    assert "control 0.20 (0.00 to 0.40)" in svg


def test_forest_without_control_has_no_control_in_its_legend() -> None:
    bare = forest(["a"], [0.8], [0.6], [1.0], title="t", control_name="untrained network")
    assert "untrained network" not in texts(bare) and "gs-hollow" not in bare
    none = forest(["a"], [0.8], [0.6], [1.0], control=[np.nan], title="t", control_name="untrained network")
    assert "untrained network" not in texts(none)


def test_forest_says_what_was_not_estimated() -> None:
    svg = forest(["a", "b"], [np.nan, 1.0], [np.nan, 0.5], [np.nan, 1.5], title="t")
    assert "not estimated" in texts(svg) and len(discs(svg)) == 1


def test_forest_says_nothing_of_what_its_axis_cannot_show() -> None:
    wide = forest(["a", "b"], [0.0008, 2.99], [-0.07, 2.5], [0.04, 3.4], title="t")
    assert ">0.00<" in wide and "e\N{MINUS SIGN}04" not in wide
    narrow = forest(["a", "b"], [0.0008, 0.0004], [0.0002, 0.0001], [0.001, 0.0007], title="t")
    assert ">8.0e\N{MINUS SIGN}04<" in narrow


def test_forest_groups_and_reference(check_svg: Check) -> None:
    svg = forest(
        ["a", "b", "c"],
        [1, 2, 3],
        [0, 1, 2],
        [2, 3, 4],
        groups=["small", "small", "large"],
        reference=0,
        title="t",
    )
    check_svg(svg)
    assert texts(svg).count("small") == 1 and texts(svg).count("large") == 1
    assert "stroke-dasharray" in svg and "stroke-dasharray" not in forest(["a"], [1], [0], [2], title="t")


def test_curves_place_points_on_a_log_axis(check_svg: Check) -> None:
    svg = curves(
        [Line("a", [10, 100, 1000], [0, 1, 2], [0, 0.5, 1.5], [0.5, 1.5, 2.5])], log_x=True, title="t"
    )
    check_svg(svg)
    path = re.findall(rf'<path d="M([^"]+)" fill="none" stroke="{BLUE}"', svg)[-1]
    points = np.array([list(map(float, point.split())) for point in path.split("L")])
    assert np.diff(points[:, 0])[0] == pytest.approx(np.diff(points[:, 0])[1], abs=0.02)
    assert np.all(np.diff(points[:, 1]) < 0), "larger numbers stand higher"
    assert "fill-opacity" in svg


def test_curves_leave_gaps_open() -> None:
    whole = curves([Line("a", range(5), [1, 2, 3, 4, 5])], title="t")
    broken = curves([Line("a", range(5), [1, 2, np.nan, 4, 5])], title="t")
    drawn = re.compile(rf'<path d="M[^"]+L[^"]+" fill="none" stroke="{BLUE}"')
    assert len(drawn.findall(broken)) == len(drawn.findall(whole)) + 1


def test_lines_differ_by_more_than_colour() -> None:
    svg = curves([Line("a", [1, 2], [1, 2]), Line("b", [1, 2], [2, 1])], title="t")
    assert re.search(rf'stroke="{VERMILLION}"[^>]*stroke-dasharray', svg)
    assert not re.search(rf'stroke="{BLUE}"[^>]*stroke-dasharray', svg)


def test_sizes_of_mazes_are_their_own_ticks() -> None:
    svg = curves([Line("a", [3, 5, 7, 9], [1, 0.9, 0.8, 0.7])], title="t")
    assert {"3", "5", "7", "9"} <= set(texts(svg))


def test_bars_are_as_long_as_their_numbers(check_svg: Check) -> None:
    svg = bars(
        ["a", "b"], [Bars("one", [1.0, 2.0], [0.5, 1.5], [1.5, 2.5]), Bars("two", [-1.0, np.nan])], title="t"
    )
    check_svg(svg)
    wide = [float(w) for w in re.findall(rf'width="([\d.]+)" height="13" rx="1.5" fill="{BLUE}"', svg)]
    back = [float(w) for w in re.findall(rf'width="([\d.]+)" height="13" rx="1.5" fill="{VERMILLION}"', svg)]
    assert wide[1] == pytest.approx(2 * wide[0], abs=0.02) and back == pytest.approx([wide[0]], abs=0.02)
    assert "none" in texts(svg)


def test_heat_writes_its_numbers(check_svg: Check) -> None:
    svg = heat([[1.0, -0.5], [np.nan, 0.25]], ["a", "b"], ["x", "y"], title="t")
    check_svg(svg)
    assert {"1.00", "\N{MINUS SIGN}0.50", "0.25", "\N{EN DASH}"} <= set(texts(svg))
    assert MISSING in svg and DIVERGING[-1] in svg


@pytest.mark.parametrize(
    "draw",
    [
        lambda: forest([], [], [], [], title="t"),
        lambda: forest(["a"], [1, 2], [0], [2], title="t"),
        lambda: forest(["a"], [1], [0], [2], [1, 2], title="t"),
        lambda: curves([], title="t"),
        lambda: curves([Line("a", [0, 1], [1, 2])], log_x=True, title="t"),
        lambda: curves([Line("a", [0, 1], [1, 2, 3])], title="t"),
        lambda: bars(["a"], [], title="t"),
        lambda: heat([[1.0]], ["a", "b"], ["x"], title="t"),
        lambda: forest(["a"], [1], [0], [2], title=""),
    ],
)
def test_errors(draw: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        draw()


number = st.one_of(st.floats(-1e7, 1e7), st.floats(0, 1), st.just(float("nan")))
name = st.one_of(st.sampled_from(["mouse-corner", LONG, "W" * 40, ""]), st.text(max_size=30))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(name, number, st.floats(0, 10), number), min_size=1, max_size=8), st.booleans())
def test_no_label_collides(
    check_svg: Check, rows: list[tuple[str, float, float, float]], percent: bool
) -> None:
    labels = [row[0] for row in rows]
    middle, half, control = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    low, high = middle - half, middle + half
    words = {"title": "Title " + labels[0], "percent": percent, "x_label": "axis"}
    check_svg(
        forest(labels, middle, low, high, [7] * len(rows), control=control, control_name=labels[-1], **words)
    )
    check_svg(bars(labels, [Bars("one", middle, low, high), Bars(labels[0], control)], **words))
    check_svg(
        curves([Line(text, range(len(rows)), middle, low, high) for text in labels], y_label="y", **words)
    )


def test_heat_of_many_columns_shortens_its_numbers(check_svg: Check) -> None:
    svg = heat(
        np.full((2, 12), -0.25), ["a feature with a long name", "b"], [str(i) for i in range(12)], title="t"
    )
    check_svg(svg)
    assert texts(svg).count("\N{MINUS SIGN}.25") == 24


def test_curves_are_cut_at_their_limits(check_svg: Check) -> None:
    svg = curves(
        [Line("a", [3, 5], [0.5, 0.9], [0.4, 0.8], [0.6, 1.2])],
        x_ticks=np.array([3, 5]),
        y_limits=(0, 1),
        title="t",
    )
    check_svg(svg)
    band = re.findall(r'<path d="M([^"]+)Z"[^>]*fill-opacity', svg)[0]
    heights = [float(point.split()[1]) for point in band.split("L")]
    lines = [float(y) for y in re.findall(r'<path d="M[\d.]+ ([\d.]+)L420', svg)]
    assert min(heights) == pytest.approx(min(lines))
