"""The Sokoban planners of AlignmentResearch (learned-planner, train-learned-planner): their files, as our modules.

Taufeeque et al. 2024, "Planning in a recurrent neural network that plays Sokoban" (arXiv 2407.15421), and 2025,
"Interpreting learned search" (arXiv 2506.10138). `msgpack.py` reads what flax wrote; `convert.py` makes a network of it
and of the `cfg.json` beside it: a `DRC` (of `policies/drc/`), or the residual network of `resnet.py`.

They see goalscope's `Sokoban(observation="rgb")` and act with its moves, 0 up, 1 down, 2 left, 3 right. What their
tools call `cell_list.L.hook_h.POS.TICK` is `core.cells.L@TICK`; `hook_c` is `core.cells.L:out.1@TICK`, `hook_input_h` and
`hook_input_c` are `:in.2` and `:in.3`, `hook_prev_layer_hidden` is `:in.1`, `hook_i` to `hook_o` are `core.cells.L.i` to
`.o`, `hook_pool_project` is `core.cells.L.pool` [N, C], and `hook_pre_model` is `core.encoder`.
"""
