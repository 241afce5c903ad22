"""Leela-format chess networks as plain torch modules.

`file.py` reads the protobuf, `convert.py` turns it into a module and its configuration, `packed.py` does both piece by
piece for a gzip on disk; `network.py` is the module, made of `layers.py` and `attention.py`; `onnx.py` reads what lc0's
converter writes; `moves.py` numbers moves as the networks do.
"""

from goalscope.policies.lc0.network import PIECE, Lc0, evaluate

__all__ = ["PIECE", "Lc0", "evaluate"]
