"""Estimates with their controls, a file for each part of the study; quick, made anew each time.

`made.py`, `patches.py`, `play.py`, `probes.py`: what each is for is said in the study's own docstring and at its top.
"""
