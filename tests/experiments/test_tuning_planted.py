"""The tuning protocol on a subject whose curves are known: what was planted comes back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.experiments import tuning
from neuroattn.models.planted import PlantedCurves, PlantedSubject
from neuroattn.statistics.tuning import half_width, kappa_of_half_width
from neuroattn.statistics.tuning_summary import MEASURES, summarise
from neuroattn.stimuli.planted import coded_bars

N_ORIENTATIONS = 20


def run(attended: PlantedCurves, unattended: PlantedCurves, *, noise: float, seed: int = 0, repeats: int = 5):
    """Send a planted subject through the protocol's recorder and analysis."""
    config = tuning.Config(controls=("none",), n_resamples=200, driven=0.5)
    subject = PlantedSubject(attended, unattended, noise=noise, generator=torch.Generator().manual_seed(seed))
    tree = tuning.recording(config, subject, coded_bars(N_ORIENTATIONS, repeats))
    return tuning.analysis(config, xr.DataTree.from_dict({"/planted": tree}))


def curves(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "baseline": rng.uniform(0.5, 1, n),
        "amplitude": rng.uniform(2, 4, n),
        "kappa": rng.uniform(1, 4, n),
        "preferred": rng.uniform(0, 180, n),
    }


def estimates(tables, reduction: str) -> pd.Series:
    rows = tables.statistics
    return rows[rows["reduction"] == reduction].set_index("what")["estimate"]


def test_a_subject_without_noise_gives_back_exactly_what_was_planted() -> None:
    rng = np.random.default_rng(11)
    plain = curves(rng, 37)
    gain, offset, shift = rng.uniform(0.7, 2, 37), rng.uniform(-0.3, 0.4, 37), rng.uniform(-8, 8, 37)
    changed = plain | {
        "baseline": plain["baseline"] + offset,
        "amplitude": plain["amplitude"] * gain,
        "preferred": plain["preferred"] + shift,
    }
    units = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.0).units
    measured = units[units["excluded_by"] == ""].sort_values(["channel", "channel_y"])
    assert len(measured) == 2 * 37  # two units a channel see the bar; the two others see the distractor
    for reduction in ("maximum", "mean"):
        assert_allclose(measured[f"gain_{reduction}"], np.repeat(gain, 2), rtol=1e-4)
        assert_allclose(measured[f"shift_{reduction}"], np.repeat(shift, 2), atol=2e-3)
        assert_allclose(measured[f"bandwidth_change_{reduction}"], 0, atol=5e-3)
        assert_allclose(measured[f"baseline_attended_{reduction}"], np.repeat(changed["baseline"], 2), rtol=1e-3)
        # The trough moves with the amplitude that is left at the orthogonal orientation.
        floor = np.exp(-2 * plain["kappa"])
        trough = offset + plain["amplitude"] * (gain - 1) * floor
        assert_allclose(measured[f"baseline_difference_{reduction}"], np.repeat(trough, 2), atol=1e-3)


def test_planted_effects_come_back_through_noise() -> None:
    rng = np.random.default_rng(5)
    plain = curves(rng, 83)
    wider = kappa_of_half_width(half_width(plain["kappa"]) + 3)
    changed = plain | {
        "baseline": plain["baseline"] + 0.3,
        "amplitude": plain["amplitude"] * 1.4,
        "kappa": wider,
        "preferred": plain["preferred"] + 9,
    }
    tables = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.3)
    found = estimates(tables, "mean")
    depth = plain["amplitude"] * (1 - np.exp(-2 * plain["kappa"]))
    depth_changed = changed["amplitude"] * (1 - np.exp(-2 * wider))
    assert_allclose(found["gain"], np.median(depth_changed / depth), rtol=0.03)
    assert_allclose(found["shift"], 9, atol=0.5)
    assert_allclose(found["bandwidth_change"], 3, atol=0.7)
    shares = found[found.index.str.startswith("share_best_model")]
    assert shares.idxmax() == "share_best_model_shift"
    row = tables.statistics.query("what == 'shift' and reduction == 'mean'").iloc[0]
    assert row["interval_low"] < 9 < row["interval_high"]
    assert row["p_within_network"] < 1e-6
    assert row["p_equivalence_within_network"] > 0.95  # the shift lies outside its bounds of ±5°
    assert any("'Attention leaves the shape': contradicted" in text for text in tables.findings)


def test_pure_gain_is_found_to_leave_the_shape() -> None:
    rng = np.random.default_rng(3)
    plain = curves(rng, 61)
    changed = plain | {"baseline": plain["baseline"] * 1.26, "amplitude": plain["amplitude"] * 1.26}
    tables = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.1)
    found = estimates(tables, "mean")
    assert_allclose(found["gain"], 1.26, rtol=0.01)
    assert_allclose(found["slope"], 1.26, rtol=0.01)
    shares = found[found.index.str.startswith("share_best_model")]
    assert shares.idxmax() == "share_best_model_gain"
    assert sum("'Attention leaves the shape': supported" in text for text in tables.findings) == 2


def test_one_network_gives_no_population_p_value() -> None:
    rng = np.random.default_rng(2)
    plain = curves(rng, 13)
    statistics = run(PlantedCurves(**plain), PlantedCurves(**plain), noise=0.1).statistics
    measured = statistics[statistics["scope"].notna()]
    assert (measured["scope"] == "units of one network").all()
    assert measured["p"].isna().all()
    assert measured["p_equivalence"].isna().all()
    tested = [name for name, measure in MEASURES.items() if measure.kind == "tested"]
    assert measured.loc[measured["what"].isin(tested), "p_within_network"].notna().all()
    assert measured.loc[~measured["what"].isin(tested), "p_within_network"].isna().all()


def test_noise_alone_never_contradicts_the_claim() -> None:
    """Noise makes absolute shifts and width changes of several degrees where none was planted."""
    rng = np.random.default_rng(30)
    plain = curves(rng, 41)
    changed = plain | {"baseline": plain["baseline"] * 1.3, "amplitude": plain["amplitude"] * 1.3}
    tables = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=2.0)
    means = tables.statistics.query("reduction == 'mean'").set_index("what")
    assert means["cluster_mean_low"]["absolute_bandwidth_change"] > 5
    crossvalidated = means.loc["crossvalidated_bandwidth_change"]
    assert crossvalidated["cluster_mean_low"] < 0 < crossvalidated["cluster_mean_high"]
    assert crossvalidated["cluster_mean_high"] < means["cluster_mean_low"]["absolute_bandwidth_change"]
    assert not any("contradicted" in text for text in tables.findings)


N_EXPERIMENTS, N_CHANNELS = 2000, 7


def experiments(seed: int, preferred: np.ndarray | float) -> tuple[pd.DataFrame, list[str]]:
    """Return the units of many networks of 7 channels whose preferred orientations differ by `preferred`."""
    n = N_EXPERIMENTS * N_CHANNELS
    plain = curves(np.random.default_rng(seed), n)
    changed = plain | {"preferred": plain["preferred"] + preferred}
    units = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.3, repeats=2).units
    return units.assign(experiment=units["channel"] // N_CHANNELS), ["driven", "distractor_in_field", "excluded_by"]


def rejections(units: pd.DataFrame, kept: list[str], what: list[str], column: str) -> pd.DataFrame:
    """Return (experiment, measure) whether a test of the mean over bars came out below 5 %."""
    needed = ["experiment", "model", "layer", "channel", "converged_mean", *kept, *(f"{name}_mean" for name in what)]
    generator, bounds = np.random.default_rng(0), {"shift": 5.0, "absolute_shift": 5.0}
    rows = []
    for _, network in units[needed].groupby("experiment"):
        table = summarise(network, ("mean",), bounds=bounds, generator=generator, n_resamples=10)
        rows.append(table.set_index("what").loc[what, column] < 0.05)
    assert len(rows) == N_EXPERIMENTS
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_difference_tests_hold_their_error_rate() -> None:
    """Nothing is planted but shifts of the channels that scatter by 2° around zero."""
    n = N_EXPERIMENTS * N_CHANNELS
    units, kept = experiments(17, np.random.default_rng(18).normal(0, 2, n))
    what = ["gain", "baseline_difference", "shift", "bandwidth_change", "response_ratio", "modulation_index",
            "peak_ratio"]  # fmt: skip
    rates = rejections(units, kept, what, "p_within_network").mean()
    assert_allclose(rates, 0.05, atol=0.015)


@pytest.mark.slow
def test_equivalence_tests_hold_their_error_rate() -> None:
    """Shifts lie at the bound of 5° on average: signed equivalence is found in 5 %, that of sizes in no more."""
    n = N_EXPERIMENTS * N_CHANNELS
    units, kept = experiments(19, np.random.default_rng(20).normal(5, 2, n))
    rates = rejections(units, kept, ["shift", "absolute_shift"], "p_equivalence_within_network").mean()
    assert_allclose(rates["shift"], 0.05, atol=0.015)
    assert rates["absolute_shift"] < 0.065
