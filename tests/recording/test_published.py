"""Recordings of the published digits network: its accuracy, and its values on the inputs that were kept for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.checkpoint import load_model
from neuroattn.recording.record import record
from neuroattn.stimuli.digits import composites, stimulus_set
from neuroattn.stimuli.mnist import from_folder
from neuroattn.stimuli.stimulus_set import StimulusSet

NAMES = {
    "stage1/gated_input": "latent/in",
    "stage1/response": "latent/conv1_out",
    "stage2/response": "latent/conv2_out",
    "stage1/pooled": "latent/maxpool1_out",
    "stage2/pooled": "latent/maxpool2_out",
    "readout/logits": "out",
    "readout/feedback": "hidden/linear_in",
    "stage1/gate": "hidden/conv1_in",
    "stage2/gate": "hidden/conv2_in",
}


@pytest.fixture(scope="module")
def published(reference):
    return load_model(reference / "reference" / "paper_mnist_model.pt")


@pytest.fixture(scope="module")
def golden(reference):
    with np.load(reference / "reference" / "golden_digits.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def stimuli(golden):
    objects = np.stack([(golden[f"target{k}"] - 0.8 * golden["x"]) / 0.2 for k in range(2)], axis=1).clip(0, 1)
    table = StimulusSet(golden["x"]).table.assign(label_0=golden["label0"], label_1=golden["label1"])
    return StimulusSet(golden["x"], objects, table)


def test_every_variable_at_every_step(published, golden, stimuli):
    tree = record(published, stimuli, list(NAMES))
    for name, key in NAMES.items():
        activation = tree[name]["activation"].values
        for phase, step in np.ndindex(2, 5):
            expected = golden[f"p{phase}/i{step}/{key}"].reshape(8, -1)
            assert_allclose(activation[phase::2, step], expected, atol=1e-4, err_msg=f"{name} {phase} {step}")


def test_every_label(published, golden, stimuli):
    data = record(published, stimuli, ["readout/logits"], [4])["readout/logits"]
    errors = np.stack([golden[f"p{phase}/findselect_raw"].reshape(8, 2) for phase in range(2)], 1)
    assert_array_equal(data["attended"].values.reshape(8, 2).T, [golden[f"p{p}/select"].ravel() for p in range(2)])
    assert_array_equal(data["predicted"].values.reshape(8, 2).T, [golden[f"p{p}/pred"].ravel() for p in range(2)])
    assert_array_equal(data["attended_unconstrained"], errors.argmin(2).ravel())


@pytest.mark.slow
@pytest.mark.parametrize("design", ["free", "cued"])
def test_accuracy_on_test_composites(published, mnist, design):
    made = composites(from_folder(mnist, "test"), torch.arange(200), generator=torch.Generator().manual_seed(0))
    data = record(published, stimulus_set(made), ["readout/logits"], [4], design=design)["readout/logits"]
    assert data["correct"].mean() >= 0.95
    assert data["confirmed"].mean() >= 0.95
    if design == "cued":
        assert_array_equal(data["attended"], data["cued"])
