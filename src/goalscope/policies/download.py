"""Policies that are fetched instead of packaged: where from, with which hash, and where they are kept.

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
    """A file in public, or a few that belong together."""

    url: str
    sha256: str | None
    """64 hexadecimal digits, of the whole file; None where nobody published it"""
    size: int | None
    """bytes; None where it is not known"""
    about: str
    """what it is, and its licence"""
    git_blob: str | None = None
    """where only that is known: the name that git has for the file, the sha1 of its size and content"""
    beside: tuple[str, ...] = ()
    """URLs of small files that are nothing without it, nor it without them; they lie in one folder"""

    def named(self, url: str) -> str:
        """The last part of a URL: what the file is called here."""
        return url.rsplit("/", 1)[1]


def _maia(rating: int, size: int, sha256: str) -> Source:
    folder = "https://raw.githubusercontent.com/CSSLab/maia-chess/master/maia_weights"
    about = f"chess: plays as people rated {rating} on Lichess do (McIlroy-Young et al. 2020); GPL-3.0"
    return Source(f"{folder}/maia-{rating}.pb.gz", sha256, size, about)


def _lc0(path: str, size: int, sha256: str, about: str) -> Source:
    about = f"chess: {about} of Leela Chess Zero; no licence is stated beside it"
    return Source(f"https://storage.lczero.org/files/{path}", sha256, size, about)


def _learned_planner(path: str, about: str) -> Source:
    commit = "9118e6e31b92ca72ae6922a33cdc6dfc895db123"
    url = f"https://huggingface.co/AlignmentResearch/learned-planner/resolve/{commit}/{path}/cp_2002944000"
    about = f"Sokoban: the published {about} (Taufeeque et al. 2024); Apache-2.0"
    return Source(f"{url}/model", None, None, about, beside=(f"{url}/cfg.json",))


def _emergent(name: str, git_blob: str, about: str) -> Source:
    folder = "https://raw.githubusercontent.com/tuphs28/emergent-planning/main/checkpoints/sokoban"
    about = f"Sokoban: {about} (Bush et al. 2025); MIT"
    return Source(f"{folder}/ckp_actor_realstep{name}.tar", None, None, about, git_blob)


def _maia3(size: str) -> Source:
    name = f"ablate-{size}" if size == "3M" else size
    url = f"https://huggingface.co/UofTCSSLab/Maia3-{name}/resolve/main/maia3-{size.lower()}.pt"
    return Source(
        url, None, None, f"chess: Maia-3 of {size} parameters, plays as people of a rating; licence not seen"
    )


SOURCES = {
    "maia-1100": _maia(1100, 1313193, "e1cf1cd0c96b8a4fa6a275f4b9fd54ed1ffebf9fe44641b9fceded310e9619c4"),
    "maia-1500": _maia(1500, 1258199, "35ab6f20421d59e1df3b17c5a5016947af4c6761368ef84044a9a9c7619a9a00"),
    "maia-1900": _maia(1900, 1262607, "e2f565f42d7cd9f122557e6dc4eb84e5bbaedceda1d404dc485d3611c7c97a12"),
    "maia3-3m": _maia3("3M"), "maia3-5m": _maia3("5M"), "maia3-23m": _maia3("23M"), "maia3-79m": _maia3("79M"),
    "lc0-t82": _lc0(
        "768x15x24h-t82-swa-7464000.pb.gz", 170339855,
        "98c8e077647092b7645c683bc60ca0c888b4904d9981a63a70ac47b0c4501b88", "attention network T82, 768 wide",
    ),
    "lc0-bt4": _lc0(
        "networks-contrib/big-transformers/BT4-1024x15x32h-swa-6147500.pb.gz", 335897546,
        "66e6c1b5308c34230801dc171df580d7a66ec916dc2211246a485ef8e545c67e", "attention network BT4, 1024 wide",
    ),
    "lc0-bt4-policytune": _lc0(
        "networks-contrib/BT4-1024x15x32h-swa-6147500-policytune-332.pb.gz", 382645315,
        "e6ada9d6c4a769bfab3aa0848d82caeb809aa45f83e6c605fc58a31d21bdd618", "BT4 with its policy tuned further",
    ),
    "learned-planner-drc33": _learned_planner("drc33/bkynosqi", "DRC(3, 3)"),
    "learned-planner-drc11": _learned_planner("drc11/eue6pax7", "DRC(1, 1)"),
    "learned-planner-resnet": _learned_planner("resnet/syb50iz7", "residual network"),
    "emergent-planning-drc33": _emergent("250m", "b0f80b0b5f005a5d33e53aece03f3be1329dc1f9", "DRC(3, 3), 250M steps"),
    "emergent-planning-drc33-100m": _emergent("100m", "5ef6beb646bc400175ff4e42b27e8dd1a595e717", "the same at 100M steps"),
    "emergent-planning-drc33-50m": _emergent("50m", "d0a03693563b96a1e4a25919f384edc1615187bc", "the same at 50M steps"),
    "emergent-planning-drc33-10m": _emergent("10m", "7c01dafd35380db4cad369080c342cff15f2684a", "the same at 10M steps"),
    "emergent-planning-drc33-1m": _emergent("1m", "cde92910a710989cb37cf932f3e79db9e3cbd366", "the same at 1M steps"),
    "emergent-planning-drc19": _emergent("100m_d1t9", "4ce4cf5cf3fcde788c397b984aa81c36b1340c6a", "DRC(1, 9), 100M steps"),
    "emergent-planning-drc91": _emergent("100m_d9t1", "901e6c147c7a15e22aacce362d415949f7c6fb7d", "DRC(9, 1), 100M steps"),
    "emergent-planning-resnet": _emergent(
        "250m_resnet_d24", "81c3ff95b0467d7d38523bad9e9b5428e57b15fa", "residual network of 24 blocks, 250M steps"
    ),
}  # fmt: skip


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
    source = SOURCES[name]
    within = folder() / name if source.beside else folder()
    return within / source.named(source.url)


def located(name: str) -> Path:
    """The path of a policy that was fetched, its content checked.

    Raises:
        KeyError: no policy of this name can be fetched.
        FileNotFoundError: it was not fetched; the message says how to get it.
        ValueError: what lies there is another file.
    """
    path, source = place(name), SOURCES[name]
    for url in (source.url, *source.beside):
        if not path.with_name(source.named(url)).is_file():
            raise FileNotFoundError(
                f"{name} is not on this machine: run `goalscope policies add {name}`; without a network put "
                f"{url} at {path.with_name(source.named(url))}"
            )
    wrong = _difference(path, source, name)
    if wrong:
        raise ValueError(f"{path} has {wrong}: remove it and run `goalscope policies add {name}`")
    return path


def _difference(path: Path, source: Source, name: str) -> str:
    """What tells a file from the one that is pinned, in words; empty where nothing does."""
    if source.sha256 is not None:
        found, known, kind = _sha256(path), source.sha256, "sha256"
    elif source.git_blob is not None:
        found, known, kind = _git_blob(path), source.git_blob, "git blob"
    else:
        return ""
    return "" if found == known else f"the {kind} {found}, {name} has {known}"


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
        The path of the file, whose hash is the pinned one where one is known.

    Raises:
        KeyError: no policy of this name can be fetched.
        ValueError: what came is another file; nothing of it is kept.
        OSError: no connection, or it broke (what came is kept, and the same call goes on from there), or the
            folder cannot be written.
    """
    path, source = place(name), SOURCES[name]
    if path.is_file() and not _difference(path, source, name):
        progress(f"{name} is there already: {path}")
    else:
        _fetch(url or source.url, path, source, name, progress, timeout)
    for small in source.beside:
        at = path.with_name(source.named(small))
        if not at.is_file():
            other = f"{url.rsplit('/', 1)[0]}/{at.name}" if url else small
            _fetch(other, at, Source(other, None, None, source.about), name, progress, timeout)
    progress(f"{name}: {source.about}")
    if source.sha256 is None and source.git_blob is None:
        progress(
            f"no hash of {path.name} is published; it has the sha256 {_sha256(path)}: note it beside results"
        )
    return path


def _fetch(
    url: str, path: Path, source: Source, name: str, progress: Callable[[str], None], timeout: float
) -> None:
    """Fetches one file to its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if part.exists() and source.size is not None and part.stat().st_size > source.size:
        part.unlink()
    if source.size is None or not part.exists() or part.stat().st_size < source.size:
        _receive(url, part, source.size, path, progress, timeout)
    wrong = _difference(part, source, name)
    if wrong:
        part.unlink()
        raise ValueError(
            f"{url} gave a file with {wrong}; nothing was kept: the source has changed or the transfer was damaged"
        )
    os.replace(part, path)
    progress(f"{name}: {path}")


def _receive(
    url: str, part: Path, size: int | None, path: Path, progress: Callable[[str], None], timeout: float
) -> None:
    """Appends to `part` what it lacks of `size` bytes; of as many as the answer says where None."""
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
            if size is None:
                length = answer.headers.get("Content-Length", "")
                size = have + int(length) if length.isdigit() else None
            due = "some" if size is None else size - have
            progress(f"{url}: {due} bytes{f' after the {have} that are here' if have else ''}")
            with part.open("ab" if goes_on else "wb") as file:
                while (size is None or have <= size) and (chunk := answer.read(CHUNK)):
                    file.write(chunk)
                    have += len(chunk)
    except urllib.error.HTTPError as error:
        if error.code == 416 and size is None:  # nothing is after what is here
            return
        raise OSError(f"{url} answered {error.code} {error.reason}; {_by_hand(url, path)}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        kept = f"; {part.stat().st_size} of {size or 'its'} bytes are kept" if part.exists() else ""
        raise OSError(f"cannot fetch {url} ({reason}){kept}; {_by_hand(url, path)}") from error
    if size is not None and have < size:
        raise OSError(f"{url} broke off after {have} of {size} bytes; the same command goes on from there")


def _starts_at(content_range: str | None, start: int) -> bool:
    """Whether 'bytes START-END/SIZE' begins where it was asked to."""
    return (content_range or "").replace("bytes", "").strip().startswith(f"{start}-")


def _by_hand(url: str, path: Path) -> str:
    return f"run the command again, or put the file of {url} at {path}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_blob(path: Path) -> str:
    """What git calls a file of this content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
