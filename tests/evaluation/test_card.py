"""``python -m neuroattn.evaluation card`` and the mean over networks."""

from __future__ import annotations

import dataclasses
import hashlib
import re

import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended
from numpy.testing import assert_allclose
from scipy import stats

from neuroattn.evaluation import run
from neuroattn.evaluation.__main__ import main
from neuroattn.evaluation.networks import over_networks
from neuroattn.models import checkpoint
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.statistics.intervals import fraction_interval, t_interval
from neuroattn.stimuli.mnist import embedded


@pytest.fixture
def networks(tmp_path):
    """Files of three networks: two of one recipe, and one of another."""
    files = []
    for seed, phi in ((3, 1000.0), (5, 1000.0), (7, 10.0)):
        name = f"net-{seed}"
        network = GatedNetwork(digits_config(), torch.Generator().manual_seed(seed), name=name, seed=seed)
        epochs = [{"epoch": 1, "seconds": 90.0, "composites_per_second": 501.0}] * 2
        options = {"name": name, "phi": phi, "clip": None, "hidden": [20, 50], "seed": seed, "device": "auto"}
        training = {
            "options": dict(reversed(options.items())) if seed == 5 else options,  # as another version lists them
            "digits": {"what": "training set", "n": 55_000, "sha256": "abc"},
            "device": "cpu",
            "threads": 1,
            "precision": "bf16",
            "epochs": epochs,
        }
        files.append(tmp_path / f"{name}.safetensors")
        save_model(network, files[-1], training=training, provenance={"processor": "P1", "platform": "-", "torch": "2"})
    return files


def left(*arguments):
    return ended(main, "card", *arguments)


@pytest.mark.slow
def test_a_card(networks, tmp_path, monkeypatch):
    shown = []
    evaluated = run.evaluate

    def spy(model, composites):
        shown.append(composites)
        return evaluated(model, composites)

    monkeypatch.setattr(run, "evaluate", spy)
    monkeypatch.setattr(run, "load", lambda _data, split: {"test": embedded().select(slice(0, None, 50))}[split])
    out = tmp_path / "card.md"
    assert left("--models", *networks, "--out", out) == (0, "", "")
    text = out.read_text()
    assert "Evaluated on 100 composites of MNIST's official test digits (noise 0.3, seed 0)." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## `net-3` to `net-5`", "## `net-7`"]
    tables = [evaluated(load_model(file), shown[0]).set_index("what") for file in networks]
    accuracies = [table.loc["accuracy"] for table in tables]
    for seed, row in zip((3, 5, 7), accuracies, strict=True):
        cell = f"{row['estimate']:.4f} [{row['interval_low']:.4f}, {row['interval_high']:.4f}]"
        assert f"| `net-{seed}` | {seed} | {cell} |" in text
    values = [row["estimate"] for row in accuracies[:2]]
    _, low, high = fraction_interval(values)
    assert "t over networks, on logits, where a mean of networks is given" in " ".join(text.split())
    assert f"mean of 2 networks: {np.mean(values):.4f} [{low:.4f}, {high:.4f}]" in text
    assert "Recipe: phi 1000, clip none, hidden 20 and 50." in text
    assert "Recipe: phi 10, clip none, hidden 20 and 50." in text
    assert "Data: training set, 55,000 digits (SHA-256 `abc`)." in text
    assert "Time: 3 minutes a network (501 composites/s), on cpu (P1, one thread, bf16, torch 2)." in text
    for file in networks:
        assert f"| `{file.name}` | `{hashlib.sha256(file.read_bytes()).hexdigest()}` |" in text
    always = [
        f"`{table.loc[what, 'model']}` ({table.loc[what, 'note']})"
        for table in tables[:2]
        for what in ("attended_first_0", "attended_first_1")
        if table.loc[what, "estimate"] >= 0.99
    ]
    one, _, _ = text.partition("## `net-7`")
    if always:
        assert f"{len(always)} of 2 attend the same place first in at least 99 % of trials: {', '.join(always)}." in one
    else:
        assert "None attends the same place first in 99 % of trials or more." in one


def test_every_file_is_opened_once(networks, monkeypatch):
    opened, whole = [], checkpoint.safe_open

    def spy(path, **options):
        opened.append(path)
        return whole(path, **options)

    monkeypatch.setattr(checkpoint, "safe_open", spy)
    monkeypatch.setattr(run, "evaluate", lambda model, _: evaluated(model.name))
    monkeypatch.setattr(run, "load", lambda _data, split: {"test": embedded().select(slice(0, None, 500))}[split])
    assert left("--models", *networks)[::2] == (0, "")
    assert opened == networks


def evaluated(name):
    """Return what an evaluation might say of a network."""
    whats = ("accuracy", "all_objects_right", "all_objects_covered")
    return pd.DataFrame(
        {"model": name, "what": whats, "estimate": 0.5, "interval_low": 0.4, "interval_high": 0.6, "note": ""}
    )


def test_a_card_of_other_digits_says_so(networks, monkeypatch):
    digits = dataclasses.replace(embedded().select(slice(0, None, 100)), is_mnist=False)
    monkeypatch.setattr(run, "load", lambda _data, split: {"test": digits}[split])
    status, text, _ = left("--models", networks[0])
    assert status == 0
    assert "Evaluated on 50 composites of test digits that are not MNIST's own (noise 0.3, seed 0)." in text
    assert "official test digits" not in text


def test_a_network_without_gating(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", lambda _data, split: {"test": embedded().select(slice(0, None, 100))}[split])
    files = []
    for strength in (0.0, 0.2):
        config = dataclasses.replace(digits_config(), strength=strength)
        training = {
            "options": {"strength": strength},
            "digits": {"what": "training set", "n": 55_000, "sha256": "abc"},
            "device": "cpu",
            "epochs": [{"epoch": 1, "seconds": 90.0, "composites_per_second": 501.0}],
        }
        files.append(tmp_path / f"s-{strength}.safetensors")
        network = GatedNetwork(config, torch.Generator().manual_seed(0), name=files[-1].stem, seed=0)
        save_model(network, files[-1], training=training, provenance={"platform": "-", "torch": "2"})
    status, text, error = left("--models", *files)
    assert (status, error) == (0, "")
    rows = [line for line in text.splitlines() if line.startswith("| `s-0.") and "safetensors" not in line]
    assert rows[0].endswith("| – | – |")
    assert re.search(r"\| 0?\.\d{3} ± 0?\.\d{3} \| 0?\.\d{3} ± 0?\.\d{3} \|$", rows[1].replace("-0.", "0."))


def test_a_card_without_a_folder_is_refused_before_the_evaluation(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load", None)
    out = str(tmp_path / "none" / "card.md")
    text = f"error: out must be in a folder that exists, got {out!r}; make the folder\n"
    assert left("--models", *networks, "--out", out) == (2, "", text)
    text = f"error: out must be a file, got {str(tmp_path)!r}, which is a folder; name a file in it\n"
    assert left("--models", *networks, "--out", tmp_path) == (2, "", text)


TOLD = {
    "options": {"phi": 1.0},
    "digits": {"what": "training set", "n": 55_000, "sha256": "abc"},
    "device": "cpu",
    "epochs": [{"epoch": 1, "seconds": 90.0, "composites_per_second": 501.0}],
}


@pytest.mark.parametrize(
    ("training", "provenance"),
    [
        ({}, {}),
        (TOLD, {"torch": "2"}),
        (TOLD | {"epochs": []}, {"platform": "-", "torch": "2"}),
        (TOLD | {"epochs": [*TOLD["epochs"], {"epoch": 2}]}, {"platform": "-", "torch": "2"}),
        (TOLD | {"digits": {"sha256": "abc"}}, {"platform": "-", "torch": "2"}),
    ],
)
def test_a_network_that_does_not_say_how_it_was_trained(tmp_path, monkeypatch, training, provenance):
    monkeypatch.setattr(run, "load", lambda _data, split: {"test": embedded()}[split])
    file = tmp_path / "a.safetensors"
    save_model(GatedNetwork(digits_config(), torch.Generator()), file, training=training, provenance=provenance)
    text = f"error: models must say how they were trained, got {str(file)!r}, whose metadata does not\n"
    assert left("--models", file) == (2, "", text)


def test_the_mean_over_networks():
    table = pd.DataFrame(
        {"model": list("abc") * 2, "what": ["x"] * 3 + ["y"] * 3, "estimate": [0.5, 0.7, 0.9, 1.0, 1.0, 1.0]}
    )
    found = over_networks(table).set_index("what")
    low, high = stats.t.interval(0.95, 2, 0.7, stats.sem([0.5, 0.7, 0.9]))
    row = found.loc["x"]
    assert_allclose([row["estimate"], row["interval_low"], row["interval_high"], row["sd"]], [0.7, low, high, 0.2])
    assert (row["n"], row["model"], row["note"]) == (3, "mean of 3 networks", "over networks: 0.5000 to 0.9000")
    assert_allclose(found.loc["y", ["estimate", "interval_low", "interval_high"]].astype(float), 1)
    assert set(over_networks(table.iloc[:4])["what"]) == {"x"}


@pytest.mark.parametrize("values", [(0.1, 0.2, 0.9), (0.1, 0.1, 0.4), (0.9, 0.9, 0.6), (1.0, 1.0, 1.0)])
def test_the_interval_of_fractions_stays_between_0_and_1(values):
    parts = [pd.DataFrame({"model": list("abc"), "what": what, "estimate": values}) for what in ("accuracy", "other")]
    found = over_networks(pd.concat(parts)).set_index("what")
    columns = ["estimate", "interval_low", "interval_high"]
    assert_allclose(found.loc["accuracy", columns].astype(float), fraction_interval(values))
    assert 0 <= found.loc["accuracy", "interval_low"] < found.loc["accuracy", "interval_high"] <= 1
    assert_allclose(found.loc["other", columns].astype(float), t_interval(values))
