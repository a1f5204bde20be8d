"""Phases, the inhibition that carries over, the attended object, and cues."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.trial import (
    attend,
    choose,
    cues,
    free_trial,
    inhibited_next,
    run_phase,
    target_images,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def masks(tiny):
    draw = seeded(5)
    return [torch.rand(mask.shape, generator=draw) < 0.3 for mask in tiny.no_inhibition(4)]


def test_the_threshold_and_that_inhibition_accumulates():
    gates = [torch.tensor([-1.0, 0.0, 0.4999, 0.5, 0.5001, 1.0]), torch.tensor([0.7, 0.3])]
    masks = [torch.tensor([False, True, False, False, True, True]), torch.tensor([False, False])]
    found = inhibited_next(gates, masks)
    assert_array_equal(found[0], [True, True, True, False, True, True])
    assert_array_equal(found[1], [False, True])
    assert_array_equal(masks[0], [False, True, False, False, True, True])  # those given stay as they are


@torch.no_grad()
def test_a_phase_by_hand(tiny, images, masks):
    phase = run_phase(tiny, images, masks)
    gates = tiny.open_gates(4)
    for _ in range(2):  # T - 1
        gates = tiny(images, gates, masks).gates
    last = tiny(images, gates, masks)
    assert_array_equal(phase.logits, last.logits)
    assert_array_equal(phase.gated_image, last.gated_image)
    for level in range(2):
        assert_array_equal(phase.gates[level], gates[level])
        assert_array_equal(phase.inhibition[level], masks[level] | (gates[level] < 0.5))
        assert not torch.equal(phase.gates[level], last.gates[level])


@torch.no_grad()
def test_the_last_step_runs_with_the_old_masks(tiny, images):
    """The gates that follow the last step hold ones where the phase was inhibited, and only there."""
    seen = []
    tiny.stages[0].gate.register_forward_hook(lambda _module, _inputs, value: seen.append(value))
    phase_1, phase_2 = free_trial(tiny, images, 2, last_gates=True)
    assert len(seen) == 6  # T steps a phase
    assert not (seen[2] == 1).any()
    assert_array_equal(seen[5] == 1, phase_1.inhibition[0])
    assert (phase_2.inhibition[0] & ~phase_1.inhibition[0]).any()


@torch.no_grad()
def test_the_last_gates_are_made_on_demand_and_change_nothing(tiny, images):
    steps = []
    tiny.stages[0].gate.register_forward_hook(lambda *_: steps.append(1))
    without = list(free_trial(tiny, images, 2))
    assert len(steps) == 2 * 2
    with_them = list(free_trial(tiny, images, 2, last_gates=True))
    assert len(steps) == 2 * 2 + 2 * 3
    for one, two in zip(without, with_them, strict=True):
        assert_array_equal(one.logits, two.logits)
        assert_array_equal(one.inhibition[0], two.inhibition[0])


@torch.no_grad()
def test_phases_follow_one_another(tiny, images):
    inhibition = tiny.no_inhibition(4)
    for phase in free_trial(tiny, images, 3):
        alone = run_phase(tiny, images, inhibition)
        assert_array_equal(phase.logits, alone.logits)
        for now, before in zip(phase.inhibition, inhibition, strict=True):
            assert not (before & ~now).any()
        inhibition = phase.inhibition


def test_a_network_of_one_step_decides_before_any_feedback(tiny, images):
    tiny.config.__dict__["steps"] = 1  # the class is frozen; a copy would have to share the weights
    try:
        with torch.no_grad():
            phase = run_phase(tiny, images, tiny.no_inhibition(4))
    finally:
        tiny.config.__dict__["steps"] = 3
    assert_array_equal(phase.gated_image, images)
    assert phase.inhibition[0].all()  # every gate is open, so every place passed


def test_gradients_do_not_cross_phases(tiny, images):
    for phase in free_trial(tiny, images, 2):
        assert not any(mask.requires_grad for mask in phase.inhibition)
        phase.logits.sum().backward()  # a graph that reached back would have been freed


def test_gradients_through_the_last_steps_only(tiny, images):
    """Equal to those of a trial whose gates are cut off by hand, and nothing but gradients changes."""
    inhibition, n_steps = tiny.no_inhibition(4), tiny.config.steps
    found = {}
    for number in (None, *range(1, n_steps + 1)):
        tiny.zero_grad()
        phase = run_phase(tiny, images, inhibition, gradient_steps=number)
        phase.logits.square().sum().backward()
        gradient = [None if p.grad is None else p.grad.clone() for p in tiny.parameters()]
        found[number] = phase.logits.detach(), gradient
        tiny.zero_grad()
        gates = tiny.open_gates(4)
        for step in range(n_steps - 1):
            gates = tiny(images, gates, inhibition).gates
            if number is not None and step < n_steps - number:
                gates = [gate.detach() for gate in gates]
        tiny(images, gates, inhibition, top_down=False).logits.square().sum().backward()
        torch.testing.assert_close(gradient, [parameter.grad for parameter in tiny.parameters()])
    for logits, _ in found.values():
        assert_array_equal(logits, found[None][0])
    whole, cut = (found[number][1] for number in (n_steps, 2))
    assert all(torch.equal(one, other) for one, other in zip(whole, found[None][1], strict=True))
    assert any(not torch.allclose(one, other, rtol=1e-3) for one, other in zip(whole, cut, strict=True))


def test_target_images_by_hand():
    image = torch.tensor([[[[0.5, 1.0]]]])
    objects = torch.tensor([[[[[0.5, 0.0]]], [[[0.0, 1.0]]]]])
    found = target_images(image, objects, 0.2)
    assert found.shape == (1, 2, 1, 1, 2)
    assert_allclose(found[0, :, 0, 0], [[0.5, 0.8], [0.4, 1.0]], rtol=1e-6)


def test_the_choice_with_and_without_the_constraint():
    targets = torch.zeros(3, 3, 1, 1, 2)
    targets[:, 0], targets[:, 1], targets[:, 2] = 0.0, 0.5, 1.0
    gated = torch.tensor([0.1, 0.6, 0.6]).reshape(3, 1, 1, 1).expand(3, 1, 1, 2)
    used = torch.tensor([[False, False, False], [False, True, False], [False, True, True]])
    choice = choose(gated, targets, used)
    assert_array_equal(choice.attended, [0, 2, 0])
    assert_array_equal(choice.unconstrained, [0, 1, 1])
    assert_array_equal(choice.used, [[True, False, False], [False, True, True], [True, True, True]])
    assert_array_equal(used, [[False, False, False], [False, True, False], [False, True, True]])


def test_the_error_is_summed_over_channels_and_places():
    targets = torch.zeros(1, 2, 2, 1, 3)
    targets[0, 0, 0] = 0.5  # squared error 0.75
    targets[0, 1, 1, 0, 0] = 0.8  # 0.64: larger at its largest
    choice = choose(torch.zeros(1, 2, 1, 3), targets, torch.zeros(1, 2, dtype=torch.bool))
    assert_array_equal(choice.attended, [1])


@torch.no_grad()
def test_every_object_is_attended_once(tiny, images):
    objects = torch.rand(4, 3, 3, 23, 29, generator=seeded(3))
    attended = torch.stack([choice.attended for _, choice in attend(tiny, images, objects)], 1)
    assert_array_equal(attended.sort(1).values, torch.arange(3).expand(4, 3))


def test_weights_may_change_between_phases(tiny, images):
    objects = torch.rand(4, 2, 3, 23, 29, generator=seeded(3))
    trial = attend(tiny, images, objects)
    first, _ = next(trial)
    with torch.no_grad():
        tiny.readout.bias.fill_(17.0)
        tiny.readout.weight.zero_()
    second, _ = next(trial)
    assert_array_equal(second.logits.detach(), 17.0)
    assert first.logits.abs().max() < 17


@torch.no_grad()
def test_what_a_cue_is(tiny, images):
    phase_1, phase_2 = free_trial(tiny, images, 2)
    made = cues(tiny, images)
    for level in range(2):
        assert_array_equal(made.second[level], phase_1.inhibition[level])
        # Phase 2 inhibits what its own gates let pass; what phase 1 inhibited is 1 in them.
        assert_array_equal(made.first[level], phase_2.gates[level] < 0.5)
        assert not (made.first[level] & made.second[level]).any()
        assert made.first[level].any()
        assert made.second[level].any()
    assert_array_equal(made.gated_images[0], phase_1.gated_image)
    assert_array_equal(made.gated_images[1], phase_2.gated_image)


@torch.no_grad()
def test_the_published_digits_network_attends_the_right_hand_object_first(paper_digits, test_composites):
    shown = test_composites
    (phase_1, first), (phase_2, second) = attend(paper_digits, shown.images, shown.objects)
    assert_array_equal(first.attended, 1)
    assert_array_equal(first.unconstrained, 1)
    assert_array_equal(second.attended, 0)
    assert_array_equal(second.unconstrained, 0)
    for phase, place in ((phase_1, 1), (phase_2, 0)):
        accuracy = (phase.logits.argmax(1) == shown.labels[:, place]).float().mean().item()
        assert_allclose(accuracy, 0.98, atol=0.02)


@pytest.mark.slow
@torch.no_grad()
def test_the_published_digits_network_attends_the_cued_object(paper_digits, test_composites):
    shown = test_composites
    made = cues(paper_digits, shown.images)
    targets = target_images(shown.images, shown.objects, 0.2)
    nothing = torch.zeros(400, 2, dtype=torch.bool)
    for masks, place in ((made.first, 1), (made.second, 0)):
        phase = run_phase(paper_digits, shown.images, masks)
        assert_array_equal(choose(phase.gated_image, targets, nothing).unconstrained, place)
        accuracy = (phase.logits.argmax(1) == shown.labels[:, place]).float().mean().item()
        assert_allclose(accuracy, 0.9875, atol=0.012)
