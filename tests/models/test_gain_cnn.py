"""A plain network that a gain can act on: its sizes, its file, and the attention that its name says."""

from __future__ import annotations

import json

import pytest
import torch
from refused import refused
from safetensors import safe_open
from safetensors.torch import save_file

from neuroattn.models.checkpoint import gated, is_gated, load_model, read_metadata, save_model
from neuroattn.models.gain_cnn import Attention, GainCNN, GainConfig

SMALL = GainConfig(size=(1, 8, 11), channels=(2, 3, 5, 7), dense=13, classes=4)


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    network = GainCNN(SMALL, name="plain", seed=3)
    network.tuning(2).copy_(torch.rand(4, 3))
    save_model(network, tmp_path / "plain.safetensors", training={}, provenance={})
    return tmp_path / "plain.safetensors"


def test_a_file_brings_everything_back(path):
    again = load_model(path)
    assert (again.config, again.name, again.seed, again.training) == (SMALL, "plain", 3, False)
    assert again.tuning(2).shape == (4, 3)
    assert again.tuning(2).max() > 0
    assert {key: tuple(value.shape) for key, value in again.state_dict().items()} == SMALL.weight_shapes
    assert not is_gated(path)


def test_every_read_out_looks_at_the_same_dense_layer():
    network = GainCNN(SMALL).eval()
    images = torch.rand(3, 1, 8, 11)
    torch.testing.assert_close(network(images), network.readout(network.features(images)))
    torch.testing.assert_close(network.detect(images), network.detectors(network.features(images)))


def test_a_name_says_how_attention_acts(path):
    network = load_model(f"{path}:place,layer=2,strength=0.25,positive_only")
    assert network.attention == Attention(kind="place", layer=2, strength=0.25, positive_only=True)
    assert network.name == "plain-place-layer-2-strength-0.25-positive_only"
    assert load_model(f"{path}:place").attention.layer == 1
    assert load_model(path).attention == Attention(kind="feature", layer=4, strength=0.5)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("object", "kind of attention must be one of feature, place, got 'object'"),
        ("place,layer=7", "layer must be a stage, 1 to 4, or 0 for all, got 7"),
        ("place,strength=101", "strength must be in [0, 100], got 101.0"),
        (
            "place,beta=1",
            (
                "options of attention must be layer=0 to 4, strength=NUMBER or positive_only, got 'beta=1'; write "
                "NAME:place,layer=1,strength=0.4"
            ),
        ),
    ],
)
def test_attention_that_there_is_not(path, how, error):
    with refused(error):
        load_model(f"{path}:{how}")


def test_gates_are_asked_of_gated_networks_alone(path):
    with refused("models must be gated networks here, got 'plain', a plain one without gates; leave it out"):
        gated(load_model(path))
    with refused(
        "models must be gated networks here (strength is that of gates), got 'plain', a plain one without gates; "
        "leave it out"
    ):
        load_model(path, strength=0.5)
    with refused("model must be a plain network for ':place' behind its name, got 'digits-0', a gated one"):
        load_model("digits-0:place")


def changed(path, **metadata):
    with safe_open(path, framework="pt") as file:
        state, header = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(state, path, header | metadata)
    return path


def test_a_file_of_another_kind_or_size_is_refused(path):
    with refused(f"model {str(path)!r} has damaged metadata (kind 'rnn'); copy it again"):
        load_model(changed(path, kind="rnn"))
    large = {**json.loads(SMALL.to_json()), "dense": 10**6}
    with refused(
        f"model {str(path)!r} has a configuration of another version, or a damaged one (dense must be from 1 to 1024, "
        "got 1000000)"
    ):
        load_model(changed(path, kind="gain-cnn", config=json.dumps(large)))
    small = {**json.loads(SMALL.to_json()), "size": [1, 7, 11]}
    with refused(
        f"model {str(path)!r} has a configuration of another version, or a damaged one (size must be at least 8 × 8 px "
        "for 4 stages, got (1, 7, 11))"
    ):
        load_model(changed(path, config=json.dumps(small)))


@pytest.mark.parametrize("seed", range(3))
def test_the_shipped_networks(seed):
    network, about = load_model(f"gaincnn-{seed}"), read_metadata(f"gaincnn-{seed}")
    assert (network.name, network.seed) == (f"gaincnn-{seed}", seed)
    last = about["training"]["epochs"][-1]
    assert last["validation_accuracy"] > 0.95
    assert last["detection_accuracy"] > 0.95
    for number in range(1, 5):
        f = network.tuning(number)
        active = f.abs().amax(0) > 0
        torch.testing.assert_close(f.abs().amax(0)[active], torch.ones(int(active.sum())))
        torch.testing.assert_close(f.mean(0), torch.zeros(f.shape[1]), atol=1e-5, rtol=0)
