"""An intervention that a recording names has acted in every batch, whatever became of the module that it is on."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import N, refused
from torch import nn

from neuroattn.recording import layout as layout_module
from neuroattn.recording.attributes import attributes
from neuroattn.recording.cluster import fill_block
from neuroattn.recording.contents import contents
from neuroattn.recording.intervene import active_on, intervene
from neuroattn.recording.interventions import Clamp, Delay, Replace, Scale, Silence
from neuroattn.recording.record import make_plan, record
from neuroattn.recording.units import Units
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.timed_module import TimedModule


def net():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU())
    return nn.Sequential(features, nn.Sequential(nn.Flatten(), nn.Linear(360, 5))).eval()


def compiled_part(stimuli):
    module = net()
    module[0] = torch.compile(module[0], backend="eager")
    return module, "0._orig_mod.1"


def compiled_in_place(stimuli):
    module = net()
    module[0].compile(backend="eager")
    return module, "0.1"


def compiled_whole(stimuli):
    return torch.compile(net(), backend="eager"), "_orig_mod.0.1"


@pytest.fixture(params=[compiled_part, compiled_in_place, compiled_whole])
def compiled(request, stimuli):
    """Return a module of which torch.compile took something, used already, and the name of a part of that."""
    module, name = request.param(stimuli)
    with torch.no_grad():
        module(torch.from_numpy(stimuli.images[:3]))
    return module, name


READOUT = {"_orig_mod.0.1": "_orig_mod.1.1"}


@pytest.mark.filterwarnings("ignore:.* is the same for all 7 stimuli:UserWarning")
def test_what_was_compiled_is_recorded_and_intervened_on(compiled, stimuli):
    module, name = compiled
    readout = READOUT.get(name, "1.1")
    plain = record(net(), stimuli, ["0.1", "1.1"])
    tree = record(module, stimuli, [name, readout], batch_size=3)
    for mine, its in ((name, "0.1"), (readout, "1.1")):
        assert_allclose(tree[mine]["activation"], plain[its]["activation"], atol=1e-5)
    with intervene(module, Silence(name)):
        silenced = record(module, stimuli, [readout], batch_size=3)[readout]["activation"]
    bias = dict(module.named_modules())[readout].bias.detach()
    assert_allclose(silenced[:, 0], bias.expand(N, 5), atol=1e-6)


def test_a_worker_intervenes_on_what_was_compiled(compiled, stimuli, tmp_path):
    module, name = compiled
    readout = READOUT.get(name, "1.1")
    with intervene(module, Scale(name, 0.5)):
        expected = record(module, stimuli, [readout], batch_size=N)
        assert filled(module, stimuli, readout, tmp_path) == N
    stored = layout_module.array_at(layout_module.zarr.open_group(tmp_path / "a.zarr"), f"{readout}/activation")
    assert_array_equal(stored[:], expected[readout]["activation"])


def filled(module, stimuli, name, folder, batch_size=N):
    """Fill a store as a worker does, and return of how many stimuli."""
    plan = make_plan(module, stimuli, [name], batch_size=batch_size)
    attrs = {**attributes(plan, {}, {}), "batch_size": batch_size, "block_size": N}
    layout_module.lay_out(plan, folder / "a.zarr", attrs)
    active = active_on(module)
    active.detach()  # hooks cannot be sent
    packed = cloudpickle.dumps(plan.work)
    active.attach()
    return fill_block(packed, plan.stimuli, 0, str(folder / "a.zarr"), 0, (0, N))


class Picky(nn.Module):
    """Looks at bright images twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.second, self.never = nn.Conv2d(1, 3, 2), nn.ReLU(), nn.ReLU()

    def forward(self, images):
        maps = self.conv(images)
        return self.second(maps) if images.mean() > 0.5 else maps


@pytest.fixture
def one_is_dark():
    """Return stimuli of which the third is dark: in a batch of its own, one part of the module is not called."""
    images = np.random.default_rng(0).uniform(0.6, 1, (N, 1, 11, 13)).astype(np.float32)
    images[2] = 0.1
    return StimulusSet(images)


SILENT = (
    "interventions must act in every batch (here: stimuli 2 to 2), got {'kind': 'Silence', 'variable': 'second'}, "
    "which never does: its module 'second' is not called; intervene on the module around it, or record stimuli that "
    "reach it"
)


def test_a_batch_in_which_it_does_not_act(one_is_dark, tmp_path):
    module = Picky().eval()
    store = tmp_path / "a.zarr"
    with intervene(module, Silence("second")):
        for options in ({}, {"store": store}):
            with refused(SILENT):
                record(module, one_is_dark, ["conv"], batch_size=1, **options)
        assert contents(store).done < N
        with refused(SILENT):
            filled(module, one_is_dark, "conv", tmp_path / "worker", batch_size=1)
    assert contents(tmp_path / "worker" / "a.zarr").done == 0
    record(module, one_is_dark, ["conv"], batch_size=1)


def test_names_of_ones_own_are_said_with_those_of_the_modules(one_is_dark):
    subject = TimedModule(Picky().eval(), variables={"V1": "second", "V2": "conv"})
    text = SILENT.replace("'variable': 'second'", "'variable': 'V1'")
    with intervene(subject, Silence("V1")), refused(text):
        record(subject, one_is_dark, ["V2"], batch_size=1)


def test_a_module_that_is_never_called(stimuli):
    module = Picky().eval()
    text = (
        "interventions must act at some step of the recording, got {'kind': 'Silence', 'variable': 'never'}, which "
        "never does: its module 'never' is not called; intervene on the module around it, or record stimuli that reach "
        "it"
    )
    with intervene(module, Silence("never")), refused(text):
        record(module, stimuli, ["conv"])
    late = (
        "interventions must act at some step of the recording, got {'kind': 'Silence', 'steps': [1], 'variable': "
        "'conv'}, which never does; correct its phases and steps"
    )
    with intervene(module, Silence("conv", steps=[1])), refused(late):
        record(module, stimuli, ["conv"])


def twice(module, images):
    for step in range(2):
        yield 0, step
        module(images)


def test_one_recording_does_not_vouch_for_the_next(stimuli):
    """The hooks stay on the model, and what acted in a longer run may not act in this one."""
    module = Picky().eval()
    subject = TimedModule(module, run=twice)
    with intervene(subject, Silence("conv", steps=[1])):
        record(subject, stimuli, ["conv"])
        with pytest.raises(ValueError, match=r"^interventions must act at some step of the recording, got "):
            record(TimedModule(module), stimuli, ["conv"])


def test_a_plan_that_is_carried_out_outside_the_block(stimuli):
    module = Picky().eval()
    with intervene(module, Silence("conv")):
        plan = make_plan(module, stimuli, ["conv"])
    text = (
        "interventions must be on the model while it is recorded, got {'kind': 'Silence', 'variable': 'conv'}, which "
        "is not; record inside the `with`"
    )
    with refused(text):
        list(plan.batches())


def test_where_torch_cannot_leave_compiled_code_out_it_is_refused(stimuli, monkeypatch):
    """Before torch 2.6."""
    module, name = compiled_part(stimuli)
    with torch.no_grad():
        module(torch.from_numpy(stimuli.images))
    monkeypatch.delattr(torch.compiler, "set_stance")
    with intervene(module, Silence(name)), pytest.raises(ValueError, match=r"is not called; intervene"):
        record(module, stimuli, ["1.1"])


class Reused(nn.Module):
    """Rectifies maps of two shapes with one layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.relu = nn.Conv2d(1, 2, 2), nn.Conv2d(2, 1, 2), nn.ReLU()
        nn.init.uniform_(self.conv2.weight, -0.1, 0.4)

    def forward(self, images):
        return self.relu(self.conv2(self.relu(self.conv1(images))))


def test_units_of_a_module_that_is_used_again_for_another_shape(stimuli):
    module = Reused().eval()
    with torch.no_grad():
        first = module.relu(module.conv1(torch.from_numpy(stimuli.images)))
        first[:, 0, :2] = 0
        expected = module.relu(module.conv2(first))
        expected[:, 0, :2] = 0
    with intervene(module, Silence("relu", units=Units(channels=[0], y=(0, 2)))):
        found = record(module, stimuli, ["relu"], [1], batch_size=3)["relu"]["activation"]
    assert_allclose(found[:, 0], expected.flatten(1), atol=1e-5)


def test_a_lag_needs_values_of_one_shape(stimuli):
    text = "relu must keep its shape to lag, got (2, 10, 12) at step 0 and (1, 9, 11) at step 1; choose other steps"
    module = Reused().eval()
    with intervene(module, Delay("relu", 1)), refused(text):
        record(module, stimuli, ["conv2"])


class Rounded(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.part, self.function = nn.Identity(), function

    def forward(self, images):
        return self.part(self.function(images)).to_dense()


@pytest.mark.parametrize(
    ("intervention", "dtype", "text"),
    [
        (Clamp("part", 0.5), torch.int64, "value must fit int64 for part, got 0.5; give numbers that it can hold"),
        (
            Clamp("part", 1e6),
            torch.float16,
            "value must fit float16 for part, got 1e+06; give numbers that it can hold",
        ),
        (
            Replace("part", np.full((1, 11, 13), 1.5)),
            torch.uint8,
            "values must fit uint8 for part, got 1.5; give numbers that it can hold",
        ),
    ],
)
def test_what_a_variable_cannot_hold(stimuli, intervention, dtype, text):
    module = Rounded(lambda images: (images * 99).to(dtype)).eval()
    with intervene(module, intervention), refused(text):
        record(module, stimuli, ["part"])


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16])
def test_what_a_variable_holds(stimuli, dtype):
    module = Rounded(lambda images: (images * 99).to(dtype)).eval()
    with intervene(module, Clamp("part", 3.0)), pytest.warns(UserWarning, match=r"^part is the same for all"):
        found = record(module, stimuli, ["part"])["part"]["activation"]
    assert_array_equal(found, 3)


def test_sparse_values_are_not_intervened_on(stimuli):
    module = Rounded(lambda images: images.flatten(1).to_sparse()).eval()
    text = "interventions must be on plain tensors, got part, which is sparse; intervene on another variable"
    with intervene(module, Silence("part")), refused(text):
        record(module, stimuli, ["part"])


class Mapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.part = nn.Identity(), nn.Identity()

    def forward(self, images):
        return self.part(self.body({"a": images, "b": images + 1})["b"])


def test_an_element_of_a_mapping(stimuli):
    with intervene(module := Mapped().eval(), Scale("body[b]", 2.0)):
        tree = record(module, stimuli, ["part", "body[a]"], batch_size=3)
    assert_array_equal(tree["part"]["activation"][:, 0], 2 * (stimuli.images + 1).reshape(N, -1))
    assert_array_equal(tree["body[a]"]["activation"][:, 0], stimuli.images.reshape(N, -1))
