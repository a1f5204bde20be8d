from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused
from scipy import stats

from neuroattn.statistics.resampling import hierarchical_bootstrap, median


def bootstrap(values, clusters=(), statistic="mean", n_resamples=400, seed=4, **options):
    return hierarchical_bootstrap(values, clusters, statistic, n_resamples, np.random.default_rng(seed), **options)


def width(interval):
    return interval[1] - interval[0]


def test_mean_of_independent_units_has_the_closed_form_interval():
    values = np.random.default_rng(1).normal(3, 2, 401)
    margin = 1.96 * values.std() / np.sqrt(len(values))
    expected = [values.mean() - margin, values.mean() + margin]
    assert_allclose(bootstrap(values, n_resamples=8000), expected, atol=0.06 * margin)


def test_median_of_independent_units_has_the_order_statistic_interval():
    values = np.random.default_rng(1).normal(size=401)
    half = 1.96 * np.sqrt(401) / 2
    expected = np.sort(values)[np.round([200 - half, 200 + half]).astype(int)]
    assert_allclose(bootstrap(values, (), "median", 8000, seed=2), expected, atol=0.03)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_interval_covers_the_truth_when_channels_vary(statistic):
    covered = np.zeros(2)
    channel = np.repeat(np.arange(23), 7)
    for seed in range(200):
        generator = np.random.default_rng(seed)
        values = generator.normal(size=23)[channel] + 0.3 * generator.normal(size=len(channel))
        intervals = [hierarchical_bootstrap(values, by, statistic, 300, generator) for by in ([channel], [])]
        covered += [low < 0 < high for low, high in intervals]
    assert covered[0] > 0.88 * 200
    assert covered[1] < 0.75 * 200


def test_variance_of_the_top_level_widens_the_interval():
    generator = np.random.default_rng(3)
    model = np.repeat(["a", "b", "c", "d", "e"], 60)
    channel = np.tile(np.repeat(np.arange(6), 10), 5)
    values = generator.normal(size=300) + 2 * np.repeat(generator.normal(size=5), 60)
    flat, channels, networks = (bootstrap(values, by, n_resamples=2000) for by in ([], [channel], [model, channel]))
    assert width(networks) > 4 * width(flat)
    expected = 2 * 1.96 * values.reshape(5, 60).mean(axis=1).std() / np.sqrt(5)
    assert_allclose(width(networks), expected, rtol=0.15)
    assert width(channels) < width(networks)


def test_one_network_is_kept_and_its_channels_resampled():
    channel = np.repeat(np.arange(7), 5)
    values = np.random.default_rng(5).normal(size=7)[channel]
    one, alone = (bootstrap(values, by, seed=6) for by in ([np.zeros(35, int), channel], [channel]))
    # The level of the one network spends random numbers, so that only the distributions agree.
    assert_allclose(one, alone, atol=0.15)
    assert width(one) > 0.3


def test_labels_count_within_their_parent():
    model = np.repeat([0, 1, 2], 20)
    inner = np.tile(np.repeat([0, 1, 2, 3], 5), 3)
    values = np.random.default_rng(7).normal(size=60)
    assert_array_equal(*(bootstrap(values, [model, labels]) for labels in (inner, inner + 4 * model)))


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_order_of_units_only_matters_to_the_draws(statistic):
    generator = np.random.default_rng(9)
    channel = generator.integers(0, 11, 301)
    values = generator.normal(size=301) + channel
    shuffled = generator.permutation(301)
    one = bootstrap(values, [channel], statistic, 4000, seed=1)
    other = bootstrap(values[shuffled], [channel[shuffled]], statistic, 4000, seed=2)
    assert_allclose(one, other, atol=0.3)


def test_equal_values_are_units_of_their_own():
    assert bootstrap([2.0] * 9 + [3.0], [], "median") == (2, 2)


def test_median_weighs_each_unit_by_its_own_draws():
    """A quarter of the resamples hold the first channel only, and with it nothing but the largest value."""
    values, channel = np.append(100.0, np.linspace(0, 1, 31)), np.append(0, np.ones(31, int))
    assert bootstrap(values, [channel], "median")[1] == 100


def test_chunks_do_not_change_the_distribution(monkeypatch):
    values = np.random.default_rng(3).normal(size=101)
    whole = bootstrap(values, n_resamples=1000)
    monkeypatch.setattr("neuroattn.statistics.resampling.DRAWS_PER_CHUNK", 707)
    assert_allclose(bootstrap(values, n_resamples=1000), whole, rtol=1e-12)


def test_a_wider_confidence_gives_a_wider_interval():
    values = np.random.default_rng(3).normal(size=101)
    wide, narrow = (bootstrap(values, n_resamples=2000, confidence=confidence) for confidence in (0.99, 0.5))
    assert_allclose(width(wide) / width(narrow), 2.576 / 0.674, rtol=0.1)


def networks(n):
    """Return three values of each of n networks, and which of these each is of."""
    return {"values": np.arange(3 * n), "clusters": [np.repeat(np.arange(n), 3)], "expanded": True}


NOT_FINITE = "values must be one row of finite numbers, got shape ({},) with 1 not finite; drop and count these first"
NOT_EXPANDED = (
    "expanded must be False but for the mean of at least 5 clusters, got the {}; take a t interval over network means"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1.0, np.nan, 2.0]}, NOT_FINITE.format(3)),
        ({"values": [1.0, np.inf]}, NOT_FINITE.format(2)),
        ({"values": []}, "values must hold at least 1 unit, got none; give the units of the estimate"),
        (
            {"clusters": [[0, 1, 2], [0, 1]]},
            "clusters[1] must have one label a value, (3,), got (2,); pass the labels of the same units",
        ),
        ({"statistic": "mode"}, "statistic must be 'mean' or 'median', got 'mode'; choose one of these"),
        ({"n_resamples": 0}, "n_resamples must be at least 1, got 0; 2000 are enough for a 95 % interval"),
        ({"confidence": 95}, "confidence must be in (0, 1), got 95; 0.95 is usual"),
        (networks(4), NOT_EXPANDED.format("mean of 4")),
        (networks(10) | {"statistic": "median"}, NOT_EXPANDED.format("median of 10")),
        (
            networks(5) | {"n_resamples": 1000},
            "n_resamples must be at least 1049 for expanded percentiles of 5 clusters, got 1000; draw more",
        ),
    ],
)
def test_refuses(change, message):
    with refused(message):
        bootstrap(**({"values": [1.0, 2.0, 3.0]} | change))


def test_a_median_needs_no_finite_values():
    values = np.array([1.0, 2.0, 3.0, np.inf, np.inf])
    assert median(values) == 3
    assert median([1.0, np.inf]) == np.inf
    assert median([-np.inf, -np.inf, 1.0]) == -np.inf
    low, high = bootstrap(values, [], "median")
    assert 1 <= low <= 3
    assert high == np.inf


def test_expanded_percentiles_are_those_of_the_resamples_further_out():
    values = np.random.default_rng(0).normal(size=11)
    tail = stats.norm.cdf(stats.t.ppf(0.025, 10) * np.sqrt(11 / 10))
    wide = bootstrap(values, n_resamples=5000, expanded=True)
    assert_allclose(wide, bootstrap(values, n_resamples=5000, confidence=1 - 2 * tail))
