"""Does a chess network look ahead, or choose its first move without the later ones?

`study.py` the story, `stages.py` its slow stages as arrays; `measure.py` lines of puzzles, `patches.py` and
`patch_findings.py` patched squares, `probes.py` and `probe_findings.py` what can be read, `findings.py` the rest;
`figures.py` and `words.py`.
"""
