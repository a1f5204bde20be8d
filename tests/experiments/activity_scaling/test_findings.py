"""What is said of activity scaling, on constructed rows."""

from __future__ import annotations

import pandas as pd
import pytest

from neuroattn.experiments.activity_scaling.findings import form, verdict

ONE, NONE = (1.3, 1.7), (0.99, 1.01)


def rows(n_channels=20, **intervals):
    return pd.DataFrame(
        {"what": what, "layer": "a", "time_step": float("nan"), "estimate": sum(ends) / 2, "interval_low": ends[0],
         "interval_high": ends[1], "cluster_mean_low": ends[0], "cluster_mean_high": ends[1],
         "n_models": 1, "n_channels": n_channels}
        for what, ends in intervals.items()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("slope", "offset", "slope_2", "offset_2", "expected"),
    [
        (ONE, (-0.03, 0.03), ONE, (-0.03, 0.03), "multiplicative"),
        (NONE, (0.1, 0.2), NONE, (0.1, 0.2), "additive"),
        (ONE, (0.1, 0.2), ONE, (0.1, 0.2), "multiplicative and additive"),
        (NONE, (-0.03, 0.03), NONE, (-0.03, 0.03), "neither multiplicative nor additive"),
        (ONE, (-0.2, -0.1), ONE, (-0.03, 0.03), "undecided: it depends on which state's responses scatter more"),
        (NONE, (0.1, 0.2), ONE, (0.1, 0.2), "undecided: it depends on which state's responses scatter more"),
        (ONE, (-0.03, 0.03), ONE, (-0.045, 0.045), "undecided"),  # one line cannot tell of an offset
        ((0.8, 1.3), (-0.1, 0.1), (0.8, 1.3), (-0.1, 0.1), "undecided"),
    ],
)
def test_the_form_is_told_only_where_both_lines_tell_it(slope, offset, slope_2, offset_2, expected):
    table = rows(slope=slope, offset_share=offset, slope_proportional=slope_2, offset_share_proportional=offset_2)
    assert form(table) == expected


def test_one_unit_tells_no_form():
    """A bootstrap of one has an interval without a width, far from no effect."""
    table = rows(1, slope=(47, 47), offset_share=(9, 9), slope_proportional=(47, 47), offset_share_proportional=(9, 9))
    assert form(table) == "undecided"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.01, 0.3), "supported"), ((-0.3, -0.01), "contradicted"), ((-0.1, 0.2), "undecided"),
        ((-0.01, 0.015), "absent"), ((0.001, 0.015), "absent"), ((-0.3, 0.019), "undecided"),
    ],
)  # fmt: skip
def test_no_effect_is_shown_by_equivalence_alone(interval, expected):
    assert verdict(rows(modulation_index=interval)) == expected
