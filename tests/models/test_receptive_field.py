"""Receptive fields against the gradient of a network: what it does not depend on, a unit does not see."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.receptive_field import receptive_field
from neuroattn.recording.units import seen
from neuroattn.subjects.gated import GatedSubject

CONFIGS = [
    GatedConfig(size=(1, 23, 29), channels=(2, 3), classes=2, kernel=3),
    GatedConfig(size=(2, 31, 37), channels=(1, 2, 1), classes=2, kernel=2),
    GatedConfig(size=(1, 28, 42), channels=(2, 2), classes=2, kernel=4),
    GatedConfig(size=(1, 11, 13), channels=(2, 2), classes=2, kernel=1),
]


def dependence(config, stage):
    """Return (unit y, unit x, pixel y, pixel x) whether a change of the pixel can change the unit.

    Weights and image are positive, so no rectifier hides a pixel; the mean in place of the maximum hides none either.
    """
    network = GatedNetwork(config, torch.Generator().manual_seed(0))
    image = torch.ones(1, *config.size, requires_grad=True)
    x = image
    for number in range(1, stage + 1):
        weight = network.stages[number - 1].conv.weight.abs() + 0.1
        a = torch.nn.functional.conv2d(x, weight)
        x = torch.nn.functional.avg_pool2d(a, 2)
    places = a.sum((0, 1))
    return np.array(
        [[torch.autograd.grad(unit, image, retain_graph=True)[0][0, 0].numpy() > 0 for unit in row] for row in places]
    )


def sees(config, variable, mask):
    return seen(GatedSubject(module=GatedNetwork(config)), variable, mask)


@pytest.fixture(scope="module", params=[(config, stage) for config in CONFIGS for stage in (1, 2)], ids=str)
def case(request):
    return *request.param, dependence(*request.param)


def test_the_field_is_what_a_unit_depends_on(case):
    config, stage, depends = case
    spacing, side = receptive_field(config, f"stage{stage}/response")
    expected = np.zeros_like(depends)
    for y, x in np.ndindex(depends.shape[:2]):
        expected[y, x, y * spacing : y * spacing + side, x * spacing : x * spacing + side] = True
        assert expected[y, x].sum() == side**2  # the field lies inside the image
    assert_array_equal(depends, expected)


def test_the_network_itself_depends_on_no_pixel_outside():
    """With rectifier, maximum, gate and signed weights, on a random image; the bias keeps units from being silent."""
    config = CONFIGS[0]
    network = GatedNetwork(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for stage in network.stages:
            stage.conv.bias.fill_(1.0)
    responses = []
    for stage in network.stages:
        stage.response.register_forward_hook(lambda _module, _inputs, value: responses.append(value))
    image = torch.rand(1, *config.size, generator=torch.Generator().manual_seed(1), requires_grad=True)
    network(image, network.open_gates(1), network.no_inhibition(1))
    for stage, response in enumerate(responses, 1):
        spacing, side = receptive_field(config, f"stage{stage}/response")
        for y, x in ((0, 0), (3, 5), (response.shape[2] - 1, response.shape[3] - 1)):
            gradient = torch.autograd.grad(response[0, :, y, x].sum(), image, retain_graph=True)[0][0, 0] != 0
            outside = gradient.clone()
            outside[y * spacing : y * spacing + side, x * spacing : x * spacing + side] = False
            assert gradient.any()
            assert not outside.any()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), density=st.sampled_from([0, 0.002, 0.05]))
def test_what_a_mask_is_seen_by(case, seed, density):
    config, stage, depends = case
    mask = np.random.default_rng(seed).random(config.size[1:]) < density
    found = sees(config, f"stage{stage}/response", mask)
    assert found.dtype == bool
    assert_array_equal(found, (depends & mask).any((2, 3)))


@pytest.mark.parametrize(("stage", "expected"), [(1, (1, 4)), (2, (2, 11))])
def test_fields_of_the_digits_network(stage, expected):
    assert receptive_field(digits_config(), f"stage{stage}/response") == expected


def test_the_left_columns_see_the_left_of_the_image():
    mask = np.zeros((28, 42), bool)
    mask[:, :14] = True
    assert_array_equal(sees(digits_config(), "stage1/response", mask).any(0), np.arange(39) < 14)
    assert_array_equal(sees(digits_config(), "stage2/response", mask).any(0), np.arange(16) < 7)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("stage1/gate", (1, 1)),
        ("stage1/gated_input", (1, 1)),
        ("stage1/pooled", (2, 5)),
        ("stage2/gate", (2, 5)),  # of the pooled response that it gates
        ("stage2/gated_input", (2, 5)),
        ("stage2/pooled", (4, 13)),
    ],
)
def test_fields_of_the_other_maps(variable, expected):
    assert receptive_field(digits_config(), variable) == expected


def test_a_gate_sees_what_the_input_that_it_gates_sees():
    mask = np.zeros((28, 42), bool)
    mask[17, 23] = True
    assert_array_equal(sees(digits_config(), "stage1/gate", mask), mask)
    assert_array_equal(np.argwhere(sees(digits_config(), "stage2/gate", mask)), [[7, 10], [7, 11], [8, 10], [8, 11]])


@pytest.mark.parametrize("variable", ["readout/logits", "stage3/gate", "stage0/gate", "stage1/other", "gate"])
def test_what_has_no_field(variable):
    text = f"variable must be a map of a stage (stage1/response …) to have receptive fields, got {variable!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        receptive_field(digits_config(), variable)
