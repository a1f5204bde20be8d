"""``python -m neuroattn.experiments.reproduce`` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from drawn_scenes import drawn_scenes

from neuroattn.compute import memory
from neuroattn.evaluation.scenes import evaluate_scenes
from neuroattn.experiments.reproduce import run as reproduce
from neuroattn.experiments.reproduce.numbers import last_epochs, of_sweep
from neuroattn.experiments.reproduce.run import main
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.scenes import load_scenes

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--models", "digits-0", "digits-1", "--composites", "60", "--n_bars", "2", "--tuning_networks", "1"]


def run_here(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main([*SMALL, *map(str, arguments)])
    return left.value.code, *capsys.readouterr()


@pytest.fixture
def sweep(tmp_path):
    rows = [
        {"network": f"{phi}-{seed}", "learning_rate": 1e-3, "phi": phi, "epoch": epoch, "validation_accuracy": accuracy}
        for phi in (0, 1000)
        for seed in (0, 1)
        for epoch, accuracy in ((1, 0.5), (2, 0.96 + 0.01 * seed))
    ]
    path = tmp_path / "sweep.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_the_names_of_a_sweeps_networks_are_text(tmp_path):
    path = tmp_path / "sweep.csv"
    rows = [f"{name},0.001,10,{epoch},0.9" for name in ("None", "NA", "007", "7") for epoch in (1, 2)]
    path.write_text("\n".join(["network,learning_rate,phi,epoch,validation_accuracy", *rows]))
    last = last_epochs(reproduce.Config(sweep=str(path)))
    assert sorted(last["network"]) == ["007", "7", "NA", "None"]
    assert last["epoch"].tolist() == [2, 2, 2, 2]


@pytest.mark.slow
def test_our_networks_alone(capsys, sweep, tmp_path):
    status, out, err = run_here(capsys, "--sweep", sweep, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    table = pd.read_csv(tmp_path / "run" / "reproduction.csv").set_index("name")
    entries = yaml.safe_load((ROOT / "experiments" / "published.yaml").read_text())
    assert table.index.tolist() == [entry["name"] for entry in entries]
    assert (table["verdict_published"] == "not run").all()
    assert table.loc["accuracy", "n_networks"] == 2
    assert 0.95 < table.loc["accuracy", "ours"] <= 1
    assert table.loc["tuning, stage 1: gain", "n_networks"] == 1
    assert table.loc["sweep, learning rate 1e-3, φ = 1000", "ours"] == pytest.approx(0.965)  # the last epochs
    assert table.loc["sweep, learning rate 1e-3, φ = 1000", "verdict"] == "reproduced"
    assert table.loc["sweep, learning rate 1e-3, φ = 10", "verdict"] == "not run"
    # Whatever is not reproduced says why.
    assert (table.loc[table["verdict"] != "reproduced", "explanation"].fillna("") != "").all()
    assert "not explained" not in out
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(about["weights_sha256"]) == {"digits-0", "digits-1"}


@pytest.mark.slow
def test_the_published_weights(capsys, sweep, tmp_path, reference, mnist):
    weights = reference / "reference" / "paper_mnist_model.pt"
    options = [
        "--published",
        weights,
        "--data",
        mnist,
        "--composites",
        "10000",
        "--n_bars",
        "11",
        "--tuning_networks",
        "0",
    ]
    coco = reference / "data" / "coco"
    options += ["--published_scenes", reference / "reference" / "paper_coco_model.pt", "--images", coco / "images"]
    options += ["--annotations", coco / "annotations" / "instances.json", "--cache", tmp_path / "cache"]
    status, _, err = run_here(capsys, "--sweep", sweep, "--models", "digits-0", "--out", tmp_path / "run", *options)
    assert (status, err) == (0, "")
    table = pd.read_csv(tmp_path / "run" / "reproduction.csv")
    differing = table[table["verdict_published"] == "differs"]
    assert len(table[table["verdict_published"] == "reproduced"]) >= 32
    assert differing["explanation"].str.contains("has no slope|have no slope|read by eye").all()
    scenes = table[table["name"].str.startswith("scenes, ") & (table["source"] == "authors' code")]
    assert (scenes["verdict_published"] == "reproduced").all()
    assert len(scenes) == 11


@pytest.mark.slow
def test_our_networks_of_scenes(capsys, sweep, tmp_path):
    images, annotations = drawn_scenes(tmp_path / "drawn", 7)
    (images / "000000000002.png").unlink()
    config = GatedConfig(size=(3, 40, 60), channels=(4, 5), classes=12, resize="bicubic", strength=0.3, steps=2)
    files = []
    for seed in (0, 1):
        network = GatedNetwork(config, torch.Generator().manual_seed(seed), name=f"net-{seed}").eval()
        files.append(tmp_path / f"{network.name}.safetensors")
        save_model(network, files[-1], training={}, provenance={})
    options = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    options += ["--scenes_models", *files, "--tuning_networks", "0", "--sweep", sweep, "--out", tmp_path / "run"]
    status, out, err = run_here(capsys, *options)
    assert (status, err) == (0, "")
    left_out = [line for line in out.splitlines() if "left out" in line]
    assert len(left_out) == 1  # once, though two networks are shown the scenes
    assert left_out[0].startswith("note: 1 ")
    assert f"note: {json.loads((tmp_path / 'run' / 'run.json').read_text())['notes'][0]}" == left_out[0]
    row = pd.read_csv(tmp_path / "run" / "reproduction.csv").set_index("name").loc["scenes, gate over attended pixels"]
    scenes = load_scenes(images, annotations, size=(40, 60), cache=tmp_path / "cache")
    tables = [evaluate_scenes(load_model(file), scenes).table.set_index("what") for file in files]
    assert row["ours"] == pytest.approx(sum(table.loc["gate_attended", "estimate"] for table in tables) / 2)
    assert (row["n_networks"], row["verdict_published"]) == (2, "not run")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sweep", "none.csv"], "sweep must be a table that exists, got 'none.csv'; check the path"),
        (["--published", "none.pt"], "published must be a file that exists, got 'none.pt'; check the path"),
        (["--published_scenes", "no.pt"], "published_scenes must be a file that exists, got 'no.pt'; check the path"),
        (
            ["--data", "none"],
            "folder must exist, got none; give the one that holds the IDX files of MNIST",
        ),
        (
            ["--images", ".", "--annotations", "a.json", "--scenes_models", "no.pt"],
            "scenes_models must be a file that exists, got 'no.pt'; check the path",
        ),
        (
            ["--models", "digits-0", "digits3-0", "--tuning_networks", "2"],
            (
                "tuning_networks must leave out networks of more than two digits, got 2, digits3-0 among them; name "
                "such networks last"
            ),
        ),
        (
            ["--models", "digits-0", "scenes-0"],
            (
                "model 'scenes-0' must take composites of digits, (1, 28, 28 + 14·(n - 1)) px and 10 classes, got "
                "(3, 100, 100) px and 12 classes"
            ),
        ),
        (
            ["--composites", "100000000000"],
            (
                "composites must fit in memory, got 100,000,000,000 of 2 digits, which needs 1.88e+06 GB, and 1 GB are "
                "free; make fewer"
            ),
        ),
        (["--composites", "1"], "composites must be at least 2, got 1"),
        (["--images", "."], "annotations must be named with --images, got none; name both, or neither"),
        (
            ["--published_scenes", "a.pt"],
            "images must be named with published_scenes, got none; name the folder of COCO's images",
        ),
        (
            ["--published", "a.pt"],
            (
                "data must be named with published: those weights were trained on digits that are embedded here, and "
                "their numbers are of test digits"
            ),
        ),
    ],
)
def test_what_a_user_gets_wrong(capsys, monkeypatch, sweep, tmp_path, arguments, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    monkeypatch.setattr(reproduce, "bar_curves", None)  # nothing may get as far as the long work
    (tmp_path / "a.pt").touch()
    options = arguments if "--sweep" in arguments else ["--sweep", sweep, *arguments]
    assert run_here(capsys, "--out", "run", *options) == (2, "", f"error: {text}\n")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_free_and_a_table_that_is_none(capsys, sweep, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.txt").write_text("mine")
    expected = f"error: out must be a folder that is empty or does not exist, got {str(tmp_path / 'run')!r}\n"
    assert run_here(capsys, "--sweep", sweep, "--out", tmp_path / "run") == (2, "", expected)
    sweep.write_text("a,b\n1,2\n")
    status, _, err = run_here(capsys, "--sweep", sweep, "--out", tmp_path / "other")
    assert (status, err.startswith("error: sweep must be a table of neuroattn.training sweep, got")) == (2, True)


def test_the_table_that_travels_with_the_package():
    last = last_epochs(reproduce.Config())
    counts = last.groupby(["learning_rate", "phi"]).size()
    assert counts.to_dict() == {(1e-3, phi): 3 for phi in (0, 10, 100, 1000, 10000)}
    assert (last["epoch"] == 2).all()
    entry = {"learning_rate": 1e-3, "phi": 100}
    assert sorted(of_sweep(entry, last)) == pytest.approx([0.9699, 0.9705, 0.9722], abs=1e-4)
