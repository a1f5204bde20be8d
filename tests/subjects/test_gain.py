"""Attention as a gain: what a layer responds is what it responded, times a number that is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from refused import refused
from torch import nn

import neuroattn
from neuroattn.models.gain_cnn import Attention, GainCNN, GainConfig
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.gain import feature_gain, place_gain
from neuroattn.subjects.gain_cnn import gain_subject

SIZE, LABELS = (1, 8, 12), [[2, 0], [1, 3], [0, 2]]


def pictures(labels=LABELS, *, left_first=(True, False, True)):
    """Return stimuli of a square on either side, object 0 on the left where that is said."""
    objects = np.zeros((len(left_first), 2, *SIZE), np.float32)
    for stimulus, left in enumerate(left_first):
        objects[stimulus, 0 if left else 1, :, 2:5, 1:4] = 0.7 - 0.2 * stimulus
        objects[stimulus, 1 if left else 0, :, 3:7, 8:11] = 0.9 - 0.1 * stimulus
    table = pd.DataFrame(labels, columns=["label_0", "label_1"]) if labels else None
    return neuroattn.StimulusSet(objects.sum(1), objects, table)


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 7, 3, padding=1), nn.ReLU()).eval()


def responses(cue, stimuli, variable="1", **options):
    """Return (state, stimulus, channel, y, x): neutral, object 0 attended, object 1 attended."""
    model = neuroattn.TimedModule(module(), cue=cue, **options)
    neutral = neuroattn.record(model, stimuli, [variable])[variable]["activation"].values
    cued = neuroattn.record(model, stimuli, [variable], design="cued")[variable]["activation"].values
    channels = {"1": 5, "3": 7}[variable]
    cued = cued.reshape(len(stimuli), 2, channels, *SIZE[1:])
    return [neutral.reshape(len(stimuli), channels, *SIZE[1:]), cued[:, 0], cued[:, 1]]


@pytest.mark.parametrize(("positive_only", "elsewhere"), [(False, 0.6), (True, 1.0)])
def test_place_gain_multiplies_the_side_of_the_attended_object(positive_only, elsewhere):
    stimuli = pictures()
    neutral, *cued = responses(place_gain(["1"], 0.4, positive_only=positive_only), stimuli)
    for attended, response in enumerate(cued):
        for stimulus, left in enumerate([True, False, True]):
            on_the_left = left == (attended == 0)
            gain = np.where((np.arange(12) < 6) == on_the_left, 1.4, elsewhere)
            np.testing.assert_allclose(response[stimulus], neutral[stimulus] * gain, rtol=1e-5)


def test_places_may_be_quadrants():
    stimuli = pictures()
    neutral, first, _ = responses(place_gain(["1"], 0.5, places=(2, 2)), stimuli)
    rows, columns = np.arange(8) < 4, np.arange(12) < 6
    gain = np.where(rows[:, None] & columns, 1.5, 0.5)
    np.testing.assert_allclose(first[0], neutral[0] * gain, rtol=1e-5)


def test_feature_gain_multiplies_channels_by_their_tuning_to_the_attended_class():
    stimuli, tuning = pictures(), torch.linspace(-1, 1, 20).reshape(4, 5)
    neutral, *cued = responses(feature_gain({"1": tuning}, 3.0), stimuli)
    for attended, response in enumerate(cued):
        for stimulus, labels in enumerate(LABELS):
            gain = np.maximum(0, 1 + 3 * tuning[labels[attended]].numpy())[:, None, None]
            np.testing.assert_allclose(response[stimulus], neutral[stimulus] * gain, rtol=1e-5, atol=1e-7)


def test_layers_above_hear_of_the_gain_and_hooks_are_gone():
    stimuli = pictures()
    plain = module()
    model = neuroattn.TimedModule(plain, cue=place_gain(["1"], 1.0))
    images = torch.from_numpy(np.array(stimuli.images))
    gain = torch.where(torch.arange(12) < 6, 2.0, 0.0)
    above = plain[3](plain[2](plain[1](plain[0](images[:1])) * gain)).detach().numpy().ravel()
    tree = neuroattn.record(model, stimuli, ["3"], design="cued")
    np.testing.assert_allclose(tree["3"]["activation"].values[0, 0], above, rtol=1e-5, atol=1e-6)
    assert not any(part._forward_hooks for part in plain.modules())


def test_strength_zero_is_exactly_no_attention_and_no_gate_strength():
    model = neuroattn.TimedModule(module(), cue=place_gain(["1"], 0.5))
    assert "zero_strength" not in model.lacks
    assert model.lacks["strength"] == "the strength of its attention is no gate strength in [0, 1]"
    zero = model.control("zero_strength", 0)
    stimuli = pictures()
    cued = neuroattn.record(zero, stimuli, ["3"], design="cued")["3"]["activation"].values[:, 0]
    neutral = neuroattn.record(model, stimuli, ["3"])["3"]["activation"].values[:, 0]
    np.testing.assert_array_equal(cued, np.repeat(neutral, 2, axis=0))
    assert zero.architecture()["cue_sha256"] != model.architecture()["cue_sha256"]


@pytest.mark.parametrize("strength", [-0.1, 101, float("nan")])
def test_strengths_that_are_none(strength):
    with refused(f"strength must be in [0, 100], got {strength}"):
        place_gain(["1"], strength)


def test_what_a_gain_cannot_act_on_is_told():
    with refused("layers must be modules of Sequential, got 'V4'; it has 0, 1, 2, 3"):
        neuroattn.TimedModule(module(), cue=place_gain(["V4"]))
    with refused("layers must be a list of at least one module's name, got '1'"):
        place_gain("1")
    with refused("places must be (rows, columns) of at least two places, got (1, 1)"):
        place_gain(["1"], places=(1, 1))
    without = neuroattn.StimulusSet(pictures().images)
    with refused("design must be free for stimuli without 2 objects each, got 'cued'; give objects"):
        responses(place_gain(["1"]), without)
    with refused(
        "stimuli must tell the class of every object for feature gain, got none; add label_0 and label_1, or take "
        "place gain (NAME:place)"
    ):
        responses(feature_gain({"1": torch.zeros(4, 5)}), pictures(labels=None))
    with refused("labels must be in 0–2, the classes that the tuning is of, got 0 to 3"):
        responses(feature_gain({"1": torch.zeros(3, 5)}), pictures([[0, 1], [3, 1], [0, 1]]))
    with refused(
        "tuning must be (class, channel) with the channels of '1', got 6 for an output of shape (5, 8, 12) a picture"
    ):
        responses(feature_gain({"1": torch.zeros(4, 6)}), pictures())
    flat = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Flatten()).eval()
    with refused(
        "layers must be maps (batch, channel, y, x) for place gain, got '1' of shape (300,) a picture; for tokens see "
        "neuroattn.subjects.token_maps"
    ):
        neuroattn.record(neuroattn.TimedModule(flat, cue=place_gain(["1"])), pictures(), ["0"], design="cued")
    black = neuroattn.StimulusSet(pictures().images, np.zeros_like(pictures().objects), pictures().table)
    with refused("objects must be brighter than black somewhere for place gain, got one that is black"):
        responses(place_gain(["1"]), black)


@pytest.fixture
def network():
    torch.manual_seed(1)
    made = GainCNN(GainConfig(size=SIZE, channels=(2, 3, 5, 7), dense=11, classes=4), name="plain", seed=5).eval()
    for number in range(1, 5):
        made.tuning(number).copy_(2 * torch.rand(made.tuning(number).shape) - 1)
    return made


def test_a_plain_network_is_a_subject_that_knows_its_pictures(network):
    subject = subject_of(network)
    assert (subject.name, subject.seed, subject.n_classes, subject.size) == ("plain", 5, 4, SIZE)
    assert subject.layers["stage3/response"] == (5, 4, 6)
    assert "cued" not in subject.lacks
    assert "free" in subject.lacks


@pytest.mark.parametrize(("layer", "expected"), [(3, [1, 1, 1.5, None]), (0, [1.05, None, None, None])])
def test_attention_acts_at_its_stage_and_at_all_with_a_tenth(network, layer, expected):
    """At the left side, in the picture whose attended object is there, and as long as no gain below adds to it."""
    subject = gain_subject(network, Attention(kind="place", layer=layer, strength=0.5))
    names = [f"stage{number}/response" for number in range(1, 5)]
    neutral = neuroattn.record(subject, pictures(), names)
    cued = neuroattn.record(subject, pictures(), names, design="cued")
    for name, gain in zip(names, expected, strict=True):
        shape = subject.layers[name]
        left = [tree[name]["activation"].values[0].reshape(shape)[..., : shape[2] // 2] for tree in (neutral, cued)]
        if gain is not None:
            np.testing.assert_allclose(left[1], gain * left[0], rtol=1e-5)
            assert left[0].max() > 0
