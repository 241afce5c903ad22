"""What a network does to first order.

`jacobians/` the exact derivative of its logits by every site, its singular directions, and what is sparse in it;
`alignment.py` do the maps on both sides of a gate turn towards each other, beside nulls;
`relus.py` which relus are needed, `truncation.py` how many singular directions of the weights are, `information.py` what
discrete codes know of a goal.
"""
