"""Policies that are fetched instead of packaged: where from, with which sha256, and where they are kept.

They are kept in the folder `policies` of GOALSCOPE_HOME if that is set, else of the user's cache folder
(`files.cache_folder`). Nothing is fetched unless `goalscope policies add NAME` (`fetch`) asks for it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from goalscope.files import cache_folder

CHUNK = 1 << 16


@dataclass(frozen=True)
class Source:
    """A file in public."""

    url: str
    sha256: str
    """64 hexadecimal digits, of the whole file"""
    size: int
    """bytes"""
    about: str
    """what it is, and its licence"""


def _maia(rating: int, size: int, sha256: str) -> Source:
    folder = "https://raw.githubusercontent.com/CSSLab/maia-chess/master/maia_weights"
    about = f"chess: plays as people rated {rating} on Lichess do (McIlroy-Young et al. 2020); GPL-3.0"
    return Source(f"{folder}/maia-{rating}.pb.gz", sha256, size, about)


SOURCES = {
    "maia-1100": _maia(1100, 1313193, "e1cf1cd0c96b8a4fa6a275f4b9fd54ed1ffebf9fe44641b9fceded310e9619c4"),
    "maia-1500": _maia(1500, 1258199, "35ab6f20421d59e1df3b17c5a5016947af4c6761368ef84044a9a9c7619a9a00"),
    "maia-1900": _maia(1900, 1262607, "e2f565f42d7cd9f122557e6dc4eb84e5bbaedceda1d404dc485d3611c7c97a12"),
}


def folder() -> Path:
    """Where fetched policies are kept; it may not exist yet."""
    home = os.environ.get("GOALSCOPE_HOME")
    if home:
        return Path(home).expanduser() / "policies"
    return cache_folder() / "policies"


def place(name: str) -> Path:
    """The path that a fetched policy has, whether it is there or not.

    Raises:
        KeyError: no policy of this name can be fetched.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, 3, 0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise KeyError(
            f"no policy called {name!r} can be fetched{hint}; those that can: {', '.join(SOURCES)}"
        )
    return folder() / SOURCES[name].url.rsplit("/", 1)[1]


def located(name: str) -> Path:
    """The path of a policy that was fetched, its content checked.

    Raises:
        KeyError: no policy of this name can be fetched.
        FileNotFoundError: it was not fetched; the message says how to get it.
        ValueError: what lies there is another file.
    """
    path, source = place(name), SOURCES[name]
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} is not on this machine: run `goalscope policies add {name}`; without a network put "
            f"{source.url} at {path}"
        )
    found = _sha256(path)
    if found != source.sha256:
        raise ValueError(
            f"{path} has the sha256 {found}, {name} has {source.sha256}: remove it and run "
            f"`goalscope policies add {name}`"
        )
    return path


def fetch(
    name: str,
    url: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
    timeout: float = 30,
) -> Path:
    """Fetches a policy, going on where an earlier fetch was cut off; nobody ever sees half a file.

    Args:
        name: one of `SOURCES`.
        url: another place to fetch the same file from, http or https.
        progress: called with a line to show.
        timeout: seconds without an answer after which the fetch is given up.

    Returns:
        The path of the file, whose sha256 is the pinned one.

    Raises:
        KeyError: no policy of this name can be fetched.
        ValueError: what came is another file; nothing of it is kept.
        OSError: no connection, or it broke (what came is kept, and the same call goes on from there), or the
            folder cannot be written.
    """
    path, source = place(name), SOURCES[name]
    if path.is_file() and _sha256(path) == source.sha256:
        progress(f"{name} is there already: {path}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if part.exists() and part.stat().st_size > source.size:
        part.unlink()
    if not part.exists() or part.stat().st_size < source.size:
        _receive(url or source.url, part, source.size, path, progress, timeout)
    found = _sha256(part)
    if found != source.sha256:
        part.unlink()
        raise ValueError(
            f"{url or source.url} gave a file with the sha256 {found}, {name} has {source.sha256}; nothing was kept: "
            "the source has changed or the transfer was damaged"
        )
    os.replace(part, path)
    progress(f"{name}: {path}")
    return path


def _receive(
    url: str, part: Path, size: int, path: Path, progress: Callable[[str], None], timeout: float
) -> None:
    """Appends to `part` what it lacks of `size` bytes."""
    import http.client
    import urllib.error
    import urllib.request

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    if request.type not in ("http", "https"):
        raise ValueError(f"{url} is neither http nor https")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            goes_on = answer.status == 206 and _starts_at(answer.headers.get("Content-Range"), have)
            have = have if goes_on else 0
            progress(f"{url}: {size - have} bytes{f' after the {have} that are here' if have else ''}")
            with part.open("ab" if goes_on else "wb") as file:
                while have <= size and (chunk := answer.read(CHUNK)):
                    file.write(chunk)
                    have += len(chunk)
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answered {error.code} {error.reason}; {_by_hand(url, path)}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        kept = f"; {part.stat().st_size} of {size} bytes are kept" if part.exists() else ""
        raise OSError(f"cannot fetch {url} ({reason}){kept}; {_by_hand(url, path)}") from error
    if have < size:
        raise OSError(f"{url} broke off after {have} of {size} bytes; the same command goes on from there")


def _starts_at(content_range: str | None, start: int) -> bool:
    """Whether 'bytes START-END/SIZE' begins where it was asked to."""
    return (content_range or "").replace("bytes", "").strip().startswith(f"{start}-")


def _by_hand(url: str, path: Path) -> str:
    return f"run the command again, or put the file of {url} at {path}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
