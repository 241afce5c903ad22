"""SVG files in a page: inline where they are of our own plain dialect, as a sealed image otherwise.

A run folder may come from anywhere, so an SVG is markup of strangers. Inline go only drawings made of shapes
and
text, without ids, styles, links or scripts: these take the colours of the page and show numbers under the
pointer. Everything else becomes an `<img>` with a data address, in which browsers run no script and load
nothing.
"""

from __future__ import annotations

import base64
import re
from html import escape
from xml.etree import ElementTree

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_SHAPES = frozenset(
    (
        "svg",
        "g",
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "text",
        "tspan",
        "title",
        "desc",
    )
)
_FORBIDDEN = frozenset(("id", "href", "filter", "mask", "clip-path"))
_OWN_STYLE = re.compile(r"max-width:[0-9.]+px;height:auto")
_SUSPECT = re.compile(r"url\s*\(|javascript:|expression\s*\(|@import|\\", re.IGNORECASE)


def figure_markup(svg: str, alt: str) -> str:
    """HTML that shows one SVG.

    Args:
        svg: the text of an SVG file.
        alt: its text alternative.

    Returns:
        The SVG itself where `is_plain` holds, else an `<img>` that holds it as data. Both carry a text
        alternative.
    """
    if is_plain(svg):
        return svg.strip()
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(alt, quote=True)}">'


def is_plain(svg: str) -> bool:
    """Whether an SVG may stand inline: well-formed, only shapes and text, with its own text alternative."""
    if (
        "<!" in svg or "<?" in svg
    ):  # declarations, comments and CDATA mean different things to XML and to HTML
        return False
    try:
        root = ElementTree.fromstring(svg)
    except (ElementTree.ParseError, ValueError):
        return False
    if (
        root.tag != _NAMESPACE + "svg"
        or root.get("role") != "img"
        or not (root.get("aria-label") or "").strip()
    ):
        return False
    return all(_is_plain_element(element, element is root) for element in root.iter())


def _is_plain_element(element: ElementTree.Element, is_root: bool) -> bool:
    name = element.tag.removeprefix(_NAMESPACE) if isinstance(element.tag, str) else ""
    if name not in _SHAPES or (name == "svg" and not is_root):
        return False
    for key, value in element.attrib.items():
        plain = key.lower()
        if plain.startswith(("on", "{")) or plain in _FORBIDDEN or _SUSPECT.search(value):
            return False
        if plain == "style" and not (is_root and _OWN_STYLE.fullmatch(value)):
            return False
        if plain == "class" and not all(part.startswith("gs-") for part in value.split()):
            return False
    return True
