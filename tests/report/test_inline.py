"""Only our own plain dialect of SVG stands inline; everything else is sealed into an image."""

from __future__ import annotations

import base64

import pytest

from goalscope.plots import forest
from goalscope.report.inline import figure_markup, is_plain

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="words"'


def test_our_drawings_are_plain() -> None:
    svg = forest(["a & <b>"], [1], [0], [2], title="t")
    assert is_plain(svg) and figure_markup(svg, "alt") == svg.strip()
    assert is_plain(f"{HEAD}><title>a</title><g><path d='M0 0' class='gs-ink'/></g></svg>")


@pytest.mark.parametrize(
    "svg",
    [
        f"{HEAD}><script>alert(1)</script></svg>",
        f"{HEAD}><foreignObject/></svg>",
        f"{HEAD}><style>body{{display:none}}</style></svg>",
        f'{HEAD}><path onclick="alert(1)"/></svg>',
        f'{HEAD} onload="alert(1)"></svg>',
        f'{HEAD}><path id="s1"/></svg>',
        f'{HEAD}><path fill="url(https://example.org/x)"/></svg>',
        f'{HEAD}><path style="position:fixed"/></svg>',
        f'{HEAD} style="position:fixed;inset:0"></svg>',
        f'{HEAD}><path class="badge"/></svg>',
        f'{HEAD} xmlns:xlink="http://www.w3.org/1999/xlink"><g xlink:href="javascript:alert(1)"/></svg>',
        f'{HEAD}><a href="javascript:alert(1)"/></svg>',
        f"{HEAD}><image href='x'/></svg>",
        f"{HEAD}><title><![CDATA[><script>alert(1)</script>]]></title></svg>",
        f"<!DOCTYPE svg [<!ENTITY x 'y'>]>{HEAD}>&x;</svg>",
        f"<?xml version='1.0'?>{HEAD}></svg>",
        f"{HEAD}><svg/></svg>",
        f"{HEAD}><g>",
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        '<svg role="img" aria-label="words"></svg>',
        "<p>no drawing</p>",
        "",
    ],
)
def test_others_are_sealed(svg: str) -> None:
    assert not is_plain(svg)
    markup = figure_markup(svg, 'a "word"')
    assert markup.startswith('<img src="data:image/svg+xml;base64,') and markup.endswith(
        'alt="a &quot;word&quot;">'
    )
    assert base64.b64decode(markup.split(",")[1].split('"')[0]).decode() == svg
