"""What is run: `solving.py` where a policy goes from some levels, exactly or by sampled play; `quantities.py` what is asked
of that, level by level; `rules.py` which simple rule explains its moves.
"""
