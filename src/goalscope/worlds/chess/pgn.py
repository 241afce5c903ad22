"""Games from PGN, read strictly: what is lost or merged by a tolerant reader is an error that names game and line.

The format is that of Edwards 1994, "Portable Game Notation Specification and Implementation Guide": tag pairs, then moves
in English letters, comments in braces or from ';' to the end of the line, lines that begin with '%' left alone,
variations in parentheses, and a result at the end. Blank lines mean nothing, so games may stand with none between.
Moves are understood by python-chess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import chess

from goalscope.showing import drawing, text
from goalscope.worlds.chess.state import faults

RESULTS = {
    "1-0": "1-0", "0-1": "0-1", "1/2-1/2": "1/2-1/2", "*": "*", "1/2": "1/2-1/2", "½-½": "1/2-1/2", "½": "1/2-1/2",
}  # fmt: skip
"""how a game ends, and what that is in the standard's words"""
ROSTER = {
    "Event": "?",
    "Site": "?",
    "Date": "????.??.??",
    "Round": "?",
    "White": "?",
    "Black": "?",
    "Result": "*",
}
"""the tags that every game has, and what stands for unknown"""
STANDARD = {"", "?", "standard", "chess", "normal", "from position", "fromposition", "classical"}
CHESS960 = {"chess960", "chess 960", "chess-960", "fischerandom", "fischerrandom", "fischer random", "960"}

_TAG = r'\[\s*([A-Za-z0-9_][A-Za-z0-9_+#=:-]*)\s+"((?:[^"\\]|\\.)*)"\s*\]'
_TAGS = re.compile(rf"\s*(?:{_TAG}\s*)+(?:;.*)?$")
_LOOSE_TAG = re.compile(r'\s*\[\s*([A-Za-z0-9_][A-Za-z0-9_+#=:-]*)\s+"(.*)"\s*\]\s*$')
"""one tag a line, with quotation marks in its value that nothing escapes"""
_TAG_BEGINS = re.compile(r'\s*\[\s*[A-Za-z0-9_]+\s+"')
_NUMBER = re.compile(r"(\d+)(?:\.+|…)?(?=$|[^\d./-])|(\d+)\.+")
_WORD = re.compile(r"[^\s{}();$]+")
_SUFFIX = re.compile(r"[!?⁉‼]+$|\+{2}$|(?<=[a-h][1-8])e\.?p\.?$")
_NO_MOVE = re.compile(r"(?:[!?]+|\.+|…|\+-|-\+|\+/-|-/\+|\+/=|=/\+|\+=|=\+|=|∞|±|∓|⩲|⩱|□|ep|e\.p\.)$")
"""a judgement about the move before; '$N' says the same by number"""
_NULL = {"--", "Z0", "0000", "@@@@", "null", "pass"}
_FIGURINES = str.maketrans(
    dict(zip("♔♕♖♗♘♚♛♜♝♞", "KQRBNKQRBN", strict=True)) | {"♙": "", "♟": "", "\ufe0e": "", "\ufe0f": ""}
)
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


@dataclass(frozen=True)
class GameFile:
    """All games of a text; those that could not be read are named, never dropped in silence."""

    __repr__, _repr_html_ = text, drawing

    games: tuple[tuple[chess.Board, dict[str, str]], ...]
    """the good ones, in order: the last position with all moves on its stack, and the tags"""
    errors: tuple[str, ...]
    """one message for each bad one: its number in the file, its line and what is wrong"""


@dataclass
class _Game:
    """A game while its text is being read."""

    number: int
    line: int
    tags: dict[str, str] = field(default_factory=dict)
    words: list[tuple[int, str]] = field(default_factory=list)
    """of the main line, each with its line: moves and numbers of moves"""
    result: str = ""
    error: str = ""
    depth: int = 0
    """of the variation that is being read"""

    def fails(self, line: int, message: str) -> None:
        """Keeps the first thing that is wrong."""
        self.error = self.error or f"line {line}: {message}"


def read_games(text: str) -> GameFile:
    """Every game of a PGN text; bad ones are reported in `errors` and the others kept."""
    games, errors = [], []
    for draft in _drafts(text):
        try:
            games.append(_played(draft))
        except ValueError as error:
            errors.append(str(error))
    return GameFile(tuple(games), tuple(errors))


def read_pgn(text: str) -> Iterator[tuple[chess.Board, dict[str, str]]]:
    """The last position of each game's main line, with all of its moves on the stack; and its headers.

    Raises:
        ValueError: a game that cannot be read to its end: its number, line and what is wrong (a move that is illegal
            or in letters of another language, a null move, no result, a comment or variation that is never closed,
            another variant of chess, a start that the rules exclude), or text that is no game.
    """
    return map(_played, _drafts(text))


def _drafts(text: str) -> Iterator[_Game]:
    """The games of a text, cut at results and at tags."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    game, number, comment, blank = None, 0, 0, False
    for at, line in enumerate(lines, 1):
        line = line.lstrip("\ufeff")
        if comment and game is not None and _TAG_BEGINS.match(line):
            game.fails(
                comment, f"the comment that begins here with '{{' is not closed before the tags of line {at}"
            )
            comment = 0
        if not comment and (line.startswith("%") or not line.strip()):
            blank = blank or not line.strip()
            continue
        if (
            not comment
            and line.lstrip().startswith("[")
            and not (game and game.depth and not _TAG_BEGINS.match(line))
        ):
            if game is not None and _begins_another(game, line, blank):
                yield game
                game = None
            game, number = (game, number) if game else (_Game(number + 1, at), number + 1)
            _read_tags(game, line, at)
            blank = False
            continue
        blank, place = False, 0
        while place < len(line):
            if comment:
                end = line.find("}", place)
                if end < 0:
                    break
                comment, place = 0, end + 1
                continue
            if game is None and line[place].isspace():
                place += 1
                continue
            if game is None:
                if line[place] == ";":
                    break
                game, number = _Game(number + 1, at), number + 1
            place, comment = _read_word(game, line, place, at)
            if game.result and not comment:
                yield game
                game = None
    if game is not None:
        if comment:
            game.fails(comment, "the comment that begins here with '{' is never closed")
        yield game


def _begins_another(game: _Game, line: str, blank: bool) -> bool:
    """Whether a line of tags is of the game after this one."""
    names = [name for name, _ in _tags(line)]
    again = any(name in game.tags for name in names) or (blank and "Event" in names)
    return bool(game.words or game.error) or (again and bool(game.tags))


def _tags(line: str) -> list[tuple[str, str]]:
    if _TAGS.match(line):
        return [(name, re.sub(r"\\([\"\\])", r"\1", value)) for name, value in re.findall(_TAG, line)]
    loose = _LOOSE_TAG.match(line)
    return [(loose[1], loose[2])] if loose else []


def _read_tags(game: _Game, line: str, at: int) -> None:
    found = _tags(line)
    if not found:
        game.fails(at, f'{line.strip()[:60]!r} is no tag; one is written [Name "value"]')
    game.tags.update(found)


def _read_word(game: _Game, line: str, place: int, at: int) -> tuple[int, int]:
    """Reads what begins at a place of a line of moves.

    Returns:
        The place after it, and the line where a comment begins that is now open (0 where none is).
    """
    character = line[place]
    if character == "{":
        return place + 1, at
    if character == ";":
        return len(line), 0
    if character in "()":
        game.depth += 1 if character == "(" else -1
        if game.depth < 0:
            game.fails(at, "')' closes no variation")
            game.depth = 0
    elif character == "}":
        game.fails(at, "'}' closes no comment")
    elif nag := re.match(r"\$\d*", line[place:]):
        return place + nag.end(), 0
    elif word := _WORD.match(line, place):
        _take(game, word[0], at)
        return word.end(), 0
    return place + 1, 0


def _take(game: _Game, word: str, at: int) -> None:
    """Adds a word to the main line, or ends the game with it."""
    plain = word.translate(_DASHES)
    ending = RESULTS.get(plain)
    if game.depth:  # engines end a variation by a result too
        return
    if ending:
        game.result = ending
        return
    while plain:
        number = _NUMBER.match(plain)
        if not number or plain in _NULL or plain.startswith("0-0"):
            game.words.append((at, plain))
            return
        game.words.append((at, number[0]))
        plain = plain[number.end() :]


def _played(draft: _Game) -> tuple[chess.Board, dict[str, str]]:
    """The board and the tags of a game; raises ValueError with its number and line."""
    try:
        if not draft.error:
            return _moves(draft), _headers(draft)
        raise ValueError(draft.error)
    except ValueError as error:
        name = " ".join(draft.tags.get(key, "") for key in ("White", "Black", "Event")).strip(" ?")[:60]
        which = f"game {draft.number} ({name})" if name else f"game {draft.number}"
        raise ValueError(f"{which} cannot be read: {error}") from error


def _moves(draft: _Game) -> chess.Board:
    """The main line played from its start."""
    board, last, since = _start(draft), 0, 0
    for at, word in draft.words:
        if word[0].isdigit() and _NUMBER.fullmatch(word):
            count = int(re.match(r"\d{1,9}", word)[0])  # type: ignore[index]
            moved = len(board.move_stack) > since
            if count < last or (count == last and moved and board.turn):
                raise ValueError(
                    f"line {at}: move {count} follows move {last}: the result between two games is missing"
                )
            last, since = count, len(board.move_stack)
            continue
        move = _SUFFIX.sub("", word.translate(_FIGURINES).lstrip("."))
        if not move or _NO_MOVE.match(word):
            continue
        if move in _NULL:
            raise ValueError(f"line {at}: {word!r} is a null move, which no game of chess has")
        try:
            board.push(board.parse_san(move))
        except ValueError as error:
            letters = "" if len(board.move_stack) else " (is this a PGN file?)"
            if re.match(r"[^\WKQRBNOa-h\d][a-h1-8x-]*[a-h][1-8]", move):
                letters = "; pieces are K Q R B N, letters of other languages are not read"
            raise ValueError(
                f"line {at}: {word[:30]!r} is no legal move in {board.fen()}{letters}"
            ) from error
    if draft.depth:
        raise ValueError(f"line {draft.line}: a variation is opened with '(' and not closed")
    if not draft.words and not draft.tags and draft.result:
        raise ValueError(f"line {draft.line}: the result {draft.result!r} stands there without tags or moves")
    if not draft.result:
        what = "has no result at its end" if draft.words else "has tags, but neither moves nor a result"
        raise ValueError(f"line {draft.line}: it {what} (1-0, 0-1, 1/2-1/2 or *): it may be cut off")
    return board


def _start(draft: _Game) -> chess.Board:
    """The position before the first move."""
    where, tags = f"line {draft.line}", draft.tags
    variant = tags.get("Variant", "").strip()
    shuffled = variant.lower() in CHESS960
    wild = re.fullmatch(r"wild/[0-8]a?", variant.lower()) and "FEN" in tags
    if variant.lower() not in STANDARD and not shuffled and not wild:
        raise ValueError(f"{where}: the variant {variant!r} is not read: standard chess and Chess960 are")
    fen = tags.get("FEN", "").strip()
    setup = tags.get("SetUp", "")
    if setup == "1" and not fen:
        raise ValueError(f"{where}: SetUp is '1' and there is no FEN tag: its first position is not known")
    if setup == "0" and fen and fen != chess.STARTING_FEN:
        raise ValueError(
            f"{where}: SetUp is '0' (the usual start) and there is a FEN tag: one of them is wrong"
        )
    try:
        board = chess.Board(fen or chess.STARTING_FEN, chess960=shuffled)
        if board.has_chess960_castling_rights():
            board = chess.Board(fen, chess960=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{where}: illegal FEN {fen[:90]!r}: {error}") from error
    if not board.is_valid():
        raise ValueError(f"{where}: illegal position {fen[:90]!r}: {faults(board)}")
    return board


def _headers(draft: _Game) -> dict[str, str]:
    """The tags, with the seven that every game has."""
    told = RESULTS.get(draft.tags.get("Result", "*").translate(_DASHES).strip(), "*")
    if told != "*" and draft.result != "*" and told != draft.result:
        raise ValueError(
            f"line {draft.line}: its tag Result is {told!r}, its moves end with {draft.result!r}"
        )
    return {**ROSTER, **draft.tags, "Result": draft.result if told == "*" else told}
