"""The control of shuffled gates in whole trials: a stimulus gets the gates of one whose same side is attended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.checkpoint import load_model
from neuroattn.models.controls import control, donors
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import ImposeInhibition
from neuroattn.recording.record import record
from neuroattn.stimuli.digits import sample_composites, stimulus_set
from neuroattn.stimuli.mnist import embedded


@pytest.fixture(scope="module")
def composites():
    return stimulus_set(
        sample_composites(embedded(), 60, n_objects=2, noise=0.3, generator=torch.Generator().manual_seed(0))
    )


def recorded(model, stimuli, **options):
    return record(model, stimuli, ["stage1/gate", "stage1/gated_input"], [3, 4], batch_size=30, **options)


@pytest.mark.parametrize("design", ["cued", "free"])
def test_the_gates_are_another_ones_whose_same_side_is_attended(composites, design):
    model = load_model("digits-0")
    found = recorded(control("shuffled_gates", model, 0), composites, design=design)
    gate, gated = (found[f"stage1/{name}"]["activation"].values for name in ("gate", "gated_input"))
    image = composites.images.reshape(len(composites), -1).repeat(2, axis=0)
    # What gates the last step is the gate after the step before it, of one of the other presentations.
    by_gate = image[:, None] * (1 - 0.2 * gate[None, :, 0])
    error = np.abs(by_gate - gated[:, None, 1]).max(-1)
    donor = error.argmin(1)
    assert_allclose(error[np.arange(len(donor)), donor], 0, atol=1e-5)
    assert (donor != np.arange(len(donor))).all()
    side = found["stage1/gate"]["attended"].values
    intact = recorded(model, composites, design=design)["stage1/gate"]["attended"].values
    assert_array_equal(intact[donor], intact)
    assert found["stage1/gate"]["swapped"].values.all()
    if design == "cued":  # labels stay true: with gates of either side they did in .71 of presentations
        assert (side == found["stage1/gate"]["cued"].values).mean() > 0.95
        assert_array_equal(found["stage1/gate"]["cued"], intact)


def test_a_stimulus_that_no_other_attends_like_is_marked(composites):
    model = load_model("digits-0")
    intact = recorded(model, composites, design="cued")["stage1/gate"]
    first = intact["cued"].values[::2]  # which object each stimulus's free trial attends first
    left, right = np.flatnonzero(first == 0)[:1], np.flatnonzero(first == 1)[:4]
    few = composites.select(np.concatenate([left, right]))
    found = recorded(control("shuffled_gates", model, 0), few, design="cued")["stage1/gate"]
    assert_array_equal(found["swapped"].values, np.repeat([False, True, True, True, True], 2))
    assert "swapped" not in intact.coords


def test_under_other_inhibition_they_are_of_one_whose_side_is_attended_under_it(composites):
    model = load_model("digits-0")
    gate = record(model, composites, ["stage1/gate", "stage2/gate"], [3], phases=1, batch_size=30)
    masks = [
        gate[f"stage{stage}/gate"]["activation"].values.reshape(60, *model.config.input_sizes[stage - 1]) < 0.5
        for stage in (1, 2)
    ]
    for mask in masks:
        mask[::2] = False  # so that the inhibition changes sides in every other stimulus alone
    found = {}
    for network in (model, control("shuffled_gates", model, 0)):
        with intervene(network, ImposeInhibition(masks)):
            found[network] = recorded(network, composites, phases=1)
    attended, shuffled = (torch.tensor(tree["stage1/gate"]["attended"].values) for tree in found.values())
    donor = np.concatenate([at + donors(attended[at : at + 30]).numpy() for at in (0, 30)])
    gate, gated = (tree["activation"].values for tree in list(found.values())[1].children["stage1"].children.values())
    expected = composites.images.reshape(60, -1) * (1 - 0.2 * gate[donor, 0])
    assert_allclose(gated[:, 1], expected, atol=1e-5)
    assert (shuffled == attended).float().mean() > 0.9
