"""``python -m neuroattn.training gain``: weights, read-outs, tuning; and the same weights after an interrupt."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from refused import refused
from torch import nn

from neuroattn.models.checkpoint import load_model, read_about, weights_hash
from neuroattn.training import gain
from neuroattn.training.gain_config import GainTrainingConfig


def config(folder, **options):
    given = {"steps": 4, "batch_size": 7, "validation": 0.6, "name": "plain", "device": "cpu", "data": str(folder)}
    return GainTrainingConfig(**(given | options))


@pytest.mark.parametrize("pictures", ["single", "composites"])
def test_a_training_leaves_weights_that_say_what_they_are(folder, tmp_path, pictures):
    told = []
    gain.train_gain_network(config(folder, pictures=pictures, seed=3), tmp_path / "run", told.append)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.csv", "plain.safetensors"]
    network, about = load_model(tmp_path / "run/plain.safetensors"), read_about(tmp_path / "run/plain.safetensors")
    assert (network.name, network.seed) == ("plain", 3)
    assert about.options["pictures"] == pictures
    assert about.training["digits"]["n"] == 67
    assert "data" not in about.options
    for number in range(1, 5):
        assert network.tuning(number).abs().max() == 1
    metrics = pd.read_csv(tmp_path / "run/metrics.csv").iloc[0]
    assert metrics["validation_accuracy"] == pytest.approx(about.accuracy)
    assert 0 <= about.accuracy <= 1
    assert told[-1].startswith("weights in ")


class Interrupted:
    """An interrupt after some batches."""

    def __init__(self, after):
        self.left = after

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_an_interrupted_training_ends_with_the_same_weights(folder, tmp_path, monkeypatch):
    gain.train_gain_network(config(folder), tmp_path / "whole", [].append)
    with monkeypatch.context() as patched:
        patched.setattr(gain, "interrupts", lambda: Interrupted(after=2))
        with pytest.raises(KeyboardInterrupt):
            gain.train_gain_network(config(folder), tmp_path / "parts", [].append)
    told = []
    with refused("out must be a folder of the same training, got *"):
        gain.train_gain_network(config(folder, learning_rate=0.1), tmp_path / "parts", told.append)
    gain.train_gain_network(config(folder), tmp_path / "parts", told.append)
    assert "going on after 2 steps" in told
    whole, parts = (load_model(tmp_path / name / "plain.safetensors") for name in ("whole", "parts"))
    assert weights_hash(whole) == weights_hash(parts)
    assert not (tmp_path / "parts/plain.resume.pt").exists()


def test_what_cannot_be_trained_is_told_before_it_is(folder, tmp_path):
    with refused(
        "validation must hold out a digit of every class, got none of 0 among 1; hold out more, or take more digits"
    ):
        gain.train_gain_network(config(folder, validation=0.02), tmp_path / "run", [].append)
    assert not (tmp_path / "run").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    with refused(f"out must be a folder that is empty or does not exist, got {str(tmp_path / 'full')!r}"):
        gain.train_gain_network(config(folder), tmp_path / "full", [].append)


def test_read_outs_weigh_rare_classes_as_much():
    """Class 1 is rare and apart by one unit: a read-out that did not weigh would say no to all."""
    torch.manual_seed(0)
    labels = torch.tensor([0] * 760 + [1] * 40)
    features = torch.randn(800, 2) + 1.5 * labels[:, None]
    detectors = nn.Linear(2, 2)
    gain.train_detectors(detectors, features, labels)
    said = (detectors(features) > 0)[:, 1]
    hits, false_alarms = said[labels == 1].float().mean(), said[labels == 0].float().mean()
    assert hits > 0.75
    assert abs(float(1 - hits) - float(false_alarms)) < 0.25
    assert false_alarms > 0.02
