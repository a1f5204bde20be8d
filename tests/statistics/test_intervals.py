from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import ttest_1samp
from statsmodels.stats.proportion import proportion_confint

from neuroattn.statistics.intervals import fraction_interval, limited_interval, t_interval


def test_the_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.3, 1, 7)
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert_allclose(t_interval(values), [values.mean(), interval.low, interval.high])


def test_in_the_middle_limits_do_not_matter():
    values = 0.5 + 0.001 * np.random.default_rng(1).normal(size=11)
    assert_allclose(limited_interval(values, (0, 1)), t_interval(values), rtol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_a_fraction_has_an_interval_with_a_width_inside_its_limits(fractions):
    mean, low, high = fraction_interval(fractions)
    assert 0 <= low <= mean <= high <= 1
    assert low < high


def test_two_networks_near_one_do_not_reach_beyond():
    """A t interval of these reached from .686 to 1.098."""
    mean, low, high = fraction_interval([0.85, 0.88, 0.946])
    assert_allclose(mean, 0.892)
    assert 0 < low < mean < high < 1


@pytest.mark.parametrize("n", [2, 3, 10])
def test_where_all_networks_agree_the_interval_is_exact(n):
    assert_allclose(fraction_interval([0.0] * n)[1:], proportion_confint(0, n, method="beta"))
    assert_allclose(fraction_interval([1.0] * n)[1:], proportion_confint(n, n, method="beta"))
    low, high = proportion_confint(n, n, method="beta")
    assert_allclose(fraction_interval([1.0] * n, (-1, 1)), [1, 2 * low - 1, 2 * high - 1])


def test_the_interval_of_a_fraction_holds_its_confidence():
    """Networks whose fractions spread as a beta distribution does, near the limit."""
    random = np.random.default_rng(2)
    samples = random.binomial(100, random.beta(2, 38, (4_000, 10))) / 100
    intervals = np.array([fraction_interval(sample)[1:] for sample in samples])
    missed = np.mean((intervals[:, 0] > 0.05) | (intervals[:, 1] < 0.05))
    assert abs(missed - 0.05) < 0.02, missed


def test_one_network_has_no_interval():
    assert_allclose(fraction_interval([0.4]), [0.4, np.nan, np.nan])
    assert np.isnan(t_interval([])).all()


def test_a_value_beyond_the_limits():
    message = "values must lie in [0, 1], got 1.5; give the limits of the measure"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        limited_interval([0.5, 1.5], (0, 1))
