"""What is run, a file for each part of the study; slow, stored, arrays out.

`ways.py`, `windows.py`, `reading.py`, `writing.py`, `thinking.py`: what each is for is said in the study's own docstring
and at its top.
"""
