"""How goals come about and what they are, from moves, weights and training. `utilities/` which utility explains what a
policy does, one or several that are gated by where it is, and how well each is served."""
