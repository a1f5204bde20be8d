from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neuroattn.statistics.tuning_findings import findings, verdict

MEASURES = (
    "gain", "baseline_difference", "shift", "bandwidth_change", "correlation", "modulation_index", "absolute_shift",
    "absolute_bandwidth_change", "crossvalidated_shift", "crossvalidated_bandwidth_change", "response_ratio",
    "share_best_model_gain",
)  # fmt: skip


def statistics(changes: dict[str, dict[str, float]] | None = None, control: str = "") -> pd.DataFrame:
    """Return rows of one layer, with `changes` of a measure's columns."""
    common = {
        "layer": "stage1/response", "reduction": "maximum", "control": control, "n_units": 29, "n_missing": 3,
        "n_stimuli": 1013, "n_stimuli_dropped": 7, "scope": "units of one network", "estimate": 1.0,
        "interval_low": 0.5, "interval_high": 1.5, "equivalence_high": 5.0, "p_equivalence": np.nan,
        "p_equivalence_within_network": np.nan, "cluster_mean": 2.0, "cluster_mean_low": 1.0, "cluster_mean_high": 3.0,
    }  # fmt: skip
    return pd.DataFrame([{"what": what, **common, **(changes or {}).get(what, {})} for what in MEASURES])


def sizes(p_shift: float, p_width: float, low_shift: float, low_width: float) -> dict[str, dict[str, float]]:
    return {
        "absolute_shift": {"p_equivalence_within_network": p_shift},
        "absolute_bandwidth_change": {"p_equivalence_within_network": p_width},
        "crossvalidated_shift": {"cluster_mean_low": low_shift},
        "crossvalidated_bandwidth_change": {"cluster_mean_low": low_width},
    }


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.01, 0.04, 0.2, 0.2), "supported"),
        ((0.01, 0.06, 0.2, 0.2), "undecided"),
        ((0.99, 0.99, 4.9, 4.9), "undecided"),  # large absolute sizes may be noise
        ((0.01, 0.99, 0.2, 5.1), "contradicted"),
        ((0.70, 0.01, 5.1, 0.2), "contradicted"),
        ((np.nan, np.nan, np.nan, np.nan), "undecided"),
    ],
)
def test_each_size_decides_what_noise_cannot_make_it_decide_wrongly(
    numbers: tuple[float, float, float, float], expected: str
) -> None:
    assert verdict(statistics(sizes(*numbers)), "stage1/response", "maximum") == expected


def test_findings_say_estimates_intervals_and_numbers() -> None:
    assert findings(statistics(sizes(0.01, 0.9, 0.2, 5.2))) == [
        (
            "Tuning, units of one network, 1,013 stimuli in both states (7 dropped: attention not confirmed in both). "
            "Intervals and tests are about this network, not about networks of its kind: give several seeds."
        ),
        "Medians over units [95 % bootstrap interval].",
        "Response to an orientation: maximum over bars",
        "  stage1/response: 29 of 32 tuned units could be fitted in both states",
        "    gain 1.00 [0.50, 1.50], n = 29 (∞ or 0 if silent in a state); offset 1.00 [0.50, 1.50]",
        "    shift 1.00° [0.50, 1.50]; bandwidth change 1.00° [0.50, 1.50], n = 29",
        "    driven units: modulation index 1.00 [0.50, 1.50], n = 29; correlation of the curves 1.00 [0.50, 1.50]",
        "    best nested model by AICc: gain 100%",
        (
            "    'Attention leaves the shape': contradicted (mean sizes [95 % t interval]: shift 2.0° [1.0, 3.0] "
            "absolute, 2.0° [0.2, 3.0] cross-validated, bound 5°; bandwidth change 2.0° [1.0, 3.0] absolute, "
            "2.0° [5.2, 3.0] cross-validated, bound 5°)"
        ),
        "Biology (McAdams & Maunsell 1999): median gain V4 1.26, V1 1.08; bandwidth unchanged.",
    ]


@pytest.mark.parametrize(("low", "noted"), [(0.7, True), (0.01, True), (-0.1, False)])
def test_an_effect_that_survives_shuffled_gates_is_said_to_be_of_the_place(low: float, noted: bool) -> None:
    index = {"modulation_index": {"estimate": 0.8, "interval_low": low, "interval_high": 0.9}}
    table = pd.concat([statistics(), statistics(control="intact"), statistics(index, control="shuffled_gates")])
    lines = findings(table)
    listed = "    controls, modulation index on the same few bars: intact 1.00 [0.50, 1.50]; "
    assert f"{listed}shuffled gates 0.80 [{low:.2f}, 0.90]" in lines
    assert any(line.startswith("    NOTE: gates of other stimuli do as much") for line in lines) == noted


def test_a_control_with_an_effect_comes_first() -> None:
    wrong = statistics({"response_ratio": {"estimate": 1.25}}, control="zero_strength")
    first = findings(pd.concat([statistics(), wrong], ignore_index=True))[0]
    assert first == (
        "WARNING: the control zero_strength shows a response ratio of 1.250 in stage1/response (maximum), "
        "where attention cannot act; distrust this run."
    )
