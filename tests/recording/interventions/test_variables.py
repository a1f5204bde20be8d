"""Interventions on variables: every value that follows, against the trial with the change in its place."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import CASES, NAMES, STRENGTH, Hand, attended_by_hand, flat, values_of

from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import Clamp, Scale
from neuroattn.recording.record import record


def begins(interventions):
    """Return (phase, step, place in the step) of the first value that may differ."""
    return min((min(i.phases or [0]), min(i.steps or [0]), NAMES.index(i.variable)) for i in interventions)


def test_the_trial_by_hand_is_the_networks(network, stimuli):
    hand = Hand(network, stimuli.images)
    expected, tree = hand.run(), record(network, stimuli, NAMES, batch_size=3)
    for name, found in values_of(tree).items():
        assert_allclose(found, flat(expected[name]), atol=1e-5, err_msg=name)
    for mask in (*hand.following[0], *hand.following[1]):
        assert 0.2 < mask.float().mean() < 0.95


@pytest.mark.parametrize("case", CASES)
def test_what_is_changed_changes_what_follows_and_nothing_before(network, stimuli, case):
    interventions, change = CASES[case]
    expected = Hand(network, stimuli.images, change).run()
    intact = values_of(record(network, stimuli, NAMES, batch_size=3))
    with intervene(network, *interventions):
        tree = record(network, stimuli, NAMES, batch_size=3)
    first, differs = begins(interventions), 0.0
    for name, found in values_of(tree).items():
        assert_allclose(found, flat(expected[name]), atol=2e-5, err_msg=name)
        for phase, step in np.ndindex(2, 5):
            before, after = intact[name][phase::2, step], found[phase::2, step]
            if (phase, step, NAMES.index(name)) < first:
                assert_array_equal(before, after)
            else:
                differs = max(differs, np.abs(before - after).max())
    assert differs > 1e-2
    free, constrained = attended_by_hand(expected["stage1/gated_input"][:, :, 4], stimuli, [STRENGTH] * 2)
    assert_array_equal(tree["readout/logits"]["attended_unconstrained"], free)
    assert_array_equal(tree["readout/logits"]["attended"], constrained)


def test_gates_after_the_last_step_gate_nothing(network, stimuli):
    intact = record(network, stimuli, NAMES)
    with intervene(network, Scale("stage1/gate", -1.5, steps=[4])):
        tree = record(network, stimuli, NAMES)
    for name in set(NAMES) - {"stage1/gate"}:
        xr.testing.assert_identical(tree[name].to_dataset(), intact[name].to_dataset())


def test_gates_that_let_nothing_pass_inhibit_nothing(network, stimuli):
    """Then the second phase is the first one over again."""
    intact = values_of(record(network, stimuli, NAMES))
    clamped = [Clamp(f"stage{number}/gate", 1.0, phases=[0], steps=[3]) for number in (1, 2)]
    with intervene(network, *clamped):
        found = values_of(record(network, stimuli, NAMES))
    for name in NAMES:
        assert_array_equal(found[name][1::2], intact[name][::2])


def cued_by_hand(network, stimuli, change):
    """Return what both cues lead to, with cues of the intact network."""
    free = Hand(network, stimuli.images)
    free.run()
    after_1, after_2 = free.following
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]
    both = [Hand(network, stimuli.images, change).run(1, masks) for masks in (only_2, after_1)]
    return {name: np.concatenate([trial[name] for trial in both], 1) for name in NAMES}


@pytest.mark.parametrize("case", ["a gate is clamped after a step", "gates are replaced, one a stimulus"])
def test_cues_are_the_intact_networks(network, stimuli, case):
    interventions, change = CASES[case]
    expected = cued_by_hand(network, stimuli, change)
    intact = record(network, stimuli, NAMES, design="cued", batch_size=3)
    with intervene(network, *interventions):
        tree = record(network, stimuli, NAMES, design="cued", batch_size=3)
    for name, found in values_of(tree).items():
        assert_allclose(found, flat(expected[name]), atol=2e-5, err_msg=name)
    assert_array_equal(tree["stage1/gate"]["cued"], intact["stage1/gate"]["cued"])
    assert np.abs(values_of(tree)["readout/logits"] - values_of(intact)["readout/logits"]).max() > 1e-3
