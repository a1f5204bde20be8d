"""Another strength, and gates of other stimuli."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import (
    NAMES,
    STRENGTH,
    Hand,
    N,
    attended_by_hand,
    does,
    find_donors,
    flat,
    refused,
    then,
    values_of,
)

from neuroattn.recording import record as record_module
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import Shuffle, Strength, SwapInhibition, donors
from neuroattn.recording.record import make_plan, record
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.clock import Clock


@pytest.mark.parametrize("phases", [1, 2])
def test_another_strength_is_another_network(network, stimuli, phases):
    expected = record(network.with_strength(0.3), stimuli, NAMES, phases=phases)
    with intervene(network, Strength(0.3)):
        tree = record(network, stimuli, NAMES, phases=phases)
    intact = record(network, stimuli, NAMES, phases=phases)
    for name in NAMES:
        xr.testing.assert_identical(tree[name].to_dataset(), expected[name].to_dataset())
    assert np.abs(values_of(tree)["readout/logits"] - values_of(intact)["readout/logits"]).max() > 1e-3
    assert tree.attrs["identity"] != expected.attrs["identity"]


@pytest.mark.parametrize(("phases", "steps"), [(None, [4]), (None, [0, 1, 2, 3]), ([1], None), ([0], [1, 4])], ids=str)
def test_another_strength_at_some_steps(network, stimuli, phases, steps):
    def strength(phase, step):
        return 0.1 if phase in (phases or (0, 1)) and step in (steps or range(5)) else STRENGTH

    expected = Hand(network, stimuli.images, strength=strength).run()
    with intervene(network, Strength(0.1, phases=phases, steps=steps)):
        tree = record(network, stimuli, NAMES, batch_size=3)
    for name, found in values_of(tree).items():
        assert_allclose(found, flat(expected[name]), atol=2e-5, err_msg=name)
    of_decision = [strength(phase, 4) for phase in range(2)]
    free, constrained = attended_by_hand(expected["stage1/gated_input"][:, :, 4], stimuli, of_decision)
    assert_array_equal(tree["readout/logits"]["attended_unconstrained"], free)
    assert_array_equal(tree["readout/logits"]["attended"], constrained)
    confirmed = (free == constrained).reshape(N, 2).all(1).repeat(2)
    assert_array_equal(tree["readout/logits"]["confirmed"], confirmed)


def test_of_two_strengths_the_later_one_holds(network, stimuli):
    with intervene(network, Strength(0.1), Strength(0.3)):
        tree = record(network, stimuli, ["readout/logits"])
    expected = record(network.with_strength(0.3), stimuli, ["readout/logits"])
    xr.testing.assert_identical(tree["readout/logits"].to_dataset(), expected["readout/logits"].to_dataset())


def test_strength_does_not_change_the_cues(network, stimuli):
    intact = record(network, stimuli, NAMES, design="cued")
    with intervene(network, Strength(0.0)):
        tree = record(network, stimuli, NAMES, design="cued")
    assert_array_equal(tree["stage1/gate"]["cued"], intact["stage1/gate"]["cued"])
    # Nothing is gated, and the imposed gates of 1 are those of the intact network's cues.
    image = np.repeat(stimuli.images.reshape(N, 1, -1), 5, 1).repeat(2, 0)
    assert_array_equal(values_of(tree)["stage1/gated_input"], image)
    imposed = values_of(intact)["stage1/gate"] == 1
    assert 0 < imposed.mean() < 1
    assert_array_equal(values_of(tree)["stage1/gate"] == 1, imposed)


# Shuffled stimuli


@pytest.mark.parametrize("batch_size", [2 + N, 4])
def test_each_stimulus_is_gated_by_another_one(network, stimuli, batch_size):
    gates = ["stage1/gate", "stage2/gate"]
    intact = values_of(record(network, stimuli, gates, batch_size=batch_size))
    with intervene(network, *[Shuffle(name, seed=3) for name in gates]):
        tree = record(network, stimuli, NAMES, batch_size=batch_size)
    found = values_of(tree)
    # Until the first gates are made, nothing was shuffled.
    donor = find_donors(found["stage1/gate"][::2, 0], intact["stage1/gate"][::2, 0])
    assert_array_equal(find_donors(found["stage2/gate"][::2, 0], intact["stage2/gate"][::2, 0]), donor)
    assert (donor != np.arange(N)).all()
    assert_array_equal(donor // batch_size, np.arange(N) // batch_size)
    assert_array_equal(np.sort(donor), np.arange(N))
    change = then(*[does(name, lambda value, _: value[donor]) for name in gates])
    expected = Hand(network, stimuli.images, change).run()
    for name in NAMES:
        assert_allclose(found[name], flat(expected[name]), atol=2e-5, err_msg=name)
    with intervene(network, Shuffle("stage1/gate", seed=3, phases=[0], steps=[0])):
        again = values_of(record(network, stimuli, gates, batch_size=batch_size))
    assert_array_equal(again["stage1/gate"][::2, 0], found["stage1/gate"][::2, 0])
    assert_array_equal(again["stage2/gate"][::2, 0], intact["stage2/gate"][::2, 0])


@settings(deadline=None, max_examples=60)
@given(n=st.integers(2, 29), first=st.integers(0, 100), seed=st.integers(0, 2**32))
def test_donors_are_a_random_cycle(n, first, seed):
    clock = Clock()
    with clock.run(np.arange(first, first + n), 200):
        found = donors(clock, seed).numpy()
        assert_array_equal(donors(clock, seed), found)
    at, visited = 0, []
    for _ in range(n):
        at = found[at]
        visited.append(at)
    assert sorted(visited) == list(range(n))
    assert at == 0


def test_donors_differ_between_seeds_and_batches():
    clock, drawn = Clock(), set()
    for first in (0, 11):
        with clock.run(np.arange(first, first + 11), 22):
            drawn |= {tuple(donors(clock, seed).tolist()) for seed in range(3)}
    assert len(drawn) == 6


SHUFFLED = [[Shuffle("stage1/gate")], [SwapInhibition(source="stimulus")]]


@pytest.mark.parametrize("interventions", SHUFFLED)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 6])
def test_a_batch_of_one_cannot_be_shuffled(monkeypatch, network, stimuli, interventions, batch_size):
    monkeypatch.setattr(record_module, "require_memory", None)  # comes before the first batch
    text = (
        f"batch_size must leave no batch with a single stimulus where stimuli are shuffled, got {batch_size} for 7 "
        "stimuli; choose another"
    )
    with intervene(network, *interventions), refused(text):
        record(network, stimuli, ["readout/logits"], batch_size=batch_size)


@pytest.mark.parametrize("interventions", SHUFFLED)
def test_a_single_stimulus_cannot_be_shuffled(network, stimuli, interventions):
    text = "batch_size must leave no batch with a single stimulus, which has no other to shuffle with"
    with intervene(network, *interventions), refused(text):
        record(network, stimuli.select([0]), ["readout/logits"])


@pytest.mark.parametrize("n", [2, 3, 5, 7, 9, 17, 33])
def test_a_batch_size_that_is_chosen_leaves_no_batch_of_one(monkeypatch, network, stimuli, n):
    some = StimulusSet(np.repeat(stimuli.images, 6, 0)[:n])
    for largest in (1, 2, 4, 256):
        monkeypatch.setattr(record_module, "choose_batch_size", lambda *_, size=largest: min(size, n))
        with intervene(network, Shuffle("stage1/gate")):
            size = make_plan(network, some, ["readout/logits"], [0]).work.batch_size
        assert size >= 2
        assert n % size != 1


def test_who_gates_whom_is_part_of_the_identity(network, stimuli):
    """The donors come from the batch: another batch size gives other values, so it is another recording."""
    trees = []
    for batch_size in (7, 4):
        with intervene(network, Shuffle("stage1/gate")):
            trees.append(record(network, stimuli, ["readout/logits"], batch_size=batch_size))
    values = [values_of(tree)["readout/logits"] for tree in trees]
    assert np.abs(values[0] - values[1]).max() > 1e-3
    assert trees[0].attrs["identity"] != trees[1].attrs["identity"]
