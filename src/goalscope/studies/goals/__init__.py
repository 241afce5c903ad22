"""What does any policy pursue in any world: which of its things, which of its places, or what the user names?

`study.py` the story; `setup.py` what is asked (candidates, and levels in which one thing is changed); in `measure/`:
`solving.py` where a policy goes, exactly or by sampled play, `quantities.py` what is asked of that, `rules.py` which
simple rule explains its moves; `findings.py`; `figures.py`; `words.py`.
"""
