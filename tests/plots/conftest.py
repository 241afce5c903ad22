"""What every drawing must be: well-formed, self-contained, with words, with labels that do not touch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from goalscope.plots.svg import text_width

NAMESPACE = "{http://www.w3.org/2000/svg}"


def _check(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.tag == NAMESPACE + "svg"
    assert root.get("role") == "img" and root.get("aria-label")
    assert [child.tag for child in root[:2]] == [NAMESPACE + "title", NAMESPACE + "desc"]
    assert all(child.text and child.text.strip() for child in root[:2])
    assert svg.count("http") == 1, "only the namespace names an address"
    for element in root.iter():
        assert element.tag != NAMESPACE + "script"
        assert not {key for key in element.attrib if key.startswith("on") or key in ("id", "href")}
        for value in element.attrib.values():
            assert "nan" not in value.split() and "inf" not in value
    _check_text(root)
    return root


def _check_text(root: ElementTree.Element) -> None:
    """No text leaves the drawing, none lies on another."""
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    boxes = []
    for element in root.iter(NAMESPACE + "text"):
        x, y, size = (float(element.attrib[key]) for key in ("x", "y", "font-size"))
        # The estimate of the library is on the wide side; what is left out here is that margin.
        wide = 0.93 * text_width(element.text or "", size, bold=element.get("font-weight") is not None)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[element.get("text-anchor", "start")]
        assert left >= -1 and left + wide <= width + 1, f"{element.text!r} leaves the drawing at the side"
        assert y - size >= -2 and y <= height, f"{element.text!r} leaves the drawing above or below"
        boxes.append((left, y - 0.72 * size, left + wide, y + 0.05 * size, element.text))
    for a, b in itertools.combinations(boxes, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{a[4]!r} lies on {b[4]!r}"


@pytest.fixture
def check_svg() -> Callable[[str], ElementTree.Element]:
    """Checks a drawing and returns its root."""
    return _check
