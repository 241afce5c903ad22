"""Players of small games from other projects, as plain modules with their own layers by name.

`mlp.py` gymnax agents on flattened planes; `gomoku.py` AlphaZero_Gomoku; `az_net.py` the residual network of pgx and Ludax
(Reversi); `convert.py` their files to these.
"""
