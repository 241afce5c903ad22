"""Does an explanation hold where it could fail? `scrubbing/` a claim about which parts depend on what, tried by
swaps; `consistency.py` whether unlabelled pairs show a property, beside everything simple that reads them; `anomalies/` is a new run
made by another mechanism than the trusted ones."""
