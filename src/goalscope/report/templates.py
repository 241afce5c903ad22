"""The pages' templates and the one style that all of them wear, read from the files beside this one."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

_ROOM = files("goalscope.report")


def template(name: str, **filters: object) -> Template:
    """The template `NAME.html.j2`; whatever it is given is escaped, and a name that it is not given is an error.

    Args:
        name: of the page.
        filters: functions by the names that the template calls them.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= filters
    return environment.from_string((_ROOM / f"{name}.html.j2").read_text(encoding="utf-8"))


def style() -> Markup:
    """The style of every page, `style.css`, as it stands in its `<style>`."""
    return Markup((_ROOM / "style.css").read_text(encoding="utf-8"))
