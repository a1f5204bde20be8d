from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neuroattn.experiments.tuning.findings import verdict
from neuroattn.experiments.tuning.sentences import sentences
from neuroattn.experiments.tuning.summary import tuning_statistics
from neuroattn.experiments.tuning.units import SHAPE_MEASURES

MEASURES = (
    "gain", "baseline_difference", "correlation", "modulation_index", "response_ratio", "share_best_model_gain",
    "share_within_shift", "share_within_bandwidth_change", "share_of_shuffled_gates", "n_tuned_units", "n_fitted_units",
    *SHAPE_MEASURES, *(f"{what}_narrow_included" for what in SHAPE_MEASURES),
)  # fmt: skip


def statistics(changes: dict[str, dict[str, float]] | None = None, control: str = "") -> pd.DataFrame:
    """Return rows of one layer, with `changes` of a measure's columns."""
    common = {
        "layer": "stage1/response", "reduction": "maximum", "control": control, "model": "", "n_units": 29,
        "n_missing": 3,
        "n_stimuli": 1013, "n_stimuli_dropped": 7, "scope": "units of one network", "estimate": 1.0,
        "interval_low": 0.5, "interval_high": 1.5, "equivalence_high": 5.0, "cluster_mean": 2.0,
        "cluster_mean_low": 1.0, "cluster_mean_high": 3.0, "warnings": "",
    }  # fmt: skip
    # Rows of one network beside those of all: nothing may be read from them.
    intervals = ("interval_low", "interval_high", "cluster_mean_low", "cluster_mean_high")
    own = dict.fromkeys(("estimate", *intervals), 1e6)
    rows = [{"what": what, **common, **(changes or {}).get(what, {})} for what in MEASURES]
    return pd.DataFrame([*({**row, **own, "model": "a"} for row in rows), *rows])


def sizes(
    high_shift: float, high_width: float, low_shift: float, low_width: float, suffix: str = ""
) -> dict[str, dict[str, float]]:
    return {
        f"absolute_shift{suffix}": {"cluster_mean_high": high_shift},
        f"absolute_bandwidth_change{suffix}": {"cluster_mean_high": high_width},
        f"crossvalidated_shift{suffix}": {"cluster_mean_low": low_shift},
        f"crossvalidated_bandwidth_change{suffix}": {"cluster_mean_low": low_width},
    }


def of_all(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["model"] == ""]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((4.9, 4.9, 0.2, 0.2), "supported"),
        ((4.9, 5.1, 0.2, 0.2), "undecided"),
        ((9.0, 9.0, 4.9, 4.9), "undecided"),  # large absolute sizes may be noise
        ((3.0, 9.0, 0.2, 5.1), "contradicted"),
        ((9.0, 3.0, 5.1, 0.2), "contradicted"),
        ((np.nan, np.nan, np.nan, np.nan), "undecided"),
    ],
)
def test_each_size_decides_what_noise_cannot_make_it_decide_wrongly(
    numbers: tuple[float, float, float, float], expected: str
) -> None:
    table = statistics(sizes(*numbers) | sizes(*numbers, "_narrow_included"))
    assert verdict(of_all(table)) == expected


def test_units_too_narrow_to_resolve_must_not_decide_by_being_left_out() -> None:
    alike, other = (3.0, 3.0, 0.2, 0.2), (9.0, 9.0, 5.1, 0.2)
    table = statistics(sizes(*alike) | sizes(*other, "_narrow_included"))
    assert verdict(of_all(table)) == "undecided"


def test_findings_say_estimates_intervals_and_numbers() -> None:
    narrow = statistics({"n_tuned_units": {"estimate": 2}}).query("what == 'n_tuned_units'")
    table = statistics(
        sizes(3.0, 9.0, 0.2, 5.2)
        | sizes(3.0, 8.0, 0.2, 5.1, "_narrow_included")
        | {"n_tuned_units": {"estimate": 32}, "n_fitted_units": {"estimate": 30}}
    )
    table = pd.concat([table, narrow.assign(what="n_unfitted: too narrow to resolve")])
    assert sentences(table) == [
        (
            "Tuning, units of one network, 1,013 stimuli in both states (7 dropped: attention not confirmed in both). "
            "Intervals and tests are about this network, not about networks of its kind: give several seeds."
        ),
        "Medians over units [95 % bootstrap interval of feature channels and units].",
        "Response to an orientation: maximum over bars",
        "  stage1/response: 30 of 32 tuned units could be fitted in both states; not: 2 too narrow to resolve",
        "    gain 1.00 [0.50, 1.50], n = 29 (∞ or 0 if silent in a state); offset 1.00 [0.50, 1.50]",
        "    shift 1.00° [0.50, 1.50]; bandwidth change 1.00° [0.50, 1.50], n = 29",
        "    driven units: modulation index 1.00 [0.50, 1.50], n = 29; correlation of the curves 1.00 [0.50, 1.50]",
        "    best nested model by AICc, n = 29 fitted in both states: gain 100% [50%, 150%]",
        "    (a network has no noise: residuals are misfit, and AICc tells which model errs least)",
        (
            "    'Attention leaves the shape', on average over units: contradicted (mean sizes [95 % t interval]: "
            "shift 2.0° [1.0, 3.0] absolute, 2.0° [0.2, 3.0] cross-validated, bound 5°; bandwidth change 2.0° "
            "[1.0, 9.0] absolute, 2.0° [5.2, 3.0] cross-validated, bound 5°)"
        ),
        (
            "    the same with the 2 units too narrow to resolve at their limit: shift 2.0° [1.0, 3.0] absolute, "
            "2.0° [0.2, 3.0] cross-validated, bound 5°; bandwidth change 2.0° [1.0, 8.0] absolute, 2.0° [5.1, 3.0] "
            "cross-validated, bound 5°"
        ),
        "    units within the bounds: shift 100% [50%, 150%], n = 29; bandwidth change 100% [50%, 150%], n = 29",
        (
            "Biology (McAdams & Maunsell 1999): median gain V4 1.26, V1 1.08; bandwidth unchanged. A model's gain "
            "rises with its gate strength s about as 1/(1 − s), 1.25 at s = 0.2: a match is a choice of s."
        ),
    ]


def test_controls_say_how_often_attention_is_confirmed_and_what_gates_of_others_leave() -> None:
    share = {"share_of_shuffled_gates": {"estimate": 0.4, "interval_low": 0.3, "interval_high": 0.5}}
    tables = [statistics(share).assign(n_models=3, n_channels=40)]
    for name, confirmed in {"intact": 1.0, "zero_strength": 0.0, "shuffled_gates": 0.91}.items():
        of_control = statistics({"share_within_shift": {"estimate": confirmed}}, control=name)
        of_control = of_control[of_control["what"].isin(["modulation_index", "response_ratio", "share_within_shift"])]
        tables.append(of_control.replace({"what": {"share_within_shift": "share_confirmed"}}))
    lines = sentences(pd.concat(tables))
    assert (
        "    controls, modulation index on the same few bars (stimuli on which attention is confirmed): intact 1.00 "
        "[0.50, 1.50] (100%); s = 0 1.00 [0.50, 1.50] (–); shuffled gates 1.00 [0.50, 1.50] (91%); s = 0 checks the "
        "code"
    ) in lines
    assert (
        "    difference A − N under gates of other stimuli, as a share of each unit's own: 0.40 [0.30, 0.50], n = 29 "
        "(3 without a difference): gates of other stimuli do less (as much: 0.8 to 1.25)"
    ) in lines


def line_of(changes: dict[str, dict[str, object]], start: str, **columns: object) -> str:
    (line,) = (text for text in sentences(statistics(changes).assign(**columns)) if text.strip().startswith(start))
    return line


def test_medians_without_a_mean_say_what_stands_in_its_place() -> None:
    units = pd.DataFrame(
        {
            "model": np.repeat(["a", "b", "c"], 3), "layer": "stage1/response", "channel": np.tile(range(3), 3),
            "driven": True, "distractor_in_field": False, "excluded_by": "", "converged_maximum": True,
            "gain_maximum": [1.2, 1.3, 1.4, np.inf, np.inf, np.inf, 3, np.inf, np.inf],
        }
    )  # fmt: skip
    table = tuning_statistics(units, {}, 0, 100)
    gain = table[(table["what"] == "gain") & (table["model"] == "")].iloc[0]
    columns = ["estimate", "interval_low", "interval_high", "warnings"]
    line = line_of({"gain": gain[columns].to_dict()}, "gain", scope="3 networks")
    assert line == (
        "    gain ∞ [1.30, ∞] (smallest to largest of 3 networks, 75 %), n = 29 (∞ or 0 if silent in a state); offset "
        "1.00 [0.50, 1.50]"
    )


def test_infinity_of_one_network_is_a_sign() -> None:
    infinite = {"estimate": np.inf, "interval_low": 2.0, "interval_high": np.inf}
    assert line_of({"gain": infinite}, "gain").startswith("    gain ∞ [2.00, ∞], n = 29 ")


@pytest.mark.parametrize(
    ("value", "scope", "expected"),
    [
        (1.0, "units of one network", "1.00 (all resamples at the limit)"),
        (1.0, "3 networks", "1.00 (all networks at the limit)"),
        (0.25, "3 networks", "0.25 (all networks agree)"),
    ],
)
def test_an_interval_without_width_is_put_in_words(value: float, scope: str, expected: str) -> None:
    agreed = {
        **dict.fromkeys(("estimate", "interval_low", "interval_high"), value),
        **dict.fromkeys(("cluster_mean", "cluster_mean_low", "cluster_mean_high"), value),
    }
    line = line_of({"modulation_index": agreed}, "driven units", scope=scope)
    assert line.startswith(f"    driven units: modulation index {expected}, n = 29; ")
    clusters = "channels" if scope == "units of one network" else "networks"
    line = line_of({"absolute_shift": agreed}, "'Attention leaves the shape'", scope=scope)
    assert f": shift {value:.1f}° (all {clusters} agree) absolute, 2.0° [1.0, 3.0] cross-validated" in line


def test_units_without_a_width_are_counted_with_their_reason() -> None:
    table = statistics()
    count = table[(table["what"] == "n_fitted_units") & (table["model"] == "")]
    broad = count.assign(what="n_without_width: at the broad limit in both states", estimate=7)
    assert (
        "    shift 1.00° [0.50, 1.50]; bandwidth change 1.00° [0.50, 1.50], n = 29 (not: 7 at the broad limit in both "
        "states)"
    ) in sentences(pd.concat([table, broad]))


def test_a_control_with_an_effect_comes_first() -> None:
    wrong = statistics({"response_ratio": {"estimate": 1.25}}, control="zero_strength")
    wrong = wrong[wrong["what"] == "response_ratio"]
    first = sentences(pd.concat([statistics(), wrong], ignore_index=True))[0]
    assert first == (
        "WARNING: the control zero_strength shows a response ratio of 1.250 in stage1/response (maximum), "
        "where attention cannot act; distrust this run."
    )
