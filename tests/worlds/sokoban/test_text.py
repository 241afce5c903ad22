"""Sokoban texts: every form that is read, what every wrong text is told, and LURD."""

from __future__ import annotations

import random

import numpy as np
import pytest

from goalscope.worlds.contract import take
from goalscope.worlds.sokoban import Sokoban, solved
from goalscope.worlds.sokoban.lurd import actions_lurd, lurd_actions, replay
from goalscope.worlds.sokoban.text import (
    level_text,
    levels_text,
    parse_level,
    read_level_file,
    read_levels,
    stack,
)

SMALL = "######\n#@$ .#\n######"
KINDS = "#######\n#+$*. #\n#  $  #\n#######"


def test_a_text_says_where_everything_is():
    state = parse_level(KINDS)
    assert state.walls.shape == (1, 4, 7) and state.walls.sum() == 18
    assert np.argwhere(state.goals[0]).tolist() == [[1, 1], [1, 3], [1, 4]]
    assert np.argwhere(state.boxes[0]).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert state.player.tolist() == [[1, 1]] and state.player.dtype == np.int16
    assert level_text(state) == KINDS


@pytest.mark.parametrize(
    "text",
    [
        "6#\n#@$-.#\n6#",
        "6#|#@$_.#|6#",
        "6#|#@$-.#|6#|",
        "######\r\n#@$ .#\r\n######\r\n",
        "######\r#@$ .#\r######",
        "\ufeff\n\n; 7\n######\n#@$ .#\n######\n\n",
        "  ######\n  #@$ .#\n  ######",
        "--######\n__#@$ .#--\n  ######   ",
        "Title: small\n\n######\n#@$ .#\n######\nAuthor: anybody\n",
        "###### \n#@$ .#\n######\n-----\n",
    ],
)
def test_every_form_of_a_level_is_read(text):
    assert level_text(parse_level(text)) == SMALL


def test_floor_outside_the_walls_is_wall_and_enclosed_floor_stays():
    state = parse_level("  ####\n###  ####\n#@$ .# ##\n######### ")
    assert level_text(state) == "#########\n###  ####\n#@$ .# ##\n#########"


@pytest.mark.parametrize(("height", "width", "boxes"), [(5, 5, 1), (8, 8, 2), (10, 10, 4)])
def test_texts_of_generated_levels_read_back_the_same(height, width, boxes):
    world = Sokoban(height, width, boxes)
    state = world.generate(range(40))
    rng = np.random.default_rng(0)
    for _ in range(30):
        state = world.step(state, rng.integers(0, 4, 40)).state
    again = read_levels(levels_text(state))
    assert [level.name for level in again.levels] == [str(i) for i in range(40)] and not again.errors
    for field in ("walls", "goals", "boxes", "player"):
        assert np.array_equal(getattr(again.states(), field), getattr(state, field)), field


def test_names_and_notes_of_levels():
    text = (
        f"Best levels\n; 1\n{SMALL}\n\n; 2\n'Duh!'\n{KINDS}\nTitle: ignored?\nAuthor: A\nSolution:\nrRu\n2L\n"
    )
    first, second = read_levels(text).levels
    assert first.name == "1" and first.line == 3 and first.notes["title"] == "1"
    assert second.name == "2" and second.notes["comment"] == "Duh!" and second.line == 9
    assert "author" not in first.notes
    trailing = f"{SMALL}\nTitle: one\nAuthor: A\n\n{SMALL}\nTitle: two\nSolution\nrR\n2L\nComment: end\n"
    one, two = read_levels(trailing).levels
    assert (one.name, one.notes["author"], two.name) == ("one", "A", "two")
    assert two.notes["solution"] == "rR2L" and two.notes["comment"] == "end"
    assert read_levels(f"{SMALL}\n\n{SMALL}").levels[1].name == "level 2"


def test_a_bad_level_among_a_thousand_is_named_and_the_others_kept():
    levels = Sokoban(6, 6, 1).generate(range(1000))
    lines = levels_text(levels).split("\n")
    bad = lines.index("; 421")
    lines[bad + 2] = "#  x #"
    worse = lines.index("; 700")
    lines[worse + 3] = "x    #"
    found = read_levels("\n".join(lines))
    assert len(found.levels) == 998 and len(found.errors) == 2
    assert found.errors[0].startswith("level 422 ('421'): line 3371, column 4: unknown character 'x'")
    assert found.errors[1].startswith("level 701 ('700'): line 5604, column 1: unknown character 'x'")
    names = [level.name for level in found.levels]
    assert names == [str(i) for i in range(1000) if i not in (421, 700)]
    for kept, own in ((421, 422), (998 - 1, 999)):
        assert level_text(found.states(), kept) == level_text(levels, own)


@pytest.mark.parametrize(
    "note", ["Level #3", "Mr. Fox", "Boxxle + extras", "; x #.", "By: J. #", "rRu", "'Duh!'", "~~~"]
)
def test_a_note_right_below_a_board_is_no_row(note):
    first, second = read_levels(f"{SMALL}\n{note}\n{SMALL}\n").levels
    assert level_text(first.state) == level_text(second.state) == SMALL


ERRORS = {
    "empty": ("", "the Sokoban text is empty"),
    "blank": ("  \n \n", "the Sokoban text is empty"),
    "no board": ("hello\n", "the Sokoban text has no board"),
    "floor only": ("---\n___\n", "the Sokoban text has no board"),
    "no player": ("#####\n# $.#\n#####", "the level at line 1 has no player"),
    "two players": ("#######\n#@$.@ #\n#######", "line 2, column 5: a second player; .* line 2, column 2"),
    "player, player on goal": (
        "; 1\n#######\n#@$  +#\n#######", "line 3, column 6: a second player; .* line 3, column 2",
    ),
    "more boxes": ("#######\n#@$.$ #\n#######", r"line 2, column 5: more boxes than goals \(2 boxes, 1 goals\)"),
    "more goals": ("#######\n#@$..$#\n#.    #\n#######", r"line 3, column 2: more goals than boxes \(2 boxes, 3"),
    "no boxes": ("#####\n#@  #\n#####", "the level at line 1 has no boxes"),
    "unknown": ("\n######\n#@$x.#\n######", "line 3, column 4: unknown character 'x'; known are '#' wall"),
    "unknown, first of a row": (
        "; 1\n#######\n#@ $. #\nx     #\n#######", "line 4, column 1: unknown character 'x'; known",
    ),
    "unknown, first of a row of goals": ("#####\n#@$ #\nx  .x\n#####", "line 3, column 1: unknown character 'x'"),
    "unknown, first after floor": ("  #####\n  #@$.#\n  x   #\n  #####", "line 3, column 3: unknown character 'x'"),
    "tab, first of a row": ("#####\n#@$.#\n\t#   #\n#####", r"line 3, column 1: unknown character '\\t'"),
    "a level and half another": (
        "########\n#@ $ . #\n########\nx  $ . #\n########", "line 4, column 1: unknown character 'x'",
    ),
    "tab": ("######\n#@$\t.#\n######", r"line 2, column 4: unknown character '\\t'"),
    "not ASCII": ("######\n#@$📦.#\n######", "line 2, column 4: unknown character '📦'"),
    "unicode digit": ("######\n#@$³.#\n######", "line 2, column 4: unknown character '³'"),
    "hole in the side": ("######\n#@$ . \n######", "line 2, column 5: the walls are not closed"),
    "hole above": ("## ###\n#@$ .#\n######", "line 1, column 3: the walls are not closed"),
    "nothing below": ("######\n#@$ .#", "line 2, column 2: the walls are not closed"),
    "short row": ("######\n#@$\n#  .#\n######", "line 2, column 3: the walls are not closed"),
    "no walls": ("@$.", "line 1, column 1: the walls are not closed"),
    "box outside": ("$ #####\n  #@$.#\n .#####", "line 1, column 1: a box outside the walls"),
    "goal outside": ("  #####\n  #@$ #\n .#####", "line 3, column 2: a goal outside the walls"),
    "two levels": (f"{SMALL}\n\n{SMALL}", "the text has 2 levels, expected one: read it with read_levels"),
    "run-length without end": ("6#\n#@$ .#\n######3", "the run-length '3' at the end has no character"),
    "run-length of nothing": ("6#\n#@$2x.#\n6#", "line 2, column 5: run-length '2' of 'x'"),
    "endless run-length": (f"6#\n#@${'9' * 5000}-.#\n6#", "line 2, column 5004: run-length 999999999 exceeds"),
    "huge run-length": ("6#\n#@$99999999999-.#\n6#", "line 2, column 15: run-length 999999999 exceeds 1000"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_texts_are_told_what_is_wrong(case):
    text, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        parse_level(text)


def test_a_level_is_centred_in_its_world_and_one_too_large_is_refused():
    state = Sokoban(7, 8, 1).parse(SMALL)
    assert state.walls.shape == (1, 7, 8) and state.player.tolist() == [[3, 2]]
    assert np.argwhere(state.boxes[0]).tolist() == [[3, 3]] and state.walls.sum() == 56 - 4
    with pytest.raises(
        ValueError, match="the level is 3 x 6, larger than the 5 x 5 that this world or policy"
    ):
        Sokoban(5, 5, 1).parse(SMALL)


def test_levels_of_different_size_are_stacked():
    levels = read_levels(f"{SMALL}\n\n{KINDS}").states()
    assert levels.walls.shape == (2, 4, 7)
    assert level_text(levels, 0) == "#######\n#@$ .##\n#######\n#######" and level_text(levels, 1) == KINDS
    with pytest.raises(ValueError, match="level 1 is 4 x 7, larger than the 4 x 6"):
        stack([parse_level(SMALL), parse_level(KINDS)], (4, 6))
    with pytest.raises(ValueError, match="no level to stack"):
        stack([])


def test_files(tmp_path):
    path = tmp_path / "levels.txt"
    path.write_text(SMALL)
    assert len(read_level_file(path).levels) == 1
    path.write_text("")
    with pytest.raises(ValueError, match=r"levels\.txt: the Sokoban text is empty"):
        read_level_file(path)
    with pytest.raises(ValueError, match="1 names for 2 levels"):
        levels_text(read_levels(f"{SMALL}\n\n{KINDS}").states(), ["a"])
    with pytest.raises(ValueError, match="must be one line"):
        levels_text(parse_level(SMALL), ["a\n#"])


def test_random_texts_are_read_or_refused_with_a_reason():
    random.seed(0)
    alphabet = "#####   @$.+*-_\n\n;|39x'😀\t\r\x00:"
    read, refused = 0, 0
    for i in range(10_000):
        if i % 2:
            text = "".join(random.choices(alphabet, k=random.randrange(60)))
        else:  # a good level with some characters changed
            letters = list(KINDS)
            for _ in range(random.randrange(4)):
                letters[random.randrange(len(letters))] = random.choice(alphabet)
            text = "".join(letters)
        try:
            found = read_levels(text)
        except ValueError as error:
            assert "Sokoban text" in str(error)
            refused += 1
            continue
        assert found.levels or found.errors
        assert all(error.startswith("level ") for error in found.errors)
        for level in found.levels:
            assert level.state.boxes.sum() == level.state.goals.sum() > 0
            again = parse_level(level_text(level.state))
            assert level_text(again) == level_text(level.state)
        read += len(found.levels)
    assert read > 500 and refused > 500


def test_a_solution_is_replayed_and_written():
    state = parse_level("#######\n#@$   #\n# $  .#\n#    .#\n#######")
    played = replay(state, "rrr")
    assert played.lurd == "RRR" and played.pushed.all() and not played.solved
    assert len(played.states) == 4 and played.reward.shape == (3,)
    assert replay(state, np.array([3, 3, 3])).lurd == "RRR"
    assert replay(state, "3R").lurd == replay(state, "R R\nR").lurd == "RRR"
    assert (
        replay(parse_level(SMALL), "RR").solved
        and solved(take(replay(parse_level(SMALL), "RR").states, 2))[0]
    )
    assert lurd_actions("udLR").tolist() == [0, 1, 2, 3]
    assert actions_lurd([0, 1, 2, 3], [True, False, True, False]) == "UdLr"


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ("RxR", "move 2 of the solution is 'x'"),
        ("U", r"move 1 of 1 \(UP\): the player at \(1, 1\) cannot go there"),
        ("Rr", r"move 2 of 2 \(RIGHT\) pushes but is a small letter"),
        ("RRl", r"move 3 of 3 \(LEFT\): the level is already solved"),
        ("RL", r"move 2 of 2 \(LEFT\) is a capital but pushes nothing"),
    ],
)
def test_wrong_solutions(moves, message):
    with pytest.raises(ValueError, match=message):
        replay(parse_level(SMALL), moves)
    with pytest.raises(ValueError, match="replay takes one level, got 2"):
        replay(read_levels(f"{SMALL}\n\n{SMALL}").states(), "r")


def names(text: str) -> list[str]:
    found = read_levels(text)
    assert not found.errors, found.errors
    return [level.name for level in found.levels]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SMALL}\n\n; 1\n{SMALL}\n\n; 2\n{SMALL}\n", ["level 1", "1", "2"]),
        (f"; 0\n{SMALL}\n\n{SMALL}\n\n; 2\n{SMALL}\n", ["0", "level 2", "2"]),
        (f"{SMALL}\n; a\n\n{SMALL}\n; b\n", ["a", "b"]),
        (f"{SMALL}\n; a\n\n{SMALL}\n\n{SMALL}\n; c", ["a", "level 2", "c"]),
        (f"; a\n{SMALL}\nTitle: also\n\n{SMALL}\n", ["a", "level 2"]),
        (f"{SMALL}\n; b\n{SMALL}\n; c\n{SMALL}", ["b", "c", "level 3"]),
        (f"; a\n{SMALL}\n; b\n{SMALL}", ["a", "b"]),
        (f"{SMALL}\n\nTitle: a\n\n{SMALL}\n\nTitle: b\n", ["a", "b"]),
    ],
)
def test_a_name_is_of_the_board_that_it_touches(text, expected):
    assert names(text) == expected


def test_names_that_are_empty_do_not_shift_the_others():
    states = read_levels("\n\n".join([SMALL] * 3)).states()
    assert names(levels_text(states, ["", "x", "y"]))[1:] == ["x", "y"]
    assert names(levels_text(states, ["x", "", "y"]))[::2] == ["x", "y"]


def test_a_second_title_of_one_board_is_kept_beside_the_first():
    (level,) = read_levels(f"; a\n{SMALL}\nTitle: b\nTitle: c\n").levels
    assert (level.name, level.notes["title 2"], level.notes["title 3"]) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "height"),
    [
        (f"  ##  \n-\n{SMALL}", 5),
        (f"{SMALL}\n_\n _##_", 5),
        (f"  ##  \n      \n{SMALL}", 5),
        (f"  ##  \n-\n- -\n{SMALL}\n__\n *#* \n-\n ## ", 10),
    ],
)
def test_a_row_of_floor_between_a_board_and_decoration_is_a_row(text, height):
    (level,) = read_levels(text).levels
    assert level.state.walls.shape == (1, height, 6) and level.state.boxes.sum() == 1


@pytest.mark.parametrize("gap", ["   ", "-----", "_", "-\n-"])
def test_a_row_of_floor_between_two_levels_parts_them(gap):
    assert len(read_levels(f"{SMALL}\n{gap}\n{SMALL}\n{gap}\n").levels) == 2
    found = read_levels(f"{SMALL}\n{gap}\n#####\n# $.#\n#####\n")
    assert len(found.levels) == len(found.errors) == 1, "a level without a player is no decoration"


def test_boxes_on_goals_outside_are_decoration_and_those_inside_stay():
    state = parse_level("*#####*\n #@$*.#\n*######")
    assert level_text(state) == "######\n#@$*.#\n######"
    with pytest.raises(ValueError, match="no boxes inside its walls"):
        parse_level("*#####\n #@  #\n #####")


def test_what_stands_in_a_comment_of_lines_is_no_level():
    text = f"{SMALL}\nTitle: a\nComment:\nlike this:\n\n{KINDS}\n-\nComment-End:\n\n{SMALL}\nTitle: b\n"
    assert names(text) == ["a", "b"]
    assert names(f"{SMALL}\nComment:\n\n{SMALL}\n") == ["level 1", "level 2"], "no end: no comment of lines"


def test_wide_characters_and_blanks_of_web_pages():
    wide = SMALL.translate({ord(c): ord(c) + 0xFEE0 for c in "#@$."} | {ord(" "): "\u3000"})
    assert level_text(parse_level(wide)) == SMALL
    assert level_text(parse_level("\xa0 ####\n ##@ #\n #$ .#\n #####")) == "#####\n##@ #\n#$ .#\n#####"
