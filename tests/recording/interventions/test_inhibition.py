"""Inhibition ablated, imposed and swapped, against the trial with those masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import MASKS, NAMES, Hand, N, does, find_donors, flat, values_of

from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import AblateInhibition, ImposeInhibition, Scale, Strength, SwapInhibition
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet


def masked(network, stimuli, masks_of, phases=2):
    return Hand(network, stimuli.images, masks_of=masks_of).run(phases)


def followed(network, stimuli, phases):
    """Return the masks after each phase of the intact network."""
    hand = Hand(network, stimuli.images)
    hand.run(phases)
    return hand.following


def check(network, stimuli, interventions, expected, **options):
    with intervene(network, *interventions):
        found = values_of(record(network, stimuli, NAMES, batch_size=3, **options))
    for name in NAMES:
        assert_allclose(found[name], flat(expected[name]), atol=2e-5, err_msg=name)


FIRST, SECOND = torch.from_numpy(MASKS[0]), torch.from_numpy(MASKS[1]).expand(N, 3, 5, 6)
# Name → interventions, the masks that they make of those of a phase, and phases.
CASES = {
    "ablated": ([AblateInhibition()], lambda _, masks: [masks[0] & False, masks[1] & False], 2),
    "ablated in stage 1": ([AblateInhibition(stages=[1])], lambda _, masks: [masks[0] & False, masks[1]], 2),
    "ablated in stage 2": ([AblateInhibition(stages=[2])], lambda _, masks: [masks[0], masks[1] & False], 2),
    "ablated in one phase, which makes it anew": (
        [AblateInhibition(phases=[1])],
        lambda phase, masks: [mask & (phase != 1) for mask in masks],
        3,
    ),
    "imposed": ([ImposeInhibition(MASKS)], lambda *_: [FIRST, SECOND], 2),
    "imposed in one phase": (
        [ImposeInhibition(MASKS, phases=[1])],
        lambda phase, masks: [FIRST, SECOND] if phase == 1 else masks,
        2,
    ),
    "imposed on one stage": ([ImposeInhibition([MASKS[1]], stages=[2])], lambda _, masks: [masks[0], SECOND], 2),
    "imposed on stages in any order": ([ImposeInhibition(MASKS[::-1], stages=[2, 1])], lambda *_: [FIRST, SECOND], 2),
    "masks meet in the order in which they are given": (
        [ImposeInhibition(MASKS), AblateInhibition(stages=[2])],
        lambda *_: [FIRST, SECOND & False],
        2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_ablated_and_imposed_inhibition(network, stimuli, case):
    interventions, masks_of, phases = CASES[case]
    shown = StimulusSet(stimuli.images) if phases > 2 else stimuli
    check(network, shown, interventions, masked(network, shown, masks_of, phases), phases=phases)


def test_without_inhibition_every_phase_is_the_first(network, stimuli):
    intact = values_of(record(network, stimuli, NAMES))
    for design in ("free", "cued"):
        with intervene(network, AblateInhibition()):
            found = values_of(record(network, stimuli, NAMES, design=design))
        for name in NAMES:
            assert_array_equal(found[name][::2], intact[name][::2])
            assert_array_equal(found[name][1::2], intact[name][::2])


def test_imposed_inhibition_takes_the_place_of_a_cue(network, stimuli):
    one = Hand(network, stimuli.images).run(1, [FIRST, SECOND])
    expected = {name: np.concatenate([values, values], 1) for name, values in one.items()}
    check(network, stimuli, [ImposeInhibition(MASKS)], expected, design="cued")


@pytest.mark.parametrize("stages", [None, [1], [2]])
def test_the_other_object_is_inhibited(network, stimuli, stages):
    """Of two objects: what phase 2 of the intact network inhibits, in place of what phase 1 did."""
    after_1, after_2 = followed(network, stimuli, 2)
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]

    def masks_of(phase, masks):
        if phase == 0:
            return masks
        return [only_2[k] if k + 1 in (stages or (1, 2)) else masks[k] for k in range(2)]

    check(network, stimuli, [SwapInhibition(stages=stages)], masked(network, stimuli, masks_of))


@pytest.mark.parametrize("phases", [None, [2]])
def test_of_three_objects_the_one_of_this_phase_is_inhibited(network, stimuli, phases):
    rng = np.random.default_rng(2)
    three = StimulusSet(stimuli.images, rng.random((N, 3, 1, 11, 13), dtype=np.float32))
    m1, m2, m3 = followed(network, three, 3)
    swapped = {
        1: [second & ~first for first, second in zip(m1, m2, strict=True)],
        2: [first | (third & ~second) for first, second, third in zip(m1, m2, m3, strict=True)],
    }
    assert all((third & ~second).any() for second, third in zip(m2, m3, strict=True))

    def masks_of(phase, masks):
        return swapped[phase] if phase in (phases or (1, 2)) else masks

    check(network, three, [SwapInhibition(phases=phases)], masked(network, three, masks_of, 3))


def test_swapped_cues_are_each_others(network, stimuli):
    intact = record(network, stimuli, NAMES, design="cued")
    with intervene(network, SwapInhibition()):
        tree = record(network, stimuli, NAMES, design="cued")
    for name, found in values_of(tree).items():
        before = values_of(intact)[name]
        assert_array_equal(found[::2], before[1::2])
        assert_array_equal(found[1::2], before[::2])
    assert_array_equal(tree["stage1/gate"]["cued"], intact["stage1/gate"]["cued"])
    assert np.abs(before[::2] - before[1::2]).max() > 1e-3


def test_what_is_swapped_is_of_the_intact_network_whatever_else_is_done(network, stimuli):
    after_1, after_2 = followed(network, stimuli, 2)
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]
    expected = Hand(
        network,
        stimuli.images,
        does("stage1/response", lambda value, _: value * 0.5, steps=[1]),
        lambda phase, masks: only_2 if phase else masks,
        lambda _phase, _step: 0.2,
    ).run()
    check(network, stimuli, [Scale("stage1/response", 0.5, steps=[1]), Strength(0.2), SwapInhibition()], expected)


@pytest.mark.parametrize("design", ["free", "cued"])
def test_the_places_of_another_stimulus_are_inhibited(network, stimuli, design):
    intact = values_of(record(network, stimuli, NAMES, design=design, batch_size=4))
    with intervene(network, SwapInhibition(source="stimulus", seed=3)):
        found = values_of(record(network, stimuli, NAMES, design=design, batch_size=4))
    donor = find_donors(found["stage1/gate"][1::2, 0] == 1, intact["stage1/gate"][1::2, 0] == 1)
    assert (donor != np.arange(N)).all()
    assert_array_equal(donor // 4, np.arange(N) // 4)
    m1, m2 = followed(network, stimuli, 2)
    if design == "free":
        expected = masked(network, stimuli, lambda _, masks: [mask[donor] for mask in masks])
    else:
        cues = [[both & ~mask for both, mask in zip(m2, m1, strict=True)], m1]
        both = [Hand(network, stimuli.images).run(1, [mask[donor] for mask in masks]) for masks in cues]
        expected = {name: np.concatenate([trial[name] for trial in both], 1) for name in NAMES}
    for name in NAMES:
        assert_allclose(found[name], flat(expected[name]), atol=2e-5, err_msg=name)
