"""``python -m neuroattn.experiments.inhibition_of_return --stimuli scenes``: drawn scenes, and synthetic ones."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from drawn_scenes import drawn_scenes
from numpy.testing import assert_array_equal

from neuroattn.experiments.inhibition_of_return import protocol as inhibition_of_return
from neuroattn.experiments.scene_stimuli import SYNTHETIC
from neuroattn.models.checkpoint import save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.coco import Rule, read_annotations, select_scenes
from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes

SMALL = ["--stimuli", "scenes", "--size", "40", "60", "--n_control_stimuli", "20", "--n_resamples", "100"]


@pytest.mark.slow
def test_drawn_scenes(network, tmp_path, command):
    images, annotations = drawn_scenes(tmp_path / "drawn", 24)
    files = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    options = [*SMALL, "--models", network, *files, "--controls", "untrained", "one_step"]
    status, out, err = command("inhibition_of_return", *options, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    assert "Inhibition of return, stimuli of one network, 24 scenes of 2 objects." in out
    assert "SYNTHETIC" not in out
    with xr.open_datatree(tmp_path / "run" / "recording.zarr", engine="zarr", consolidated=False) as tree:
        trials = tree["small/trials"].to_dataset().load()
    assert trials["place"].values[-1].tolist() == [1, 0]
    # The left box is the first object, whichever is larger.
    assert_array_equal(np.sort(trials["label"], axis=1), np.tile([1, 11], (24, 1)))
    # Boxes are drawn so that the first one's class alternates.
    assert np.unique(trials["label"].values[:, 0], return_counts=True)[1].tolist() == [12, 12]
    statistics = pd.read_csv(tmp_path / "run" / "statistics.csv")
    assert {"stage3 alone", "carried", "moved, no mask"} <= set(statistics["condition"].dropna())
    report = (tmp_path / "run" / "report.html").read_text()
    assert "seen in a mirror" in report
    assert "handwritten" not in report


@pytest.mark.slow
def test_synthetic_scenes_say_that_they_are(network, tmp_path, command):
    options = [*SMALL, "--models", network, "--n_stimuli", "20", "--controls", "none"]
    status, out, err = command("inhibition_of_return", *options, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == SYNTHETIC
    assert "20 synthetic scenes of 2 objects" in out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["findings"][0] == SYNTHETIC
    assert SYNTHETIC.split(":")[0] in (tmp_path / "run" / "report.html").read_text()
    # Each part of it says so by itself.
    assert set(pd.read_csv(tmp_path / "run" / "statistics.csv")["stimuli"]) == {"synthetic scenes"}
    assert set(pd.read_parquet(tmp_path / "run" / "units.parquet")["stimuli"]) == {"synthetic scenes"}
    with xr.open_datatree(tmp_path / "run" / "recording.zarr", engine="zarr", consolidated=False) as tree:
        assert tree.attrs["synthetic_stimuli"] == "true"


@pytest.mark.slow
def test_the_figure_says_that_scenes_are_synthetic(network, tmp_path, command):
    drawn = []
    protocol = dataclasses.replace(
        inhibition_of_return.PROTOCOL,
        figure=lambda config, tables: drawn.append(inhibition_of_return.figure(config, tables)) or drawn[-1],
    )
    command(
        protocol, *SMALL, "--models", network, "--n_stimuli", "20", "--controls", "none", "--out", str(tmp_path / "run")
    )
    assert drawn[0].get_supxlabel() == "synthetic scenes"


@pytest.mark.slow
def test_what_was_left_out_is_told(network, tmp_path, command):
    images, annotations = drawn_scenes(tmp_path / "drawn", 24)
    (images / "000000000003.png").unlink()
    files = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    status, out, err = command(
        "inhibition_of_return", *SMALL, "--models", network, *files, "--controls", "none", "--out", tmp_path / "run"
    )
    assert (status, err) == (0, "")
    assert "NOTE: 1 image left out: " in out.splitlines()[0]
    assert "000000000003.png" in out.splitlines()[0]
    assert "23 scenes of 2 objects" in out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["findings"][0] == out.splitlines()[0]
    with xr.open_datatree(tmp_path / "run" / "recording.zarr", engine="zarr", consolidated=False) as tree:
        assert tree.attrs["synthetic_stimuli"] == "false"
    assert "stimuli" not in pd.read_csv(tmp_path / "run" / "statistics.csv")


@pytest.mark.slow
def test_classes_are_those_of_the_network(tmp_path, command):
    images, annotations = drawn_scenes(tmp_path / "drawn", 24)
    classes = ("car", "dog", "pizza")
    config = GatedConfig(size=(3, 40, 60), channels=(4, 5), classes=3, resize="bicubic", strength=0.3, steps=2)
    model = GatedNetwork(config, torch.Generator().manual_seed(0), name="own")
    for name, training in (("own", {"classes": list(classes)}), ("unnamed", {})):
        save_model(model, tmp_path / f"{name}.safetensors", training=training, provenance={})
    files = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    options = [*SMALL, *files, "--controls", "none", "--out", tmp_path / "run"]
    for name, theirs in (("own", "car, dog, pizza"), ("unnamed", "accessory, animal, appliance …")):
        status, out, err = command("inhibition_of_return", *options, "--models", tmp_path / f"{name}.safetensors")
        assert (status, out) == (2, "")
        assert err == (
            f"error: labels must be the 3 classes of model 'own' ({theirs}), got the 12 of supercategory in "
            "instances.json (accessory, animal, appliance …); take the annotations or the labels that it was trained "
            "with\n"
        )
        assert not (tmp_path / "run").exists()
        assert not list((tmp_path / "cache").glob("pictures-*"))  # no photograph was decoded for this
    status, out, err = command(
        "inhibition_of_return", *options, "--models", tmp_path / "own.safetensors", "--labels", "category"
    )
    assert (status, err) == (0, "")
    with xr.open_datatree(tmp_path / "run" / "recording.zarr", engine="zarr", consolidated=False) as tree:
        found = np.unique(tree["own/trials"]["label"].values)
    assert found.tolist() == [classes.index("car"), classes.index("dog")]


def test_a_single_scene_is_too_few(network, tmp_path, command):
    images, annotations = drawn_scenes(tmp_path / "drawn", 1)
    files = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    status, out, err = command("inhibition_of_return", *SMALL, "--models", network, *files, "--out", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err == "error: annotations must have 2 scenes of 2 objects or more, got 1; take more\n"


@pytest.mark.slow
def test_every_synthetic_scene_is_a_scene(tmp_path):
    _, annotations = write_synthetic_scenes(tmp_path / "one", 40, 3)
    index = select_scenes(read_annotations(annotations), Rule())
    assert index.n_scenes == 40
    assert index.notes == ()
    assert index.objects["supercategory"].nunique() == 7
    assert index.objects["file_name"].str.startswith("synthetic-").all()
    _, again = write_synthetic_scenes(tmp_path / "two", 40, 3)
    assert annotations.read_bytes() == again.read_bytes()
    _, other = write_synthetic_scenes(tmp_path / "three", 40, 4)
    assert annotations.read_bytes() != other.read_bytes()
    images = [sorted((tmp_path / name / "images").iterdir()) for name in ("one", "two")]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*images, strict=True))
