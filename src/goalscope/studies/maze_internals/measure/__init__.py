"""What is run, a file for each part of the study; slow, stored, arrays out.

`channels.py`, `goals.py`, `reading.py`, `retarget.py`, `steering.py`, `training.py`, `writing.py`: what each is for
is said in the study's own docstring and at its top.
"""
