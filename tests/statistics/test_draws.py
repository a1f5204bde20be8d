from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from neuroattn.statistics.draws import Level, draw, means, medians, ranked, shares


def test_draws_follow_the_groups():
    level = Level(first=np.array([0, 3, 5]), size=np.array([3, 2, 7]))
    groups = np.array([[2, 0, 1], [0, 3, 0], [1, 1, 1]])
    counts = draw(groups, level, np.random.default_rng(0))
    drawn = np.stack([part.sum(axis=1) for part in np.split(counts, level.first[1:], axis=1)], axis=1)
    assert_array_equal(drawn, groups * level.size)


def test_members_are_drawn_alike():
    level = Level(first=np.array([0, 3]), size=np.array([3, 2]))
    counts = draw(np.ones((20011, 2), dtype=int), level, np.random.default_rng(0))
    assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    assert_allclose(counts.var(axis=0), [2 / 3, 2 / 3, 2 / 3, 1 / 2, 1 / 2], atol=0.03)


@pytest.mark.parametrize("draws_of", [(1, 1), (2, 0), (0, 2), (2, 1)])
@pytest.mark.parametrize("estimate", [medians, means, shares])
def test_resamples_have_the_distribution_of_all_that_can_be_drawn(estimate, draws_of):
    """Two clusters of three units, drawn once, twice or not at all: every outcome can be listed."""
    level = Level(first=np.array([0, 3]), size=np.array([3, 3]))
    values = np.array([1.0, 5.0, 2.5, 2.0, 4.0, 3.2] if estimate is medians else [1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    clusters = [values[:3]] * 3 * draws_of[0] + [values[3:]] * 3 * draws_of[1]
    outcomes = np.array([*itertools.product(*clusters)])
    what = np.median(outcomes, axis=1) if estimate is medians else outcomes.mean(axis=1)
    possible, ways = np.unique(what.round(9), return_counts=True)
    n, given = 20_000, (ranked(level, values),) if estimate is medians else (level, values)
    found = estimate(*given, np.tile(draws_of, (n, 1)), np.random.default_rng(1)).round(9)
    assert set(found) <= set(possible)
    observed = (found[:, None] == possible).sum(axis=0)
    expected = n * ways / ways.sum()
    likely = expected >= 5
    pooled = [np.append(counts[likely], counts[~likely].sum() + 1e-9) for counts in (observed, expected)]
    assert stats.chisquare(*pooled).pvalue > 0.001
