"""Fetching a policy: resumed after a cut, refused when it is another file, and a plain word when there is no way."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from goalscope.commands import main as cli
from goalscope.policies import checkpoint, download

BODY = np.random.default_rng(0).bytes(300_000)
SMALL = b'{"net": 1}'
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
        if self.path not in ("/weights/maia-1100.pb.gz", "/weights/cfg.json"):
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        body = self.server.body if self.path.endswith("gz") else SMALL
        if start >= len(body):
            self.send_error(416)
            return
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


def repinned(monkeypatch: pytest.MonkeyPatch, **other: object) -> None:
    """The same file, of which something else is known."""
    pinned = {"sha256": None, "size": None, **other}
    monkeypatch.setitem(download.SOURCES, NAME, replace(download.SOURCES[NAME], **pinned))  # type: ignore[arg-type]


def test_where_only_gits_name_of_a_file_is_known_that_is_checked(
    public: Public, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "body").write_bytes(BODY)
    blob = subprocess.run(
        ["git", "hash-object", tmp_path / "body"], capture_output=True, text=True, check=True
    )
    repinned(monkeypatch, git_blob=blob.stdout.strip())
    path = download.fetch(NAME, url(public))
    assert path.read_bytes() == BODY and download.located(NAME) == path
    path.write_bytes(BODY[:-1])
    with pytest.raises(
        ValueError, match=r"has the git blob [0-9a-f]{40}, maia-1100 has [0-9a-f]{40}: remove it"
    ):
        download.located(NAME)
    public.body = BODY + b"more"
    with pytest.raises(ValueError, match=r"git blob .*; nothing was kept"):
        download.fetch(NAME, url(public))


def test_of_a_file_without_any_hash_it_says_the_one_that_came_and_what_lies_beside_it_comes_too(
    public: Public, home: Path, monkeypatch: pytest.MonkeyPatch
):
    repinned(monkeypatch, beside=("https://nowhere.invalid/weights/cfg.json",))
    with pytest.raises(FileNotFoundError, match=r"policies add maia-1100`; without a network put https"):
        download.located(NAME)
    public.cut = 100_000
    with pytest.raises(OSError, match="broke off after 100000 of 300000"):
        download.fetch(NAME, url(public))
    public.cut = None
    said: list[str] = []
    path = download.fetch(NAME, url(public), said.append)
    assert path == home / NAME / "maia-1100.pb.gz" and path.read_bytes() == BODY
    assert path.with_name("cfg.json").read_bytes() == SMALL and download.located(NAME) == path
    assert public.asked == [None, "bytes=100000-", None]
    assert any(hashlib.sha256(BODY).hexdigest() in line and "no hash" in line for line in said)
    assert any("GPL-3.0" in line for line in said), "the licence is said"
    path.with_name("cfg.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"put https://nowhere\.invalid/weights/cfg\.json at .*cfg\.json"
    ):
        download.located(NAME)


def test_a_whole_part_of_unknown_size_is_found_whole(
    public: Public, home: Path, monkeypatch: pytest.MonkeyPatch
):
    repinned(monkeypatch)
    home.mkdir(parents=True)
    (home / "maia-1100.pb.gz.part").write_bytes(BODY)
    assert download.fetch(NAME, url(public)).read_bytes() == BODY


def test_every_source_says_its_licence_and_how_it_is_known():
    for name, source in download.SOURCES.items():
        assert "; " in source.about, name
        known = [source.sha256 and len(source.sha256) == 64, source.git_blob and len(source.git_blob) == 40]
        assert sum(map(bool, known)) == 1 or name.startswith(("learned-planner", "maia3")), name
        assert source.url.startswith("https://")
    assert len({download.place(name) for name in download.SOURCES}) == len(download.SOURCES)


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
