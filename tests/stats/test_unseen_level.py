"""The unseen level of a bounded mean is as large as the mean level, not as the least."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.stats import bootstrap_ratio


def test_the_unseen_level_weighs_as_much_as_the_mean_level() -> None:
    """All values are 1; what keeps the lower limit from 1 is the unseen level alone, drawn here by a loop of its own."""
    counts = np.array([1.0, 1, 1, 1, 96])
    result = bootstrap_ratio(counts, counts, bounds=(0, 1), resamples=20000)
    draws = np.random.default_rng(5).dirichlet(np.ones(6), 20000)
    seen, unseen = draws[:, :5] @ counts, draws[:, 5] * counts.mean()
    assert result.estimate == result.high == 1
    assert result.low == pytest.approx(np.quantile(seen / (seen + unseen), 0.025), abs=0.03)
    assert result.low < 0.6
