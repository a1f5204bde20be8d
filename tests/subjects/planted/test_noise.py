"""Noise that units share: its size by closed form, and no effect of attention."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from neuroattn.subjects import planted
from neuroattn.subjects.planted.noise import SHARED, SHARED_ATTENDED, noise_of


def test_fano_factor_and_correlation_are_those_of_the_formula(cued):
    n_trials = 3000
    images = np.ones((n_trials, 1, 9, 16), np.float32)
    images[:, 0, 0, 0] = np.arange(n_trials) / n_trials  # one pixel, in the field of one unit a channel, tells trials
    objects = np.zeros((n_trials, 2, 1, 9, 16), np.float32)
    objects[:, 0, :, :, 2] = objects[:, 1, :, :, 13] = 1
    left = cued(planted.shared_noise(), images, objects)[..., 1:, :5]
    for counts, shared in zip(left, (SHARED_ATTENDED, SHARED), strict=True):
        of_units = counts.reshape(n_trials, -1)
        mean = 10 / (1 + 0.3**2)
        fano, correlation = noise_of(mean, shared)
        assert_allclose(of_units.mean(), mean, rtol=0.01)
        assert_allclose((of_units.var(0) / of_units.mean(0)).mean(), fano, rtol=0.02)
        found = np.corrcoef(of_units.T)
        pairs = found[np.triu_indices(len(found), 1)]
        assert_allclose(pairs.mean(), correlation, atol=0.008)


def test_draws_come_back_in_any_batch_and_differ_between_seeds(cued):
    rng = np.random.default_rng(0)
    images = rng.random((400, 1, 9, 16), np.float32)
    objects = np.zeros((400, 2, 1, 9, 16), np.float32)
    objects[:, 0, :, :, 2] = objects[:, 1, :, :, 13] = 1
    counts = cued(planted.shared_noise(), images, objects)[0]
    assert_allclose(cued(planted.shared_noise(), images[7:19], objects[7:19])[0], counts[7:19])
    images[:, :, 1:] = 1  # then the lower units' mean is the same, whatever orientations a seed draws
    one, other = (cued(planted.shared_noise(seed), images[:40], objects[:40])[0][..., 1:, :] for seed in (0, 1))
    assert np.mean(one == other) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "of_counts"), [("activity_scaling", "difference"), ("cost_and_benefit", "")])
def test_over_seeds_attention_has_no_effect_on_means(through, protocol, of_counts):
    subjects = [planted.shared_noise(seed) for seed in range(5)]
    units = through(protocol, *subjects, n_stimuli=40, n_units=60).units.query("ungated_with_object > 1")
    table = units.groupby("model")[list(subjects[0].expected(protocol))].mean()
    half_width = 2.78 * table.std() / 5**0.5
    # Of indices, and of counts.
    bound = pd.Series(0.05, table.columns).mask(table.columns == of_counts, 0.3)
    assert (table.mean().abs() + half_width < bound).all()
    assert (table.std() > 1e-3).all()
