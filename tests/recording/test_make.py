"""``python -m neuroattn.recording make``: what users do, with the shipped network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_scenes import drawn_scenes
from numpy.testing import assert_array_equal

import neuroattn
from neuroattn.command.line import read_options
from neuroattn.models.checkpoint import save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.__main__ import main
from neuroattn.recording.make import MakeConfig
from neuroattn.recording.store import open_recording
from neuroattn.stimuli.scenes import load_scenes


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["make", *map(str, arguments)])
    return left.value.code


@pytest.fixture
def store(tmp_path):
    return tmp_path / "a.zarr"


def test_composites_into_a_store(store, capsys):
    options = ["--store", store, "--composites", 7, "--variables", "stage1/gate", "readout/logits", "--steps", 1, 4]
    assert run(*options, "--sample", 5, "--design", "cued", "--seed", 3) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("up to 0.00 MB on disk, 0.00 MB of values in memory at a time, 7 stimuli at once\n")
    assert f"\n{store}: 14 of 14 presentations recorded (100.0%)" in printed
    with open_recording(store) as tree:
        gate = tree["stage1/gate"].to_dataset()
        assert gate["activation"].shape == (14, 2, 5)
        assert_array_equal(gate["time_step"], [1, 4])
        assert {"cued", "attended", "label_0", "location"} <= set(gate.coords)
        assert '"seed": 3' in tree.attrs["protocol"]
    assert run(*options, "--sample", 5, "--design", "cued", "--seed", 3) == 0  # nothing is left to do
    assert run(*options, "--sample", 6, "--design", "cued", "--seed", 3) == 2
    assert "which differs in units (" in capsys.readouterr().err


def test_images_of_ones_own(store, tmp_path, capsys):
    objects = np.random.default_rng(0).uniform(0, 0.5, (3, 2, 1, 28, 42)).astype(np.float32)
    np.save(tmp_path / "images.npy", objects.sum(1))
    np.save(tmp_path / "objects.npy", objects)
    table = pd.DataFrame({"orientation": [10.5, 20, 30], "side": ["left", "", "naïve"]})
    table.to_parquet(tmp_path / "table.parquet")
    files = {name: tmp_path / f"{name}.npy" for name in ("images", "objects")}
    options = ["--store", store, "--variables", "stage1/response", "--y", 1, 4, "--x", 2, 5, "--channels", 3, 7]
    given = [f"--{name}={path}" for name, path in files.items()]
    assert run(*options, *given, "--table", tmp_path / "table.parquet", "--precision", "float16") == 0
    stimuli = neuroattn.StimulusSet(objects.sum(1), objects, table)
    units = neuroattn.Units(channels=[3, 7], y=(1, 4), x=(2, 5))
    model = neuroattn.load_model("digits-0")
    expected = neuroattn.record(model, stimuli, ["stage1/response"], units=units, precision="float16")
    with open_recording(store) as tree:
        found = tree["stage1/response"].to_dataset().load()
    assert found["activation"].dtype == np.float16
    assert_array_equal(found["activation"], expected["stage1/response"]["activation"])
    assert_array_equal(found["side"], np.repeat(["left", "", "naïve"], 2))
    table.to_csv(tmp_path / "table.csv", index=False)
    again = ("--table", tmp_path / "table.csv", "--precision", "float16")
    assert run(*options, *given, *again) == 0  # the same stimuli: "" is no missing value
    (tmp_path / "table.csv").write_text("orientation,side\n10.5,left\n20.0,NA\n30.0,naïve\n")
    assert run(*options, *given, *again) == 2
    assert "which differs in stimuli (" in capsys.readouterr().err
    (tmp_path / "table.csv").write_text("a\n1,2\n")
    assert run(*options, *given, *again) == 2
    assert re.match(
        r"error: table must be a \.csv or \.parquet file, got '.*' \(.*\); check it\n", capsys.readouterr().err
    )


def test_what_is_printed_as_configuration_is_taken_back(store, tmp_path, capsys):
    options = ["--store", store, "--composites", 3, "--variables", "readout/logits"]
    assert run(*options, "--print_config") == 0
    (tmp_path / "recipe.yaml").write_text(capsys.readouterr().out)
    assert run("--config", tmp_path / "recipe.yaml", "--dry_run", "true") == 0
    assert capsys.readouterr().out.startswith("up to 0.00 MB on disk")


@pytest.mark.parametrize("spelling", [["--model", "digits-1"], ["--models", "digits-1"], ["--config", "r.yaml"]])
def test_a_network_is_named_as_before(spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text("store: null\nmodel: digits-1\ndry_run: true\n")
    assert read_options(MakeConfig, ["--dry_run", *spelling], prog="t", description="t").models == ("digits-1",)


def test_a_dry_run_says_what_it_would_take(store, capsys):
    assert run("--dry_run", "--composites", 5, "--variables", "readout/logits", "--steps", 4) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("up to 0.00 MB on disk, 0.00 MB of values in memory at a time, 5 stimuli at once")
    assert second == "  readout/logits: 10 × 1 × 10 (presentation × time step × neuroid) float32, 0.00 MB"
    assert not store.exists()


@pytest.mark.process
@pytest.mark.slow
def test_a_local_cluster_and_one_by_address(store, tmp_path, capsys):
    from distributed import LocalCluster

    options = ["--composites", 23, "--variables", "readout/logits", "--batch_size", 4]
    assert run(*options, "--store", store) == 0
    assert run(*options, "--store", tmp_path / "b.zarr", "--workers", 2) == 0
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        assert run(*options, "--store", tmp_path / "c.zarr", "--dask", cluster.scheduler_address) == 0
    capsys.readouterr()
    with open_recording(store) as alone:
        for other in ("b", "c"):
            with open_recording(tmp_path / f"{other}.zarr") as tree:
                found, expected = (t["readout/logits"].to_dataset().load() for t in (tree, alone))
                np.testing.assert_allclose(found["activation"], expected["activation"], atol=1e-4)
                assert_array_equal(found["attended"], expected["attended"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "store must be the path to record to, got none; give --store PATH, or --dry_run"),
        (["--store", "x", "--models", "a", "b"], "models must name one network, got 2; make a recording of each"),
        (["--store", "x", "--y", "3"], "y must be two numbers, first and last, got 1"),
        (["--store", "x", "--y", "5", "3"], "y must be a window (first, last) with 0 ≤ first < last, got (5, 3)"),
        (["--store", "x", "--table", "t.csv"], "images must be given with objects or table, got none; give --images"),
        (["--store", "x", "--images", "none.npy"], "images must be a .npy file of numbers, got 'none.npy' ("),
        (["--store", "x", "--steps", "5"], "steps must be a list of different numbers from 0 to 4, ascending, got"),
        (["--store", "x", "--variables", "stage3/gate"], "variables must be among stage1/gated_input,"),
        (["--store", "x", "--channels", "99"], "channels must be from 0 to 0 for stage1/gate, got [99]; give each"),
        (["--store", "x", "--sample", "5000", "--variables", "stage2/gate"], "sample must be at most the 4560 units"),
        (["--store", "x", "--precision", "int8"], "precision must be one of float32, float16, got int8"),
        (["--store", "x", "--workers", "2", "--dask", "tcp://a:1"], "workers must be 0 where a scheduler is named by"),
        (["--store", "x", "--dask", "nonsense://"], "dask must be the address of a running scheduler, got 'nonsense"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, tmp_path, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert run("--composites", 3, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {text}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_array(tmp_path, capsys):
    path = tmp_path / "images.npy"
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    assert run("--store", tmp_path / "a.zarr", "--images", path) == 2
    assert re.match(
        rf"error: images must be a \.npy file of numbers, got '{path}' \(.*\); check it\n", capsys.readouterr().err
    )


@pytest.mark.slow
def test_scenes_into_a_store(store, tmp_path, capsys):
    images, annotations = drawn_scenes(tmp_path / "drawn", 6)
    config = GatedConfig(size=(3, 40, 60), channels=(3, 4, 5, 6), kernel=2, classes=12, resize="bicubic", strength=0.3)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="small").eval()
    save_model(network, tmp_path / "small.safetensors", training={}, provenance={})
    save_model(network, tmp_path / "other.safetensors", training={"classes": list("abcdefghijkl")}, provenance={})
    variables = [f"stage{number}/response" for number in (1, 2, 3, 4)]
    options = ["--store", store, "--models", tmp_path / "small.safetensors", "--variables", *variables]
    scenes = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    assert run(*options, *scenes, "--composites", 5) == 0
    assert "10 of 10 presentations recorded (100.0%)" in capsys.readouterr().out
    stimuli = load_scenes(images, annotations, size=(40, 60), cache=tmp_path / "cache").stimulus_set()
    expected = neuroattn.record(network, stimuli[:5], variables)
    with open_recording(store) as tree:
        for name in variables:
            found = tree[name].to_dataset().load()
            assert_array_equal(found["activation"], expected[name]["activation"])
            assert_array_equal(found["category_1"], expected[name]["category_1"])
    classes = load_scenes(images, annotations, size=(40, 60), labels="category", cache=tmp_path / "cache").classes
    config = GatedConfig(size=(3, 40, 60), channels=(3,), kernel=2, classes=3, resize="bicubic", strength=0.3)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="three")
    save_model(network, tmp_path / "three.safetensors", training={"classes": list(classes)}, provenance={})
    three = ["--store", tmp_path / "three.zarr", "--models", tmp_path / "three.safetensors", *scenes]
    assert run(*three, "--labels", "category", "--variables", "stage1/gate") == 0
    assert run(*three, "--labels", "category", "--n_objects", "3", "--variables", "stage1/gate") == 2
    with open_recording(tmp_path / "three.zarr") as tree:
        labels = tree["stage1/gate"].to_dataset()["label_0"].values
    assert np.unique(labels).tolist() == sorted(classes.index(name) for name in ("dog", "car"))
    assert "must have an image with 3 objects" in capsys.readouterr().err
    for more, text in [
        (["--annotations", annotations], "images must be given with annotations, got none; give --images DIR"),
        (
            [*scenes, "--models", tmp_path / "other.safetensors"],
            "labels must be the 12 classes of model 'small' (a, b, c",
        ),
        ([*scenes, "--table", "a.csv"], "objects and table must not be given with annotations, which tell of both"),
        (
            [*scenes, "--models", "digits-0"],
            "models must take colour images (3, y, x) for scenes, got digits-0 of (1, 28",
        ),
    ]:
        assert run("--store", tmp_path / "b.zarr", "--models", tmp_path / "small.safetensors", *more) == 2
        assert capsys.readouterr().err.startswith(f"error: {text}")
