"""Every site and channel as a picture: the numbers are those of `capture`, on one scale that is 0 in the middle."""

from __future__ import annotations

import re

import numpy as np
import pytest

import goalscope
from goalscope.app import inside
from goalscope.app.inside import channels, map_svg
from goalscope.plots.palette import DIVERGING
from goalscope.worlds.maze import Maze

WORLD = Maze(13, cheese_region=None)
TEXT = WORLD.text(WORLD.generate([1]))[0]


def test_the_tiles_are_the_activations_with_the_mouse_where_it_is(asking, capsys):
    policy = goalscope.load("mouse-topright")
    x = policy.module.encode(WORLD.observe(WORLD.parse(TEXT)))  # type: ignore[operator]
    shapes = goalscope.sites(policy, x)
    found = asking.ask("/api/inside", text=TEXT)
    assert {row["name"]: row["shape"] for row in found["sites"]} == {
        name: list(s[1:]) for name, s in shapes.items()
    }
    for site in ("stem", "blocks.2", list(shapes)[-1]):
        values = goalscope.capture(policy, x, [site])[site][0].numpy()
        found = asking.ask("/api/inside", text=TEXT, site=site)
        flat = [v for tile in found["tiles"] for row in tile["values"] for v in row if v is not None]
        assert np.array_equal(np.array(flat, np.float32), values.ravel()[: len(flat)])
        assert found["extent"] == np.abs(values).max() and found["channels"] == len(channels(values))
        exec(found["python"], {})
        assert float(capsys.readouterr().out) == found["extent"]


def test_sites_are_found_by_words_and_pages_turn(asking, monkeypatch):
    found = asking.ask("/api/inside", text=TEXT, search="BLOCKS.1 conv")
    assert {row["name"] for row in found["sites"]} == {"blocks.1.conv1", "blocks.1.conv2"}
    assert asking.ask("/api/inside", text=TEXT, search="nowhere")["sites"] == []
    assert "no site 'nowhere'" in asking.refused("/api/inside", text=TEXT, site="nowhere")
    monkeypatch.setattr(inside, "AT_ONCE", 10)
    last = asking.ask("/api/inside", text=TEXT, site="stem", page=3)
    assert [tile["channel"] for tile in last["tiles"]] == [30, 31] and last["pages"] == 4
    assert "page must be" in asking.refused("/api/inside", text=TEXT, site="stem", page=4)


@pytest.mark.parametrize(
    ("shape", "maps"), [((3, 2, 4), (3, 2, 4)), ((5,), (1, 3, 3)), ((), (1, 1, 1)), ((2, 6), (1, 2, 6))]
)
def test_every_shape_is_drawn_whole(shape, maps):
    values = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    found = channels(values)
    assert found.shape == maps and np.array_equal(found[~np.isnan(found)], values.ravel())


def test_nought_is_the_middle_of_the_scale_and_signs_have_different_colours():
    svg = map_svg(np.array([[-2.0, 0.0, 2.0]]), 2.0, "channel 0")
    low, middle, high = re.findall(r'fill="(#\w+)"', svg)[1:4]
    assert (low, middle, high) == (DIVERGING[0], DIVERGING[len(DIVERGING) // 2], DIVERGING[-1])
    assert "from -2 to 2" in svg and " style=" not in svg
