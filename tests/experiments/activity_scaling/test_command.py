"""``python -m neuroattn.experiments.activity_scaling`` as users run it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.dims import CONTROLS


@pytest.mark.slow
def test_statistics_follow_from_the_units(finished):
    folder = finished("activity_scaling")
    units, statistics = pd.read_parquet(folder / "units.parquet"), pd.read_csv(folder / "statistics.csv")
    assert units.groupby("layer").size().to_dict() == {"stage1/response": 150, "stage2/response": 150}
    # Half a digit's width on either side is seen alone: 11 columns of stage 1, 2 of stage 2.
    columns = units.groupby(["layer", "own"])["channel_x"].agg(["min", "max"])
    assert (columns["min"] >= [0, 28, 0, 14]).all()
    assert (columns["max"] <= [10, 38, 1, 15]).all()
    taking_part = units[units["excluded_by"] == ""]
    main_rows = statistics[statistics["control"].isna() & statistics["strength"].isna()]
    for layer, of_layer in taking_part.groupby("layer"):
        rows = main_rows[(main_rows["layer"] == layer) & (main_rows["what"] == "modulation_index")].set_index(
            "time_step"
        )
        assert_allclose(rows.loc[np.nan, "estimate"], of_layer["modulation_index"].median())
        steps = [of_layer[f"modulation_index_step_{step}"].median() for step in range(5)]
        assert_allclose(rows["estimate"].dropna().iloc[1:], steps, atol=1e-12)
        assert_allclose(steps[4], of_layer["modulation_index"].median(), atol=1e-4)
    counts = statistics[statistics["what"] == "n_excluded: not driven by its object"].set_index("layer")["estimate"]
    assert counts.to_dict() == (units["excluded_by"] != "").groupby(units["layer"]).sum().to_dict()
    assert statistics["p"].isna().all()  # one network: nothing is said about a population
    tested = statistics["test"].astype(str).str.contains("t test")
    assert statistics.loc[tested & statistics["control"].isna(), "p_within_network"].notna().any()


@pytest.mark.slow
def test_where_attention_cannot_act_nothing_is_found(finished):
    folder = finished("activity_scaling")
    statistics = pd.read_csv(folder / "statistics.csv")
    index = statistics[statistics["what"] == "modulation_index"]
    controls = index.set_index("control")["estimate"]
    assert set(controls.index.dropna()) == set(CONTROLS)
    assert_allclose(controls[["zero_strength", "one_step"]], 0, atol=1e-6)
    doses = index.set_index("strength")["estimate"]
    assert_allclose(doses.loc[0.0], 0, atol=1e-6)
    first = index[index["time_step"] == 0]["estimate"]
    assert_allclose(first, 0, atol=1e-6)
    assert (doses.loc[0.2] > 0.001).any()


@pytest.mark.slow
def test_the_recording_holds_the_responses_of_the_sampled_units(finished):
    folder = finished("activity_scaling")
    with xr.open_datatree(folder / "recording.zarr", engine="zarr", consolidated=False) as tree:
        responses = tree["digits-0/stage2/response"]
        assert dict(responses.sizes) == {"presentation": 120, "time_step": 5, "neuroid": 150}
        assert set(np.unique(responses["own"])) == {0, 1}
        units = pd.read_parquet(folder / "units.parquet").query("layer == 'stage2/response'")
        measured = (responses["half"] == 1) & responses["confirmed"]
        means = []
        for attended in (responses["attended"] == responses["own"], responses["attended"] != responses["own"]):
            kept = responses["activation"].where(measured & attended)
            means.append(kept.mean("presentation").astype(float))
        by_hand = ((means[0] - means[1]) / (means[0] + means[1])).transpose("time_step", "neuroid")
        for step in range(5):
            found = units[f"modulation_index_step_{step}"]
            taking_part = found.notna().to_numpy()
            assert_allclose(found[taking_part], by_hand[step].values[taking_part], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_the_free_order_says_what_it_confounds(command, small, tmp_path):
    options = [*small["activity_scaling"], "--out", tmp_path / "run"]
    status, out, _ = command("activity_scaling", *options, "--design", "free", "--controls", "none")
    assert status == 0
    assert out.startswith("NOTE: in the free order the attended object, the phase and the inhibition in force change")
