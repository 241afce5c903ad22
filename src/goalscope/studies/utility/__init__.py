"""Does a policy act for one utility, for several that are gated by where it is, or for none?

`study.py` the story; `setup.py` the levels, and the grammar of utilities and contexts; `measure.py` the policy's moves in
every state, and what the methods make of them; `findings.py`; `figures.py`; `words.py`.
"""
