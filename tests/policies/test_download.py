"""Fetching a policy: resumed after a cut, refused when it is another file, and a plain word when there is no way."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from goalscope.commands import main as cli
from goalscope.policies import checkpoint, download

BODY = np.random.default_rng(0).bytes(300_000)
NAME = "maia-1100"


class Public(ThreadingHTTPServer):
    """Serves BODY, in a way that each test sets."""

    body = BODY
    cut: int | None = None
    ranges = True
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Public

    def do_GET(self) -> None:
        if self.path != "/weights/maia-1100.pb.gz":
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        body = self.server.body
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def public() -> Iterator[Public]:
    server = Public(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what is fetched, and the pinned sha256 of BODY."""
    monkeypatch.setenv("GOALSCOPE_HOME", str(tmp_path / "home"))
    source = download.SOURCES[NAME]
    pinned = download.Source(source.url, hashlib.sha256(BODY).hexdigest(), len(BODY), source.about)
    monkeypatch.setitem(download.SOURCES, NAME, pinned)
    return tmp_path / "home" / "policies"


def url(public: Public, path: str = "/weights/maia-1100.pb.gz") -> str:
    return f"http://127.0.0.1:{public.server_port}{path}"


def test_fetched_once_and_found_by_name(public: Public, home: Path):
    path = download.fetch(NAME, url(public))
    assert path == home / "maia-1100.pb.gz" == download.located(NAME)
    assert path.read_bytes() == BODY and list(home.iterdir()) == [path]
    assert download.fetch(NAME, url(public)) == path
    assert public.asked == [None], "what is there is not fetched again"


def test_goes_on_where_it_was_cut_off(public: Public, home: Path):
    public.cut = 100_000
    with pytest.raises(OSError, match=r"100000 of 300000 bytes.*(goes on|again)"):
        download.fetch(NAME, url(public))
    assert (home / "maia-1100.pb.gz.part").read_bytes() == BODY[:100_000]
    with pytest.raises(FileNotFoundError):
        download.located(NAME)
    public.cut = None
    assert download.fetch(NAME, url(public)).read_bytes() == BODY
    assert public.asked == [None, "bytes=100000-"]
    assert len(list(home.iterdir())) == 1


def test_begins_anew_where_the_server_knows_no_ranges(public: Public, home: Path):
    home.mkdir(parents=True)
    (home / "maia-1100.pb.gz.part").write_bytes(BODY[:50_000])
    public.ranges = False
    assert download.fetch(NAME, url(public)).read_bytes() == BODY
    assert public.asked == ["bytes=50000-"]


def test_a_whole_part_needs_no_network(home: Path):
    home.mkdir(parents=True)
    (home / "maia-1100.pb.gz.part").write_bytes(BODY)
    assert download.fetch(NAME, "http://127.0.0.1:1/").read_bytes() == BODY


@pytest.mark.parametrize("body", [BODY[:-1] + b"x", BODY + b"more", BODY * 9])
def test_another_file_is_refused_and_nothing_is_kept(public: Public, home: Path, body: bytes):
    public.body = body
    with pytest.raises(
        ValueError, match=r"sha256 [0-9a-f]{64}, maia-1100 has [0-9a-f]{64}; nothing was kept"
    ):
        download.fetch(NAME, url(public))
    assert list(home.iterdir()) == []


def test_a_damaged_part_is_thrown_away(public: Public, home: Path):
    home.mkdir(parents=True)
    (home / "maia-1100.pb.gz.part").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="nothing was kept"):
        download.fetch(NAME, url(public))
    assert download.fetch(NAME, url(public)).read_bytes() == BODY


def test_without_a_network_it_says_where_the_file_goes(home: Path):
    with pytest.raises(
        OSError, match=r"cannot fetch http://127\.0\.0\.1:1/x .*put the file of .* at .*policies"
    ):
        download.fetch(NAME, "http://127.0.0.1:1/x")
    with pytest.raises(
        FileNotFoundError, match=r"run `goalscope policies add maia-1100`; .* put https://raw"
    ):
        checkpoint.load(NAME)


def test_not_found(public: Public):
    with pytest.raises(OSError, match=r"answered 404 Not Found"):
        download.fetch(NAME, url(public, "/elsewhere"))


def test_only_the_web():
    with pytest.raises(ValueError, match="neither http nor https"):
        download.fetch(NAME, "file:///etc/hostname")


def test_a_file_that_was_put_there_by_hand_is_checked(home: Path):
    home.mkdir(parents=True)
    (home / "maia-1100.pb.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"maia-1100\.pb\.gz has the sha256 .*remove it and run"):
        checkpoint.load(NAME)


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("GOALSCOPE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert download.folder() == tmp_path / "cache" / "goalscope" / "policies"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.folder() == tmp_path / ".cache" / "goalscope" / "policies"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["goalscope", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        sys.exit(0)
    return stopped.value.code


def test_commands(
    public: Public, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pinned = download.SOURCES[NAME]
    here = download.Source(url(public), pinned.sha256, pinned.size, pinned.about)
    monkeypatch.setitem(download.SOURCES, NAME, here)
    assert not call(monkeypatch, "policies")
    assert "goalscope policies add maia-1100" in capsys.readouterr().out
    assert not call(monkeypatch, "policies", "add", NAME)
    assert capsys.readouterr().out.strip() == str(home / "maia-1100.pb.gz")
    assert not call(monkeypatch, "policies")
    listed = capsys.readouterr().out
    assert "goalscope policies add maia-1100" not in listed and "goalscope policies add maia-1900" in listed
    assert call(monkeypatch, "policies", "add", "maia-110") == 2
    assert "did you mean maia-1100" in capsys.readouterr().err
