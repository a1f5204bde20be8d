"""What is said of each presentation, and what is not said where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet

OF_NETWORK = {"phase", "predicted", "seed"}
OF_CHOICE = {"attended", "attended_unconstrained", "confirmed"}


def coordinates(tree):
    """Return name → values of the coordinates of the presentations, which every group must share."""
    found = [
        {name: values.values for name, values in node.coords.items() if values.dims == ("presentation",)}
        for node in tree.leaves
    ]
    for other in found[1:]:
        assert list(other) == list(found[0])
        for name, values in other.items():
            assert_array_equal(values, found[0][name])
    return found[0]


def errors_by_hand(gated, images, objects, strength):
    """Return (presentation, object) squared errors of gated images (stimulus, phase, channel, y, x)."""
    targets = (1 - strength) * images[:, None] + strength * objects
    return np.square(gated[:, :, None] - targets[:, None]).sum((3, 4, 5)).reshape(-1, objects.shape[1])


def pick(table, names, attended):
    return table[names].to_numpy().repeat(2, 0)[np.arange(len(attended)), attended]


def test_a_free_trial(network, stimuli, table, by_hand):
    expected, _ = by_hand(network, torch.from_numpy(stimuli.images))
    gated, logits = expected["stage1/gated_input"][:, :, -1], expected["readout/logits"][:, :, -1]
    of = coordinates(record(network, stimuli, ["stage1/gate", "readout/logits"], [0]))
    assert set(of) == {
        *table.columns,
        *OF_NETWORK,
        *OF_CHOICE,
        *("attended_label", "unattended_label", "correct", "location"),
    }
    for name in table:
        assert_array_equal(of[name], table[name].repeat(2))
    assert_array_equal(of["phase"], [0, 1] * 4)
    assert_array_equal(of["seed"], [17] * 8)
    assert_array_equal(of["predicted"], logits.argmax(2).ravel())
    errors = errors_by_hand(gated, stimuli.images, stimuli.objects, 0.7)
    unconstrained, first = errors.argmin(1), errors.argmin(1)[::2]
    attended = np.stack([first, 1 - first], 1).ravel()
    assert_array_equal(of["attended_unconstrained"], unconstrained)
    assert_array_equal(of["attended"], attended)
    assert 0 < first.mean() < 1
    assert_array_equal(of["confirmed"], (unconstrained == attended).reshape(4, 2).all(1).repeat(2))
    assert_array_equal(of["attended_label"], pick(table, ["label_0", "label_1"], attended))
    assert_array_equal(of["unattended_label"], pick(table, ["label_1", "label_0"], attended))
    assert_array_equal(of["location"], pick(table, ["location_0", "location_1"], attended))
    assert_array_equal(of["correct"], of["predicted"] == of["attended_label"])


def test_correct_is_true_where_the_prediction_is_the_attended_label(network, images, objects):
    free = coordinates(record(network, StimulusSet(images, objects), ["readout/logits"]))
    labels = np.full((4, 2), 6)
    labels[:2] = free["predicted"].reshape(4, 2)[:2, :1]
    table = StimulusSet(images, objects).table.assign(label_0=labels[:, 0], label_1=labels[:, 1])
    of = coordinates(record(network, StimulusSet(images, objects, table), ["readout/logits"]))
    assert of["correct"].dtype == bool
    assert_array_equal(of["correct"], of["predicted"] == labels.ravel())
    assert 0 < of["correct"].mean() < 1


@pytest.mark.parametrize("phases", [None, 1, 3])
def test_without_objects_nothing_is_said_of_attention(network, images, table, phases):
    of = coordinates(record(network, StimulusSet(images, None, table), ["stage1/gate"], phases=phases))
    assert set(of) == {*table.columns, *OF_NETWORK}
    assert_array_equal(of["phase"], [*range(phases or 2)] * 4)


@pytest.mark.parametrize(
    "dropped",
    [["label_1", "location_0"], ["label_0", "location_1"], ["label_0", "label_1", "location_0", "location_1"]],
)
def test_without_the_columns_of_every_object_nothing_is_said_of_its_label_or_place(
    network, images, objects, table, dropped
):
    table = table.drop(columns=dropped)
    of = coordinates(record(network, StimulusSet(images, objects, table), ["readout/logits"]))
    assert set(of) == {*table.columns, *OF_NETWORK, *OF_CHOICE}


def test_named_classes_are_not_compared_with_predicted_numbers(network, images, objects, table):
    table = table.assign(label_0=["cat", "dog", "cup", "car"], label_1=["sky", "ski", "sea", "sun"])
    of = coordinates(record(network, StimulusSet(images, objects, table), ["readout/logits"]))
    assert_array_equal(of["attended_label"], pick(table, ["label_0", "label_1"], of["attended"]))
    assert_array_equal(of["unattended_label"], pick(table, ["label_1", "label_0"], of["attended"]))
    assert "correct" not in of


def test_without_a_seed_there_is_none(network, stimuli):
    unseeded = GatedNetwork(network.config, torch.Generator().manual_seed(0))
    assert "seed" not in coordinates(record(unseeded, stimuli, ["readout/logits"]))


def test_one_phase_of_two_objects(network, stimuli):
    both = coordinates(record(network, stimuli, ["readout/logits"]))
    one = coordinates(record(network, stimuli, ["readout/logits"], phases=1))
    assert list(one) == list(both)
    for name in set(both) - {"confirmed"}:
        assert_array_equal(one[name], both[name][::2])
    assert_array_equal(one["confirmed"], [True] * 4)


def test_three_objects(by_hand):
    config = GatedConfig(size=(1, 11, 13), channels=(3, 5), classes=7, kernel=2, strength=0.7)
    network = GatedNetwork(config, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(2)
    images = rng.random((5, 1, 11, 13), dtype=np.float32)
    objects = rng.random((5, 3, 1, 11, 13), dtype=np.float32)
    labels = rng.integers(0, 7, (5, 3))
    table = StimulusSet(images).table.assign(**{f"label_{k}": labels[:, k] for k in range(3)})
    stimuli = StimulusSet(images, objects, table)
    expected, _ = by_hand(network, torch.from_numpy(images), 3)
    errors = errors_by_hand(expected["stage1/gated_input"][:, :, -1], images, objects, 0.7).reshape(5, 3, 3)
    attended = np.zeros((5, 3), int)
    for stimulus, phase in np.ndindex(5, 3):
        left = [k for k in range(3) if k not in attended[stimulus, :phase]]
        attended[stimulus, phase] = min(left, key=lambda k: errors[stimulus, phase, k])
    of = coordinates(record(network, stimuli, ["readout/logits"]))
    assert_array_equal(of["phase"], [0, 1, 2] * 5)
    assert_array_equal(of["attended"], attended.ravel())
    assert_array_equal(of["attended_unconstrained"], errors.argmin(2).ravel())
    assert_array_equal(of["attended_label"], np.take_along_axis(labels, attended, 1).ravel())
    assert "unattended_label" not in of
    assert "correct" in of


def test_cued_trials(network, stimuli, table, by_hand):
    image = torch.from_numpy(stimuli.images)
    free, (after_1, after_2) = by_hand(network, image)
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]
    cued = [by_hand(network, image, 1, masks)[0]["stage1/gated_input"][:, :, -1] for masks in (only_2, after_1)]
    errors = errors_by_hand(np.concatenate(cued, 1), stimuli.images, stimuli.objects, 0.7)
    first = errors_by_hand(free["stage1/gated_input"][:, :, -1], stimuli.images, stimuli.objects, 0.7)[::2].argmin(1)
    order = np.stack([first, 1 - first], 1).ravel()
    attended = errors.argmin(1)  # every presentation is a trial of its own: no object was attended before
    of = coordinates(record(network, stimuli, ["readout/logits"], design="cued"))
    assert_array_equal(of["stimulus_id"], table["stimulus_id"].repeat(2))
    assert_array_equal(of["phase"], [0] * 8)
    assert_array_equal(of["cued"], order)
    assert_array_equal(of["attended"], attended)
    assert_array_equal(of["attended_unconstrained"], attended)
    assert_array_equal(of["confirmed"], (attended == order).reshape(4, 2).all(1).repeat(2))
    assert_array_equal(of["attended_label"], pick(table, ["label_0", "label_1"], attended))
