"""Percentiles of a run, against numpy's: the same to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optimizer.simulate.estimate import percentile_of


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=60),
    st.floats(0, 100) | st.sampled_from([0.0, 50.0, 90.0, 95.0, 99.0, 99.9, 100.0]),
)
def test_a_percentile_is_numpys(values, percentile) -> None:
    given_ = np.array(values)
    assert percentile_of(given_, percentile) == float(np.percentile(given_, percentile))
    assert list(given_) == values  # left in order
