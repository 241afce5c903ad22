"""The Sokoban planners of Bush et al. 2025, "Interpreting Emergent Planning in Model-Free Reinforcement Learning".

Their files (github.com/tuphs28/emergent-planning, MIT) hold objects of a foreign class beside the weights: `archive.py`
reads them without making any; `convert.py` makes a network of the layers, a `DRC` (of `policies/drc/`) or the residual
network of `resnet.py`.

They see the board without its outer ring of walls as seven planes, one kind of square each: goalscope's
`Sokoban(observation="kinds", noop=True)`, whose five actions are theirs, 0 nothing, 1 up, 2 down, 3 left, 4 right. Of
their gates (i, f, o, g) ours are j, f, o, i; what their code calls the fifth is not used by it and is left out. The h and
c of layer L at a tick are `core.cells.L@TICK` and `core.cells.L:out.1@TICK`, their x_enc is `core.encoder`.
"""
