from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from neuroattn.statistics.shares import share
from neuroattn.statistics.summary import Draws, shares


def units(*networks: str, per_channel: int = 7) -> pd.DataFrame:
    """Return units of five channels in each network."""
    rows = [(name, channel) for name in networks for channel in range(5) for _ in range(per_channel)]
    return pd.DataFrame(rows, columns=["model", "channel"])


def test_of_one_network_an_interval_is_over_channels() -> None:
    table = units("a")
    whole_channels = table["channel"] < 2
    found = share(table, whole_channels, np.random.default_rng(0), 2000)
    assert (found["n_models"], found["n_channels"], found["n_units"]) == (1, 5, 35)
    assert_allclose([found["estimate"], found["interval_low"], found["interval_high"]], [0.4, 0, 0.8])


@pytest.mark.parametrize(("holds", "low", "high"), [(True, 0.025 ** (1 / 5), 1), (False, 0, 1 - 0.025 ** (1 / 5))])
def test_units_that_all_agree_have_an_interval_with_a_width(holds: bool, low: float, high: float) -> None:
    found = share(units("a"), pd.Series(holds, range(35)), np.random.default_rng(0), 100)
    assert_allclose([found["estimate"], found["interval_low"], found["interval_high"]], [holds, low, high])


def test_of_several_networks_it_is_the_mean_of_their_shares() -> None:
    table = pd.concat([units("a"), units("b", per_channel=1), units("c")], ignore_index=True)
    holds = table["model"].isin(["a", "b"]) & (table["channel"] < 3)
    found = share(table, holds)
    assert_allclose(found["estimate"], 0.4)  # not weighed by numbers of units
    assert 0 < found["interval_low"] < 0.4 < found["interval_high"] < 1
    of_each = list(shares("few", table, holds, Draws(0, 100)))[1:]
    assert [row["model"] for row in of_each] == ["a", "b", "c"]
    assert_allclose([row["estimate"] for row in of_each], [0.6, 0.6, 0])
    assert [row["model"] for row in shares("all", units("a"), pd.Series(True, range(35)), Draws(0, 100))] == [""]
    assert list(shares("none", units(), pd.Series(dtype=bool), Draws(0, 100))) == []
