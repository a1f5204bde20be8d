"""Hooks: what they take, that they change nothing, and that they go."""

from __future__ import annotations

import re

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.probe import probes
from neuroattn.models.trial import free_trial, run_phase
from neuroattn.recording.tap import tap


@pytest.fixture
def image(images):
    return torch.from_numpy(images)


def hooks(network):
    return [hook for module in network.modules() for hook in module._forward_hooks.values()]


@torch.no_grad()
def test_takes_the_chosen_steps_of_every_variable_phase_by_phase(network, image, by_hand):
    expected, _ = by_hand(network, image)
    assert set(expected) == set(probes(network))
    with tap(network, list(expected), [0, 2, 4]) as taps:
        for number, _ in enumerate(free_trial(network, image, 2, last_gates=True)):
            taken = taps.take_phase()
            assert list(taken) == list(expected)
            for name, values in taken.items():
                assert_allclose(values, expected[name][:, number, [0, 2, 4]], atol=1e-5, err_msg=name)


@torch.no_grad()
def test_changes_no_bit_of_what_the_network_does(network, image):
    without = list(free_trial(network, image, 2))
    with tap(network, list(probes(network)), [0]) as taps:
        hooked = []
        for phase in free_trial(network, image, 2):
            hooked.append(phase)
            taps.take_phase()
    for before, after in zip(without, hooked, strict=True):
        assert_array_equal(before.logits, after.logits)
        assert_array_equal(before.gated_image, after.gated_image)
        for left, right in zip(before.gates + before.inhibition, after.gates + after.inhibition, strict=True):
            assert_array_equal(left, right)


def test_values_carry_no_graph(network, image):
    with tap(network, ["readout/logits"], [4]) as taps:
        run_phase(network, image, network.no_inhibition(len(image)))
        assert not taps.take_phase()["readout/logits"].requires_grad


def test_hooks_go_with_the_block(network):
    with tap(network, ["stage1/gate", "readout/logits"], [0]):
        assert len(hooks(network)) == 2
    assert hooks(network) == []


def test_hooks_go_when_an_exception_leaves_the_block(network):
    tapped = tap(network, ["stage1/gate"], [0])
    with pytest.raises(KeyError, match="lost"), tapped:
        raise KeyError("lost")
    assert hooks(network) == []


KNOWN = (
    "stage1/gated_input, stage1/response, stage1/pooled, stage1/gate, "
    "stage2/gated_input, stage2/response, stage2/pooled, stage2/gate, readout/logits, readout/feedback"
)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (
            ["stage1/gate", "stage3/gate"],
            f"variables must be among {KNOWN}, got 'stage3/gate'; correct the name",
        ),
        (
            [],
            f"variables must name at least one variable, got none; choose from {KNOWN}",
        ),
        (["stage1/gate", "stage1/gate"], "variables must not repeat, got stage1/gate more than once; name each once"),
    ],
)
def test_variables_are_checked_before_anything_runs(network, variables, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"), tap(network, variables, [0]):
        pytest.fail("the block must not be entered")
    assert hooks(network) == []


@torch.no_grad()
def test_a_step_that_was_not_computed_is_an_error(network, image):
    text = "stage2/gate was computed 4 times in a phase, too few for steps [3, 4]"
    with tap(network, ["readout/logits", "stage2/gate"], [3, 4]) as taps:
        run_phase(network, image, network.no_inhibition(len(image)))
        with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
            taps.take_phase()
