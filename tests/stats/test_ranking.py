"""Ranks beside those of scipy."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from goalscope.stats import ranks


def test_equal_values_share_the_mean_of_their_places() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1, 3.5, 2]
    drawn = np.random.default_rng(0).integers(0, 20, 200) / 7
    np.testing.assert_array_equal(ranks(drawn), rankdata(drawn))
    assert ranks(np.array([])).shape == (0,)
