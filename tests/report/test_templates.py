"""The pages' templates: one style for all of them, and nothing goes into a page unescaped or unsaid."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from jinja2 import UndefinedError

from goalscope.report.templates import style, template

PAGES = ("report", "argument", "scoreboard")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_wears_the_one_style_and_repeats_no_rule_of_it(name: str):
    source = (files("goalscope.report") / f"{name}.html.j2").read_text(encoding="utf-8")
    worn = source.split("<style>")[1].split("</style>")[0]
    assert worn.startswith("\n{{ style }}")
    common = set(re.findall(r"^(\S[^{\n]*) \{", str(style()), re.MULTILINE))
    own = set(re.findall(r"^(\S[^{\n]*) \{", worn, re.MULTILINE))
    assert {"main", "table", "summary"} <= common and not own & common


def test_the_style_can_stand_in_a_page():
    assert str(style()).startswith(":root {") and "<" not in style()


def test_a_page_without_what_it_shows_is_an_error():
    with pytest.raises(UndefinedError):
        template("report").render(style=style())
