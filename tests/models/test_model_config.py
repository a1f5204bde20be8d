"""Configuration of a network: its messages, its sizes, its way to JSON and back."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from refused import refused

from neuroattn.models.config import GatedConfig, digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork

GOOD = {"size": (1, 28, 42), "channels": (20, 50), "classes": 10}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size": (28, 42)}, "size must be (channels, height, width), each at least 1, got (28, 42)"),
        ({"size": (1, 0, 42)}, "size must be (channels, height, width), each at least 1, got (1, 0, 42)"),
        ({"channels": ()}, "channels must name at least one stage, each with at least 1 channel, got ()"),
        ({"channels": (3, 0)}, "channels must name at least one stage, each with at least 1 channel, got (3, 0)"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"kernel": 0}, "kernel must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 5.5}, "steps must be a whole number, got 5.5"),
        ({"steps": 10_001}, "steps must be at most 10,000, got 10001"),
        ({"classes": True}, "classes must be a whole number, got True"),
        ({"size": (1, 28.0, 42)}, "size must be whole numbers, got (1, 28.0, 42)"),
        ({"channels": (20, None)}, "channels must be whole numbers, got (20, None)"),
        ({"strength": True}, "strength must be in [0, 1], got True"),
        ({"strength": "0.2"}, "strength must be in [0, 1], got '0.2'"),
        ({"resize": "bilinear"}, "resize must be one of nearest, bicubic, got 'bilinear'"),
        ({"strength": 1.5}, "strength must be in [0, 1], got 1.5"),
        ({"strength": -0.1}, "strength must be in [0, 1], got -0.1"),
        ({"strength": float("nan")}, "strength must be in [0, 1], got nan"),
        (
            {"size": (1, 20000, 28)},
            (
                "size (1, 20000, 28) is too large with kernel 4: the matrices that place maps must take at most "
                "536,870,912 bytes; use smaller images or a smaller kernel"
            ),
        ),
        (
            {"size": (1, 12, 42)},
            (
                "size (1, 12, 42) is too small for 2 stages with kernel 4; "
                "use larger images, fewer stages or a smaller kernel"
            ),
        ),
    ],
)
def test_values_that_are_refused(change, text):
    with refused(text):
        GatedConfig(**GOOD | change)


def test_the_smallest_image_that_is_large_enough():
    assert GatedConfig(**GOOD | {"size": (1, 13, 13)}).pooled_sizes == [(20, 5, 5), (50, 1, 1)]


def test_sizes_of_the_papers_networks():
    digits, scenes = digits_config(), scenes_config()
    assert digits.input_sizes == [(1, 28, 42), (20, 12, 19)]
    assert digits.response_sizes == [(20, 25, 39), (50, 9, 16)]
    assert digits.pooled_sizes == [(20, 12, 19), (50, 4, 8)]
    assert (digits.resize, digits.strength, digits.steps, digits.classes, digits.kernel) == ("nearest", 0.2, 5, 10, 4)
    assert scenes.input_sizes == [(3, 100, 100), (30, 48, 48), (60, 22, 22), (100, 9, 9)]
    assert scenes.pooled_sizes[-1] == (20, 3, 3)
    assert (scenes.resize, scenes.strength, scenes.steps, scenes.classes, scenes.kernel) == ("bicubic", 0.3, 5, 12, 4)


def test_width_of_composites():
    assert [digits_config(n_objects=n).size for n in (2, 3, 5)] == [(1, 28, 42), (1, 28, 56), (1, 28, 84)]
    with refused("n_objects must be at least 2, got 1"):
        digits_config(n_objects=1)


@given(st.data())
def test_json_and_back(data):
    numbers = st.integers(1, 5)
    values = {
        "size": data.draw(st.tuples(numbers, st.integers(1, 200), st.integers(1, 200))),
        "channels": tuple(data.draw(st.lists(numbers, min_size=1, max_size=3))),
        "classes": data.draw(numbers),
        "kernel": data.draw(numbers),
        "resize": data.draw(st.sampled_from(["nearest", "bicubic"])),
        "strength": data.draw(st.floats(0, 1)),
        "steps": data.draw(numbers),
    }
    try:
        config = GatedConfig(**values)
    except ValueError as error:
        assume("too small" not in str(error))
        raise
    again = GatedConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)  # tuples came back as tuples
    for inner, outer in zip(again.input_sizes[1:], again.pooled_sizes, strict=False):
        assert inner == outer
    assert min(min(size) for size in again.pooled_sizes) >= 1


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_shapes_and_bytes_are_those_of_the_network(data):
    side = st.integers(10, 31)
    config = GatedConfig(
        size=(data.draw(st.integers(1, 4)), data.draw(side), data.draw(side)),
        channels=tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))),
        classes=data.draw(st.integers(1, 5)),
        kernel=data.draw(st.integers(1, 3)),
        resize=data.draw(st.sampled_from(["nearest", "bicubic"])),
    )
    network = GatedNetwork(config)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == config.weight_shapes
    assert sum(buffer.nbytes for buffer in network.buffers()) == config.placement_bytes


def test_layers_are_the_stages_responses_bottom_up():
    assert list(digits_config().layers.items()) == [("stage1/response", (20, 25, 39)), ("stage2/response", (50, 9, 16))]
