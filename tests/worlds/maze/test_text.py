"""Mazes as text: what is read, and what every wrong text is told."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.worlds.maze import Maze, maze_text, parse_maze, place_mouse

SMALL = "#.C\n#.#\nM.."


def test_a_text_says_where_everything_is():
    state = parse_maze(SMALL)
    assert state.walls.tolist() == [[[True, False, False], [True, False, True], [False, False, False]]]
    assert state.mouse.tolist() == [[2, 0]] and state.cheese.tolist() == [[0, 2]]
    assert maze_text(state) == SMALL
    assert parse_maze(SMALL.replace("C", ".")).cheese.tolist() == [[-1, -1]]
    both = parse_maze("...\n.*.\n...")
    assert both.mouse.tolist() == both.cheese.tolist() == [[1, 1]]


@pytest.mark.parametrize("width", [5, 7, 13])
@pytest.mark.parametrize("cheese", ["C", "."])
def test_a_small_maze_is_centred(width, cheese):
    state = Maze(width).parse(SMALL.replace("C", cheese))
    margin = (width - 3) // 2
    assert state.walls.shape == (1, width, width) and state.walls.sum() == width**2 - 6
    assert state.mouse.tolist() == [[2 + margin, margin]]
    assert state.cheese.tolist() == [[margin, 2 + margin] if cheese == "C" else [-1, -1]]
    text = Maze(width).text(state)[0]
    inner = [line[margin : width - margin] for line in text.split("\n")[margin : width - margin]]
    assert "\n".join(inner) == SMALL.replace("C", cheese)


@pytest.mark.parametrize("size", [3, 9, 25])
def test_texts_of_generated_mazes_read_back_the_same(size):
    world = Maze(size, None)
    state = world.generate(range(50))
    state = place_mouse(state, np.where(np.arange(50)[:, None] % 3 == 0, state.cheese, state.mouse))
    for i, text in enumerate(world.text(state)):
        again = world.parse(text)
        assert np.array_equal(again.walls[0], state.walls[i])
        assert np.array_equal(again.mouse[0], state.mouse[i])
        assert np.array_equal(again.cheese[0], state.cheese[i])


@pytest.mark.parametrize("text", [SMALL + "\n", "\n\n" + SMALL, SMALL.replace("\n", "\r\n") + "\r\n"])
def test_line_ends_of_all_systems_and_empty_lines_around(text):
    assert maze_text(parse_maze(text)) == SMALL


ERRORS = {
    "empty": ("", "the maze text is empty"),
    "blank": ("  \n \n", "the maze text is empty"),
    "ragged": ("#.C\n#.#.\nM..", "line 2 has 4 characters, line 1 has 3"),
    "ragged, last": ("#.C\n#.#\nM.", "line 3 has 2 characters, line 1 has 3"),
    "ragged, empty line within": ("#.C\n\nM..", "line 2 has 0 characters"),
    "no mouse": ("#.C\n#.#\n...", "the maze has no mouse"),
    "two mice": ("#.C\n#M#\nM..", r"line 3, column 1: a second mouse; the first is at line 2, column 2"),
    "mouse on the cheese, another": ("#.*\n#.#\nM..", "line 3, column 1: a second .* line 1, column 3"),
    "two cheeses": ("C.C\n#.#\nM..", r"line 1, column 3: a second cheese; the first is at line 1, column 1"),
    "unknown": ("#.C\n#.#\nM.x", r"line 3, column 3: unknown character 'x'"),
    "lower case": ("#.C\n#.#\nm..", r"line 3, column 1: unknown character 'm'"),
    "space": ("#.C\n# #\nM..", r"line 2, column 2: unknown character ' '"),
    "tab": ("#.C\n#.#\n\tM.", r"line 3, column 1: unknown character '\\t'"),
    "not ASCII": ("#.C\n#.🧀\nM..", "line 2, column 3: unknown character '🧀'"),
    "below empty lines": ("\n\n#.C\n#.?\nM..", r"line 4, column 3: unknown character '\?'"),
    "ragged below empty lines": ("\n#.C\n#.\nM..", "line 3 has 2 characters, line 2 has 3"),
    "second mouse below empty lines": ("\n#.M\n#.#\nM..", "line 4, column 1: .* line 2, column 3"),
    "not square": ("#.C\nM..", "the maze has 2 lines of 3 characters: it must be square"),
    "even": ("#.C#\n#..#\nM..#\n####", r"the maze is 4 x 4: its side must be odd"),
    "one square": ("M", r"the maze is 1 x 1: its side must be odd \(3, 5"),
    "unreachable": ("##C\n###\nM..", r"the cheese at \(0, 2\) cannot be reached from the mouse at \(2, 0\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_texts_are_told_what_is_wrong(case):
    text, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        parse_maze(text)
    with pytest.raises(ValueError, match=message if case != "unreachable" else "cannot be reached"):
        Maze(5).parse(text)


def test_a_maze_larger_than_the_world():
    text = Maze(7, None).text(Maze(7, None).generate([3]))[0]
    with pytest.raises(ValueError, match="the maze is 7 x 7, larger than the 5 x 5 that"):
        Maze(5).parse(text)
    assert len(Maze(9).parse(text)) == 1


def mutated(rng: np.random.Generator, text: str) -> str:
    """`text` after a few changes of single characters, lines, or its end."""
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(text) + 1))
        kind = rng.integers(6)
        letter = str(rng.choice(list("#.MC* \n\r\tx\0é")))
        if kind == 0:
            text = text[:at] + letter + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + letter + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + 1 :]
        elif kind == 3:
            text = text[:at]
        elif kind == 4:
            lines = text.split("\n")
            line = lines[int(rng.integers(len(lines)))]
            text = "\n".join([*lines[: at % len(lines)], line, *lines[at % len(lines) :]])
        else:
            text = "\n".join(text.split("\n")[1:])
    return text


def random_texts(rng: np.random.Generator, count: int) -> list[str]:
    """Mutations of mazes, squares of known characters, lines of them, and bytes that are no text."""
    mazes = [
        text for size in (3, 5, 9) for text in Maze(size, None).text(Maze(size, None).generate(range(30)))
    ]
    texts = []
    for i in range(count):
        kind = i % 4
        if kind == 0:
            texts.append(mutated(rng, mazes[rng.integers(len(mazes))]))
        elif kind == 1:
            side = int(rng.integers(1, 8))
            grid = rng.choice(list("#...."), (side, side))
            for letter in "MC":
                grid[tuple(rng.integers(side, size=2))] = letter
            texts.append("\n".join("".join(row) for row in grid))
        elif kind == 2:
            texts.append("".join(rng.choice(list("#.MC*\n\n"), rng.integers(30))))
        else:
            raw = rng.integers(0, 256, rng.integers(40), dtype=np.uint8).tobytes()
            texts.append(raw.decode(("utf-8", "latin-1", "utf-16")[i % 3], "replace"))
    return texts


def test_whatever_the_text_only_documented_errors_and_what_is_read_reads_back():
    world, read = Maze(7), 0
    for text in random_texts(np.random.default_rng(0), 16_000):
        try:
            state = world.parse(text)
        except ValueError as error:
            assert len(str(error)) > 20, text
            continue
        read += 1
        written = world.text(state)[0]
        again = world.parse(written)
        assert world.text(again)[0] == written and np.array_equal(again.walls, state.walls), text
        assert not state.walls[0][tuple(state.mouse[0])]
        known = [c for c in text if c not in "\r\n"]
        assert written.count(".") == known.count("."), text
    assert 1000 < read < 8000, f"{read} of 16000 texts were read: the test sees too few of one kind"
