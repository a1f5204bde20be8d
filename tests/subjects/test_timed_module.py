"""Any torch module as a subject: a plain network, a recurrent one in both its forms, and cells that return tuples.

The recurrent one is in the style of CORnet (Kubilius et al. 2018): areas V1, V2, V4 and IT, unrolled inside one forward
or driven step by step. Every recorded value is held against the forward written out with plain torch.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused
from torch import nn

from neuroattn.recording import layout as layout_module
from neuroattn.recording.contents import contents
from neuroattn.recording.damage import problems
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.timed_module import TimedModule

N = 5
TIMES = {"V1": 1, "V2": 2, "V4": 4, "IT": 2}
CHANNELS = {"V1": 5, "V2": 7, "V4": 2, "IT": 11}
BELOW = {"V1": None, "V2": "V1", "V4": "V2", "IT": "V4"}


def random(module):
    """Return a module in evaluation mode, with weights that leave its units neither silent nor alike."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return module.eval()


class Plain(nn.Module):
    """A feed-forward network that rectifies in place."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True)
        self.pool, self.conv2, self.relu2 = nn.MaxPool2d(2), nn.Conv2d(5, 7, 2), nn.ReLU(inplace=True)
        self.readout = nn.Linear(7 * 3 * 4, 13)

    def forward(self, images):
        x = self.relu2(self.conv2(self.pool(self.relu1(self.conv1(images)))))
        return self.readout(x.flatten(1))


def plain_by_hand(module, images):
    conv1 = F.conv2d(images, module.conv1.weight, module.conv1.bias)
    relu1 = conv1.clamp(min=0)
    pool = F.max_pool2d(relu1, 2)
    conv2 = F.conv2d(pool, module.conv2.weight, module.conv2.bias)
    relu2 = conv2.clamp(min=0)
    readout = F.linear(relu2.flatten(1), module.readout.weight, module.readout.bias)
    return {"conv1": conv1, "relu1": relu1, "pool": pool, "conv2": conv2, "relu2": relu2, "readout": readout}


class Area(nn.Module):
    """relu(input + recurrent(state)), `times` over; returns the pooled response and the state."""

    def __init__(self, name):
        super().__init__()
        below = 3 if BELOW[name] is None else CHANNELS[BELOW[name]]
        self.times, self.size = TIMES[name], CHANNELS[name]
        self.input = nn.Conv2d(below, self.size, 3, padding=1)
        self.recurrent = nn.Conv2d(self.size, self.size, 3, padding=1)
        self.response, self.pool = nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)

    def once(self, x, state):
        state = self.response(self.input(x) + (0 if state is None else self.recurrent(state)))
        return self.pool(state), state

    def forward(self, x, state=None):
        return self.once(x, state)


class UnrolledArea(Area):
    """The same, with its recurrence inside."""

    def forward(self, x, state=None):
        for _ in range(self.times):
            out, state = self.once(x, state)
        return out


class Cornet(nn.Module):
    """Four areas, each seen by the next."""

    def __init__(self, area):
        super().__init__()
        self.V1, self.V2, self.V4, self.IT = (area(name) for name in TIMES)

    def forward(self, images):
        return self.IT(self.V4(self.V2(self.V1(images))))


def area_by_hand(area, x, state):
    drive = F.conv2d(x, area.input.weight, area.input.bias, padding=1)
    if state is not None:
        drive = drive + F.conv2d(state, area.recurrent.weight, area.recurrent.bias, padding=1)
    state = drive.clamp(min=0)
    return F.max_pool2d(state, 2, ceil_mode=True), state


@torch.no_grad()
def unrolled_by_hand(module, images):
    """Return area → its responses, one a step of its own."""
    responses, x = {}, images
    for name, times in TIMES.items():
        state, responses[name] = None, []
        for _ in range(times):
            out, state = area_by_hand(getattr(module, name), x, state)
            responses[name].append(state)
        x = out
    return responses


def step_by_step(module, images):
    """Run five steps; in each, an area sees what the one below it gave in the step before."""
    outputs, states = {}, {}
    for step in range(5):
        yield 0, step
        new = {}
        for name, below in BELOW.items():
            x = images if below is None else outputs.get(below)
            if x is not None:
                new[name], states[name] = getattr(module, name)(x, states.get(name))
        outputs = new


@torch.no_grad()
def steps_by_hand(module, images):
    """Return area → step → (output, state); an area begins when something has reached it."""
    taken = {name: {} for name in TIMES}
    for step in range(5):
        for first, (name, below) in enumerate(BELOW.items()):
            if step >= first:
                x = images if below is None else taken[below][step - 1][0]
                _, state = taken[name].get(step - 1, (None, None))
                taken[name][step] = area_by_hand(getattr(module, name), x, state)
    return taken


class Reader(nn.Module):
    """Reads an image row by row with a cell that returns (hidden, memory)."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3 * 13, 7)

    def forward(self, images):
        state = None
        for row in range(images.shape[2]):
            state = self.cell(images[:, :, row].flatten(1), state)
        return state[0]


def row_by_row(module, images):
    state = None
    for row in range(images.shape[2]):
        yield 0, row
        state = module.cell(images[:, :, row].flatten(1), state)


@torch.no_grad()
def rows_by_hand(cell, images):
    """Return (stimulus, row, unit) of the hidden state and of the memory, by the equations of an LSTM."""
    h = c = torch.zeros(len(images), 7)
    taken = []
    for row in range(images.shape[2]):
        gates = images[:, :, row].flatten(1) @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        taken.append((h, c))
    return (torch.stack(part, 1) for part in zip(*taken, strict=True))


@pytest.fixture
def images():
    return np.random.default_rng(0).random((N, 3, 11, 13), dtype=np.float32)


@pytest.fixture
def stimuli(images):
    return StimulusSet(images)


@pytest.fixture
def plain():
    return random(Plain())


def flat(steps):
    """Return (stimulus, step, unit) of one value a step."""
    return torch.stack([value.flatten(1) for value in steps], 1).detach().numpy()


def test_a_plain_network(plain, stimuli, images):
    expected = plain_by_hand(plain, torch.from_numpy(images))
    tree = record(plain, stimuli, list(expected), batch_size=2)
    assert [leaf.name for leaf in tree.leaves] == list(expected)
    for name, values in expected.items():
        recorded = tree[name].to_dataset()
        assert_allclose(recorded["activation"], flat([values]), atol=1e-5, err_msg=name)
        assert recorded["activation"].dims == ("presentation", "time_step", "neuroid")
        assert_array_equal(recorded["time_step"], [0])
        assert_array_equal(recorded["phase"], [0] * N)
        assert_array_equal(recorded["stimulus_id"], range(N))
        assert set(recorded["model"].values) == {"plain"}
        assert "seed" not in recorded.coords
    conv1 = tree["conv1"].to_dataset()
    number = 3 * 9 * 11 + 7 * 11 + 5
    unit = conv1.isel(neuroid=number)
    assert (int(unit["channel"]), int(unit["channel_y"]), int(unit["channel_x"])) == (3, 7, 5)
    assert unit["neuroid_id"] == f"plain.conv1.{number}"
    assert (conv1["activation"].values < 0).any()  # rectified in place after they were recorded


def test_a_network_of_areas_that_are_unrolled_inside_one_forward(stimuli, images):
    module = random(Cornet(UnrolledArea))
    expected = unrolled_by_hand(module, torch.from_numpy(images))
    subject = TimedModule(module, variables={f"{name}/response": f"{name}.response" for name in TIMES}, seed=17)
    tree = record(subject, stimuli, [f"{name}/response" for name in TIMES], batch_size=2)
    for name, steps in expected.items():
        recorded = tree[f"{name}/response"].to_dataset()
        assert_array_equal(recorded["time_step"], range(TIMES[name]))
        assert_allclose(recorded["activation"], flat(steps), atol=1e-5, err_msg=name)
        assert set(recorded["area"].values) == {name}
        assert set(recorded["layer"].values) == {f"{name}/response"}
        assert_array_equal(recorded["seed"], [17] * N)
    # Of V1, the recurrent convolution is never called, and that of V4 from its second step on.
    part = record(module, stimuli, ["V4.recurrent", "V4"])
    assert part["V4.recurrent"].sizes["time_step"] == 3
    assert part["V4"].sizes["time_step"] == 1


def test_a_network_of_areas_that_is_driven_step_by_step(stimuli, images):
    module = random(Cornet(Area))
    expected = steps_by_hand(module, torch.from_numpy(images))
    variables = {f"{name}/{part}": f"{name}[{k}]" for name in TIMES for k, part in enumerate(("out", "state"))}
    tree = record(TimedModule(module, run=step_by_step, variables=variables), stimuli, list(variables), batch_size=2)
    for first, name in enumerate(TIMES):
        for k, part in enumerate(("out", "state")):
            recorded = tree[f"{name}/{part}"].to_dataset()
            assert_array_equal(recorded["time_step"], range(first, 5))
            assert_allclose(recorded["activation"], flat([at[k] for at in expected[name].values()]), atol=1e-5)


def test_a_cell_that_returns_a_tuple(stimuli, images):
    module = random(Reader())
    hidden, memory = rows_by_hand(module.cell, torch.from_numpy(images))
    for run in ({}, {"run": row_by_row}):
        tree = record(TimedModule(module, **run), stimuli, ["cell", "cell[0]", "cell[1]"], batch_size=3)
        for name, expected in (("cell", hidden), ("cell[0]", hidden), ("cell[1]", memory)):
            assert_array_equal(tree[name]["time_step"], range(11))
            assert_allclose(tree[name]["activation"], expected, atol=1e-5)


class Sequences(nn.Module):
    """A whole recurrent layer over the columns of an image, (batch, sequence, unit) or (sequence, batch, unit)."""

    def __init__(self, kind, *, batch_first, layers=1):
        super().__init__()
        self.batch_first = batch_first
        self.layer = kind(11, 7, num_layers=layers, batch_first=batch_first)

    def forward(self, images):
        columns = images[:, 0].permute(0, 2, 1)
        return self.layer(columns if self.batch_first else columns.transpose(0, 1))


def test_a_layer_with_two_axes(stimuli, images):
    module = random(Sequences(nn.GRU, batch_first=True))
    with torch.no_grad():
        expected = module(torch.from_numpy(images))[0]
    recorded = record(module, stimuli, ["layer"], batch_size=2)["layer"].to_dataset()
    assert_allclose(recorded["activation"][:, 0], expected.flatten(1), atol=1e-5)
    assert_array_equal(recorded["channel"], np.arange(13).repeat(7))
    assert_array_equal(recorded["channel_y"], np.tile(range(7), 13))


def two_looks(module, images):
    """Look at the image, twice, and then at its negative, twice."""
    for phase in range(2):
        for step in (1, 4):
            yield phase, step
            module(images if phase == 0 else 1 - images)


def test_phases_are_presentations(plain, stimuli, images):
    tree = record(TimedModule(plain, run=two_looks), stimuli, ["conv2"], batch_size=2)
    recorded = tree["conv2"].to_dataset()
    assert_array_equal(recorded["time_step"], [1, 4])
    assert_array_equal(recorded["phase"], [0, 1] * N)
    assert_array_equal(recorded["stimulus_id"], np.arange(N).repeat(2))
    for phase, shown in enumerate((images, 1 - images)):
        expected = plain_by_hand(plain, torch.from_numpy(shown))["conv2"]
        assert_allclose(recorded["activation"][phase::2], flat([expected] * 2), atol=1e-5)
    part = record(TimedModule(plain, run=two_looks), stimuli, ["conv2"], [4], batch_size=2)["conv2"].to_dataset()
    xr.testing.assert_identical(part, recorded.isel(time_step=[1]))


@pytest.mark.parametrize("std", [None, [0.229, 0.224, 0.25]])
def test_images_are_normalised(plain, stimuli, images, std):
    mean = [0.485, 0.456, 0.406]
    shown = torch.from_numpy(images) - torch.tensor(mean)[:, None, None]
    shown = shown / (1 if std is None else torch.tensor(std)[:, None, None])
    tree = record(TimedModule(plain, mean=mean, std=std), stimuli, ["conv1"])
    assert_allclose(tree["conv1"]["activation"], flat([plain_by_hand(plain, shown)["conv1"]]), atol=1e-5)


@pytest.mark.parametrize("given", ["mean", "std"])
def test_normalisation_of_other_channels(plain, stimuli, given):
    with refused(f"{given} must have one value for each of 3 channels, got 2"):
        record(TimedModule(plain, **{given: [0.5, 0.5]}), stimuli, ["conv1"])


def one_look(module, images):
    yield 0, 0
    module(images)


def brighter(module, images, gain=2.0):
    yield 0, 0
    module(images * gain)


class Gained(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.conv1, self.gain = nn.Conv2d(3, 5, 3), gain

    def forward(self, images):
        return self.conv1(images * self.gain)


class GainedLater(Gained):
    def forward(self, images):
        return self.conv1(images) * self.gain


def brightened(gain):
    def run(module, images):
        yield 0, 0
        module(images * gain)

    return run


@pytest.mark.slow
def test_what_makes_the_model_and_its_run_this_one(plain, stimuli):
    def identity(subject, name="conv1"):
        return record(subject, stimuli, [name]).attrs["identity"]

    other = random(Plain())
    with torch.no_grad():
        other.conv1.bias[3] += 0.25
    wider = random(Plain())
    wider.relu1 = nn.LeakyReLU(inplace=True)  # the same weights
    # What these compute shows neither in their weights nor in their text.
    gained = [TimedModule(random(module), name="gained") for module in (Gained(1.0), Gained(2.0), GainedLater(2.0))]
    assert len({repr(subject.module).partition("(")[2] for subject in gained}) == 1
    subjects = [
        plain,
        other,
        wider,
        *gained,
        TimedModule(plain, mean=[0.5, 0.5, 0.5]),
        TimedModule(plain, mean=[0.5, 0.5, 0.25]),
        TimedModule(plain, std=[0.5, 0.5, 0.5]),
        *(TimedModule(plain, run=run) for run in (one_look, brighter, two_looks)),
        *(TimedModule(plain, run=functools.partial(brighter, gain=gain)) for gain in (1.0, 3.0)),
        *(TimedModule(plain, run=brightened(gain)) for gain in (1.0, 2.0)),
    ]
    identities = [identity(subject) for subject in subjects]
    assert len(set(identities)) == len(identities)
    same = [
        (TimedModule(random(Plain()), variables=["conv1", "conv2"]), plain),
        (TimedModule(plain, mean=np.array([0.5, 0.5, 0.5])), TimedModule(plain, mean=[0.5, 0.5, 0.5])),
        *(
            (TimedModule(plain, run=made()), TimedModule(plain, run=made()))
            for made in (
                lambda: one_look,
                lambda: functools.partial(brighter, gain=2.0),
                lambda: brightened(2.0),
            )
        ),
    ]
    for one, again in same:
        assert identity(one) == identity(again)
    # Names of one's own do not hide what is recorded.
    first, second = (TimedModule(plain, variables={"V1": path}) for path in ("conv1", "conv2"))
    assert identity(first, "V1") != identity(second, "V1")


class Restless(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.conv, self.layer = nn.Conv2d(3, 5, 3), layer

    def forward(self, images):
        return self.layer(self.conv(images))


RESTLESS = [
    pytest.param(lambda: nn.Dropout(0.5), id="dropout"),
    pytest.param(lambda: nn.Dropout2d(0.5), id="dropout of maps"),
    pytest.param(lambda: nn.BatchNorm2d(5), id="batch normalisation"),
]


@pytest.mark.parametrize("layer", RESTLESS)
def test_a_module_that_trains(stimuli, layer):
    module = Restless(layer())
    text = "module must be in evaluation mode, got 'layer' in training; call .eval() first"
    with refused(text):
        TimedModule(module)
    with refused(text):
        record(module, stimuli, ["layer"])
    subject = TimedModule(module.eval())
    assert record(module, stimuli, ["layer"])["layer"].sizes["neuroid"] == 5 * 9 * 11
    module.train()
    with refused(text):
        record(subject, stimuli, ["layer"])


KNOWN = "conv1, relu1, pool, conv2, relu2, readout"


@pytest.mark.parametrize(
    ("given", "asked", "text"),
    [
        (None, ["conv3"], f"variables must be among {KNOWN}, got 'conv3'; correct the name"),
        (None, [""], f"variables must be among {KNOWN}, got ''; correct the name"),
        (None, ["conv1[a"], f"variables must be among {KNOWN}, got 'conv1[a'; correct the name"),
        (["conv1", "pool"], ["conv2"], "variables must be among conv1, pool, got 'conv2'; correct the name"),
        ({"V1": "conv1", "V2": "pool"}, ["conv1"], "variables must be among V1, V2, got 'conv1'; correct the name"),
        (None, [], f"variables must name at least one variable, got none; choose from {KNOWN}"),
        (None, ["conv1", "conv1"], "variables must not repeat, got conv1 more than once; name each once"),
    ],
)
def test_names_that_are_not_there(monkeypatch, plain, stimuli, given, asked, text):
    monkeypatch.setattr(plain, "forward", None)
    with refused(text):
        record(TimedModule(plain, variables=given), stimuli, asked)


@pytest.mark.parametrize("given", [["conv1", "conv3"], {"V1": "conv1", "V2": "conv3"}])
def test_modules_that_are_not_there(plain, given):
    """What is wrong is the name of the module, and those are the names to choose from."""
    with pytest.raises(ValueError, match=f"{re.escape(KNOWN)}, got 'conv3'"):
        TimedModule(plain, variables=given)


def test_of_many_names_the_first_are_listed(stimuli):
    module = nn.Sequential(*[nn.Identity() for _ in range(29)])
    listed = ", ".join(str(number) for number in range(12))
    with refused(f"variables must be among {listed} … (29 in all), got '29'; correct the name"):
        record(module, stimuli, ["29"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"design": "cued"}, "design must be free for plain, got 'cued': it cannot be cued; give TimedModule a cue"),
        ({"design": "odd"}, "design must be one of free, cued, got 'odd'"),
        ({"phases": 2}, "phases must be left out for a model that is no gated network; its run says them"),
    ],
)
def test_what_a_module_without_a_cue_cannot_do(plain, stimuli, given, text):
    with refused(text):
        record(plain, stimuli, ["conv1"], **given)


def yields_late(module, images):
    module(images)
    yield 0, 0


def yields_nothing(module, images):
    return
    yield module, images


def repeats(module, images):
    for step in range(3):
        yield 0, step
        module(images)
        module(images)


def skips(module, images):
    yield 0, 0
    module(images)
    yield 1, 0
    module.conv1(images)


def never_calls(module, images):
    yield 0, 0
    module.conv1(images)


BEFORE = (
    "a run must yield (phase, step) before it computes the step, got a value of conv2 before the first; "
    "move the yield up"
)
ONCE = (
    "conv2 must be computed once in a step that is followed by another one, got steps (0, 1, 1, 2, 2, 3); announce the "
    "pass as a single step, or record a module that is called once a step"
)
NEVER = (
    "conv2 must be computed in the run, got no value of it: its module is not called; record the module around it, "
    "which may use its weights only"
)
EVERY = "conv2 must be computed at the same steps of every phase, got {} in {} presentations; record another variable, or other steps"  # noqa: E501


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (yields_late, BEFORE),
        (yields_nothing, "a run must yield (phase, step) at least once, got nothing from the run of plain"),
        (repeats, ONCE),
        (skips, EVERY.format("[(0,)]", "1 of 2")),
        (never_calls, NEVER),
    ],
)
def test_a_run_that_does_not_say_where_it_is(plain, stimuli, run, text):
    with refused(text):
        record(TimedModule(plain, run=run), stimuli, ["conv2"])
    assert not any(module._forward_hooks for module in plain.modules())


@pytest.mark.parametrize(
    "given",
    [7, None, (0,), (0, 1, 2), pytest.param((0, 1.5), id="half"), (0, -1), ("a", 0)],
)
def test_a_run_that_yields_something_else(plain, stimuli, given):
    def run(module, images):
        yield given
        module(images)

    with pytest.raises(
        ValueError, match=re.escape(f"a run must yield (phase, step), whole numbers from 0, got {given}")
    ):
        record(TimedModule(plain, run=run), stimuli, ["conv2"])


def test_a_run_that_is_no_generator(plain, stimuli):
    def run(module, images):
        del module, images

    with pytest.raises(ValueError, match=r"^(a )?run must "):
        record(TimedModule(plain, run=run), stimuli, ["conv2"])


def more_steps(module, images):
    for step in range(len(images)):
        yield 0, step
        module(images)


def fewer_steps(module, images):
    for step in range(5 - len(images)):
        yield 0, step
        module(images)


def other_phases(module, images):
    for phase in (0, len(images)):
        yield phase, 0
        module(images)


@pytest.mark.parametrize("run", [more_steps, fewer_steps, other_phases])
def test_a_run_that_varies(plain, stimuli, run):
    """The rehearsal is of two stimuli, the first batch of three."""
    with pytest.raises(RuntimeError, match=r"^the run of plain is not what it was for the first stimuli; it varies$"):
        record(TimedModule(plain, run=run), stimuli, ["conv2"], batch_size=3)


def test_a_phase_with_other_steps(plain, stimuli):
    def run(module, images):
        for phase, step in ((0, 0), (0, 1), (1, 0)):
            yield phase, step
            module(images)

    with refused(EVERY.format("[(0,), (0, 1)]", "2 of 2")):
        record(TimedModule(plain, run=run), stimuli, ["conv2"])
    # The error says to record other steps, so that must help.
    tree = record(TimedModule(plain, run=run), stimuli, ["conv2"], [0])
    assert tree["conv2"].sizes == {"presentation": 2 * N, "time_step": 1, "neuroid": 84}


def test_steps_that_are_not_there(stimuli):
    module = random(Cornet(UnrolledArea))
    names = ["V4.response", "V2.response"]
    assert record(module, stimuli, names, [1])["V4.response"].sizes["time_step"] == 1
    with refused("steps must be among [0, 1] for V2.response, got [1, 3]; record other steps of it apart"):
        record(module, stimuli, names, [1, 3])
    with refused("steps must be a list of different numbers from 0 on, ascending, got [1, 0]"):
        record(module, stimuli, names, [1, 0])


AXES = "must have the batch first and up to three axes (channel, y, x) after it, got shape"


def test_an_output_whose_batch_is_not_first(stimuli):
    module = random(Sequences(nn.LSTM, batch_first=False))
    with refused(f"layer {AXES} (13, 2, 7) for 2 stimuli"):
        record(module, stimuli, ["layer"])


@pytest.mark.parametrize("batch_size", [5, 4, 2])
def test_a_state_whose_batch_is_not_first_and_looks_as_if(stimuli, batch_size):
    """Two layers, and two stimuli in the rehearsal: (layer, stimulus, unit) is no (stimulus, …)."""
    module = random(Sequences(nn.GRU, batch_first=True, layers=2))
    with pytest.raises(ValueError, match=r"^layer\[1\] must have the batch first"):
        record(module, stimuli.select(slice(0, 4)), ["layer[1]"], batch_size=batch_size)


class Odd(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.block, self.output = nn.Identity(), output

    def forward(self, images):
        return self.block(self.output(images))


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            lambda images: images.flatten(1).sum(1),
            f"block {AXES} (2,) for 2 stimuli",
        ),
        (
            lambda images: images[..., None],
            f"block {AXES} (2, 3, 11, 13, 1) for 2 stimuli",
        ),
        (
            lambda images: {"maps": images},
            "block must be a tensor or a tuple with one, got dict of 'maps'; name an element (block[maps])",
        ),
    ],
)
def test_an_output_that_has_no_maps(stimuli, output, text):
    with refused(text):
        record(Odd(output).eval(), stimuli, ["block"])


def test_an_output_that_changes_its_shape(stimuli):
    def run(module, images):
        for step in range(2):
            yield 0, step
            module(images[..., step:])

    module = TimedModule(Odd(lambda images: images).eval(), run=run)
    text = (
        "block must keep its shape, got (3, 11, 13) at step 0 and (3, 11, 12) at step 1; keep steps of one shape "
        "(steps=[1])"
    )
    with refused(text):
        record(module, stimuli, ["block"])
    # The error says to keep one, so that must help.
    last = record(module, stimuli, ["block"], [1])["block"].to_dataset()
    assert_array_equal(last["activation"][:, 0], stimuli.images[..., 1:].reshape(N, -1))


@pytest.mark.parametrize("output", [lambda images: (images * 255).to(torch.uint8), lambda images: images.double()])
def test_numbers_of_any_kind_become_single_precision(stimuli, images, output):
    recorded = record(Odd(output).eval(), stimuli, ["block"])["block"]["activation"]
    assert recorded.dtype == np.float32
    assert_array_equal(recorded[:, 0], output(torch.from_numpy(images)).flatten(1).float())


def test_a_module_in_double_precision(plain, stimuli, images):
    expected = plain_by_hand(plain, torch.from_numpy(images))["readout"].detach()
    recorded = record(plain.double(), stimuli, ["readout"])["readout"]["activation"]
    assert recorded.dtype == np.float32
    assert_allclose(recorded[:, 0], expected, atol=1e-5)


def test_values_that_float16_does_not_hold(plain, stimuli):
    plain.readout.weight.data *= 1e6
    text = "precision must be float32 for readout, which goes beyond ±65504, got float16; record it in float32"
    with refused(text):
        record(plain, stimuli, ["conv1", "readout"], precision="float16")
    halves = record(plain, stimuli, ["conv1"], precision="float16")["conv1"]["activation"]
    assert halves.dtype == np.float16
    assert_array_equal(halves, record(plain, stimuli, ["conv1"])["conv1"]["activation"].astype(np.float16))


def test_a_store_that_was_interrupted_goes_on(monkeypatch, stopped, stimuli, tmp_path):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)
    module = random(Cornet(Area))

    def call(**options):
        names = ["V1[1]", "V4", "IT[0]"]
        return record(TimedModule(module, run=step_by_step), stimuli, names, batch_size=2, **options)

    store = tmp_path / "a.zarr"
    with stopped(1, KeyError("died")), pytest.raises(KeyError, match="died"):
        call(store=store)
    assert contents(store).done == 2
    kept = call()
    with call(store=store) as stored:
        for leaf in kept.leaves:
            found = stored[leaf.path]
            assert_array_equal(found["activation"], leaf["activation"])
            assert_array_equal(found["time_step"], leaf["time_step"])
            assert_array_equal(found["stimulus_id"], leaf["stimulus_id"])
        assert stored.attrs["identity"] == kept.attrs["identity"]
    assert problems(store) == []
    with torch.no_grad():
        module.V4.recurrent.bias[1] += 1
    with pytest.raises(ValueError, match=r"which differs in weights \("):
        call(store=store)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("names", [{"V1": "V1[1]", "V1/response": "V4"}, {"done": "V1"}, {"": "V1"}])
def test_names_that_cannot_be_groups_are_refused_before_anything_runs(stimuli, tmp_path, streamed, names):
    """A group cannot hold a variable and other variables: they have other steps and units."""
    module = random(Cornet(Area))
    with pytest.raises(ValueError, match=r"^variables must "):
        record(
            TimedModule(module, run=step_by_step, variables=names),
            stimuli,
            list(names),
            store=tmp_path / "a.zarr" if streamed else None,
        )


def test_nothing_is_done_to_the_module(plain, stimuli, images):
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with torch.no_grad():
        expected = plain(torch.from_numpy(images))
    tree = record(plain, stimuli, ["readout", "conv1"], batch_size=N)
    assert_array_equal(tree["readout"]["activation"][:, 0], expected)
    assert not any(module._forward_hooks for module in plain.modules())
    for name, value in plain.state_dict().items():
        assert_array_equal(value, before[name])
