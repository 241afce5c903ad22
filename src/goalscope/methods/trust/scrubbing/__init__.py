"""Causal scrubbing of any module: a hypothesis is right if the swaps that it allows change nothing.

`hypothesis.py` which parts depend on what of the input, and how inputs are drawn under that; `scrub.py` the module with all
that is called irrelevant drawn anew: on average, in absolute terms, and in its distribution; `swaps.py` the worst that
one swap and a subset of them do; `adversary.py` claims that could be added and would show that something was left out.
"""
