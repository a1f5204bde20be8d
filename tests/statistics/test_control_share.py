from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from neuroattn.statistics.control_share import compared, share_of


def test_the_share_of_a_difference_that_is_rounding_is_not_known() -> None:
    intact, other = pd.Series([2.0, -1.0, 1e-7, 0.0, 0.5]), pd.Series([1.0, -2.0, 5.0, 0.0, -0.5])
    assert_allclose(share_of(intact, other, pd.Series([3.0, 3.0, 3.0, 0.0, 0.5])), [0.5, 2, np.nan, np.nan, -1])


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.8, 1.25), "as much"),
        ((0.79, 1.1), "undecided"),
        ((0.3, 0.79), "less"),
        ((1.2, 1.4), "undecided"),
        ((1.26, 9.0), "more"),
        ((0.5, 1.5), "undecided"),
        ((np.nan, np.nan), "undecided"),
    ],
)
def test_gates_of_others_do_as_much_only_where_the_interval_says_so(interval, expected) -> None:
    ends = dict(zip(("interval_low", "interval_high"), interval, strict=True))
    assert compared(pd.Series({**ends, "n_models": 3, "n_channels": 1})) == expected
    assert compared(pd.Series({**ends, "n_models": 1, "n_channels": 2})) == expected
    assert compared(pd.Series({**ends, "n_models": 1, "n_channels": 1})) == "undecided"  # of one there is no interval
