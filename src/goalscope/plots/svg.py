"""The few pieces of SVG text that boards and charts share: documents, text with known widths, legends.

Everything is a plain string. The same input gives the same bytes: no ids, no clock, no random names, so that
any number of drawings can stand in one HTML page. Colours are plain attributes and show anywhere; beside them
stand the classes `gs-paper`, `gs-ink`, `gs-muted`, `gs-grid`, by which a page may recolour the ground and the
lettering (for a dark page) but not the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from goalscope.plots.palette import GRID, INK, MUTED, PAPER

FONT = (
    "'Helvetica Neue',Helvetica,Arial,'Liberation Sans',Roboto,sans-serif"  # faces of about the same widths
)
TITLE_SIZE = 15.0
TEXT_SIZE = 12.5
SMALL_SIZE = 11.0
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[]{}-/ ·"), set("mwMW@%—")


def clean(value: object) -> str:
    """`value` as text that XML can hold: markup escaped, control characters replaced by spaces."""
    return escape(_printable(value))


def attribute(value: object) -> str:
    """`value` as a quoted XML attribute."""
    return quoteattr(_printable(value))


def _printable(value: object) -> str:
    lone = ("\ud800", "\udfff")
    return "".join(
        " " if c < " " or lone[0] <= c <= lone[1] or c in "\ufffe\uffff" else c for c in str(value)
    )


def num(value: float) -> str:
    """A coordinate with at most two decimals and no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Approximate width of `text` in user units, on the wide side for the usual sans-serif faces."""
    ems = 0.0
    for character in text:
        if character in _NARROW:
            ems += 0.34
        elif character in _WIDE:
            ems += 0.9
        elif character.isupper():
            ems += 0.7
        else:
            ems += 0.575 if character.isascii() else 0.64
    return ems * size * (1.07 if bold else 1.0)


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Breaks `text` into lines no wider than `width`; words too long for a line are cut."""
    lines: list[str] = []
    line = ""
    for word in str(text).split():
        while text_width(word, size, bold) > width and len(word) > 1:
            cut = max(1, int(len(word) * width / text_width(word, size, bold)) - 1)
            lines.extend([line] if line else [])
            line, piece, word = "", word[:cut], word[cut:]
            lines.append(piece)
        joined = f"{line} {word}".strip()
        if line and text_width(joined, size, bold) > width:
            lines.append(line)
            line = word
        else:
            line = joined
    return [*lines, line] if line else lines


def label(
    x: float,
    y: float,
    text: object,
    *,
    size: float = TEXT_SIZE,
    anchor: str = "start",
    bold: bool = False,
    muted: bool = False,
    fill: str | None = None,
) -> str:
    """One line of text with its baseline at `y`; `fill` fixes a colour that no page may change."""
    tone = "gs-muted" if muted else "gs-ink"
    colour = f'fill="{fill}"' if fill else f'class="{tone}" fill="{MUTED if muted else INK}"'
    side = "" if anchor == "start" else f' text-anchor="{anchor}"'
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{num(x)}" y="{num(y)}" font-size="{num(size)}"'
    return f"<text {place}{side}{weight} {colour}>{clean(text)}</text>"


def rect(
    x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0.0, inside: str = ""
) -> str:
    """A filled box; `inside` is markup that it holds, such as a `<title>` shown under the pointer."""
    size = f'x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"'
    rounded = f' rx="{num(radius)}"' if radius else ""
    return f'<rect {size}{rounded} fill="{fill}"' + (f">{inside}</rect>" if inside else "/>")


def grid_line(x1: float, y1: float, x2: float, y2: float, *, strong: bool = False) -> str:
    """A hair line of the ground: the grid, or an axis where `strong`."""
    tone = f'class="gs-muted-line" stroke="{MUTED}"' if strong else f'class="gs-grid" stroke="{GRID}"'
    return f'<path d="M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}" fill="none" stroke-width="1" {tone}/>'


def heading(title: str, width: float, x: float = 0.0) -> tuple[list[str], float]:
    """The visible title, wrapped to `width`; returns its elements and the y where it ends."""
    lines = wrap(title, width, TITLE_SIZE, bold=True)
    body = [label(x, 17 + 19 * i, line, size=TITLE_SIZE, bold=True) for i, line in enumerate(lines)]
    return body, 19.0 * len(lines) + (9 if lines else 0)


@dataclass(frozen=True)
class Key:
    """One entry of a legend.

    Attributes:
        text: what it says.
        mark: SVG elements drawn in a box 26 wide and 16 high whose top left is the origin.
    """

    text: str
    mark: str


def legend(keys: Sequence[Key], x: float, y: float, width: float) -> tuple[list[str], float]:
    """Sets entries in lines no wider than `width` from (`x`, `y`); returns elements and the y below."""
    body: list[str] = []
    left, line_height = x, 21.0
    for key in keys:
        lines = wrap(key.text, width - 34, TEXT_SIZE) or [""]
        needed = 33 + max(text_width(line, TEXT_SIZE) for line in lines)
        if left > x and left + needed > x + width:
            left, y, line_height = x, y + line_height, 21.0
        body.append(f'<g transform="translate({num(left)} {num(y)})">{key.mark}</g>')
        for i, line in enumerate(lines):
            body.append(label(left + 32, y + 12.5 + 15 * i, line))
        line_height = max(line_height, 15.0 * len(lines) + 6)
        left += needed + 14
    return body, y + (line_height if keys else 0.0)


def document(width: float, height: float, body: Sequence[str], *, title: str, description: str) -> str:
    """Wraps elements into a whole SVG that fills its container up to 1.35 times its own size.

    Args:
        width, height: size of the drawing in user units.
        body: elements, drawn on white paper in their order.
        title: short text alternative, also the tooltip of the whole drawing.
        description: what the drawing shows, in words.

    Returns:
        SVG text. It holds `<title>`, `<desc>`, `role="img"` and `aria-label`, and neither script nor id.

    Raises:
        ValueError: if `title` or `description` is empty: a drawing without words is lost to some readers.
    """
    for name, value in (("title", title), ("description", description)):
        if not value.strip():
            raise ValueError(
                f"a figure needs a text alternative, but `{name}` is empty: say in words what it shows"
            )
    box = f"{num(width)} {num(height)}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {box}" width="100%" role="img" '
        f"aria-label={attribute(title + '. ' + description)} font-family={attribute(FONT)} "
        f'style="max-width:{num(1.35 * width)}px;height:auto">'
    )
    words = f"<title>{clean(title)}</title><desc>{clean(description)}</desc>"
    paper = f'<rect class="gs-paper" width="{num(width)}" height="{num(height)}" fill="{PAPER}"/>'
    return "\n".join([head, words, paper, *body, "</svg>"]) + "\n"
