from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neuroattn.experiments import wording

MEDIANS = (
    "networks have medians of which no mean can be taken: the estimate is the median of 3 networks between the "
    "smallest and the largest, an interval of 75 %"
)


def row(estimate=1.0, low=0.5, high=1.5, scope="3 networks", warnings="", **more):
    return pd.Series(
        {"estimate": estimate, "interval_low": low, "interval_high": high, "scope": scope, "warnings": warnings, **more}
    )


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        (row(), {}, "1.000 [0.500, 1.500]"),
        (row(high=np.inf), {"digits": 1, "unit": "°"}, "1.0° [0.5, ∞]"),
        (row(np.inf, 1.3, np.inf, warnings=MEDIANS), {}, "∞ [1.300, ∞] (smallest to largest of 3 networks, 75 %)"),
        (
            row(np.inf, np.inf, np.inf, n_infinite=1220.0, n_units=1677),
            {},
            "∞: 1,220 of 1,677 units respond only when attended",
        ),
        (
            row(np.inf, 1.3, np.inf, warnings=MEDIANS, n_infinite=5.0, n_units=7),
            {},
            "∞ [1.300, ∞] (smallest to largest of 3 networks, 75 %): 5 of 7 units respond only when attended",
        ),
        (
            row(0.0, 0.0, 0.5, n_zero=3.0, n_units=5),
            {},
            "0.000 [0.000, 0.500]: 3 of 5 units respond only when unattended",
        ),
        (row(0.0, -1.0, 0.5, n_zero=np.nan, n_units=5), {}, "0.000 [-1.000, 0.500]"),
        (row(1, 1, 1), {}, "1.000 (all networks agree)"),
        (row(1, 1, 1), {"limits": (-1, 1)}, "1.000 (all networks at the limit)"),
        (row(1, 1, 1, "units of one network"), {}, "1.000 (all resamples agree)"),
        (row(1, 1, 1, "stimuli of one network"), {}, "1.000 (all resamples agree)"),
        (
            row(cluster_mean=2, cluster_mean_low=2, cluster_mean_high=2, scope="units of one network"),
            {"of": "cluster_mean"},
            "2.000 (all channels agree)",
        ),
        (
            row(cluster_mean=2, cluster_mean_low=1, cluster_mean_high=3, warnings=MEDIANS),
            {"of": "cluster_mean"},
            "2.000 [1.000, 3.000]",
        ),
    ],
)
def test_an_interval_is_worded_as_what_it_is(given, options, expected):
    assert wording.interval(given, **options) == expected


def test_one_network_is_no_sample_of_networks():
    expected = " Intervals and tests are about this network, not about networks of its kind: give several seeds."
    assert wording.caveat("units of one network") == wording.caveat("stimuli of one network") == expected
    assert not wording.caveat("2 networks; units of one network")


def test_a_control_that_checks_the_code_is_no_finding_of_the_science():
    shown = row(0.25, control="untrained")
    assert (
        wording.control_warning(shown, "index", "V1") == "WARNING: the control untrained shows a index of 0.250 in V1."
    )
    assert wording.control_warning(row(0.25, control="one_step"), "index", "V1") == (
        "WARNING: the control one_step shows a index of 0.250 in V1, where attention cannot act; distrust this run."
    )
