"""What is run, a file for each part of the study; slow, stored, arrays out.

`lines.py`, `patches.py`, `player.py`, `probes.py`, `stages.py`: what each is for is said in the study's own docstring
and at its top.
"""
