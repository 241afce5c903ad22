"""Does a chess network look ahead, or choose its first move without the later ones?

`study.py` the story and `setup.py` what is known of the puzzles. In `measure/`: `player.py` a network that looks at boards,
`lines.py` lines of puzzles, `patches.py` patched squares, `probes.py` what can be read, `stages.py` the slow stages as
arrays; in `findings/` their estimates: `play.py`, `patches.py`, `probes.py`, and `made.py` what they share. `figures.py` and
`words.py`.
"""
