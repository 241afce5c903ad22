"""What a policy does, from its moves alone.

`reach.py` exact probabilities of reaching a square and where the agent ends; `decision/` the regression of P(cheese);
`algorithms.py` which hand-written rule describes it; `agreement.py` does it go where its own value is highest.
"""
