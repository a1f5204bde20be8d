"""Modules whose outputs, state or code are not plain: each is recorded as it is, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused
from torch import nn

from neuroattn.recording.record import record
from neuroattn.recording.units import Units
from neuroattn.stimuli.stimulus_set import StimulusSet

N = 5

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*deprecated.*:DeprecationWarning", "ignore:.*deprecated.*:UserWarning", "ignore:Sparse:UserWarning"
)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((N, 1, 7, 11), dtype=np.float32)


@pytest.fixture
def stimuli(images):
    return StimulusSet(images)


class Fn(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def sequence(*functions):
    return nn.Sequential(*(Fn(function) for function in functions)).eval()


def values_of(module, stimuli, name, **options):
    return record(module, stimuli, [name], **options)[name]["activation"].values


def test_complex_values_are_refused(stimuli, images):
    module = sequence(torch.fft.fft2, torch.abs)
    text = (
        "0 must be real, got complex64, whose imaginary part would be lost; record a module that returns its modulus, "
        "or both parts (torch.view_as_real)"
    )
    with refused(text):
        record(module, stimuli, ["0"])
    assert_allclose(values_of(module, stimuli, "1")[:, 0], np.abs(np.fft.fft2(images)).reshape(N, -1), rtol=1e-4)


def whole(number, dtype):
    return lambda images: (images.flatten(1) * 0).to(dtype) + number


FRACTIONS, WHOLE = "float32 (within ±3.4e38)", "float32 (whole numbers up to 2**24, and few beyond)"


@pytest.mark.filterwarnings("ignore:0 is the same for all:UserWarning")
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize(
    ("function", "text"),
    [
        (whole(2**24 + 1, torch.int64), f"{WHOLE}, got 16777217 in int64"),
        (whole(-(2**24) - 1, torch.int32), f"{WHOLE}, got -16777217 in int32"),
        (whole(2**63 - 1, torch.int64), f"{WHOLE}, got 9223372036854775807 in int64"),
        (lambda images: torch.full_like(images, -1e39, dtype=torch.float64), f"{FRACTIONS}, got -1e+39 in float64"),
    ],
)
def test_numbers_that_single_precision_loses(stimuli, function, text, batch_size):
    text = f"0 must hold numbers that fit {text}; scale them inside the model, or record another variable"
    with refused(text):
        record(sequence(function), stimuli, ["0"], batch_size=batch_size)


@pytest.mark.filterwarnings("ignore:0 is the same for all:UserWarning")
@pytest.mark.parametrize(
    "number", [2**24, 2**24 + 2, -(2**63), 3e38, float("inf"), float("nan"), 1e-300], ids=lambda number: f"{number:.3g}"
)
def test_numbers_that_single_precision_holds(stimuli, number):
    dtype = torch.int64 if isinstance(number, int) else torch.float64
    found = values_of(sequence(lambda images: torch.full_like(images, number, dtype=dtype)), stimuli, "0")
    assert found.dtype == np.float32
    assert_array_equal(found, np.float32(number))


def test_only_what_is_kept_must_fit(stimuli):
    def function(images):
        return torch.cat([images, torch.full_like(images, 1e300, dtype=torch.float64)], 1)

    found = values_of(sequence(function), stimuli, "0", units=Units(channels=[0]))
    assert_array_equal(found[:, 0], stimuli.images.reshape(N, -1))


def test_a_later_batch_is_looked_at_too(images):
    """The first, the middle and the last stimulus fit."""
    images = np.concatenate([images, images]) / 2
    images[5] = 1

    def function(images):
        return (images.double() * 2) ** 130

    text = (
        f"0 must hold numbers that fit {FRACTIONS}, got 1.361e+39 in float64; scale them inside the model, or record "
    )
    with refused(text + "another variable"):
        record(sequence(function), StimulusSet(images), ["0"], batch_size=2)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_values_are_unfolded(stimuli, images, layout):
    def function(images):
        return images.flatten(1).relu().to_sparse(layout=layout)

    assert_array_equal(values_of(sequence(function), stimuli, "0")[:, 0], images.reshape(N, -1))


def test_nested_values_are_refused(stimuli):
    def function(images):
        return torch.nested.nested_tensor([image[0, : k + 1] for k, image in enumerate(images)], layout=torch.jagged)

    with refused("0 must have one shape for all stimuli, got a nested tensor; record another one"):
        record(sequence(function), stimuli, ["0"])


class Transformer(nn.Module):
    """Returns a mapping, as those of many libraries do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2)

    def forward(self, images):
        return {"last": self.conv(images), "size": images.shape, 7: images}


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.readout = Transformer(), nn.Linear(180, 2)

    def forward(self, images):
        return self.readout(self.body(images)["last"].flatten(1))


def test_an_element_of_a_mapping(stimuli, images):
    module = Outer().eval()
    tree = record(module, stimuli, ["body[last]", "body.conv", "body[7]"], batch_size=2)
    assert_array_equal(tree["body[last]"]["activation"], tree["body.conv"]["activation"])
    assert_array_equal(tree["body[7]"]["activation"][:, 0], images.reshape(N, -1))
    listed = "dict of 'last', 'size', 7"
    with refused(f"body must be a tensor or a tuple with one, got {listed}; name an element (body[last], body[7])"):
        record(module, stimuli, ["body"])
    for key in ("lost", "0", "size"):
        with refused(f"body[{key}] must be a tensor, got {listed} to take element {key} of"):
            record(module, stimuli, [f"body[{key}]"])


class Reused(nn.Module):
    """Rectifies everything with one layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.relu = nn.Conv2d(1, 2, 2), nn.Conv2d(2, 3, 2), nn.ReLU(inplace=True)
        nn.init.uniform_(self.conv2.weight, -0.1, 0.4)

    def forward(self, images):
        return self.relu(self.conv2(self.relu(self.conv1(images))))


def test_a_module_that_is_used_again_for_another_shape(stimuli, images):
    module = Reused().eval()
    text = "relu must keep its shape, got (2, 6, 10) at step 0 and (3, 5, 9) at step 1; keep steps of one shape "
    text += "(steps=[1])"
    with refused(text):
        record(module, stimuli, ["relu"])
    with torch.no_grad():
        first = module.conv1(torch.from_numpy(images)).clamp(min=0)
        second = module.conv2(first).clamp(min=0)
    for step, expected in enumerate((first, second)):
        found = record(module, stimuli, ["relu"], [step], batch_size=2)["relu"].to_dataset()
        assert_array_equal(found["time_step"], [step])
        assert_allclose(found["activation"][:, 0], expected.flatten(1), atol=1e-6)


def test_a_module_under_two_names(stimuli):
    conv = nn.Conv2d(1, 1, 3, padding=1)
    module = nn.Sequential(conv, nn.ReLU(), conv).eval()
    assert record(module, stimuli, ["0"])["0"].sizes["time_step"] == 2
    text = (
        "variables must be among 0, 1, got '2'; that is '0' again: record '0', which has a time step for each of its "
        "calls"
    )
    with refused(text):
        record(module, stimuli, ["2"])


def test_a_module_of_which_only_the_weights_are_used(stimuli):
    module = nn.Sequential(nn.Flatten(2), nn.Linear(77, 6)).eval()
    module.append(nn.TransformerEncoderLayer(6, 2, 3, batch_first=True).eval())
    text = (
        "2.self_attn.out_proj must be computed in the run, got no value of it: its module is not called; record the "
        "module around it, which may use its weights only"
    )
    with refused(text):
        record(module, stimuli, ["2.self_attn.out_proj"])


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU()).eval()


SCRIPTED = (
    "variables must be of modules that torch can watch, got {!r}, which TorchScript took; record the module as it was "
    "before torch.jit, or a part around it"
)


@pytest.mark.parametrize("kind", ["scripted", "traced", "frozen"])
def test_what_torchscript_took(stimuli, images, kind):
    module = convolutions()
    taken = torch.jit.trace(module, torch.from_numpy(images)) if kind == "traced" else torch.jit.script(module)
    if kind == "frozen":
        taken = torch.jit.freeze(taken)
    with refused(SCRIPTED.format("1")):
        record(taken, stimuli, ["1"])
    # What is around it can be recorded all the same.
    around = nn.Sequential(taken, nn.Identity()).eval()
    assert_allclose(values_of(around, stimuli, "1"), values_of(module, stimuli, "1"), atol=1e-6)
    if kind == "traced":
        assert_array_equal(values_of(around, stimuli, "0"), values_of(around, stimuli, "1"))
    else:
        with refused(SCRIPTED.format("0")):
            record(around, stimuli, ["0"])


class Scaled(nn.Module):
    def __init__(self, gain, bias):
        super().__init__()
        torch.manual_seed(0)
        self.parts, self.gain = nn.ModuleList([nn.Conv2d(1, 3, 2)]), gain
        with torch.no_grad():
            self.parts[0].bias += bias

    def forward(self, images):
        for part in self.parts:
            images = part(images) * self.gain
        return images


@pytest.mark.parametrize("freeze", [False, True])
def test_what_torchscript_took_is_part_of_what_a_module_is(stimuli, freeze):
    """Its weights may be constants of its code."""

    def identity(gain, bias):
        taken = torch.jit.script(Scaled(gain, bias).eval())
        around = nn.Sequential(torch.jit.freeze(taken) if freeze else taken, nn.Identity()).eval()
        return record(around, stimuli, ["1"]).attrs["identity"]

    found = [identity(1.0, 0.0), identity(2.0, 0.0), identity(1.0, 0.5), identity(1.0, 0.5)]
    assert len(set(found[:3])) == 3
    assert found[2] == found[3]


class Kept(nn.Module):
    """Has a state that is no tensor."""

    def __init__(self, kept):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self._kept = nn.Conv2d(1, 2, 2), kept

    def forward(self, images):
        return self.conv(images)

    def get_extra_state(self):
        return self._kept

    def set_extra_state(self, state):
        self._kept = state


def test_extra_state_is_part_of_what_a_module_is(stimuli):
    kept = [{"scale": 1.0}, {"scale": 2.0}, {"scale": 2.0}, {"scale": torch.tensor(2j)}, {"scale": torch.tensor(3j)}]
    hashes = [record(Kept(state).eval(), stimuli, ["conv"]).attrs["weights_sha256"] for state in kept]
    assert hashes[1] == hashes[2]
    assert len(set(hashes)) == len(kept) - 1
    text = (
        "the state of a module must be tensors and plain values, got function, which cannot be told from another; "
        "return plain values from get_extra_state"
    )
    with refused(text):
        record(Kept(lambda: 0).eval(), stimuli, ["conv"])


class Spectral(nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.part = nn.Identity()
        self.register_buffer("gain", gain, persistent=False)

    def forward(self, images):
        return self.part((images * self.gain).real)


def test_buffers_are_told_apart_by_all_of_their_digits(stimuli):
    """Of those that the state does not hold, too."""
    pairs = [(1 + 1j, 1 + 2j), (1.0, 1 + 1e-12), (2**24, 2**24 + 1)]
    for pair in pairs:
        dtype = {complex: torch.complex64, float: torch.float64, int: torch.int64}[type(pair[0])]
        gains = [torch.tensor(number, dtype=dtype) for number in (*pair, pair[1])]
        found = [record(Spectral(gain).eval(), stimuli, ["part"]).attrs["identity"] for gain in gains]
        assert found[0] != found[1] == found[2]


def linear(bias):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(77, 3), nn.ReLU()).eval()
    with torch.no_grad():
        module[1].bias += bias
    return module


def dynamically(module, images):
    return torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, torch.qint8)


def statically(module, images):
    module = nn.Sequential(torch.ao.quantization.QuantStub(), *module, torch.ao.quantization.DeQuantStub()).eval()
    engines = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = "x86" if "x86" in engines else engines[-1]
    module.qconfig = torch.ao.quantization.get_default_qconfig(torch.backends.quantized.engine)
    torch.ao.quantization.prepare(module, inplace=True)(torch.from_numpy(images))
    return torch.ao.quantization.convert(module)


@pytest.mark.parametrize(
    ("quantized", "names", "options", "atol"),
    [(dynamically, ["1", "2"], {"batch_size": 1}, 0.02), (statically, ["2", "4"], {"batch_size": 2}, 0.05)],
)
def test_quantization(stimuli, images, quantized, names, options, atol):
    trees = [record(quantized(linear(bias), images), stimuli, names, **options) for bias in (0, 0.25, 0.25)]
    values, rectified = (trees[0][name]["activation"] for name in names)
    assert_allclose(values, values_of(linear(0), stimuli, "1"), atol=atol)
    assert_array_equal(rectified, np.maximum(values, 0))
    hashes = [tree.attrs["weights_sha256"] for tree in trees]
    assert hashes[0] != hashes[1] == hashes[2]


def test_dynamic_quantization_takes_one_stimulus_at_a_time(stimuli, images):
    """It scales by the range of the batch."""
    text = (
        "module must give a stimulus the same values in any batch, got others from '1' (Linear) alone than with 3 "
        "others; make it look at one stimulus at a time (BatchNorm: with running statistics), or record with "
        "batch_size=1"
    )
    with refused(text):
        record(dynamically(linear(0), images), stimuli, ["1"], batch_size=5)
