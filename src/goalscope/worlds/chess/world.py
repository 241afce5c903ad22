"""Chess behind the World protocol: batched positions with their history, moves numbered as networks number them.

A move is numbered from the side of whoever makes it: 1,792 pairs of squares that a queen or a knight could go between
(from-square first, a1 = 0), then 66 promotions to queen, rook and bishop by file; a plain move onto the last rank
promotes to a knight, Black's moves are mirrored by rank, castling is king takes rook (Leela's numbering). A move that
the rules forbid leaves the position as it is, as a wall does in a maze; `legal` says which do not.
The rules are python-chess's (GPL-3.0+; `pip install 'goalscope[chess]'`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import IntEnum
from itertools import pairwise

import chess
import numpy as np

from goalscope.worlds.chess.planes import encode
from goalscope.worlds.chess.state import DEPTH, ChessState, faults, from_boards, to_boards
from goalscope.worlds.contract import Step, take, whole_seeds

LONGEST_OPENING = 60
"""plies of random play before a generated position, at most"""
SEVENTY_FIVE_MOVES = 150
FIVEFOLD = 4
"""plies without capture or pawn move, and repetitions, after which a game is drawn whatever the players say"""


def _move_names() -> list[str]:
    """Leela's 1,858 moves in their order, in UCI."""
    empty = chess.Board(None)
    names = []
    for square in chess.SQUARES:
        empty.set_piece_map({square: chess.Piece(chess.QUEEN, True)})
        reached = chess.SquareSet(empty.attacks_mask(square) | chess.BB_KNIGHT_ATTACKS[square])
        names += [chess.square_name(square) + chess.square_name(target) for target in reached]
    for file in range(8):
        for target in range(max(0, file - 1), min(7, file + 1) + 1):
            step = f"{chess.FILE_NAMES[file]}7{chess.FILE_NAMES[target]}8"
            names += [step + piece for piece in "qrb"]
    return names


ChessMove: type[IntEnum] = IntEnum("ChessMove", {name: i for i, name in enumerate(_move_names())})  # type: ignore[assignment]
"""the 1,858 moves from the mover's side, named in UCI: ChessMove["e2e4"], ["e1h1"] (castling), ["a7a8q"]"""

_MOVES = [chess.Move.from_uci(move.name) for move in ChessMove]
_NUMBER = {(m.from_square, m.to_square, m.promotion): i for i, m in enumerate(_MOVES)}


def move_number(board: chess.Board, move: chess.Move) -> int:
    """The number of a legal move, as the mover's network counts it.

    Raises:
        ValueError: the move is not legal on this board.
    """
    if not board.is_legal(move):
        raise ValueError(f"{move.uci()} is illegal in {board.fen()}")
    return _numbered(board, move)


def _numbered(board: chess.Board, move: chess.Move) -> int:
    start, end = move.from_square, move.to_square
    if board.is_castling(move) and not board.chess960:
        end = chess.square(7 if chess.square_file(end) == 6 else 0, chess.square_rank(end))
    if board.turn == chess.BLACK:
        start, end = start ^ 56, end ^ 56
    promotion = None if move.promotion == chess.KNIGHT else move.promotion
    return _NUMBER[start, end, promotion]


def numbered_move(board: chess.Board, number: int) -> chess.Move | None:
    """The legal move of a number on this board, or None where the rules forbid it.

    Raises:
        ValueError: no such number.
    """
    if not 0 <= number < len(_MOVES):
        raise ValueError(f"no chess move {number}: they are numbered 0..{len(_MOVES) - 1}")
    move = _MOVES[number]
    start, end, promotion = move.from_square, move.to_square, move.promotion
    if board.turn == chess.BLACK:
        start, end = start ^ 56, end ^ 56
    if promotion is None and board.pawns & chess.BB_SQUARES[start] and chess.square_rank(end) in (0, 7):
        promotion = chess.KNIGHT
    rook = board.rooks & board.occupied_co[board.turn] & chess.BB_SQUARES[end]
    if not board.chess960 and rook and board.kings & chess.BB_SQUARES[start]:
        end = chess.square(
            6 if chess.square_file(end) > chess.square_file(start) else 2, chess.square_rank(end)
        )
    found = chess.Move(start, end, promotion)
    return found if board.is_legal(found) else None


def legal(state: ChessState) -> np.ndarray:
    """[N, 1858] bool: the moves that the rules allow; none where the game is over by mate or stalemate."""
    mask = np.zeros((len(state), len(ChessMove)), bool)
    for i, board in enumerate(to_boards(state)):
        mask[i, [_numbered(board, move) for move in board.legal_moves]] = True
    return mask


class ChessGame:
    """Chess behind the World protocol. Reward is 1 for giving mate; time limits are the caller's.

    A game ends by mate, stalemate, insufficient material, 75 moves without capture or pawn move, or the fifth time of a
    position among those that the state remembers.

    Args:
        history: positions kept in a state, the present included; networks look at 8.
        time_limit: plies after which callers end a game.
    """

    actions = ChessMove
    name = "chess"
    observation_shape = (112, 8, 8)

    def __init__(self, history: int = DEPTH, time_limit: int = 300):
        if history < DEPTH:
            raise ValueError(f"history must be at least {DEPTH} positions, got {history}")
        self.history, self.time_limit = history, time_limit

    def generate(self, seeds: Sequence[int] | np.ndarray) -> ChessState:
        """Positions after up to 60 plies of uniformly random legal moves from the start, one for each seed."""
        boards = []
        for seed in whole_seeds(seeds):
            rng = np.random.default_rng(int(seed))
            board = chess.Board()
            for _ in range(rng.integers(LONGEST_OPENING + 1)):
                moves = list(board.legal_moves)
                if not moves or _over(board):
                    break
                board.push(moves[rng.integers(len(moves))])
            boards.append(board)
        return from_boards(boards, self.history)

    def step(self, state: ChessState, actions: np.ndarray) -> Step[ChessState]:
        """Makes moves [N] (numbers of `ChessMove`, from the mover's side); forbidden ones change nothing.

        Raises:
            ValueError: not one number for each position, or one that is no move.
        """
        actions = np.asarray(actions)
        if actions.shape != (len(state),) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be [{len(state)}] integers, got {actions.dtype} {list(actions.shape)}"
            )
        reward, moved, after = np.zeros(len(state), np.float32), [], []
        ended = np.zeros(len(state), bool)
        for i, board in enumerate(to_boards(state)):
            move = numbered_move(board, int(actions[i]))
            over = _over(board) or state.repetitions[i, 0] >= FIVEFOLD
            if move is not None and not over:
                board.push(move)
                moved.append(i)
                after.append(board)
                reward[i] = board.is_checkmate()
                over = _over(board)
            ended[i] = over
        following = _followed(state, np.array(moved, int), after)
        ended |= following.repetitions[:, 0] >= FIVEFOLD
        return Step(following, reward, ended)

    def observe(self, state: ChessState) -> np.ndarray:
        """[N, 112, 8, 8] uint8: Leela's classical planes from the mover's side; row 0 is its own first rank."""
        return encode(state).clip(0, 255).astype(np.uint8)

    def legal(self, state: ChessState) -> np.ndarray:
        """As the function `legal`."""
        return legal(state)

    def parse(self, text: str) -> ChessState:
        """One position from 'FEN', or 'FEN moves e2e4 e7e5 ...' where earlier positions are known; see `text`.

        Raises:
            ValueError: an illegal FEN or move; the message says which word.
        """
        return parse_position(text, self.history)

    def text(self, state: ChessState) -> list[str]:
        """'FEN moves ...' of each: the earliest position that is kept, and the moves since.

        Where the game is longer than what is kept, 'known N' and 'repeated 0,1,...' (newest first) follow for what the
        kept positions alone do not say.

        Raises:
            ValueError: two positions of a history that no move connects.
        """
        return [position_text(take(state, i)) for i in range(len(state))]


def parse_position(text: str, depth: int = DEPTH) -> ChessState:
    """One position from its text; see `ChessGame.parse`."""
    board, known, repeated = _parsed(text)
    state = from_boards([board], depth)
    kept = min(int(state.length[0]), depth)
    if known is not None:
        if known < state.length[0]:
            raise ValueError(
                f"known {known} is less than the {state.length[0]} positions that the text gives"
            )
        state = replace(state, length=np.array([known], np.int32))
    if repeated is not None:
        counts = repeated.split(",")
        if len(counts) != kept or not all(c.isascii() and c.isdigit() and int(c) < 256 for c in counts):
            raise ValueError(f"repeated needs {kept} counts 0..255 joined by commas, got {repeated[:80]!r}")
        repetitions = state.repetitions.copy()
        repetitions[0, :kept] = [int(c) for c in counts]
        state = replace(state, repetitions=repetitions)
    return state


def parse_board(text: str) -> chess.Board:
    """The board of a position's text, its moves on the stack; errors as in `ChessGame.parse`."""
    return _parsed(text)[0]


def _parsed(text: str) -> tuple[chess.Board, int | None, str | None]:
    """Board with its moves, how many positions are known, and the counts of repetitions as they stand."""
    words = text.split()
    if not words:
        raise ValueError(
            "the position's text is empty: give a FEN, such as '8/8/8/8/8/4k3/4p3/4K3 w - - 0 1'"
        )
    starts = [i for i, word in enumerate(words) if word in _KEYWORDS]
    board = parse_fen(" ".join(words[: starts[0]] if starts else words))
    known, repeated = None, None
    for start, end in pairwise([*starts, len(words)]):
        keyword, values = words[start], words[start + 1 : end]
        if keyword == "moves":
            _push_all(board, values, start + 1)
        elif keyword == "known" and len(values) == 1 and values[0].isascii() and values[0].isdigit():
            known = min(int(values[0][:10]), 2**31 - 1)
        elif keyword == "repeated" and len(values) == 1:
            repeated = values[0]
        else:
            raise ValueError(f"word {start + 1}: {keyword!r} must be followed by one value, got {values[:5]}")
    return board, known, repeated


_KEYWORDS = ("moves", "known", "repeated")


def parse_fen(fen: str) -> chess.Board:
    """A legal position of standard chess or Chess960 from its FEN.

    Raises:
        ValueError: not a FEN, or a position that the rules exclude; the message says how.
    """
    try:
        board = chess.Board(fen)
        if board.has_chess960_castling_rights():
            board = chess.Board(fen, chess960=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"illegal FEN {fen[:90]!r}: {error}") from error
    if not board.is_valid():
        raise ValueError(f"illegal position {fen[:90]!r}: {faults(board)}")
    return board


def position_text(state: ChessState) -> str:
    """The text of one position (N = 1); see `ChessGame.text`."""
    if len(state) != 1:
        raise ValueError(f"position_text takes one position, got {len(state)}: take(state, i) picks one")
    depth = state.bitboards.shape[1]
    kept = min(int(state.length[0]), depth)
    boards = [to_boards(_back(state, h))[0] for h in range(kept - 1, -1, -1)]
    words = [boards[0].fen(en_passant="fen")]
    moves = [_between(before, after).uci() for before, after in pairwise(boards)]
    words += ["moves", *moves] if moves else []
    plain = parse_position(" ".join(words), depth)
    if plain.length[0] != state.length[0]:
        words.append(f"known {state.length[0]}")
    if not np.array_equal(plain.repetitions, state.repetitions):
        words.append("repeated " + ",".join(str(count) for count in state.repetitions[0, :kept]))
    return " ".join(words)


def _push_all(board: chess.Board, moves: Sequence[str], place: int) -> None:
    for i, word in enumerate(moves, 1):
        try:
            move = board.parse_uci(word)
        except ValueError as error:
            raise ValueError(f"word {place + i}: illegal move {word[:12]!r} in {board.fen()}") from error
        if not move:
            raise ValueError(f"word {place + i}: {word!r} is a null move, which a game has none of")
        board.push(move)


def _over(board: chess.Board) -> bool:
    if board.halfmove_clock >= SEVENTY_FIVE_MOVES or board.is_insufficient_material():
        return True
    return not any(board.generate_legal_moves())


def _back(state: ChessState, h: int) -> ChessState:
    """One position (N = 1) as it was h plies ago, without the game before it."""
    turn = bool(state.turn[0]) ^ bool(h % 2)
    moves_by_black = (h + bool(state.turn[0])) // 2
    rows = {f.name: getattr(state, f.name) for f in fields(state)}
    past = {name: array[:, h : h + 1] for name, array in rows.items() if array.ndim > 1}
    return ChessState(
        **past,
        turn=np.array([turn]),
        length=np.ones(1, np.int32),
        fullmove=state.fullmove - np.int32(moves_by_black),
    )


def _between(before: chess.Board, after: chess.Board) -> chess.Move:
    """The move that connects two positions."""
    left = before.occupied_co[before.turn] & ~after.occupied_co[before.turn]
    for move in before.legal_moves:
        if left & chess.BB_SQUARES[move.from_square] or before.is_castling(move):
            trial = before.copy(stack=False)
            trial.push(move)
            if trial.board_fen() == after.board_fen():
                return move
    raise ValueError(f"no legal move leads from {before.fen()} to {after.fen()}: the history is no game")


def _followed(state: ChessState, moved: np.ndarray, after: list[chess.Board]) -> ChessState:
    """`state` with the boards `after` in front of the positions `moved`; each has one move on its stack."""
    if not len(moved):
        return state
    new, old = from_boards(after, 2), take(state, moved)
    grown = {f.name: getattr(state, f.name).copy() for f in fields(state)}
    for name, array in grown.items():
        if array.ndim > 1:
            array[moved] = np.concatenate([getattr(new, name)[:, :1], getattr(old, name)[:, :-1]], axis=1)
    grown["turn"][moved], grown["fullmove"][moved] = new.turn, new.fullmove
    grown["length"][moved] = old.length + 1
    same = (old.bitboards == new.bitboards[:, :1]).all(2) & (old.castling == new.castling[:, :1])
    same &= (old.en_passant == new.en_passant[:, :1]) & (np.arange(old.castling.shape[1]) % 2 == 1)
    # The nearest earlier one has counted those before it.
    nearest = same.argmax(1)
    times = np.where(same.any(1), old.repetitions[np.arange(len(moved)), nearest].astype(int) + 1, 0)
    grown["repetitions"][moved, 0] = times.clip(max=255)
    return ChessState(**grown)
