"""The pages' templates, the report's script and the one style that all of them wear, read from the files beside this one."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

_ROOM = files("goalscope.report")
_BRACKETS = re.compile(r"\[[^\[\]]*\]")


def template(name: str, **filters: object) -> Template:
    """The template `NAME.html.j2`; whatever it is given is escaped, and a name that it is not given is an error.

    Args:
        name: of the page.
        filters: functions by the names that the template calls them, beside `quiet`.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"quiet": quiet, **filters}
    return environment.from_string((_ROOM / f"{name}.html.j2").read_text(encoding="utf-8"))


def script() -> tuple[Markup, str]:
    """The report's script, `report.js`, as it stands in its `<script>`, and what a policy of content calls it.

    Nothing else may run in a page: its policy names this text by its hash.
    """
    text = (_ROOM / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Markup(text), f"'sha256-{digest}'"


def quiet(text: str) -> Markup:
    """A sentence whose brackets, which hold intervals and controls, stand back."""
    return Markup(_BRACKETS.sub(r'<span class="interval">\g<0></span>', str(escape(text))))


def style() -> Markup:
    """The style of every page, `style.css`, as it stands in its `<style>`."""
    return Markup((_ROOM / "style.css").read_text(encoding="utf-8"))
