"""``python -m neuroattn.experiments.activity_scaling`` as users run it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.dims import CONTROLS
from neuroattn.experiments.activity_scaling import protocol as activity_scaling
from neuroattn.experiments.line import main

SMALL = ["--n_stimuli", "60", "--n_control_stimuli", "20", "--n_units", "150", "--n_resamples", "100"]
SMALL += ["--strengths", "0", "0.2", "0.5"]


def run_here(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(activity_scaling.PROTOCOL, list(arguments))
    return left.value.code, *capsys.readouterr()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    with pytest.raises(SystemExit) as left:
        main(activity_scaling.PROTOCOL, ["--out", str(folder), *SMALL])
    assert left.value.code == 0
    return folder


@pytest.mark.slow
def test_a_run_leaves_its_files_and_says_what_it_found(finished):
    files = {"recording.zarr", "units.parquet", "statistics.csv", "findings.json", "figure.png", "figure.svg"}
    files |= {"run.json", "report.html"}
    assert {path.name for path in finished.iterdir()} == files
    findings = json.loads((finished / "run.json").read_text())["findings"]
    header = (
        "Activity scaling, units of one network, 30 stimuli in both states measure and 30 others select (0 dropped:"
    )
    assert any(line.startswith(header) for line in findings)
    assert any(
        line.startswith("Ceiling of one gate of strength 0.2 on a linear unit: index 0.200 (0.111") for line in findings
    )


@pytest.mark.slow
def test_statistics_follow_from_the_units(finished):
    units, statistics = pd.read_parquet(finished / "units.parquet"), pd.read_csv(finished / "statistics.csv")
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
    statistics = pd.read_csv(finished / "statistics.csv")
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
    with xr.open_datatree(finished / "recording.zarr", engine="zarr", consolidated=False) as tree:
        responses = tree["digits-0/stage2/response"]
        assert dict(responses.sizes) == {"presentation": 120, "time_step": 5, "neuroid": 150}
        assert set(np.unique(responses["own"])) == {0, 1}
        units = pd.read_parquet(finished / "units.parquet").query("layer == 'stage2/response'")
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


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--n_stimuli", "10"], "n_stimuli must be in [20, 5000], got 10"),
        (["--n_stimuli", "50"], "n_control_stimuli must be at most n_stimuli (50), got 100"),
        (["--strengths", "0", "1.5"], "strengths must be in [0, 1], got 1.5"),
        (["--controls", "none", "intact"], "controls must be none or a list of controls, got none, intact"),
    ],
)
def test_what_a_user_gets_wrong(capsys, tmp_path, arguments, text):
    out = tmp_path / "run"
    assert run_here(capsys, "--out", str(out), *arguments) == (2, "", f"error: {text}\n")
    assert not out.exists()


@pytest.mark.slow
def test_the_free_order_says_what_it_confounds(capsys, tmp_path):
    status, out, _ = run_here(capsys, "--out", str(tmp_path / "run"), *SMALL, "--design", "free", "--controls", "none")
    assert status == 0
    assert out.startswith("NOTE: in the free order the attended object, the phase and the inhibition in force change")


def test_a_network_of_scenes_on_digits(capsys, tmp_path):
    text = (
        "error: stimuli must be scenes for scenes-0, which takes pictures of (channel, y, x) = (3, 100, 100), got "
        "'digits'; add --stimuli scenes\n"
    )
    assert run_here(capsys, "--models", "scenes-0", "--out", str(tmp_path / "run")) == (2, "", text)
    assert not (tmp_path / "run").exists()
