"""What was measured is found again as it was, and anything else is measured anew."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from goalscope.evidence.kept import Kept, tidy

KEY, OTHER = "a" * 64, "b" * 64
ARRAYS = {
    "moves": np.random.default_rng(0).random((40, 5)),
    "value": np.array([0.5, np.nan, -0.0], np.float32),
    "names": np.array(["a", "bcd"]),
    "one": np.array(3),
    "none": np.empty((0, 2), np.int16),
}


def never() -> dict[str, np.ndarray]:
    raise AssertionError("it was measured anew")


def kept(folder: Path) -> Path:
    Kept(folder).arrays(KEY, lambda: ARRAYS)
    (file,) = folder.iterdir()
    return file


def test_what_is_found_is_what_was_measured_to_the_last_bit(tmp_path: Path) -> None:
    kept(tmp_path)
    found = Kept(tmp_path).arrays(KEY, never)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_another_key_is_measured_for_itself(tmp_path: Path) -> None:
    kept(tmp_path)
    assert Kept(tmp_path).holds(KEY) and not Kept(tmp_path).holds(OTHER)
    found = Kept(tmp_path).arrays(OTHER, lambda: {"x": np.ones(2)})
    assert list(found) == ["x"]
    assert list(Kept(tmp_path).arrays(KEY, never)) == list(ARRAYS)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "swapped", "folder"])
def test_a_damaged_file_is_measured_anew_said_and_mended(how: str, tmp_path: Path) -> None:
    file = kept(tmp_path)
    content = file.read_bytes()
    if how == "folder":
        file.unlink()
        file.mkdir()
    elif how == "swapped":  # the whole file of another key
        Kept(tmp_path).arrays(OTHER, lambda: {"x": np.ones(2)})
        os.replace(tmp_path / f"{OTHER}.npz", file)
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"cut": content[:-1], "flipped": flipped, "empty": b""}[how])
    said: list[str] = []
    found = Kept(tmp_path, said.append).arrays(KEY, lambda: ARRAYS)
    assert found["moves"].tobytes() == ARRAYS["moves"].tobytes()
    assert said and str(file) in said[0] and "measured anew" in said[0]
    if how != "folder":
        assert len(said) == 1 and list(Kept(tmp_path).arrays(KEY, never)) == list(ARRAYS)


def test_every_single_byte_counts(tmp_path: Path) -> None:
    file = kept(tmp_path)
    content = file.read_bytes()
    for place in range(0, len(content), 37):
        file.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with pytest.raises(AssertionError, match="measured anew"):
            Kept(tmp_path).arrays(KEY, never)


def test_off_and_without_a_key_nothing_is_found_or_kept(tmp_path: Path) -> None:
    kept(tmp_path)
    off = Kept(tmp_path, off=True)
    assert not off.holds(KEY) and list(off.arrays(KEY, lambda: {"x": np.ones(2)})) == ["x"]
    assert list(Kept(tmp_path).arrays(None, lambda: {"x": np.ones(2)})) == ["x"]
    assert not Kept(tmp_path).holds(None)
    assert len(list(tmp_path.iterdir())) == 1 and list(Kept(tmp_path).arrays(KEY, never)) == list(ARRAYS)


def test_where_nothing_can_be_kept_it_is_measured_and_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    found = Kept(tmp_path / "file" / "measured", said.append).arrays(KEY, lambda: ARRAYS)
    assert list(found) == list(ARRAYS)
    assert "not kept" in said[-1] and sorted(os.listdir(tmp_path)) == ["file"]


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'x' holds Python objects"):
        Kept(tmp_path).arrays(KEY, lambda: {"x": np.array([{}])})
    assert not list(tmp_path.iterdir())


def test_it_lies_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Kept().arrays(KEY, lambda: ARRAYS)
    assert (tmp_path / "goalscope" / "measured" / f"{KEY}.npz").is_file()


def test_the_longest_unused_files_go_first_and_old_ones_always(tmp_path: Path) -> None:
    for age, name in enumerate("abcd"):
        (tmp_path / f"{name}.npz").write_bytes(b"x" * 10)
        os.utime(tmp_path / f"{name}.npz", (0, time.time() - age * 3600))
    os.utime(tmp_path / "b.npz", (0, time.time() - 100 * 86400))
    tidy(tmp_path, most_bytes=25)
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "c.npz"]
    os.utime(tmp_path / "a.npz", (0, time.time() - 3 * 3600))
    tidy(tmp_path, most_bytes=15)
    assert sorted(os.listdir(tmp_path)) == ["c.npz"]


def test_what_is_asked_for_is_used(tmp_path: Path) -> None:
    file = kept(tmp_path)
    os.utime(file, (0, time.time() - 80 * 86400))
    Kept(tmp_path).arrays(KEY, never)
    assert time.time() - file.stat().st_mtime < 3600
