"""Does an explanation hold where it could fail? `scrubbing/` a claim about which parts depend on what, tried by
swaps; `consistency.py` whether unlabelled pairs show a property, beside everything simple that reads them; `anomalies/`
whether a new run comes about as the trusted ones do, beside what needs no detector."""
