"""Detectors of changed mechanisms: fitted on trusted runs, they score new ones; and how well the scores tell them apart.

A fitter takes trusted samples batch by batch (`update`) and gives a frozen detector (`done`), a function of samples: the
higher the score, the stranger. `moments.py` sums and shrunk covariances of a stream; `distances.py` Mahalanobis, relative
Mahalanobis, spectral signatures and quantum entropy; `neighbours.py` nearest neighbours, and their ranks from layer to
layer; `gram.py` powers of Gram matrices against medians (Beatrix); `simple.py` what needs no detector, and what labels
would give; `separation.py` AUROC and true positives at 1% false ones, with levels as the unit.
"""
