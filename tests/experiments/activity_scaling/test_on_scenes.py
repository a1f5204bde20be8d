"""``python -m neuroattn.experiments.activity_scaling --stimuli scenes``: what was planted, and units' own objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from drawn_scenes import drawn_scenes
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.experiments import pairs
from neuroattn.experiments.activity_scaling import protocol as activity_scaling
from neuroattn.experiments.activity_scaling.units import TOO_FEW, Responses, scaling_units
from neuroattn.experiments.scene_stimuli import SYNTHETIC
from neuroattn.models.checkpoint import load_models
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.receptive_field import receptive_field
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.fields import own_object
from neuroattn.subjects.planted.scaled import ScaledUnits, scaled_subject

CONFIG = {"size": (3, 40, 60), "classes": 12, "resize": "bicubic", "strength": 0.3}


def test_planted_gain_comes_back(tmp_path):
    images, annotations = drawn_scenes(tmp_path / "drawn", 44)
    config = activity_scaling.Config(
        models=(), stimuli="scenes", images=str(images), annotations=str(annotations), cache=str(tmp_path / "cache"),
        size=(40, 60), controls=("none",), strengths=(0.3,), n_control_stimuli=40, n_resamples=100, n_units=300,
        driven=0.0,
    )  # fmt: skip
    shown = pairs.pair_stimuli(config, ())
    subject = scaled_subject(ScaledUnits(3, 7, 4, left=28, right=28, gain=1.5)).facing(shown.size)
    tree = xr.DataTree(children={"planted": activity_scaling.recording(config, subject, shown)})
    tables = activity_scaling.analysis(config, tree)
    units = tables.units[tables.units["excluded_by"] == ""]
    assert len(units) > 60
    assert_allclose(units["gain_ratio"], 1.5, rtol=1e-5)
    assert_allclose(units["slope"].dropna(), 1.5, rtol=1e-4)
    assert_allclose(units["modulation_index_step_0"], 0, atol=1e-12)
    # Boxes lie at other heights from scene to scene, so that the units at their rims see them alone in some only.
    assert len(set(units["n_stimuli"])) > 1
    assert units["n_stimuli"].max() == 22
    assert "feature_similarity" not in set(tables.statistics["what"])
    assert any("Units are measured on 22 scenes (median)" in line for line in tables.text)
    dataset = tree["planted/response"].to_dataset()
    assert dict(dataset.sizes) == {"presentation": 88, "time_step": 5, "neuroid": 300}
    assert_array_equal(np.unique(dataset["own"]), [-1, 0, 1])
    left = dataset["own"].values[:, dataset["channel_x"].values < 15]
    assert_array_equal(np.unique(left), [-1, 0])


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_own_objects_pixel_by_pixel(share):
    config = GatedConfig(channels=(4, 5), **CONFIG)
    subject = subject_of(GatedNetwork(config))
    objects = np.random.default_rng(0).random((3, 2, 40, 60)) > 0.995
    objects[:, 1] &= ~objects[:, 0]
    for variable in ("stage1/response", "stage2/response", "stage2/pooled"):
        spacing, side = receptive_field(config, variable)
        found = own_object(subject.fields(variable).pixels(objects), share)
        assert {-1, 0, 1} == set(np.unique(found))
        for picture, y, x in np.ndindex(found.shape):
            window = objects[picture, :, y * spacing : y * spacing + side, x * spacing : x * spacing + side]
            first, second = window.sum((1, 2))
            own = 0 if first > 0 and first >= share * (first + second) else -1
            own = 1 if second > first and second >= share * (first + second) else own
            assert found[picture, y, x] == own


def test_stimuli_without_an_own_object_do_not_count():
    random = np.random.default_rng(0)
    states = 1 + random.random((2, 3, 60, 5))
    alone = random.random((60, 5)) < 0.6
    alone[:, 1] = alone[:, 0]
    alone[:, 4] = False
    alone[:9, 4] = True
    half = np.arange(60) % 2
    label = np.zeros((60, 5), int)
    responses = Responses(attended=states[0], unattended=states[1], own=label, other=label, alone=alone, half=half)
    units = pd.DataFrame({"unit": range(5), "ungated_with_object": 1.2, "ungated_without_object": 1.0})
    table = scaling_units(units, responses, 0.1)
    assert table["excluded_by"].tolist() == ["", "", "", "", TOO_FEW]
    for unit in range(4):
        rows = alone[:, unit] & (half == 1)
        means = states[:, :, rows, unit].mean(2)
        index = (means[0] - means[1]) / means.sum(0)
        assert_allclose(table.loc[unit, "modulation_index"], index[-1])
        assert_allclose(table.loc[unit, [f"modulation_index_step_{t}" for t in range(3)]].astype(float), index)
        assert table.loc[unit, "n_stimuli"] == rows.sum()
    assert table.loc[4, ["modulation_index", "slope", "modulation_index_step_1"]].isna().all()


@pytest.mark.slow
def test_the_command_on_synthetic_scenes(network, tmp_path, command):
    options = ["--stimuli", "scenes", "--size", 40, 60, "--models", network, "--n_stimuli", 80, "--n_units", 50]
    options += ["--n_control_stimuli", 40, "--n_resamples", 100, "--strengths", 0, 0.3, "--driven", 0.0001]
    options += ["--design", "free", "--controls", "zero_strength", "untrained", "--out", tmp_path / "run"]
    status, out, err = command("activity_scaling", *options)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == SYNTHETIC
    report = (tmp_path / "run" / "report.html").read_text()
    assert "synthetic, made for this" in report
    assert "digits were shown" not in report
    assert all(f"stage{number}/response: " in report for number in (1, 2, 3))
    statistics = pd.read_csv(tmp_path / "run" / "statistics.csv")
    index = statistics[(statistics["what"] == "modulation_index") & statistics["time_step"].isna()]
    median = (
        pd.read_parquet(tmp_path / "run" / "units.parquet").query("excluded_by == ''").groupby("layer")["n_stimuli"]
    )
    of_network = index[index["control"].isna() & index["strength"].isna()].set_index("layer")["n_stimuli_of_unit"]
    assert of_network.to_dict() == median.median().to_dict()


def unseen(monkeypatch, *variables):
    """Let no unit of some variables see an object alone."""
    own = pairs.own_objects

    def patched(config, subject, variable, stimuli):
        found = own(config, subject, variable, stimuli)
        return np.full_like(found, -1) if variable in variables else found

    monkeypatch.setattr(pairs, "own_objects", patched)


def test_where_no_unit_sees_an_object_alone_nothing_is_left_behind(network, tmp_path, command, monkeypatch):
    unseen(monkeypatch, *(f"stage{number}/response" for number in (1, 2, 3)))
    options = ["--models", network, "--stimuli", "scenes", "--size", 40, 60, "--n_stimuli", 20]
    status, out, err = command("activity_scaling", *options, "--n_control_stimuli", 20, "--out", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err.startswith(
        "error: n_control_stimuli must leave units that see one object alone in 8 stimuli of each half"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_controls_are_of_the_same_units_and_a_layer_without_any_is_told(tmp_path, monkeypatch):
    images, annotations = drawn_scenes(tmp_path / "drawn", 60)
    config = activity_scaling.Config(
        models=(), stimuli="scenes", images=str(images), annotations=str(annotations), cache=str(tmp_path / "cache"),
        size=(40, 60), controls=("zero_strength",), strengths=(0.3,), n_control_stimuli=30, n_resamples=100, alone=1,
        driven=0.0, n_units=400, design="free",
    )  # fmt: skip
    unseen(monkeypatch, "stage2/response")
    network = GatedNetwork(GatedConfig(channels=(3, 4), **CONFIG), torch.Generator().manual_seed(0), name="wide").eval()
    shown = pairs.pair_stimuli(config, load_models(config.models))
    tree = xr.DataTree.from_dict({"/wide": activity_scaling.recording(config, subject_of(network), shown)})
    assert "stage2" not in tree["wide"].children
    for at in ("controls/zero_strength", "strength/0.3"):
        small = tree[f"wide/{at}/stage1/response"]
        assert_array_equal(small["neuroid_id"], tree["wide/stage1/response"]["neuroid_id"])
        own = small["own"].values[::2]
        assert min((own[half::2] >= 0).sum(0).min() for half in (0, 1)) >= 7
    tables = activity_scaling.analysis(config, tree)
    note = "NOTE: stage2/response is left out: no unit of it sees one object alone in enough scenes."
    assert note in tables.text
