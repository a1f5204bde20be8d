"""Hooks: what they hand on, that they change nothing, and that they go."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.models.probe import probes
from neuroattn.models.trial import free_trial, phase_steps
from neuroattn.subjects.clock import Clock
from neuroattn.subjects.subject import Tapped
from neuroattn.subjects.tap import element, tap, with_element


@pytest.fixture
def image(images):
    return torch.from_numpy(images)


def hooks(network):
    return [hook for module in network.modules() for hook in module._forward_hooks.values()]


def tapped(network, *names):
    return {name: Tapped(probes(network)[name]) for name in names or probes(network)}


@torch.no_grad()
def announced_trial(network, image, clock):
    """Run a free trial of two phases, telling a clock of every step."""
    inhibition = network.no_inhibition(len(image))
    for number in range(2):
        steps = phase_steps(network, image, inhibition, last_gates=True)
        while True:
            try:
                clock.announce(number, next(steps))
            except StopIteration as end:
                phase = end.value
                break
        yield phase
        inhibition = phase.inhibition


def test_hands_on_every_step_of_every_variable_phase_by_phase(network, image, by_hand):
    expected, _ = by_hand(network, image)
    assert set(expected) == set(probes(network))
    clock, found = Clock(), {}
    with (
        clock.run(np.arange(len(image)), len(image)),
        tap(tapped(network), clock, lambda name, *at: found.setdefault(name, {}).update({at[:2]: at[2]})),
    ):
        list(announced_trial(network, image, clock))
    for name, values in expected.items():
        assert set(found[name]) == {(phase, step) for phase in range(2) for step in range(5)}
        for (phase, step), value in found[name].items():
            assert not value.requires_grad
            assert_allclose(value, values[:, phase, step], atol=1e-5, err_msg=f"{name} {phase} {step}")


@torch.no_grad()
def test_changes_no_bit_of_what_the_network_does(network, image):
    without = list(free_trial(network, image, 2, last_gates=True))
    clock = Clock()
    with clock.run(np.arange(len(image)), len(image)), tap(tapped(network), clock, lambda *_: None):
        hooked = list(announced_trial(network, image, clock))
    for before, after in zip(without, hooked, strict=True):
        assert_array_equal(before.logits, after.logits)
        assert_array_equal(before.gated_image, after.gated_image)
        for left, right in zip(before.gates + before.inhibition, after.gates + after.inhibition, strict=True):
            assert_array_equal(left, right)


@torch.no_grad()
def test_a_pause_is_nobodys_business(network, image):
    clock = Clock()
    with clock.run(np.arange(len(image)), len(image)), tap(tapped(network), clock, pytest.fail), clock.pause():
        list(free_trial(network, image, 1))


@pytest.mark.parametrize("error", [None, KeyError("lost")])
def test_hooks_go_with_the_block(network, error):
    expected = contextlib.nullcontext() if error is None else pytest.raises(KeyError, match="lost")
    with expected, tap(tapped(network, "stage1/gate", "readout/logits"), Clock(), lambda *_: None):
        assert len(hooks(network)) == 2
        if error:
            raise error
    assert hooks(network) == []


def test_an_element_of_a_tuple_is_taken_and_put_back():
    first, second = torch.zeros(2), torch.ones(2)
    assert element((first, second), "block", None) is first
    assert element([first, second], "block", 1) is second
    assert element(first, "block", None) is first
    assert with_element((first, second), 1, first) == (first, first)
    assert with_element(second, None, first) is first
    state = torch.return_types.max((first, second))
    assert with_element(state, 1, first).indices is first


class Named(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


def test_an_element_has_the_name_that_its_module_gives_it():
    first, second = torch.zeros(2), torch.ones(2)
    outputs = [Named(first, second), OrderedDict(left=first, right=second)]
    for output in outputs:
        assert element(output, "block", "right") is second
        changed = with_element(output, "right", first)
        assert type(changed) is type(output)
        assert element(changed, "block", "left") is element(changed, "block", "right") is first
        assert element(output, "block", "right") is second  # what the module holds is its own
    assert element({7: first}, "block", 7) is first
    assert element({"7": first}, "block", 7) is first
    assert with_element({7: first}, 7, second) == {7: second}


@pytest.mark.parametrize(
    ("output", "number", "text"),
    [
        (
            (1, torch.zeros(2)),
            None,
            "a tensor or a tuple with one, got tuple of int, Tensor; name an element (block[1])",
        ),
        ((torch.zeros(2),), 1, "a tensor, got tuple of Tensor to take element 1 of"),
        ({"a": 1}, None, "a tensor or a tuple with one, got dict of 'a'; record another variable"),
        (
            {"a": torch.zeros(2), "b": 1, "c\n": torch.ones(2)},
            None,
            "a tensor or a tuple with one, got dict of 'a', 'b', 'c\\n'; name an element (block[a])",
        ),
        ({"a": torch.zeros(2)}, "b", "a tensor, got dict of 'a' to take element b of"),
        (
            dict.fromkeys(range(29), 1),
            0,
            "a tensor, got dict of 0, 1, 2, 3, 4, 5 … to take element 0 of",
        ),
        (torch.zeros(2), 1, "a tuple or a dict to have an element 1, got Tensor"),
        (torch.zeros(2), "a", "a tuple or a dict to have an element a, got Tensor"),
    ],
)
def test_an_output_without_a_tensor_in_its_place(output, number, text):
    with refused(f"block must be {text}"):
        element(output, "block", number)
