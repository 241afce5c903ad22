"""Does an explanation hold where it could fail? `scrubbing/` a claim about which parts depend on what, tried by swaps."""
