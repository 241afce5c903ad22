"""What changes when activations are edited.

`patch.py` effects of replacing activations, `attribution.py` their gradients' approximation, `paths.py` along one path,
`select.py` which parts matter, confirmed on other levels; `steer.py` vectors and doses, `stencil.py` what a thing adds
around its square, `retarget/` sending the agent to a square, `frontier.py` how few values suffice, `side_effects.py` what
else an edit does.
"""
