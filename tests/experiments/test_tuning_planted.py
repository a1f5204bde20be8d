"""The tuning protocol on a subject whose curves are known: what was planted comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.experiments import tuning
from neuroattn.models.planted import PlantedCurves, PlantedSubject
from neuroattn.statistics.tuning import half_width, kappa_of_half_width
from neuroattn.statistics.tuning_summary import summarise
from neuroattn.stimuli.planted import coded_bars

if TYPE_CHECKING:
    import pandas as pd

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
        "preferred": plain["preferred"] + 6,
    }
    tables = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.3)
    found = estimates(tables, "mean")
    depth = plain["amplitude"] * (1 - np.exp(-2 * plain["kappa"]))
    depth_changed = changed["amplitude"] * (1 - np.exp(-2 * wider))
    assert_allclose(found["gain"], np.median(depth_changed / depth), rtol=0.03)
    assert_allclose(found["shift"], 6, atol=0.5)
    assert_allclose(found["bandwidth_change"], 3, atol=0.7)
    shares = found[found.index.str.startswith("share_best_model")]
    assert shares.idxmax() == "share_best_model_shift"
    row = tables.statistics.query("what == 'shift' and reduction == 'mean'").iloc[0]
    assert row["interval_low"] < 6 < row["interval_high"]
    assert row["p_within_network"] < 1e-6
    assert row["p_equivalence_within_network"] > 0.95  # the shift lies outside its bounds of ±5°
    assert any(
        "'Attention leaves the shape' (sizes within ±5° and ±5°): contradicted" in text for text in tables.findings
    )


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
    assert sum("(sizes within ±5° and ±5°): supported" in text for text in tables.findings) == 2


def test_one_network_gives_no_population_p_value() -> None:
    rng = np.random.default_rng(2)
    plain = curves(rng, 13)
    statistics = run(PlantedCurves(**plain), PlantedCurves(**plain), noise=0.1).statistics
    measured = statistics[statistics["scope"].notna()]
    assert (measured["scope"] == "units of one network").all()
    assert measured["p"].isna().all()
    assert measured["p_equivalence"].isna().all()
    tested = measured[~measured["what"].isin(["correlation", "absolute_shift", "absolute_bandwidth_change"])]
    assert tested["p_within_network"].notna().all()


@pytest.mark.slow
@pytest.mark.parametrize(("mean_shift", "column"), [(0.0, "p_within_network"), (5.0, "p_equivalence_within_network")])
def test_difference_and_equivalence_tests_hold_their_error_rate(mean_shift: float, column: str) -> None:
    """Each experiment is a network of 7 channels whose shifts scatter by 2° around the mean that its null says."""
    n_experiments, n_channels = 2000, 7
    rng = np.random.default_rng(17)
    n = n_experiments * n_channels
    plain = curves(rng, n)
    changed = plain | {"preferred": plain["preferred"] + rng.normal(mean_shift, 2, n)}
    units = run(PlantedCurves(**changed), PlantedCurves(**plain), noise=0.3, repeats=2).units
    columns = ["model", "layer", "channel", "driven", "distractor_in_field", "excluded_by", "shift_mean"]
    units = units[columns].assign(experiment=units["channel"] // n_channels)
    generator = np.random.default_rng(0)
    rejected = []
    for _, network in units.groupby("experiment"):
        table = summarise(network, ("mean",), bounds={"shift": 5.0}, generator=generator, n_resamples=10)
        rejected.append(table.set_index("what").loc["shift", column] < 0.05)
    assert len(rejected) == n_experiments
    assert_allclose(np.mean(rejected), 0.05, atol=0.015)
