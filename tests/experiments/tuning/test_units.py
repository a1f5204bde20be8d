from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.experiments.tuning.examples import example_curves
from neuroattn.experiments.tuning.summary import COLUMNS, tuning_statistics
from neuroattn.experiments.tuning.units import CLASSES, Criteria, Curves, Ungated, tuning_units
from neuroattn.statistics.summary import adjusted
from neuroattn.statistics.tuning_curve import half_width, von_mises

ORIENTATION = np.arange(0, 180, 9.0)


def curve(baseline: float = 0.2, amplitude: float = 1.0, kappa: float = 2.0, preferred: float = 45.0) -> np.ndarray:
    return von_mises(ORIENTATION, baseline, amplitude, kappa, preferred)


def labels_of(number: int, seen: tuple[int, ...] = ()) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "neuroid_id": [f"m.l.{unit}" for unit in range(number)],
            "model": "m",
            "layer": "stage1/response",
            "channel": np.arange(number) % 3,
            "distractor_in_field": [unit in seen for unit in range(number)],
        }
    )


def units_of(*pairs: tuple[np.ndarray, np.ndarray], seen: tuple[int, ...] = (), fits: bool = True) -> pd.DataFrame:
    """Return the unit table of (attended, unattended) curves, the same for selection and measurement.

    Before feedback a unit responds as in between the states, and not at all without the bar.
    """
    curves = Curves(*(np.array(state) for state in zip(*pairs, strict=True)))
    ungated = Ungated((curves.attended + curves.unattended) / 2, np.zeros(len(pairs)))
    by_reduction = {"maximum": curves}
    return tuning_units(
        labels_of(len(pairs), seen), ORIENTATION, ungated, by_reduction, by_reduction, Criteria(), fits=fits
    )


def test_units_are_excluded_for_the_first_reason_that_holds() -> None:
    flat, silent, noise = np.full(20, 0.7), np.zeros(20), 0.5 + 0.3 * (-1.0) ** np.arange(20)
    table = units_of(
        (curve(), curve()), (flat, flat), (silent, silent), (curve(), curve()), (noise, noise), seen=(3, 2)
    )
    assert table["excluded_by"].tolist() == [
        "",
        "not tuned",
        "distractor in receptive field",
        "distractor in receptive field",
        "not tuned",
    ]
    assert table["gain_maximum"].notna().tolist() == [True, False, False, False, False]
    assert table["slope_maximum"].isna().tolist() == [False, True, True, True, False]  # flat curves have no slope


def test_units_are_selected_by_what_the_bar_adds_before_feedback() -> None:
    ungated = Ungated(np.array([curve(), curve(), curve(2.0, 0.05), curve(5.0)]), np.array([0.0, 1.15, 2.0, 5.0]))
    # Whatever attention does: every unit has the same two curves.
    curves = {"maximum": Curves(np.array([3 * curve()] * 4), np.array([curve()] * 4))}
    table = tuning_units(labels_of(4), ORIENTATION, ungated, curves, curves, Criteria())
    assert table["excluded_by"].tolist() == ["", "not driven", "not driven", ""]
    assert_allclose(table["peak"] - table["without_bar"], [1.2, 0.05, 0.05, 1.0])
    fall = 1 - np.exp(-4)
    assert_allclose(table["modulation"], [fall / 1.2, fall / 1.2, 0.05 * fall / 2.05, fall / 6], rtol=1e-6)
    weak = ungated._replace(curves=np.array([curve(), curve(20.0), curve(), curve()]), without=np.zeros(4))
    table = tuning_units(labels_of(4), ORIENTATION, weak, curves, curves, Criteria())
    assert table["excluded_by"].tolist() == ["", "not tuned", "", ""]  # it falls by less than a tenth


def test_a_tuned_unit_without_a_fit_says_why() -> None:
    narrow = von_mises(ORIENTATION, 0.0, 1.0, 300.0, 45.0)
    poor = curve() + 0.9 * np.sin(np.arange(20) * 2.5)
    table = units_of((curve(), np.zeros(20)), (np.zeros(20), curve()), (narrow, narrow), (curve(), poor))
    assert table["unfitted_by_maximum"].tolist() == [
        "silent when unattended",
        "silent when attended",
        "too narrow to resolve",
        "poor fit",
    ]
    assert_array_equal(table["gain_maximum"], [np.inf, 0, np.nan, np.nan])  # extreme, and kept
    assert table["modulation_index_maximum"].iloc[:2].tolist() == [1.0, -1.0]
    assert table["shift_maximum"].isna().all()
    assert not table["width_known_maximum"].any()


def test_a_unit_that_is_silent_in_both_states_is_in_no_class_of_one() -> None:
    silent = np.array([np.zeros(20)])
    both = {"maximum": Curves(silent, silent)}
    table = tuning_units(labels_of(1), ORIENTATION, Ungated(np.array([curve()]), np.zeros(1)), both, both, Criteria())
    assert table["unfitted_by_maximum"].tolist() == ["silent in both states"]
    assert np.isnan(table["gain_maximum"].iloc[0])


def test_units_too_narrow_to_resolve_have_their_limit_values_apart() -> None:
    narrow = von_mises(ORIENTATION, 0.0, 1.0, 300.0, 45.0)
    table = units_of((curve(preferred=49.0), curve()), (narrow, curve()))
    assert_allclose(table["absolute_shift_maximum"], [4, np.nan], atol=1e-3)
    assert_allclose(table["absolute_shift_narrow_included_maximum"], [4, 0], atol=0.5)
    assert_allclose(table["bandwidth_change_maximum"], [0, np.nan], atol=1e-3)
    change = table["bandwidth_change_narrow_included_maximum"]
    assert_allclose(change.iloc[1], table["half_width_attended_maximum"].iloc[1] - half_width(2.0), atol=0.1)
    assert change.iloc[1] < -15


def test_widths_at_the_broad_limit_in_both_states_are_not_compared_but_gain_is() -> None:
    cosine = 1 + 0.5 * np.cos(np.deg2rad(2 * (ORIENTATION - 60)))
    row = units_of((1.3 * cosine, cosine)).iloc[0]
    assert_allclose(row["gain_maximum"], 1.3, rtol=1e-6)
    assert_allclose(row["baseline_difference_maximum"], 0.3 * 0.5, atol=0.01)
    assert_allclose(row["shift_maximum"], 0, atol=1e-4)
    assert np.isnan(row["bandwidth_change_maximum"])
    assert not row["width_known_maximum"]


def test_a_width_at_the_broad_limit_in_one_state_counts_as_at_least_that_wide() -> None:
    cosine = 1 + 0.5 * np.cos(np.deg2rad(2 * (ORIENTATION - 60)))
    row = units_of((cosine, curve(kappa=4.0, preferred=60.0))).iloc[0]
    assert_allclose(row["bandwidth_change_maximum"], half_width(0.1) - half_width(4.0), atol=0.1)
    assert row["width_known_maximum"]


def test_crossvalidated_sizes_take_their_sign_from_the_other_half() -> None:
    plain = np.array([curve(preferred=40.0)] * 3)
    shifts = (6.0, 6.0, -6.0), (-5.0, 5.0, -5.0)
    selection, measured = (
        {"maximum": Curves(np.array([curve(preferred=40.0 + shift) for shift in row]), plain)} for row in shifts
    )
    table = tuning_units(labels_of(3), ORIENTATION, Ungated(plain, np.zeros(3)), selection, measured, Criteria())
    assert_allclose(table["absolute_shift_maximum"], 5, atol=1e-3)
    assert_allclose(table["crossvalidated_shift_maximum"], [-5, 5, 5], atol=1e-3)


def test_measures_of_known_curves() -> None:
    attended, unattended = curve(0.5, 2.0, 3.0, 50.0), curve(0.2, 1.0, 2.0, 46.0)
    row = units_of((attended, unattended)).iloc[0]
    depth, floor = 1 - np.exp([-6.0, -4.0]), np.exp([-6.0, -4.0])
    assert_allclose(row["gain_maximum"], 2 * depth[0] / depth[1], rtol=1e-6)
    assert_allclose(row["baseline_difference_maximum"], 0.5 + 2 * floor[0] - 0.2 - floor[1], atol=1e-6)
    assert_allclose(row["shift_maximum"], 4, atol=1e-4)
    assert_allclose(row["absolute_shift_maximum"], 4, atol=1e-4)
    assert_allclose(row["bandwidth_change_maximum"], half_width(3.0) - half_width(2.0), atol=1e-4)
    assert_allclose(row["response_ratio_maximum"], attended.mean() / unattended.mean())
    difference, total = attended.mean() - unattended.mean(), attended.mean() + unattended.mean()
    assert_allclose(row["modulation_index_maximum"], difference / total)
    assert_allclose(row["peak_ratio_maximum"], attended.max() / unattended.max())


def test_without_fits_driven_units_suffice() -> None:
    table = units_of((np.full(20, 0.7), np.full(20, 0.5)), (curve(), curve()), fits=False)
    assert table["excluded_by"].tolist() == ["", ""]
    assert "gain_maximum" not in table


def test_a_table_without_a_driven_unit_can_be_summarised() -> None:
    units = units_of((np.zeros(20), np.zeros(20)), (np.zeros(20), np.zeros(20)))
    table = adjusted(tuning_statistics(units, {"shift": 5.0}, 0, 100))
    assert list(table.columns) == COLUMNS
    gain = table[table["what"] == "gain"].iloc[0]
    assert gain["n_units"] == 0
    assert np.isnan(gain["estimate"])
    assert table.set_index("what").loc["n_excluded: not driven", "estimate"] == 2


def test_summary_counts_every_unit_and_says_what_was_left_out() -> None:
    rng = np.random.default_rng(3)
    pairs = [
        (g * curve(preferred=p), curve(preferred=p))
        for g, p in zip(rng.uniform(1, 2, 23), rng.uniform(0, 180, 23), strict=True)
    ]
    units = units_of(*pairs, (curve(), np.zeros(20)), (np.zeros(20), np.zeros(20)))
    bounds = {"shift": 5.0}
    table = tuning_statistics(units, bounds, 0, 100).set_index("what")
    assert table.loc["n_recorded_units", "estimate"] == 25
    assert table.loc["n_excluded: not driven", "estimate"] == 1
    assert table.loc["n_tuned_units", "estimate"] == 24
    assert table.loc["n_fitted_units", "estimate"] == 23
    assert table.loc["n_unfitted: silent when unattended", "estimate"] == 1
    assert table.loc["gain", ["n_units", "n_missing"]].tolist() == [24, 0]
    assert table.loc["gain", "warnings"] == "1 infinite values are in the median and not in the cluster means"
    assert table.loc["shift", ["n_units", "n_missing"]].tolist() == [23, 1]
    assert table.loc["gain", "converged"] == 1
    shares = table[table.index.str.startswith("share_best_model")]
    assert_allclose(shares["estimate"].sum(), 1)
    assert (shares["n_units"] == 23).all()  # a silent state is the limit of a gain, and says nothing for it
    assert (shares["interval_low"] < shares["interval_high"]).all()
    assert (shares["interval_low"] <= shares["estimate"]).all()
    assert (shares["interval_high"] >= shares["estimate"]).all()
    assert_allclose(table.loc["gain", "estimate"], np.median(units["gain_maximum"].dropna()))
    assert table.loc["share_best_model_gain", "estimate"] == 1
    # All agree: the exact interval of the three channels.
    assert_allclose(table.loc["share_best_model_gain", "interval_low"], 0.025 ** (1 / 3))
    assert_allclose(table.loc["share_best_model_same", "interval_high"], 1 - 0.025 ** (1 / 3))
    assert table.loc["absolute_shift", "test"] == "none; two one-sided t tests against ±5"
    assert np.isnan(table.loc["absolute_shift", "p_within_network"])


def test_examples_are_spread_over_the_gains_and_carry_data_and_fit() -> None:
    gains = np.linspace(1, 2, 31)
    units = units_of(*((g * curve(), curve()) for g in gains))
    for state in ("attended", "unattended"):
        units[f"curve_{state}_maximum"] = [g * curve() if state == "attended" else curve() for g in gains]
    units["orientations"] = [ORIENTATION.tolist()] * len(units)
    examples = example_curves(units, "maximum")
    assert_allclose(examples.groupby("example")["gain"].first(), np.quantile(gains, [1 / 6, 1 / 2, 5 / 6]), atol=0.02)
    middle = examples[(examples["example"] == 1) & (examples["state"] == "attended")]
    data = middle[middle["kind"] == "data"]
    fit = middle[middle["kind"] == "fit"].set_index("orientation")["response"]
    assert_allclose(fit.loc[data["orientation"]], data["response"], rtol=1e-5)


def test_no_example_is_an_empty_table() -> None:
    units = units_of((np.zeros(20), np.zeros(20)))
    assert "gain_maximum" not in units or example_curves(units, "maximum").empty


def test_classes_add_up_and_an_unknown_one_is_noticed() -> None:
    silent = np.zeros(20)
    units = units_of((curve(), curve()), (curve(), silent), (silent, curve()), (silent, silent))
    units.loc[3, ["excluded_by", "unfitted_by_maximum"]] = ["", "silent in both states"]
    bounds = {"shift": 5.0}
    table = tuning_statistics(units, bounds, 0, 100).set_index("what")["estimate"]
    in_classes = table[table.index.str.startswith("n_unfitted: ")]
    assert set(in_classes.index.str.removeprefix("n_unfitted: ")) <= set(CLASSES)
    assert table["n_fitted_units"] + in_classes.sum() == table["n_tuned_units"] == 4
    units.loc[2, "unfitted_by_maximum"] = "tired"
    with pytest.raises(RuntimeError, match=r"every tuned unit must be in one of .*, got \['', .*'tired'\]"):
        tuning_statistics(units, bounds, 0, 100)


def test_every_network_has_rows_of_its_own() -> None:
    units = units_of(*((gain * curve(), curve()) for gain in (1.1, 1.2, 1.3, 1.5, 1.6, 1.7)))
    units["model"] = ["b", "b", "b", "a", "a", "a"]
    bounds = {"shift": 5.0}
    table = adjusted(tuning_statistics(units, bounds, 0, 100))
    gain = table[table["what"] == "gain"]
    assert gain["model"].tolist() == ["", "b", "a"]
    assert_allclose(gain["estimate"], [np.sqrt(1.2 * 1.6), 1.2, 1.6], rtol=1e-4)
    assert gain["p"].notna().tolist() == [True, False, False]
    for what in ("share_best_model_gain", "share_within_shift", "n_tuned_units", "n_recorded_units"):
        assert table.loc[table["what"] == what, "model"].tolist() == ["", "b", "a"], what
    share = table[table["what"] == "share_within_shift"].iloc[0]
    assert_allclose(share[["estimate", "interval_low", "interval_high"]].astype(float), [1, np.sqrt(0.025), 1])


def test_intervals_over_networks_stay_within_what_is_possible() -> None:
    """Of two networks one has shapes that attention leaves, and one shapes that it changes as far as can be."""
    narrow, broad = curve(kappa=45.0, preferred=20.0), curve(kappa=0.11, preferred=100.0)
    units = units_of(*[(curve(), curve())] * 3, *[(narrow, broad)] * 3)
    units["model"] = ["a", "a", "a", "b", "b", "b"]
    table = tuning_statistics(units, {"shift": 5.0}, 0, 100)
    rows = table[(table["model"] == "")].set_index("what")
    widest = half_width(0.1) - half_width(50.0)
    for name, reach in {"shift": 90.0, "bandwidth_change": widest}.items():
        for form, low in {"": -reach, "absolute_": 0.0, "crossvalidated_": -reach}.items():
            for suffix in ("", "_narrow_included"):
                row = rows.loc[f"{form}{name}{suffix}"]
                assert abs(row["estimate"]) > 10
                for start in ("interval", "cluster_mean"):
                    assert low < row[f"{start}_low"] < row[f"{start}_high"] < reach, row


def test_layers_keep_their_order() -> None:
    units = units_of(*[(curve(), curve())] * 3)
    layers = ["stage2/response", "stage10/response"]
    units = pd.concat([units.assign(layer=layer) for layer in layers])
    table = tuning_statistics(units, {"shift": 5.0}, 0, 100)
    assert table["layer"].unique().tolist() == layers
