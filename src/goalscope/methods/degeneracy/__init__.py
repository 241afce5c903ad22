"""How degenerate a minimum is.

`learning_coefficient/` the local learning coefficient by sampling, with diagnostics and sweeps; `references.py` what it must
be where that is known exactly, at finite n and finite step; `simple.py` what it is compared with: Hessian trace, rank, norm
and number of parameters.
"""
