"""``python -m neuroattn.experiments.tuning`` as users run it: files, continuation, statuses and errors."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork


@pytest.mark.slow
def test_units_have_one_row_each_and_statistics_follow_from_them(finished):
    folder = finished("tuning")
    units = pd.read_parquet(folder / "units.parquet")
    assert units.groupby("layer").size().tolist() == [3000, 3000]
    assert not units["neuroid_id"].duplicated().any()
    assert list(units.columns[:8]) == ["model", "neuroid_id", "layer", "area", "channel", "channel_y", "channel_x",
                                       "distractor_in_field"]  # fmt: skip
    statistics = pd.read_csv(folder / "statistics.csv")
    needed = ["what", "model", "layer", "estimate", "interval_low", "interval_high", "effect_size", "n_models",
              "n_channels", "n_units", "n_stimuli", "test", "p", "p_adjusted", "converged", "warnings"]  # fmt: skip
    assert set(needed) <= set(statistics)
    taking_part = units[(units["excluded_by"] == "") & (units["layer"] == "stage1/response")]
    row = statistics.query("what == 'gain' and layer == 'stage1/response' and reduction == 'maximum'").iloc[0]
    assert_allclose(row["estimate"], taking_part["gain_maximum"].median(), rtol=1e-6)
    counts = statistics[statistics["what"].str.startswith("n_excluded") & statistics["control"].isna()]
    assert counts["estimate"].sum() + (units["excluded_by"] == "").sum() == len(units)
    assert statistics["p"].isna().all()  # one network: nothing is said about a population
    for layer, reduction in itertools.product(("stage1/response", "stage2/response"), ("maximum", "mean")):
        rows = statistics.query("layer == @layer and reduction == @reduction and control.isna()").set_index("what")
        classes = (
            rows[rows.index.str.startswith("n_unfitted")]["estimate"].sum() + rows.loc["n_fitted_units", "estimate"]
        )
        assert classes == rows.loc["n_tuned_units", "estimate"] > 0
        share = rows.loc["share_of_shuffled_gates"]
        driven = units[(units["layer"] == layer) & units["driven"] & ~units["distractor_in_field"]]
        column = driven[f"share_of_shuffled_gates_{reduction}"]
        assert share["n_units"] + share["n_missing"] == len(driven)
        assert_allclose(share["estimate"], column.median(), rtol=1e-6)
    confirmed = statistics[statistics["what"] == "share_confirmed"].set_index("control")["estimate"]
    assert confirmed["intact"] > 0.99
    assert confirmed["shuffled_gates"] < 0.99


@pytest.mark.slow
def test_the_recording_opens_with_plain_xarray(finished):
    folder = finished("tuning")
    with xr.open_datatree(folder / "recording.zarr", engine="zarr", consolidated=False) as tree:
        reduced = tree["digits-0/stage2/response"]
        assert set(reduced["maximum"].dims) == {"condition", "time_step", "neuroid"}
        assert sorted(np.unique(reduced["orientation"])) == [18.0 * k for k in range(10)]
        assert int(reduced["presented"].sum()) == 2 * 10 * 1 * 2 * 3
        assert json.loads(tree["digits-0"].attrs["protocol"])["n_y"] == 3
        assert tree.attrs["schema_version"] == 2


@pytest.mark.slow
def test_controls_in_which_attention_cannot_act_show_nothing(finished):
    folder = finished("tuning")
    statistics = pd.read_csv(folder / "statistics.csv")
    index = statistics[statistics["what"] == "modulation_index"].set_index(["control", "layer"])["estimate"]
    for control in ("zero_strength", "one_step"):
        assert_allclose(index[control], 0, atol=1e-6)
    assert (index["intact"].abs() > 1e-3).all()


@pytest.mark.slow
def test_the_same_configuration_goes_on_without_recording_again(finished, command, small, tmp_path):
    folder = shutil.copytree(finished("tuning"), tmp_path / "run")
    group = folder / "recording.zarr" / "digits-0" / "zarr.json"
    before, table = group.stat().st_mtime_ns, pd.read_csv(folder / "statistics.csv")
    (folder / "statistics.csv").unlink()
    assert command("tuning", "--out", folder, *small["tuning"])[0] == 0
    assert group.stat().st_mtime_ns == before
    sessions = json.loads((folder / "run.json").read_text())["sessions"]
    assert [session["recorded"] for session in sessions] == [["digits-0"], []]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "statistics.csv"), table)


@pytest.mark.slow
def test_another_configuration_is_refused(finished, refused, small):
    folder = finished("tuning")
    assert refused("tuning", "--out", folder, *small["tuning"], "--seed", "3") == (
        f"out must not hold a run with another configuration, got '{folder}', which differs in "
        "configuration.seed (0 there, 3 now); choose another folder"
    )


@pytest.mark.slow
def test_what_other_code_recorded_is_not_continued_by_this_one(finished, refused, small, tmp_path):
    folder = finished("tuning")
    about = json.loads((folder / "run.json").read_text())
    about["recording_code"] = "0123"
    (tmp_path / "run.json").write_text(json.dumps(about))
    line = refused("tuning", "--out", tmp_path, *small["tuning"])
    assert "which differs in versions.recording_code (0123 there, " in line


@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 9, 9), (3, 9, 9), (6, 11, 11), (2, 3, 2)])
def test_controls_see_the_same_few_bars_of_both_halves_at_every_orientation(grid):
    n_widths, n_x, n_y = grid
    config = tuning.Config(n_orientations=6, n_widths=n_widths, n_x=n_x, n_y=n_y)
    table = tuning.stimuli(config, ()).table
    bars = 6 * np.prod(grid)
    assert table["bar"].tolist() == [True] * bars + [False]  # one picture without, since there is no noise
    table = table[table["bar"]]
    assert set(table.query("half == 0")["distractor_label"]) == {7}
    assert set(table.query("half == 1")["distractor_label"]) == {2, 5}
    few = table[table["for_controls"]]
    counts = few.groupby(["orientation", "half"]).size()
    assert len(counts) == 12
    assert (counts == np.minimum(table.groupby(["orientation", "half"]).size(), 9)).all()
    places = ["width", "x", "y"]
    bars = {frozenset(map(tuple, rows[places].to_numpy())) for _, rows in few.groupby("orientation")}
    assert len(bars) == 1


@pytest.mark.slow
def test_several_networks_are_the_top_level_of_the_statistics(command, small, tmp_path):
    shipped = load_model("digits-0")
    names = []
    for number in (1, 2):
        network = GatedNetwork(
            digits_config(), torch.Generator().manual_seed(number), name=f"twin-{number}", seed=number
        )
        noise = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for own, trained in zip(network.parameters(), shipped.parameters(), strict=True):
                own.copy_(trained * (1 + 0.02 * torch.randn(own.shape, generator=noise)))
        save_model(network, tmp_path / f"twin-{number}.safetensors", training={}, provenance={})
        names.append(str(tmp_path / f"twin-{number}.safetensors"))
    out = tmp_path / "run"
    assert command("tuning", "--models", *names, "--out", out, "--controls", "none", *small["tuning"])[0] == 0
    statistics = pd.read_csv(out / "statistics.csv")
    gain = statistics.query("what == 'gain' and layer == 'stage1/response' and reduction == 'maximum'").iloc[0]
    assert gain["scope"] == "2 networks"
    assert gain["n_models"] == 2
    assert np.isfinite(gain["p"])
    assert np.isnan(gain["p_within_network"])
    assert json.loads((out / "run.json").read_text())["seeds"]["models"] == {"twin-1": 1, "twin-2": 2}


@pytest.mark.slow
@pytest.mark.process
def test_an_interrupt_keeps_what_was_done_and_says_how_to_go_on(small, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "neuroattn.experiments.tuning",
        "--models",
        "digits-0",
        "digits-1",
        *small["tuning"],
    ]
    command += ["--controls", "none", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / "recording.zarr" / "digits-0").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.strip() == (
        f"interrupted: the recordings of whole networks are kept in {out}; "
        f"the same command with --out {out} goes on from there"
    )
    assert json.loads((out / "run.json").read_text())["state"] == "running"


@pytest.mark.slow
def test_the_published_weights_give_the_known_curves(command, reference, tmp_path):
    """In the paper's free order, stage 1 scales (gain about 1.2, no shift) and stage 2 does more than that."""
    weights = reference / "reference" / "paper_mnist_model.pt"
    out = tmp_path / "run"
    options = ["--design", "free", "--distractors", "7", "--controls", "none", "--n_resamples", "100"]
    options += ["--n_widths", "3", "--n_x", "6", "--n_y", "6", "--out", str(out)]
    assert command("tuning", "--models", weights, *options)[0] == 0
    units = pd.read_parquet(out / "units.parquet")
    stage_1 = units[(units["layer"] == "stage1/response") & units["driven"] & (units["channel_x"] < 11)]
    assert_allclose(stage_1["correlation_maximum"].median(), 0.99, atol=0.015)
    assert_allclose(stage_1["slope_maximum"].median(), 1.21, atol=0.06)
    stage_2 = units[(units["layer"] == "stage2/response") & units["driven"] & (units["channel_x"] < 3)]
    assert_allclose(stage_2["correlation_maximum"].median(), 0.82, atol=0.1)
    assert stage_2["slope_maximum"].median() > 1.4
    findings = json.loads((out / "run.json").read_text())["findings"]
    assert findings[0].startswith("NOTE: in the free order the attended object, the phase and the inhibition in force")
