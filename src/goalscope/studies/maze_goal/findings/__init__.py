"""From what was measured to findings: each an estimate over levels with its interval, its n and its control.

The control of a trained policy is the untrained network of the same shape on the same levels; the control of the
untrained network is the uniform random walk. What is chosen or fitted is fitted on some levels and judged on others.

`behaviour.py` reach, fields and the choice at the decision square; `beside.py` trained mice as controls; `decision.py`
what decides P(cheese); `algorithms.py` which rule describes it; `value.py` whether it goes where its own value is highest;
`training.py` over training.
"""
