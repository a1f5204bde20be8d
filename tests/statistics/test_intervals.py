from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from refused import refused
from scipy.optimize import minimize_scalar
from scipy.stats import multinomial, norm, t, ttest_1samp
from statsmodels.stats.proportion import proportion_confint

from neuroattn.statistics.intervals import (
    fraction_interval,
    limited_interval,
    paired_difference_interval,
    t_interval,
)


def test_the_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.3, 1, 7)
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert_allclose(t_interval(values), [values.mean(), interval.low, interval.high])


def test_in_the_middle_limits_do_not_matter():
    values = 0.5 + 0.001 * np.random.default_rng(1).normal(size=11)
    assert_allclose(limited_interval(values, (0, 1)), t_interval(values), rtol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
@example([0.0, 5e-324])
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


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(2, 38, 0.05), (20, 5, 0.05), (0.1, 5, 0.15)], ids=["near a limit", "inside", "mostly 0"]
)
def test_how_often_the_interval_of_a_fraction_misses_the_mean(a, b, expected):
    """Networks whose fractions spread as a beta distribution does; of 0 in most of them it is too narrow."""
    random = np.random.default_rng(2)
    samples = random.binomial(100, random.beta(a, b, (2_000, 10))) / 100
    intervals = np.array([fraction_interval(sample)[1:] for sample in samples])
    mean = a / (a + b)
    missed = np.mean((intervals[:, 0] > mean) | (intervals[:, 1] < mean))
    assert abs(missed - expected) < 0.03, missed


def test_agreement_between_the_limits_is_chance_where_trials_are_known():
    """Three networks that each return on 23 of 42 stimuli: with a network as one trial, [.05, .97]."""
    p = 23 / 42
    mean, low, high = fraction_interval([p] * 3, trials=42)
    error = np.sqrt(p * (1 - p) / (3 * 42))
    assert_allclose(mean, p)
    assert_allclose([mean - low, high - mean], t.ppf(0.975, 2) * error, rtol=0.1)
    assert fraction_interval([0.0] * 3, trials=42) == fraction_interval([0.0] * 3)
    near = fraction_interval([p, p, p + 1e-3], trials=42)
    assert near.high - near.low < high - low  # of networks that differ the spread decides
    d = fraction_interval([0.0] * 4, (-1, 1), trials=300)
    assert -0.1 < d.low < 0 < d.high < 0.1


def test_one_network_has_no_interval():
    assert_allclose(fraction_interval([0.4]), [0.4, np.nan, np.nan])
    assert np.isnan(t_interval([])).all()


def test_a_value_beyond_the_limits():
    with refused("values must lie in [0, 1], got 1.5; give the limits of the measure"):
        limited_interval([0.5, 1.5], (0, 1))


@pytest.mark.parametrize(("more", "fewer", "n"), [(12, 2, 50), (3, 9, 23), (1, 0, 44), (5, 5, 11)])
def test_the_limits_of_a_paired_difference_are_those_of_a_score_test(more, fewer, n):
    """The probability of −1 under a limit is found by maximising the likelihood, not by the formula."""
    differences = np.repeat([1, -1, 0], [more, fewer, n - more - fewer])
    found = paired_difference_interval(differences)
    assert found.mean == pytest.approx((more - fewer) / n)
    for limit, z in ((found.low, norm.ppf(0.975)), (found.high, norm.ppf(0.025))):

        def surprise(q, limit=limit):
            probabilities = np.maximum([q + limit, q, 1 - 2 * q - limit], 1e-300)
            return -np.dot([more, fewer, n - more - fewer], np.log(probabilities))

        bounds = (max(0, -limit), (1 - limit) / 2)
        q = minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
        score = (more - fewer - n * limit) / np.sqrt(n * (2 * q + limit * (1 - limit)))
        assert_allclose(score, z, rtol=1e-3)


def test_paired_choices_that_all_agree_have_an_interval():
    z = norm.ppf(0.975)
    assert_allclose(paired_difference_interval(np.ones(9)), (1, (9 - z**2) / (9 + z**2), 1))
    assert_allclose(paired_difference_interval(-np.ones(9)), (-1, -1, -(9 - z**2) / (9 + z**2)))
    none = paired_difference_interval(np.zeros(9))
    assert_allclose(none, (0, -(z**2) / (9 + z**2), z**2 / (9 + z**2)))
    assert np.isnan(paired_difference_interval([])).all()
    with refused("differences must be -1, 0 or 1, got 0.5; pass one difference of choices a trial"):
        paired_difference_interval([0, 0.5])


def test_intervals_of_paired_differences_hold_the_true_one():
    """Every outcome of 20 trials, weighed by its probability."""
    n, (up, down) = 20, (0.25, 0.1)
    held = 0.0
    for more in range(n + 1):
        for fewer in range(n + 1 - more):
            found = paired_difference_interval(np.repeat([1, -1, 0], [more, fewer, n - more - fewer]))
            if found.low <= up - down <= found.high:
                held += multinomial.pmf([more, fewer, n - more - fewer], n, [up, down, 1 - up - down])
    assert 0.94 < held < 0.97
