"""Every operation against the plain way to write it, forward and back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from neuroattn.models.operations import channels_last, gated, image_convolution, imposed, pooled, tanh


@pytest.fixture
def draw():
    return torch.Generator().manual_seed(0)


def both_ways(ours, plain, inputs, rtol=1e-5, atol=1e-6):
    """Compare values and the gradients for every input that takes one, under one random gradient of the result."""
    results = []
    for operation in (ours, plain):
        leaves = [value.detach().clone().requires_grad_(value.is_floating_point()) for value in inputs]
        result = operation(*[leaf * 1 for leaf in leaves])  # what comes in may be overwritten; a leaf may not
        towards = torch.rand(result.shape, generator=torch.Generator().manual_seed(1)) - 0.5
        result.backward(towards.to(result))
        results.append([result.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*results, strict=True):
        if other is None:
            assert one is None
        else:
            assert_close(one, other, rtol=rtol, atol=atol, check_stride=False)
            assert other.abs().max() > 1e-3  # there is something to compare


def test_gated(draw):
    inputs = [torch.rand(3, 5, 6, 7, generator=draw), torch.rand(3, 5, 6, 7, generator=draw) * 2 - 1]
    both_ways(lambda x, gate: gated(x, gate, 0.3), lambda x, gate: x * (1 - 0.3 * gate), inputs)


def test_imposed(draw):
    signal = torch.rand(3, 5, 6, 7, generator=draw) * 2 - 1
    inhibition = torch.rand(3, 5, 6, 7, generator=draw) < 0.4
    both_ways(lambda x: imposed(x, inhibition), lambda x: torch.where(inhibition, 1.0, x), [signal])
    assert_close(imposed(-torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.bool)), -torch.ones(1, 1, 1, 1))


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_tanh(draw, scale):
    both_ways(tanh, torch.tanh, [scale * (torch.rand(3, 5, 6, 7, generator=draw) * 2 - 1)])
    x = scale * (torch.rand(3, 5, generator=draw) * 2 - 1)
    with torch.no_grad():
        assert_close(tanh(x.clone()), torch.tanh(x), rtol=0, atol=3e-7)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 3)])
def test_pooled(draw, size):
    maps = channels_last(torch.rand(3, 5, *size, generator=draw))
    both_ways(pooled, lambda x: F.max_pool2d(x, 2), [maps])
    with torch.no_grad():
        assert torch.equal(pooled(maps), F.max_pool2d(maps, 2))


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 4),
    features=st.integers(1, 6),
    kernel=st.integers(1, 5),
    height=st.integers(0, 12),
    width=st.integers(0, 12),
)
def test_the_convolution_of_an_image(channels, features, kernel, height, width):
    draw = torch.Generator().manual_seed(channels + 10 * features + 100 * kernel + 1000 * height + 20000 * width)
    shapes = [(2, channels, kernel + height, kernel + width), (features, channels, kernel, kernel), (features,)]
    inputs = [torch.rand(shape, generator=draw) + 0.1 for shape in shapes]
    both_ways(
        lambda image, weight, bias: image_convolution(channels_last(image), weight, bias),
        F.conv2d,
        inputs,
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_convolution_of_an_image_stays_in_full_precision(draw):
    image = channels_last(torch.rand(2, 1, 9, 9, generator=draw).requires_grad_())
    weight, bias = torch.rand(4, 1, 4, 4, generator=draw).requires_grad_(), torch.rand(4, generator=draw)
    exact = F.conv2d(image, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        found = image_convolution(image, weight, bias)
        lowered = F.conv2d(image, weight, bias)
    assert found.dtype == torch.float32
    assert_close(found, exact, rtol=1e-6, atol=1e-6)
    assert (lowered - exact).abs().max() > 1e-3
    found.sum().backward()
    assert weight.grad.dtype == torch.float32


def test_channels_are_innermost():
    for shape in ((2, 3, 4, 5), (2, 1, 4, 5)):
        maps = torch.arange(40 * shape[1], dtype=torch.float32).reshape(shape)
        found = channels_last(maps)
        assert torch.equal(found, maps)
        assert found.stride() == (20 * shape[1], 1, 5 * shape[1], shape[1])


def test_the_slope_of_tanh_survives_a_low_precision():
    """Where tanh itself rounds to 1, whose slope would be 0."""
    x = torch.tensor([-7.0, -3.5, -0.5, 0.0, 1.0, 3.5, 7.0], dtype=torch.bfloat16, requires_grad=True)
    y = tanh(x.clone())
    assert y.dtype == torch.bfloat16
    assert y[-2:].tolist() == [1, 1]
    y.sum().backward()
    assert_close(x.grad.double(), 1 / torch.cosh(x.detach().double()) ** 2, rtol=0.01, atol=0)
