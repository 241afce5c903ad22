"""A drawing with its words, and how drawings are laid into a run folder for the report to find."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import unescape

from goalscope.files import write_whole
from goalscope.plots.svg import clean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Figure:
    """One drawing that shows itself in a notebook.

    Attributes:
        svg: the whole drawing as static SVG text.
        title: a few words.
        caption: what the reader should see in it, one or two sentences; may be empty.
        alt: the text alternative, for readers who cannot see it.
    """

    svg: str
    title: str
    caption: str
    alt: str

    @classmethod
    def of(cls, svg: str, caption: str = "") -> Figure:
        """The figure of a drawing of this package, with the title and the description that it carries.

        Raises:
            ValueError: if the drawing has no `<title>` or no `<desc>`.
        """
        found = [re.search(rf"<{name}>(.*?)</{name}>", svg, re.DOTALL) for name in ("title", "desc")]
        if found[0] is None or found[1] is None:
            raise ValueError(
                "the drawing has no <title> or no <desc>: give Figure its title and alt yourself"
            )
        return cls(svg, unescape(found[0][1]), caption, unescape(found[1][1]))

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{clean(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure style="margin:0">{self.svg}{caption}</figure>'


def write_figures(
    run_folder: str | os.PathLike[str],
    figures: Sequence[tuple[str, str, Figure]],
    shown: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Writes figures and their index into a run folder.

    Args:
        run_folder: an existing folder; its `figures/` is made where it is missing.
        figures: (name, section, figure) in the order of the report; the file is `figures/NAME.svg`, `section`
            is the key of the section that shows it ("headline" stands right under the headline).
        shown: figure name -> ids of the findings that it draws, or patterns of them (`reach.size.*`); names of
            figures that this run has not are left out.

    Returns:
        The path of `figures/index.json`: a list of {file, title, caption, alt, section, findings}.

    Raises:
        FileNotFoundError: if `run_folder` is no folder.
        ValueError: if a name is not a plain file name, or appears twice.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: make the run folder before writing its figures")
    names = [name for name, _, _ in figures]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"figure name {name!r} is not a plain file name: use letters, digits, '.', '_' and '-'"
            )
        if names.count(name) > 1:
            raise ValueError(f"two figures are named {name!r}: every figure of a run needs its own name")
    target = folder / "figures"
    target.mkdir(exist_ok=True)
    index = []
    for name, section, figure in figures:
        write_whole(target / f"{name}.svg", figure.svg)
        words = {"title": figure.title, "caption": figure.caption, "alt": figure.alt}
        findings = list((shown or {}).get(name, ()))
        index.append({"file": f"{name}.svg", **words, "section": section, "findings": findings})
    return write_whole(target / "index.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
