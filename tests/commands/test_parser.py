"""The command line made of functions: what words become, help at any width, errors of one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

from goalscope.commands.parser import App, Argument, Option, run

LONG = "Which of the things that it could want does it want, and would it still want them if the others were not there?"


@pytest.fixture
def asked() -> dict[str, Any]:
    return {}


@pytest.fixture
def app(asked: dict[str, Any]) -> App:
    made, inner = App("All of it."), App("Some of it.", alone=lambda: asked.update(alone=True))

    def study(
        what: Annotated[str, Argument("A file.")],
        count: Annotated[int, Option("How many, 100% of them.")] = 5,
        place: Annotated[Path | None, Option("Where.")] = None,
        each: Annotated[list[str] | None, Option("May be given again.", "--one")] = None,
        quick: Annotated[bool, Option("Fewer.")] = False,
    ) -> None:
        asked.update(what=what, count=count, place=place, each=each, quick=quick)

    study.__doc__ = LONG
    inner.command("study")(study)
    made.commands["inner"] = inner
    return made


def test_words_become_what_the_function_takes(app: App, asked: dict[str, Any]) -> None:
    run(
        app,
        ["inner", "study", "a b", "--count=-7", "--place", "x/y", "--one", "1", "--one", "2", "--quick"],
        "gs",
        "1",
    )
    assert asked == {"what": "a b", "count": -7, "place": Path("x/y"), "each": ["1", "2"], "quick": True}
    run(app, ["inner", "study", "c"], "gs", "1")
    assert asked == {"what": "c", "count": 5, "place": None, "each": None, "quick": False}
    run(app, ["inner"], "gs", "1")
    assert asked["alone"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_is_whole_at_any_width(
    columns: int, app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (["--help"], ["inner", "--help"], ["inner", "study", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            run(app, words, "gs", "1")
        assert not stopped.value.code
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns and "\x1b" not in out
    plain = "".join(out.split())
    assert plain.count("".join(LONG.split())) == 2  # in the list of commands, and above its own options
    assert "Howmany,100%ofthem.[default:5]" in plain and "usage:gsinnerstudy[options]WHAT" in plain


def test_a_group_alone_says_what_it_has(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(app, [], "gs", "1")
    assert stopped.value.code == 2 and "Some of it." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inner", "study", "x", "--cuont", "5"], "no option --cuont; did you mean --count?"),
        (["inner", "study", "x", "--on=5"], "no option --on=5; did you mean --one?"),
        (["inner", "study", "x", "--coun", "5"], "no option --coun; did you mean --count?"),
        (["inner", "study", "x", "y"], "no option y"),
        (["inner", "study"], "required: WHAT"),
        (["inner", "study", "x", "--count", "few"], "--count: invalid int value: 'few'"),
        (["iner"], "invalid choice: 'iner' (choose from 'inner')"),
        (["--verson"], "no option --verson"),
    ],
)
def test_an_error_is_one_line(words: list[str], said: str, app: App, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        run(app, words, "gs", "1")
    assert said in str(caught.value) and "--help says what there is" in str(caught.value)
    assert "\n" not in str(caught.value) and not asked
