"""What is run, a file for each part of the study; slow, stored, arrays out.

`beside.py`, `play.py`, `probes.py`, `shortcuts.py`, `solving.py`, `writing.py`: what each is for is said in the study's
own docstring and at its top.
"""
