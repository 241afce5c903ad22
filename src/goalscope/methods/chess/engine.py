"""What an engine makes of a line: is each of the solver's moves the best by far, and is each reply forced?

Any UCI engine serves; Stockfish (GPL-3.0+) is looked for where none is named. It is asked for a fixed number of nodes
on one thread, so that the same build gives the same answer on every machine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import chess
import chess.engine
import numpy as np

from goalscope.showing import drawing, text

NODES = 50_000
"""for each of the two questions about a move"""
PLACES = ("/usr/games/stockfish", "/usr/local/bin/stockfish")
MATE = 10_000
"""centipawns that a mate at once is worth; one in n is worth n less"""
SECONDS = 30.0
"""after which an engine that does not answer is given up"""


@dataclass(frozen=True)
class LineCheck:
    """An engine's view of the P plies of a line, each from the side of whoever moves."""

    __repr__, _repr_html_ = text, drawing

    engine: str
    """its name, as it gives it"""
    nodes: int
    best: tuple[chess.Move, ...]
    """[P] the engine's own move"""
    played_cp: np.ndarray
    """[P] score of the line's move in centipawns (mates as `MATE`)"""
    other_cp: np.ndarray
    """[P] score of the best other move; NaN where there is none"""

    @property
    def margin_cp(self) -> np.ndarray:
        """[P] how much better the line's move is than any other; infinite where it is the only one."""
        return np.where(np.isnan(self.other_cp), np.inf, self.played_cp - self.other_cp)

    def confirmed(self, least_cp: float = 100) -> bool:
        """Whether each of the solver's moves is better than any other by `least_cp`, or mates as well as another."""
        own = slice(0, None, 2)
        mates = self.played_cp[own] >= MATE - len(self.best)
        return bool((mates | (self.margin_cp[own] >= least_cp)).all())


def find_engine(command: str | None = None) -> str:
    """The path of an engine: the one that is named, or Stockfish.

    Raises:
        FileNotFoundError: there is none; the message says how to get Stockfish.
    """
    # Debian puts it where games are, which is not on everybody's path.
    wanted = ["stockfish", *PLACES] if command in (None, "stockfish") else [str(command)]
    for name in wanted:
        path = shutil.which(name)
        if path is not None and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(
        f"no UCI engine at {', '.join(wanted)}: install Stockfish (apt-get install stockfish) or name another"
    )


def check_line(
    board: chess.Board, line: Sequence[chess.Move], *, command: str | None = None, nodes: int = NODES
) -> LineCheck:
    """Asks an engine about every move of a line.

    Args:
        board: the position before the line.
        line: at least one legal move.
        command: of a UCI engine; Stockfish where None.
        nodes: searched for the line's move, and again for the best other one.

    Raises:
        FileNotFoundError: no engine.
        ValueError: an illegal move, an empty line, fewer than one node, or an engine that does not speak UCI.
    """
    if not line or nodes < 1:
        raise ValueError(f"need at least one move and one node, got {len(line)} and {nodes}")
    path, now = find_engine(command), board.copy()
    best, played, other = [], [], []
    limit = chess.engine.Limit(nodes=nodes)
    try:
        with chess.engine.SimpleEngine.popen_uci(path, timeout=SECONDS) as engine:
            engine.configure({key: 1 for key in ("Threads",) if key in engine.options})
            for ply, move in enumerate(line):
                if not now.is_legal(move):
                    raise ValueError(f"move {ply + 1} of the line, {move.uci()}, is illegal in {now.fen()}")
                rest = [each for each in now.legal_moves if each != move]
                ours = _score(engine.analyse(now, limit, root_moves=[move], game=object()), now.turn)
                theirs = engine.analyse(now, limit, root_moves=rest, game=object()) if rest else None
                played.append(ours)
                other.append(np.nan if theirs is None else _score(theirs, now.turn))
                first = (theirs or {}).get("pv") or [move]
                best.append(move if theirs is None or ours >= other[-1] else first[0])
                now.push(move)
            name = str(engine.id.get("name", path))
    except (chess.engine.EngineError, TimeoutError) as error:
        raise ValueError(f"{path} does not answer as a UCI engine: {error}") from error
    return LineCheck(name, nodes, tuple(best), np.array(played, float), np.array(other, float))


def _score(info: chess.engine.InfoDict, side: chess.Color) -> float:
    score = info.get("score")
    if score is None:
        raise ValueError("the engine gave no score")
    return float(score.pov(side).score(mate_score=MATE))
