"""Runs the examples of the pages while the site is built: what they print and draw stands below them.

A page's `python` blocks share one namespace, top to bottom. What a block prints is put under it; where it sets `picture`
(SVG text, or a result with `_repr_svg_`) that is drawn too. An example that fails stops the build.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from base64 import b64encode
from typing import Any

_BLOCK = re.compile(r"```python\n(.*?)```\n", re.DOTALL)
_MOST = 40
"""lines of output that are shown"""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with the output of its examples; called by mkdocs for every page."""
    namespace: dict[str, Any] = {"__name__": "example"}
    name = page.file.src_uri

    def shown(block: re.Match[str]) -> str:
        namespace.pop("picture", None)
        printed = io.StringIO()
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.chdir(folder),
                contextlib.redirect_stdout(printed),
            ):
                exec(compile(block[1], name, "exec"), namespace)
        except Exception as error:
            raise RuntimeError(f"an example of {name} fails: {error}") from error
        return block[0] + _output(printed.getvalue()) + _drawn(namespace.get("picture"))

    return _BLOCK.sub(shown, markdown) if name.startswith("methods/") else markdown


def _output(text: str) -> str:
    lines = text.rstrip().splitlines()
    lines = [*lines[:_MOST], f"... {len(lines) - _MOST} more lines"] if len(lines) > _MOST else lines
    return '\n```text title="prints"\n' + "\n".join(lines) + "\n```\n" if lines else ""


def _drawn(picture: Any) -> str:
    if picture is None:
        return ""
    svg = picture if isinstance(picture, str) else picture._repr_svg_()
    # As an image, so that no style of a drawing reaches the page.
    data = b64encode(svg.encode()).decode()
    return f'\n<img class="drawn" alt="drawn by the example" src="data:image/svg+xml;base64,{data}">\n\n'
