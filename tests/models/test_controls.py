"""Networks in which attention cannot work."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.controls import CONTROLS, control, donors
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import run_phase


@pytest.mark.parametrize("name", ["intact", "one_step"])
def test_controls_that_are_the_network_itself(tiny, name):
    assert control(name, tiny, 0) is tiny


def test_untrained_twins_of_two_networks_are_two_networks(tiny):
    other = copy.copy(tiny)
    other.name = "other"
    one, two = (control("untrained", network, 0).state_dict() for network in (tiny, other))
    assert not any(torch.equal(one[name], two[name]) for name in one)


def test_without_strength(tiny):
    off = control("zero_strength", tiny, 0)
    assert off.config.strength == 0
    assert_array_equal(off.readout.weight.detach(), tiny.readout.weight.detach())


def test_untrained_weights_differ_and_are_reproducible(tiny):
    before = torch.get_rng_state()
    one, same, other = (control("untrained", tiny, seed).state_dict() for seed in (3, 3, 4))
    assert_array_equal(torch.get_rng_state(), before)
    for name, value in tiny.state_dict().items():
        assert_array_equal(one[name], same[name])
        assert not torch.equal(one[name], other[name])
        assert not torch.equal(one[name], value)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_keeps_name_precision_and_mode(tiny, images, name):
    subject = control(name, tiny.double(), 0)
    assert (subject.name, subject.training) == ("tiny", False)
    with torch.no_grad():
        assert run_phase(subject, images.double(), subject.no_inhibition(4)).logits.dtype == torch.float64


@torch.no_grad()
def test_a_phase_is_gated_by_the_gates_of_others_at_every_step(tiny, images):
    others, masks = torch.tensor([2, 3, 0, 1]), tiny.no_inhibition(4)
    found = run_phase(tiny, images, masks, donors=others)
    gates = tiny.open_gates(4)
    for _ in range(tiny.config.steps - 1):
        gates = tiny(images, [gate[others] for gate in gates], masks).gates
    torch.testing.assert_close(found.gated_image, images * (1 - 0.3 * gates[0][others]), rtol=0, atol=1e-6)
    by_hand = tiny(images, [gate[others] for gate in gates], masks)
    torch.testing.assert_close(found.logits, by_hand.logits, rtol=0, atol=1e-6)
    assert (found.logits - run_phase(tiny, images, masks).logits).abs().max() > 1e-3


def test_donors_attend_the_same_side_and_are_never_the_stimulus_itself_but_where_it_is_alone():
    side = torch.tensor([0, 1, 0, 1, 0, 2, 1])
    found = donors(side)
    assert torch.equal(side[found], side)
    assert (found == torch.arange(7)).tolist() == [False] * 5 + [True, False]
    assert torch.equal(found.sort().values, torch.arange(7))


def test_shuffled_gates_leave_the_network_as_it_is_and_stay_with_another_strength(tiny):
    shuffled = control("shuffled_gates", tiny, 0)
    assert shuffled.gates_of_others
    assert not tiny.gates_of_others
    twin = shuffled.with_strength(0.7)
    assert (twin.gates_of_others, twin.config.strength) == (True, 0.7)


def test_an_unknown_control(tiny):
    text = r"^control must be one of intact, zero_strength, one_step, shuffled_gates, untrained, got 'shuffled'$"
    with pytest.raises(ValueError, match=text):
        control("shuffled", tiny, 0)


def test_the_untrained_control_is_drawn_as_the_network_was(tmp_path):
    config = GatedConfig(size=(3, 40, 40), channels=(4, 5), classes=3)
    for options, initial in (({"initial": "he"}, "he"), ({}, "uniform")):
        trained = GatedNetwork(config, torch.Generator().manual_seed(1))
        save_model(trained, tmp_path / "a.safetensors", training={"options": options}, provenance={})
        found = control("untrained", load_model(tmp_path / "a.safetensors"), 7)
        seed = int(np.random.default_rng([7, *b"gated"]).integers(2**32))
        expected = GatedNetwork(config, torch.Generator().manual_seed(seed), initial=initial)
        for name, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], value)
