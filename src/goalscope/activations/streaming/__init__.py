"""Activations of more data than memory holds: `stream.py` writes and reads them, `shards.py` is their files."""

from goalscope.activations.streaming.stream import Stored, stored, stream

__all__ = ["Stored", "stored", "stream"]
