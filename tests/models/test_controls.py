"""Networks in which attention cannot work."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_array_equal

from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.controls import CONTROLS, ShuffledGates, control
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import run_phase


@pytest.mark.parametrize("name", ["intact", "one_step"])
def test_controls_that_are_the_network_itself(tiny, name):
    assert control(name, tiny, 0) is tiny


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
def test_a_control_is_run_with_the_neighbours_gates(tiny, images):
    draw = torch.Generator().manual_seed(3)
    gates = [torch.rand(gate.shape, generator=draw) for gate in tiny.open_gates(4)]
    masks = [torch.rand(gate.shape, generator=draw) < 0.2 for gate in gates]
    found = control("shuffled_gates", tiny, 0)(images, gates, masks)
    for index, neighbour in ((0, 3), (1, 0), (2, 1), (3, 2)):
        by_hand = images[index] * (1 - 0.3 * gates[0][neighbour])
        torch.testing.assert_close(found.gated_image[index], by_hand, rtol=0, atol=1e-6)
        own = slice(index, index + 1)
        alone = tiny(images[own], [gate[neighbour : neighbour + 1] for gate in gates], [mask[own] for mask in masks])
        torch.testing.assert_close(found.logits[own], alone.logits, rtol=0, atol=1e-5)
        for level in range(2):
            torch.testing.assert_close(found.gates[level][own], alone.gates[level], rtol=0, atol=1e-5)


def test_shuffled_gates_leave_the_network_as_it_is(tiny, images):
    with torch.no_grad():
        before = run_phase(tiny, images, tiny.no_inhibition(4)).logits
        shuffled = control("shuffled_gates", tiny, 0)
        found = run_phase(shuffled, images, shuffled.no_inhibition(4)).logits
        assert_array_equal(run_phase(tiny, images, tiny.no_inhibition(4)).logits, before)
    assert (found - before).abs().max() > 1e-3


def test_shuffled_gates_stay_shuffled_with_another_strength(tiny):
    twin = control("shuffled_gates", tiny, 0).with_strength(0.7)
    assert isinstance(twin, ShuffledGates)
    assert twin.config.strength == 0.7


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
        expected = GatedNetwork(config, torch.Generator().manual_seed(7), initial=initial)
        for name, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], value)
