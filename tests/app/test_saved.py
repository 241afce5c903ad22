"""A maze saved as one file: all that the page shows, whole without network or script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from goalscope.app.desk import Desk
from goalscope.app.saved import saved_answer
from goalscope.worlds.maze import Maze

WORLD = Maze(13, cheese_region=None)
TEXT = WORLD.text(WORLD.generate([1]))[0]


def test_the_file_holds_pictures_numbers_text_and_lines(asking):
    asked = {"text": TEXT, "beside": "edit:cheese", "dose": -1}
    found, html = asking.ask("/api/maze", **asked), asking.ask("/api/save", **asked)["html"]
    for panel in found["panels"]:
        assert panel["svg"] in html and f"= {panel['reach_start']:.6g}, exact" in html
    assert found["difference"]["svg"] in html and TEXT in html and "import goalscope" in html
    for row in found["effect"]["rows"]:
        assert f"<th scope='row'>{row['name']}</th><td>{row['estimate']:.1%}</td>" in html
    bare = html.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in html and "http" not in bare and "src=" not in bare


def test_markup_in_a_name_stays_text(asking):
    name = "<script>alert(1)</script>"
    html = saved_answer(Desk(replace(asking.desk.given, name=name), name), {"text": TEXT, "policy": name})[
        "html"
    ]
    assert "<script" not in html and "&lt;script&gt;" in html


def test_the_saved_file_opens_from_disk_with_the_network_off(served, chromium, tmp_path: Path):
    window = chromium.new_context(viewport={"width": 320, "height": 800}, accept_downloads=True)
    window.set_default_timeout(60_000)
    tab = window.new_page()
    tab.goto(served.link + "#maze?beside=mouse-corner&maze=" + TEXT.replace("#", "x").replace("\n", "-"))
    tab.wait_for_function(
        "() => !document.body.dataset.busy && document.querySelectorAll('.board').length === 2"
    )
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save as one file").click()
    download.value.save_as(tmp_path / "maze.html")
    window.set_offline(True)
    tab.goto((tmp_path / "maze.html").as_uri())
    assert tab.locator("figure svg").count() == 4 and TEXT in tab.locator("pre").first.inner_text()
    assert "mouse-corner" in tab.title()
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    window.close()
