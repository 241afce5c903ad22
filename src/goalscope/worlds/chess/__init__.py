"""Chess (extra `chess`, which only `state.py` and `planes.py` do without).

`state.py` positions with their games; `planes.py` the 112 planes that Leela-format networks read; `world.py` the rules
behind the World protocol, and FEN; `files.py` EPD and PGN, `pgn.py` games as texts; `puzzles.py` Lichess puzzle files.
"""
