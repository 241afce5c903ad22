"""What only chess has (extra `chess`): `motifs.py`, corrupted `twins.py`, `engine.py`, and `square_patch.py`."""
