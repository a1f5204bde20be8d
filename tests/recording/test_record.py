"""What a recording holds, by value: every variable, step and unit against the equations written out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.probe import probes
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet


def flat(values):
    """Return (stimulus, phase, step, …) as (presentation, step, neuroid)."""
    return values.reshape(values.shape[0] * values.shape[1], values.shape[2], -1)


def test_every_variable_of_a_free_trial(network, stimuli, by_hand):
    expected, _ = by_hand(network, torch.from_numpy(stimuli.images))
    tree = record(network, stimuli, list(probes(network)))
    assert {node.path.removeprefix("/") for node in tree.leaves} == set(expected)
    for name, values in expected.items():
        activation = tree[name]["activation"]
        assert activation.dims == ("presentation", "time_step", "neuroid")
        assert activation.dtype == np.float32
        assert activation.attrs == {"units": "1"}
        assert_array_equal(activation["time_step"], range(5))
        assert_allclose(activation, flat(values), atol=1e-5, err_msg=name)


def test_each_unit_has_the_value_of_its_place(network, stimuli, by_hand):
    expected, _ = by_hand(network, torch.from_numpy(stimuli.images))
    tree = record(network, stimuli, ["stage1/response", "readout/logits"], [4])
    response, units = expected["stage1/response"], tree["stage1/response"].to_dataset()
    assert units.sizes["neuroid"] == 3 * 10 * 12
    for number in (0, 11, 12, 119, 120, 359):
        unit = units.isel(neuroid=number)
        channel, y, x = (int(unit[name]) for name in ("channel", "channel_y", "channel_x"))
        assert (channel, y, x) == (number // 120, number // 12 % 10, number % 12)
        assert_allclose(unit["activation"][:, 0], response[:, :, 4, channel, y, x].ravel(), atol=1e-5)
        assert unit["neuroid_id"] == f"small.stage1.response.{number}"
    assert set(units["model"].values) == {"small"}
    assert set(units["layer"].values) == {"stage1/response"}
    assert set(units["area"].values) == {"stage1"}
    logits = tree["readout/logits"]
    assert_array_equal(logits["channel"], range(7))
    assert_array_equal(logits["channel_y"], np.zeros(7))
    assert_array_equal(logits["channel_x"], np.zeros(7))
    assert set(logits["area"].values) == {"readout"}


def test_units_keep_their_order_whatever_the_layout_in_memory(by_hand):
    config = GatedConfig(size=(2, 11, 13), channels=(3, 5), classes=7, kernel=2)
    network = GatedNetwork(config, torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last).eval()
    last = np.random.default_rng(0).random((3, 11, 13, 2), dtype=np.float32)
    stimuli = StimulusSet(np.moveaxis(last, 3, 1))
    assert not stimuli.images.flags.c_contiguous
    expected, _ = by_hand(network, torch.from_numpy(np.ascontiguousarray(stimuli.images)))
    tree = record(network, stimuli, list(probes(network)))
    for name, values in expected.items():
        assert_allclose(tree[name]["activation"], flat(values), atol=1e-5, err_msg=name)


def readonly(images):
    images = images.copy()
    images.flags.writeable = False
    return images


@pytest.mark.parametrize(
    "given",
    [lambda images: images[..., ::-1], np.asfortranarray, readonly],
    ids=["flipped", "fortran", "read-only"],
)
def test_arrays_that_torch_does_not_take_are_copied(network, images, given):
    expected = record(network, StimulusSet(np.array(given(images), order="C")), ["stage1/response"])
    found = record(network, StimulusSet(given(images), given(images)[:, None]), ["stage1/response"], phases=1)
    assert_array_equal(found["stage1/response"]["activation"], expected["stage1/response"]["activation"][::2])
    module = torch.nn.Sequential(torch.nn.Identity()).eval()
    assert_array_equal(
        record(module, StimulusSet(given(images)), ["0"])["0"]["activation"][:, 0],
        given(images).reshape(len(images), -1),
    )


@pytest.mark.parametrize("steps", [[0], [1, 3], (4,), range(2, 5), np.array([0, 4])])
def test_chosen_steps(network, stimuli, steps):
    names = ["stage1/gate", "readout/logits"]
    everything, part = record(network, stimuli, names), record(network, stimuli, names, steps)
    for name in names:
        assert_array_equal(part[name]["time_step"], steps)
        assert_array_equal(part[name]["activation"], everything[name]["activation"].sel(time_step=list(steps)))


@pytest.mark.parametrize(
    ("variables", "steps", "sweeps"),
    [
        (["stage2/gate"], [4], 10),
        (["readout/feedback"], [0, 4], 10),
        (["stage2/gate"], [0, 3], 8),
        (["stage1/gated_input", "stage1/response", "stage2/pooled", "readout/logits"], None, 8),
    ],
)
def test_the_last_sweep_is_run_only_where_it_is_looked_at(network, stimuli, variables, steps, sweeps):
    done = []
    handle = network.stages[0].top_down.register_forward_hook(lambda *inputs: done.append(len(inputs[2])))
    record(network, stimuli, variables, steps)
    handle.remove()
    assert done.count(len(stimuli)) == sweeps  # the others are the rehearsal's, of two stimuli
    assert done.count(2) == sweeps


def test_cued_trials(network, stimuli, by_hand):
    image = torch.from_numpy(stimuli.images)
    _, (after_1, after_2) = by_hand(network, image)
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]
    assert all(mask.any() for mask in only_2)
    tree = record(network, stimuli, list(probes(network)), design="cued")
    first, second = (by_hand(network, image, 1, masks)[0] for masks in (only_2, after_1))
    for name in first:
        expected = np.concatenate([first[name], second[name]], 1)
        assert_allclose(tree[name]["activation"], flat(expected), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("design", ["free", "cued"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_size_of_a_batch_does_not_matter(network, stimuli, design, batch_size):
    names = ["stage1/gate", "readout/logits"]
    whole = record(network, stimuli, names, design=design)
    parts = record(network, stimuli, names, design=design, batch_size=batch_size)
    xr.testing.assert_allclose(whole, parts, rtol=0, atol=1e-5)
    assert whole.attrs == parts.attrs
    for name in names:
        assert whole[name].to_dataset().coords.identical(parts[name].to_dataset().coords)


def test_double_precision_is_recorded_as_single(network, stimuli):
    single = record(network, stimuli, ["stage2/response"])
    double = record(network.double(), stimuli, ["stage2/response"])
    assert double["stage2/response"]["activation"].dtype == np.float32
    xr.testing.assert_allclose(single, double, rtol=0, atol=1e-5)


def test_nothing_is_left_on_the_network(network, stimuli):
    record(network, stimuli, list(probes(network)))
    assert not any(module._forward_hooks for module in network.modules())


class Notes:
    """A sink that notes what it is given."""

    def __init__(self):
        self.ids, self.shapes, self.kept = [], [], {"only": "notes"}

    def begin(self):
        self.ids.clear()

    def take(self, batch):
        self.ids.append(list(batch.presentations["stimulus_id"]))
        self.shapes.append(batch.activations["readout/logits"].shape)

    def result(self):
        import pandas as pd

        return ("condition",), pd.DataFrame({"of": ["all"]}), {"readout/logits": {"total": np.zeros((1, 2, 7))}}


def test_a_sink_takes_batch_by_batch(network, stimuli):
    notes = Notes()
    tree = record(network, stimuli, ["readout/logits"], [1, 2], batch_size=3, sink=notes)
    assert notes.ids == [[31, 31, 29, 29, 23, 23], [19, 19]]
    assert notes.shapes == [(6, 2, 7), (2, 2, 7)]
    assert tree["readout/logits"]["total"].dims == ("condition", "time_step", "neuroid")
    assert_array_equal(tree["readout/logits"]["of"], ["all"])


KNOWN = (
    "stage1/gated_input, stage1/response, stage1/pooled, stage1/gate, "
    "stage2/gated_input, stage2/response, stage2/pooled, stage2/gate, readout/logits, readout/feedback"
)
STEPS = "steps must be a list of different numbers from 0 to 4, ascending, got "


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"variables": "stage1/gate"},
            "variables must be a list of names, got the string 'stage1/gate'; write ['stage1/gate']",
        ),
        (
            {"variables": ["stage1/gates"]},
            f"variables must be among {KNOWN}, got 'stage1/gates'; correct the name",
        ),
        ({"steps": [0, 5]}, f"{STEPS}[0, 5]"),
        ({"steps": [-1, 2]}, f"{STEPS}[-1, 2]"),
        ({"steps": [2, 1]}, f"{STEPS}[2, 1]"),
        ({"steps": [1, 1]}, f"{STEPS}[1, 1]"),
        ({"steps": []}, f"{STEPS}[]"),
        ({"steps": [1.5]}, f"{STEPS}[1.5]"),
        ({"steps": 3}, f"{STEPS}3"),
        ({"design": "paired"}, "design must be one of free, cued, got 'paired'"),
        ({"phases": 0}, "phases must be at least 1, got 0"),
        ({"phases": 3}, "phases must be from 1 to the number of objects, 2, got 3"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_options_are_checked_before_anything_runs(monkeypatch, network, stimuli, options, text):
    monkeypatch.setattr(network, "forward", None)
    with refused(text):
        record(network, stimuli, **{"variables": ["readout/logits"], **options})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "digits-0"}, "model must be a network or another torch module, got 'digits-0'; load one with "),
        ({"batch_size": 2.5}, "batch_size must be a whole number, got 2.5"),
        ({"phases": 1.5}, "phases must be a whole number, got 1.5"),
        ({"units": 5}, "units must be Units, or a mapping from variables to Units, got 5"),
        ({"units": {"readout/logits": [1]}}, "units must be Units, or a mapping from variables to Units, got {"),
    ],
)
def test_what_is_of_another_kind(network, stimuli, options, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        record(**{"model": network, "stimuli": stimuli, "variables": ["readout/logits"], **options})


def test_stimuli_that_are_no_set(network, images):
    text = "stimuli must be a StimulusSet, got ndarray; make one with neuroattn.StimulusSet(images, objects, table)"
    with refused(text):
        record(network, images, ["readout/logits"])


def test_images_of_another_size(network, images):
    text = (
        "images must be (channel, y, x) = (1, 11, 13) for small, got (1, 13, 11); "
        "use stimuli of that size or another model"
    )
    with refused(text):
        record(network, StimulusSet(images.swapaxes(2, 3)), ["readout/logits"])


@pytest.mark.parametrize("n_objects", [None, 1])
def test_cueing_needs_two_objects(network, images, objects, n_objects):
    given = None if n_objects is None else objects[:, :1]
    with refused("design must be free for stimuli without two objects each, got 'cued'; give objects"):
        record(network, StimulusSet(images, given), ["readout/logits"], design="cued")
