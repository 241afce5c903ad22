"""Forwards that go on from a site and compute only what depends on it, to the same bits as the whole forward.

`from_site.py` is the way in; `trace.py` records what a forward does, `plan.py` says which of its operations depend on a
site, `narrow.py` keeps what depends on one channel,
`fold.py` runs many edits of one site as one batch.
"""
