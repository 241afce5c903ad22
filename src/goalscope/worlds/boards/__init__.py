"""Games of two players on a board of stones, as worlds: stones in a row (Gomoku) and Reversi.

`state.py` what a position is, its text and drawn replies; `gomoku.py` and `reversi.py` the rules; `picture.py` a position
drawn. Either the one who is asked plays both sides, or the other side's moves are drawn, the same for the same level.
"""

from goalscope.worlds.boards.gomoku import GomokuBoard
from goalscope.worlds.boards.reversi import ReversiBoard
from goalscope.worlds.boards.state import BoardState

__all__ = ["BoardState", "GomokuBoard", "ReversiBoard"]
