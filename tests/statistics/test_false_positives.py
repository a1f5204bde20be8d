"""How often each test rejects when attention does nothing, on nested data: networks, layers, units and stimuli vary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neuroattn.statistics.cluster_permutation import cluster_permutation
from neuroattn.statistics.intervals import fraction_interval
from neuroattn.statistics.mixed import mixed_model
from neuroattn.statistics.population import Measure, estimate
from neuroattn.statistics.resampling import hierarchical_bootstrap
from neuroattn.statistics.sign_flip import sign_flip_test

# With 600, a test of 5 % may reject 2.0 to 8.8 %, and one that rejects 15 % is found out. With 300 fits, 1.0 to 10.7 %.
N_EXPERIMENTS, N_FITS = 600, 300
N_NETWORKS, N_LAYERS, N_UNITS, N_STIMULI, N_STEPS = 10, 2, 30, 6, 5
NETWORK, LAYER, UNIT = (
    index.ravel() for index in np.meshgrid(range(N_NETWORKS), range(N_LAYERS), range(N_UNITS), indexing="ij")
)
# Standard deviations of the difference between the states, over each level.
SD = {"network": 0.3, "layer": 0.2, "unit": 0.3, "stimulus": 1.0}


def allowed(n):
    """Return how rarely and how often a test of 5 % rejects in n experiments, but for one time in 10,000."""
    low, high = stats.binom.interval(0.9999, n, 0.05)
    return low / n, high / n


def experiment(random):
    """Return differences of units (unit,), without an effect of attention: its mean is 0 over networks."""
    of_network = random.normal(0, SD["network"], N_NETWORKS)
    of_layer = random.normal(0, SD["layer"], (N_NETWORKS, N_LAYERS))
    of_unit = random.normal(0, SD["unit"], len(UNIT))
    of_stimulus = random.normal(0, SD["stimulus"], (len(UNIT), N_STIMULI)).mean(axis=1)
    return of_network[NETWORK] + of_layer[NETWORK, LAYER] + of_unit + of_stimulus


def time_courses(random):
    """Return differences of networks (network, time_step) that are correlated over steps, without an effect."""
    return np.cumsum(random.normal(0, 1, (N_NETWORKS, N_STEPS)), axis=1) + random.normal(0, 0.5, (N_NETWORKS, N_STEPS))


def means(differences):
    return np.bincount(NETWORK, differences) / np.bincount(NETWORK)


def by_t(random):
    units = pd.DataFrame({"model": NETWORK, "channel": UNIT, "effect": experiment(random)})
    return estimate(units, "effect", Measure("effect"), random, 2)["p"] < 0.05


def by_interval_of_medians(random):
    units = pd.DataFrame({"model": NETWORK, "channel": UNIT, "effect": experiment(random)})
    row = estimate(units, "effect", Measure("effect"))
    return not row["interval_low"] < 0 < row["interval_high"]


def by_interval_of_shares(random):
    """Of units that respond more when attended: half of them, if attention does nothing."""
    shares = np.bincount(NETWORK, experiment(random) > 0) / np.bincount(NETWORK)
    _, low, high = fraction_interval(shares)
    return not low < 0.5 < high


def by_sign_flip(random):
    return sign_flip_test(means(experiment(random)), random).p < 0.05


def by_bootstrap(random):
    low, high = hierarchical_bootstrap(experiment(random), [NETWORK], "mean", 1000, random, expanded=True)
    return not low < 0 < high


def by_cluster(random):
    return (cluster_permutation(time_courses(random), random)["p"] < 0.05).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "rejects", [by_t, by_interval_of_medians, by_interval_of_shares, by_sign_flip, by_bootstrap, by_cluster]
)
def test_what_nothing_does_is_found_in_five_of_a_hundred_experiments(rejects):
    random = np.random.default_rng(0)
    low, high = allowed(N_EXPERIMENTS)
    rate = np.mean([rejects(random) for _ in range(N_EXPERIMENTS)])
    assert low <= rate <= high, rate


@pytest.mark.slow
def test_the_mixed_model_keeps_its_level():
    random = np.random.default_rng(0)
    p = []
    for _ in range(N_FITS):
        units = pd.DataFrame({"model": NETWORK, "layer": LAYER, "effect": experiment(random)})[UNIT < 8]
        p.append(mixed_model(units, "effect").set_index(["what", "layer"])["p"])
    rates = (pd.DataFrame(p) < 0.05).mean()
    assert set(rates.index) == {("attention", "0"), ("attention", "1"), ("attention × layer", "1")}
    assert rates.between(*allowed(N_FITS)).all(), rates


@pytest.mark.slow
def test_units_as_if_each_were_an_animal_are_significant_two_times_out_of_three():
    """The t test that the documentation warns of, and the bootstrap without its correction."""
    random = np.random.default_rng(0)
    differences = [experiment(random) for _ in range(N_EXPERIMENTS)]
    naive = np.mean([stats.ttest_1samp(one, 0).pvalue < 0.05 for one in differences])
    assert 0.6 < naive < 0.7, naive
    intervals = [hierarchical_bootstrap(one, [NETWORK], "mean", 1000, random) for one in differences]
    assert 0.08 < np.mean([not low < 0 < high for low, high in intervals]) < 0.12
