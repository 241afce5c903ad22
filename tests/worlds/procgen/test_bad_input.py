"""What the Procgen world refuses: foreign and damaged bytes, states that no maze has, bad texts and arguments."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

pytest.importorskip("procgen", reason="needs the extra goalscope[procgen]")

from procgen.env import ProcgenGym3Env

from goalscope.worlds.procgen import SIZES, ProcgenMaze, face
from goalscope.worlds.procgen.bytes import WORDS


@pytest.fixture(scope="module")
def worlds():
    return {distribution: ProcgenMaze(distribution) for distribution in SIZES}


def first_state(distribution: str, game: str = "maze") -> bytes:
    """The bytes of level 3 as Procgen itself writes them."""
    environment = ProcgenGym3Env(
        num=1, env_name=game, distribution_mode=distribution, num_levels=1, start_level=3, num_threads=0
    )
    return environment.get_state()[0]


def test_foreign_bytes_are_refused_with_what_differs(worlds):
    easy = worlds["easy"]
    good = first_state("easy")
    assert len(easy.from_bytes([good, good])) == 2
    for data in (first_state("hard"), first_state("easy", "heist"), good[:-4], b""):
        with pytest.raises(ValueError, match=r"state 1: .* not a state of the Procgen maze"):
            easy.from_bytes([good, data])
    with pytest.raises(ValueError, match="use_backgrounds is 0, expected 1"):
        plain = ProcgenGym3Env(1, "maze", distribution_mode="easy", use_backgrounds=False, num_threads=0)
        easy.from_bytes(plain.get_state())
    canonical = easy.to_bytes(easy.from_bytes([good]))[0]
    words = np.frombuffer(canonical, "<i4")
    record = 2 + 313
    between = words.copy()
    between.view("<f4")[WORDS["mouse x"] + 2 * record] = 3.25
    with pytest.raises(ValueError, match=r"mouse x is 3\.25, expected the middle of a square"):
        easy.from_bytes([between.tobytes()])
    for name, at in WORDS.items():
        if name in ("lowest level", "highest level + 1", "previous level", "time"):
            continue
        broken = words.copy()
        broken[at + record * ((at >= 20) * 2 + (at >= 87))] = 2**31 - 1
        with pytest.raises(ValueError, match=name.replace("+", "\\+")):
            easy.from_bytes([broken.tobytes()])


def test_random_bytes_give_only_the_documented_error(worlds):
    easy, rng = worlds["easy"], np.random.default_rng(3)
    good = np.frombuffer(easy.to_bytes(easy.generate([3]))[0], np.uint8)
    accepted = 0
    for _ in range(3000):
        data = good.copy()
        data[rng.integers(0, len(data), rng.integers(1, 40))] = rng.integers(0, 256)
        data = data[: rng.integers(0, len(data) + 1)] if rng.random() < 0.2 else data
        try:
            state = easy.from_bytes([data.tobytes()])
        except ValueError:
            continue
        accepted += 1
        easy.observe(state)
    assert 0 < accepted < 3000


def test_states_that_no_maze_has_never_reach_procgen(worlds):
    state = worlds["easy"].generate([1])
    for name, value in {
        "background": 9,
        "facing": 2,
        "offset": np.nan,
        "level": -1,
        "mouse": 15,
        "cheese": 15,
    }.items():
        broken = dataclasses.replace(state, **{name: np.full_like(getattr(state, name), value)})
        with pytest.raises(ValueError, match=name):
            worlds["easy"].observe(broken)
    with pytest.raises(ValueError, match="15 x 15 world, this one \\(hard\\) is 25 x 25"):
        worlds["hard"].observe(state)


def test_text_without_a_last_line_and_bad_last_lines(worlds):
    world = worlds["easy"]
    state = world.parse("M.C\r\n#.#\r\n...\r\n; facing=right  level=5\r\n")
    assert state.facing.tolist() == [1]
    assert state.level.tolist() == [5]
    assert state.background.tolist() == [0]
    assert state.cheese.tolist() == [[6, 8]]
    assert world.parse("M.C\n#.#\n...").facing.tolist() == [0]
    cases = {
        "facng=right": "line 4: unknown 'facng' .did you mean facing",
        "facing=up": "line 4: facing cannot be 'up'",
        "background=9": "background must be between 0 and 8, got 9",
        "offset=nan": "offset must be between 0 and 1.0, got nan",
        "level": "level cannot be ''",
        "level=-1": "level must be between",
    }
    for note, message in cases.items():
        with pytest.raises(ValueError, match=message):
            world.parse(f"M.C\n#.#\n...\n; {note}")
    with pytest.raises(ValueError, match="larger than"):
        world.parse("\n".join(["." * 17] * 16 + ["M" + "." * 16]))


def test_bad_arguments(worlds):
    with pytest.raises(ValueError, match="did you mean 'hard'"):
        ProcgenMaze("hrad")
    with pytest.raises(ValueError, match="cheese_region"):
        ProcgenMaze("easy", cheese_region=0)
    for seeds in ([-1], [2**31 - 1], [0.5], [[1]]):
        with pytest.raises(ValueError, match=r"levels are 0 to|seeds must be"):
            worlds["easy"].generate(seeds)
    state = worlds["easy"].generate([1])
    for actions in ([0.0], [0, 0], [15], [-1]):
        with pytest.raises(ValueError, match=r"actions must be|not a ProcgenAction"):
            worlds["easy"].step(state, np.array(actions))
    with pytest.raises(ValueError, match="facing must be"):
        face(state, 2)
    empty = worlds["easy"].generate([])
    assert worlds["easy"].observe(empty).shape == (0, 3, 64, 64)
    assert len(worlds["easy"].step(empty, np.zeros(0, int)).state) == 0


def test_says_how_to_get_procgen(monkeypatch):
    monkeypatch.setitem(sys.modules, "procgen.env", None)
    with pytest.raises(ImportError, match=r"pip install 'goalscope\[procgen\]'"):
        ProcgenMaze("easy")
