"""`goalscope app`: what it refuses, and that it serves on the loopback address with the link that it prints."""

from __future__ import annotations

import queue
import socket
import sys
import threading
import urllib.error
import urllib.request

import pytest

from goalscope.app import server
from goalscope.commands.main import main


def test_a_mistake_is_one_line_before_anything_is_served(capsys):
    for words, said in [
        (["--port", "70000"], "--port is 0 to 65535"),
        (["--policy", "mouse-toprigth"], "did you mean mouse-topright"),
    ]:
        with pytest.raises(SystemExit) as stop:
            main(["app", "--no-browser", *words])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and said in error and error.count("\n") == 1


def test_where_the_extra_is_missing_the_command_that_installs_it_is_said(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("goalscope.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["app", "--no-browser"])
    assert "pip install 'goalscope[app]'" in capsys.readouterr().err


def test_the_command_serves_the_named_policy(capsys, monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(server, "serve", lambda desk, *rest: served.append((desk, rest)) or rest[-1]("LINK"))
    main(
        ["app", "--policy", "mouse-topright@39062", "--runs", str(tmp_path), "--port", "8421", "--no-browser"]
    )
    (desk, (port, browser, _)) = served[0]
    assert (desk.name, desk.runs, port, browser) == ("mouse-topright@39062", tmp_path, 8421, False)
    assert (
        desk.policy("mouse-topright@39062") is desk.given and desk.policies()[0]["name"] == "mouse-topright"
    )
    assert capsys.readouterr().out == "LINK\n"


def test_the_printed_link_opens_the_page_and_nothing_else_is_reachable(asking):
    links: queue.Queue[str] = queue.Queue()
    threading.Thread(target=server.serve, args=(asking.desk, 0, False, links.put), daemon=True).start()
    link = links.get(timeout=60)
    assert link.startswith("http://127.0.0.1:") and "?token=" in link
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = opener.open(link, timeout=60)
    assert "token" not in page.url and b"page.js" in page.read()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(link.split("?")[0], timeout=60)
    port = int(link.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match=f"port {port} cannot be served"):
        server.serve(asking.desk, port, False)
    with pytest.raises(OSError), socket.create_connection((socket.gethostname(), port), timeout=2) as other:
        if other.getpeername()[0].startswith("127."):
            raise OSError("this machine's name is the loopback address here")
