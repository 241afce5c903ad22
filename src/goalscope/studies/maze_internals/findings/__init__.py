"""Estimates with their controls, a file for each part of the study; quick, made anew each time.

`channels.py`, `goals.py`, `reading.py`, `retarget.py`, `steering.py`, `training.py`, `writing.py`: what each is for
is said in the study's own docstring and at its top.
"""
