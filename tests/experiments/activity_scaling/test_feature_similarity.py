from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neuroattn.experiments.activity_scaling.feature_similarity import feature_similarity
from neuroattn.experiments.activity_scaling.units import Responses

N_CLASSES, N_UNITS, N_STIMULI = 5, 37, 400


def planted(seed, effect):
    """Units of two sides that prefer a class each; attention to it on the other side adds `effect` to their response.

    Whatever the other object is, a unit responds more when its own is attended, most if that is of its class.
    """
    random = np.random.default_rng(seed)
    label = random.integers(0, N_CLASSES, (N_STIMULI, 2))
    side, preferred = random.integers(0, 2, N_UNITS), random.integers(0, N_CLASSES, N_UNITS)
    own, other = label[:, side], label[:, 1 - side]
    base = 1 + 2.0 * (own == preferred) + 0.3 * random.random((N_STIMULI, N_UNITS))
    unattended = base + effect * (other == preferred)
    half = np.arange(N_STIMULI) % 2
    states = {"attended": 1.5 * base[None], "unattended": unattended[None]}
    return Responses(**states, own=own, other=other, alone=np.ones(own.shape, bool), half=half), preferred


def by_hand(responses, preferred):
    """Return the mean over units, unit by unit and class by class."""
    rows, values = responses.half == 1, []
    for unit in range(N_UNITS):
        a, n = responses.attended[0, rows, unit], responses.unattended[0, rows, unit]
        own, other = responses.own[rows, unit], responses.other[rows, unit]
        d = n - a
        d = d - np.array([d[own == label].mean() for label in own])
        match = other == preferred[unit]
        values.append((d[match].mean() - d[~match].mean()) / ((a + n).mean() / 2))
    return np.mean(values)


def test_against_each_unit_by_hand():
    responses, preferred = planted(0, 0.4)
    found, null = feature_similarity(responses, np.ones(N_UNITS, bool), 0, 200)
    assert_allclose(found, by_hand(responses, preferred))
    assert null.shape == (200,)
    assert found > 0.1
    assert np.abs(null).max() < found


@pytest.mark.slow
def test_the_null_distribution_holds_without_an_effect():
    """Units share their stimuli, so that an interval over units would be far too narrow; p over stimuli is not."""
    p = []
    for seed in range(300):
        responses, _ = planted(seed, 0.0)
        found, null = feature_similarity(responses, np.ones(N_UNITS, bool), seed, 99)
        p.append((1 + np.sum(np.abs(null) >= abs(found))) / 100)
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.075


def test_a_part_of_the_units_and_none():
    responses, _ = planted(1, 0.4)
    part = np.arange(N_UNITS) < 11
    some = Responses(
        **{name: getattr(responses, name)[..., part] for name in ("attended", "unattended", "own", "other", "alone")},
        half=responses.half,
    )
    one, _ = feature_similarity(responses, part, 0, 5)
    same, _ = feature_similarity(some, np.ones(11, bool), 0, 5)
    assert_allclose(one, same)
    nothing, null = feature_similarity(responses, np.zeros(N_UNITS, bool), 0, 5)
    assert np.isnan([nothing, *null]).all()


def test_networks_of_the_same_stimuli_share_their_permutations():
    """Whichever of their units take part: their stimuli's noise is common to all, and must be so in the null, too."""
    responses, _ = planted(2, 0.0)
    side = responses.own[0] == responses.own[0, 0]
    for part in (side, ~side):
        whole = feature_similarity(responses, part, 3, 50)[1]
        alone = [feature_similarity(responses, np.arange(N_UNITS) == unit, 3, 50)[1] for unit in np.flatnonzero(part)]
        assert_allclose(whole, np.mean(alone, axis=0), atol=1e-12)
