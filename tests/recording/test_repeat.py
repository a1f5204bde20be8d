"""Values that are not a stimulus's own: by chance, or by what else is in the batch."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refused import refused
from torch import nn

from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import Scale, Shuffle
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.timed_module import TimedModule

N = 7


def by_batch(culprit, others=3):
    return refused(
        f"module must give a stimulus the same values in any batch, got others from {culprit} alone than with {others} "
        "others; make it look at one stimulus at a time (BatchNorm: with running statistics), or record with "
        "batch_size=1"
    )


def by_chance(culprit):
    return refused(
        f"module must give a stimulus the same values each time, got others from {culprit} when shown again; take out "
        "what draws at random (dropout in a forward, noise) or is kept from call to call"
    )


@pytest.fixture
def stimuli():
    """Return stimuli of other contrasts; the first two are alike."""
    images = np.random.default_rng(0).random((N, 1, 11, 13), dtype=np.float32)
    images *= np.linspace(0.1, 1, N, dtype=np.float32)[:, None, None, None]
    images[1] = images[0]
    return StimulusSet(images)


class Block(nn.Module):
    """A convolution, a function of its output, and a rectified linear readout in place."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.relu, self.readout = nn.Conv2d(1, 5, 2), nn.ReLU(inplace=True), nn.Linear(600, 3)
        self.function = function

    def forward(self, images):
        return self.readout(self.relu(self.function(self.conv(images))).flatten(1))


def net(function):
    torch.manual_seed(0)
    return nn.Sequential(nn.Identity(), Block(function)).eval()


def of_the_batch(maps):
    return maps - 0.01 * maps.mean(0, keepdim=True)


def dropped(maps):
    return F.dropout(maps, 0.02, training=True)


def noisy(maps):
    return maps + 0.01 * torch.from_numpy(np.random.standard_normal(maps.shape)).to(maps)  # noqa: NPY002 -- as users do


def pythons(maps):
    return maps * random.random()  # noqa: S311 -- as users do


class Counting:
    """Keeps a state between calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, maps):
        self.calls += 1
        return maps * self.calls


@pytest.mark.parametrize("variable", ["1.conv", "1.relu", "1.readout"])
@pytest.mark.parametrize("function", [dropped, noisy, pythons, Counting()])
def test_values_by_chance(stimuli, function, variable):
    if variable == "1.conv":  # before anything is drawn
        record(net(function), stimuli, [variable], batch_size=5)
        return
    for batch_size in (5, 1):
        with by_chance("'1' (Block)"):
            record(net(function), stimuli, [variable], batch_size=batch_size)


def test_a_layer_that_draws_is_named(stimuli):
    module = nn.Sequential(nn.FractionalMaxPool2d(2, output_size=5), nn.Flatten(), nn.Linear(25, 3)).eval()
    with by_chance("'0' (FractionalMaxPool2d)"):
        record(module, stimuli, ["2"])


def test_a_value_that_is_other_only_once_is_by_chance(stimuli):
    """The rehearsal, and the first and the last alone, come before the first is shown again."""
    calls = []

    def function(maps):
        calls.append(len(maps))
        return maps * (2 if len(calls) == 4 else 1)

    with by_chance("the variable '1.readout'"):
        record(net(function), stimuli, ["1.readout"], batch_size=1)


def test_values_by_the_batch(stimuli):
    with by_batch("'1' (Block)"):
        record(net(of_the_batch), stimuli, ["1.readout"], batch_size=5)
    with by_batch("'1' (Block)", others=1):
        record(net(of_the_batch), stimuli, ["1.readout"], batch_size=2)


def test_statistics_of_the_batch(stimuli, tmp_path):
    """Their names are in the module's tree; and one at a time, they are of the stimulus alone."""
    norm = nn.BatchNorm2d(5, track_running_stats=False)
    module = net(norm)
    for options in ({}, {"store": tmp_path / "a.zarr"}):
        with by_batch("'1.function' (BatchNorm2d)"):
            record(module, stimuli, ["1.readout"], batch_size=5, **options)
    assert not (tmp_path / "a.zarr").exists()
    found = record(module, stimuli, ["1.relu"], batch_size=1)["1.relu"]["activation"]
    with torch.no_grad():
        maps = module[1].conv(torch.from_numpy(stimuli.images))
        expected = F.instance_norm(maps).clamp(min=0)
    np.testing.assert_allclose(found[:, 0], expected.flatten(1), atol=1e-4)


def test_a_run_that_mixes_stimuli_names_the_variable(stimuli):
    def run(module, images):
        yield 0, 0
        module(images - images.mean(0))

    with by_batch("the variable '1.conv'"):
        record(TimedModule(net(nn.Identity()), run=run), stimuli, ["1.conv"], batch_size=5)


def test_the_search_for_the_module_is_bounded(stimuli, monkeypatch):
    monkeypatch.setattr("neuroattn.recording.repeat.TRACED_BYTES", 0)
    with by_batch("the variable '1.readout'"):
        record(net(of_the_batch), stimuli, ["1.readout"], batch_size=5)


def test_what_draws_and_what_mixes_are_told_apart_under_interventions(stimuli):
    for function, text in ((dropped, by_chance("'1' (Block)")), (of_the_batch, by_batch("'1' (Block)"))):
        module = net(function)
        with intervene(module, Scale("1.conv", 0.5)), text:
            record(module, stimuli, ["1.readout"], batch_size=5)
    module = net(dropped)
    with intervene(module, Shuffle("1.conv")), by_chance("'1' (Block)"):
        record(module, stimuli, ["1.readout"], batch_size=5)
    module = net(nn.Identity())
    with intervene(module, Shuffle("1.conv")):  # stimuli change places, which is what was asked for
        record(module, stimuli, ["1.readout"], batch_size=5)


@pytest.mark.parametrize(
    ("dtype", "moved"),
    [(torch.float32, 2e-4), (torch.float64, 2e-4), (torch.float16, 8e-4), (torch.bfloat16, 5e-3)],
    ids=str,
)
def test_rounding_is_no_difference(stimuli, dtype, moved):
    """Of numbers with fewer digits more is allowed."""
    record(net(lambda maps: maps * (1 + moved * len(maps))).to(dtype), stimuli, ["1.readout"], batch_size=5)
    with by_batch("'1' (Block)"):
        record(net(lambda maps: maps * (1 + 10 * moved * len(maps))).to(dtype), stimuli, ["1.readout"], batch_size=5)


def test_values_that_are_not_finite_are_compared_too(stimuli):
    record(net(lambda maps: torch.where(maps > 0.1, maps, torch.nan)), stimuli, ["1.relu"], batch_size=5)
    with by_batch("'1' (Block)"):
        record(net(lambda maps: maps / (len(maps) - 1)), stimuli, ["1.relu"], batch_size=5)


def test_what_the_user_will_draw_stays(stimuli):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    expected = torch.rand(5), np.random.random(5), random.random()  # noqa: NPY002, S311
    module = net(lambda maps: noisy(pythons(dropped(maps))))
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    with by_chance("'1' (Block)"):
        record(module, stimuli, ["1.readout"])
    found = torch.rand(5), np.random.random(5), random.random()  # noqa: NPY002, S311
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_array_equal(before, after)


def test_it_costs_a_few_stimuli_once(stimuli, tmp_path):
    shown = []
    module = net(nn.Identity())
    module[0].register_forward_hook(lambda _m, _inputs, output: shown.append(len(output)))
    record(module, stimuli, ["1.readout"], batch_size=3).close()
    assert shown == [2, 3, 1, 1, 3, 3, 1]
    shown.clear()
    record(module, stimuli, ["1.readout"], batch_size=3, store=tmp_path / "a.zarr").close()
    assert shown == [2, 3, 1, 1, 3, 3, 1]


def test_a_single_stimulus_is_shown_again(stimuli):
    record(net(of_the_batch), stimuli.select(0), ["1.readout"])
    with by_chance("'1' (Block)"):
        record(net(dropped), stimuli.select(0), ["1.readout"])
