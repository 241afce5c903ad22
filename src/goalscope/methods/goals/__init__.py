"""How goals come about and what they are, from moves, weights and training.

`utilities/` which utility explains what a policy does, one or several that are gated by where it is, and how well each is
served; `influence_chain.py` which parts of a network keep each other active through the world; `training_influence.py` which
training examples are behind a behaviour.
"""
