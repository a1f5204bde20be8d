"""Interventions on modules that are no gated networks."""

from __future__ import annotations

import json

import cloudpickle
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import N, hooks, refused, values_of
from torch import nn

from neuroattn.recording import layout as layout_module
from neuroattn.recording.attributes import attributes
from neuroattn.recording.cluster import fill_block
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import AblateInhibition, Delay, Replace, Scale, Silence, Strength
from neuroattn.recording.record import make_plan, record
from neuroattn.recording.units import Units
from neuroattn.subjects.timed_module import TimedModule


class Plain(nn.Module):
    """Rectifies in place, and adds in place where it is told to."""

    def __init__(self, add=False):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(1, 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.readout, self.add = nn.Linear(3 * 5 * 6, 7), add

    def forward(self, images):
        x = self.conv(images)
        x = x.add_(1) if self.add else self.relu(x)
        return self.readout(self.pool(x).flatten(1))


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return Plain().eval()


@torch.no_grad()
def plain_by_hand(module, conv):
    return F.linear(F.max_pool2d(conv.clamp(min=0), 2).flatten(1), module.readout.weight, module.readout.bias)


@pytest.mark.filterwarnings("ignore:readout is the same for all 7 stimuli:UserWarning")
@pytest.mark.parametrize("batch_size", [7, 3, 1])
@pytest.mark.parametrize("each", [False, True])
def test_what_replaces_a_value_is_not_worked_on_in_place(plain, stimuli, batch_size, each):
    rng = np.random.default_rng(3)
    values = rng.standard_normal((N, 3, 10, 12) if each else (3, 10, 12)).astype(np.float32)
    before = values.copy()
    expected = plain_by_hand(plain, torch.tensor(values).expand(N, 3, 10, 12))
    with intervene(plain, Replace("conv", values)):
        tree = record(plain, stimuli, ["readout"], batch_size=batch_size)
    assert_allclose(tree["readout"]["activation"][:, 0], expected, atol=1e-5)
    assert_array_equal(values, before)


def three_looks(module, images):
    for step in range(3):
        yield 0, step
        module(images * (step + 1) / 3)


def test_what_lags_is_not_worked_on_in_place(stimuli):
    torch.manual_seed(0)
    module = Plain(add=True).eval()
    subject = TimedModule(module, run=three_looks)
    interventions = [Delay("conv", 1, steps=[1]), Delay("conv", 2, steps=[2])]
    with intervene(subject, *interventions):
        tree = record(subject, stimuli, ["conv"], batch_size=3)
    with torch.no_grad():
        first = F.conv2d(torch.from_numpy(stimuli.images) / 3, module.conv.weight, module.conv.bias)
    expected = np.repeat(first.flatten(1).numpy()[:, None], 3, 1)
    assert_allclose(tree["conv"]["activation"], expected, atol=1e-5)


def test_a_lag_begins_anew_with_every_presentation(plain, stimuli):
    """At step 1 of the second phase the convolution was not computed before, and lags behind nothing."""

    def run(module, images):
        for phase in range(2):
            yield phase, 0
            if phase == 0:
                module(images)
            else:
                module.readout(images.new_ones(len(images), 90))
            yield phase, 1
            module(images)

    subject = TimedModule(plain, run=run)
    intact = values_of(record(subject, stimuli, ["readout"], batch_size=3))["readout"]
    with intervene(subject, Delay("conv", 1)):
        found = values_of(record(subject, stimuli, ["readout"], batch_size=3))["readout"]
    silent = plain_by_hand(plain, torch.zeros(N, 3, 10, 12))
    assert_allclose(found[::2, 0], silent, atol=1e-5)
    assert_allclose(found[::2, 1], intact[::2, 0], atol=1e-5)
    assert_allclose(found[1::2, 1], silent, atol=1e-5)


class Loop(nn.Module):
    """x ← relu(drive + recurrent(x)), four times in one pass."""

    def __init__(self):
        super().__init__()
        self.drive, self.recurrent = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.response = nn.ReLU()

    def forward(self, images):
        drive, x = self.drive(images), None
        for _ in range(4):
            x = self.response(drive if x is None else drive + self.recurrent(x))
        return x


@torch.no_grad()
def loop_by_hand(module, images, change):
    drive = F.conv2d(torch.from_numpy(images), module.drive.weight, module.drive.bias, padding=1)
    steps, x = [], None
    for step in range(4):
        if x is not None:
            x = F.conv2d(x, module.recurrent.weight, module.recurrent.bias, padding=1)
        x = change(step, (drive if x is None else drive + x).clamp(min=0))
        steps.append(x)
    return torch.stack(steps, 1).flatten(2)


def test_a_step_of_a_module_that_is_called_several_times(stimuli):
    torch.manual_seed(0)
    module = Loop().eval()
    names = {"V1/response": "response"}
    subject = TimedModule(module, variables=names)
    window = np.zeros((3, 11, 13), bool)
    window[1, 2:5] = True

    def change(step, x):
        return torch.where(torch.from_numpy(window), 0.0, x) if step == 1 else x * 2 if step == 2 else x

    silenced = Silence("V1/response", steps=[1], units=Units(channels=[1], y=(2, 5)))
    with intervene(subject, silenced, Scale("V1/response", 2.0, steps=[2])):
        tree = record(subject, stimuli, ["V1/response"], batch_size=3)
    assert_allclose(tree["V1/response"]["activation"], loop_by_hand(module, stimuli.images, change), atol=1e-4)
    assert json.loads(tree.attrs["interventions"])[0]["variable"] == "V1/response"
    assert hooks(module) == []
    intact = record(subject, stimuli, ["V1/response"], batch_size=3)
    untouched = loop_by_hand(module, stimuli.images, lambda _, x: x)
    assert_allclose(intact["V1/response"]["activation"], untouched, atol=1e-4)
    # A module as it is has the names that torch gives it.
    with intervene(module, Silence("response", steps=[1])):
        plain = record(module, stimuli, ["response"])
    expected = loop_by_hand(module, stimuli.images, lambda step, x: x * (step != 1))
    assert_allclose(plain["response"]["activation"], expected, atol=1e-4)


class Pair(nn.Module):
    """A cell over the rows of an image; returns (hidden, memory)."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(13, 7)

    def forward(self, images):
        state = None
        for row in range(11):
            state = self.cell(images[:, 0, row], state)
        return state


@pytest.mark.parametrize("element", [0, 1])
def test_an_element_of_a_tuple(stimuli, element):
    torch.manual_seed(0)
    module = Pair().eval()
    with torch.no_grad():
        state, expected = None, []
        for row in range(11):
            state = list(module.cell(torch.from_numpy(stimuli.images)[:, 0, row], state))
            if row == 4:
                state[element] = state[element] * -2
            expected.append(torch.cat(state, 1))
    with intervene(module, Scale(f"cell[{element}]", -2, steps=[4])):
        tree = record(module, stimuli, ["cell[0]", "cell[1]"], batch_size=3)
    found = np.concatenate([tree[f"cell[{k}]"]["activation"] for k in range(2)], 2)
    assert_allclose(found, torch.stack(expected, 1), atol=1e-5)


def test_phases_of_any_module(plain, stimuli):
    def run(module, images):
        for phase in range(2):
            yield phase, 0
            module(images)

    subject = TimedModule(plain, run=run)
    intact = values_of(record(subject, stimuli, ["readout"], batch_size=3))["readout"]
    with intervene(subject, Scale("readout", 0.5, phases=[1])):
        found = values_of(record(subject, stimuli, ["readout"], batch_size=3))["readout"]
    assert_array_equal(found[::2], intact[::2])
    assert_array_equal(found[1::2], intact[1::2] / 2)


def test_any_module_cannot_be_used_otherwise_inside_the_block(plain, stimuli):
    text = (
        "a model under interventions can only be recorded, because they need to know phase and step; call "
        "neuroattn.record inside the `with`, or the model outside it"
    )
    with intervene(plain, Silence("conv")), refused(text, RuntimeError):
        plain(torch.from_numpy(stimuli.images))
    plain(torch.from_numpy(stimuli.images))


@pytest.mark.parametrize("intervention", [Strength(0.5), AblateInhibition()])
def test_any_module_has_neither_strength_nor_inhibition(plain, intervention):
    text = f"model must be a gated network for {type(intervention).__name__}, got "
    for model in (plain, TimedModule(plain)):
        with pytest.raises(ValueError, match=f"^{text}(Plain|TimedModule)$"), intervene(model, intervention):
            pass


@pytest.mark.parametrize("more", [[], [Silence("logits")]])
@pytest.mark.parametrize("intervention", [Strength(0.5), AblateInhibition()])
def test_a_gated_network_as_any_module_has_none_either(network, intervention, more):
    """Its trial is then somebody else's, who asks for neither."""
    subject = TimedModule(network, variables={"logits": "readout"})
    text = f"^model must be a gated network for {type(intervention).__name__}, got "
    with pytest.raises(ValueError, match=text), intervene(subject, intervention, *more):
        pass


def test_a_worker_does_the_same_to_a_module_with_names_of_its_own(stimuli, tmp_path):
    """Workers get the plan alone, and make the hooks themselves."""
    torch.manual_seed(0)
    subject = TimedModule(Loop().eval(), variables={"V1/response": "response"})
    with intervene(subject, Scale("V1/response", 0.5, steps=[2])):
        expected = record(subject, stimuli, ["V1/response"], batch_size=N)
        plan = make_plan(subject, stimuli, ["V1/response"], batch_size=N)
        layout = {"batch_size": N, "block_size": N}
        layout_module.lay_out(plan, tmp_path / "a.zarr", {**attributes(plan, {}, {}), **layout})
    assert fill_block(cloudpickle.dumps(plan.work), plan.stimuli, 0, str(tmp_path / "a.zarr"), 0, (0, N)) == N
    stored = xr.open_zarr(tmp_path / "a.zarr" / "V1" / "response", consolidated=False)
    assert_array_equal(stored["activation"], expected["V1/response"]["activation"])
