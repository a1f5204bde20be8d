from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neuroattn.statistics.tuning_findings import findings, verdict


def statistics(sizes: dict[str, tuple[float, float, float]], control: str = "", **columns: object) -> pd.DataFrame:
    """Return rows of one layer; `sizes` gives (p of equivalence, lower end of the interval, median) a measure."""
    common = {
        "layer": "stage1/response", "reduction": "maximum", "control": control, "n_units": 29, "n_channels": 7,
        "n_stimuli": 1013, "n_stimuli_dropped": 7, "scope": "units of one network", "interval_low": 0.5,
        "interval_high": 1.5, "equivalence_high": 5.0, "p_equivalence": np.nan,
    }  # fmt: skip
    rows = []
    for what in ("gain", "baseline_difference", "shift", "bandwidth_change", "correlation", "modulation_index",
                 "absolute_shift", "absolute_bandwidth_change", "response_ratio"):  # fmt: skip
        p, low, estimate = sizes.get(what, (np.nan, np.nan, 1.0))
        rows.append(
            {"what": what, **common, "p_equivalence_within_network": p, "cluster_mean_low": low, "estimate": estimate}
        )
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize(
    ("shift", "bandwidth", "expected"),
    [
        ((0.01, 0.2, 0.3), (0.04, 0.2, 0.3), "supported"),
        ((0.01, 0.2, 0.3), (0.06, 0.2, 0.3), "undecided"),
        ((0.01, 0.2, 0.3), (0.99, 5.1, 8.0), "contradicted"),
        ((0.7, 5.1, 6.0), (0.01, 0.2, 0.3), "contradicted"),
        ((np.nan, np.nan, np.nan), (np.nan, np.nan, np.nan), "undecided"),
    ],
)
def test_shape_is_left_only_if_both_sizes_are_equivalent_to_zero(
    shift: tuple[float, float, float], bandwidth: tuple[float, float, float], expected: str
) -> None:
    table = statistics({"absolute_shift": shift, "absolute_bandwidth_change": bandwidth})
    assert verdict(table, "stage1/response", "maximum") == expected


def test_findings_say_estimates_intervals_and_numbers() -> None:
    lines = findings(statistics({"absolute_shift": (0.01, 0.2, 0.3), "absolute_bandwidth_change": (0.9, 5.2, 6.0)}))
    assert lines == [
        (
            "Tuning, units of one network, 1,013 stimuli in both states (7 dropped: attention not confirmed in both). "
            "Intervals and tests are about this network, not about networks of its kind: give several seeds."
        ),
        "Medians over units [95 % bootstrap interval].",
        "Response to an orientation: maximum over bars",
        "  stage1/response: 29 tuned units in 7 channels",
        "    gain 1.00 [0.50, 1.50]; offset 1.00 [0.50, 1.50]; modulation index of driven units 1.00 [0.50, 1.50]",
        (
            "    shift 1.00° [0.50, 1.50] (its size 0.30° [0.50, 1.50]); bandwidth change 1.00° [0.50, 1.50] "
            "(its size 6.00° [0.50, 1.50]); correlation of the curves 1.00 [0.50, 1.50]"
        ),
        "    'Attention leaves the shape' (sizes within ±5° and ±5°): contradicted",
        "Biology (McAdams & Maunsell 1999): median gain V4 1.26, V1 1.08; bandwidth unchanged.",
    ]


def test_a_control_with_an_effect_comes_first() -> None:
    wrong = statistics({"response_ratio": (np.nan, np.nan, 1.25)}, control="zero_strength")
    first = findings(pd.concat([statistics({}), wrong], ignore_index=True))[0]
    assert first == (
        "WARNING: the control zero_strength shows a response ratio of 1.250 in stage1/response (maximum), "
        "where attention cannot act; distrust this run."
    )
