from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from refused import refused
from scipy import stats

from neuroattn.statistics.cluster_permutation import cluster_permutation


def planted(seed, n=7):
    """Differences of networks over eleven steps: up in steps 2 to 4, down in 8 and 9."""
    values = np.random.default_rng(seed).normal(0, 0.2, (n, 11))
    values[:, 2:5] += 0.5
    values[:, 8:10] -= 0.7
    return values


def masses(values):
    """Return each cluster's first and last step and mass, step by step."""
    t = stats.ttest_1samp(values, 0).statistic
    threshold = stats.t.ppf(0.975, len(values) - 1)
    found, run = [], []
    for step, value in enumerate([*t, 0]):
        if run and (abs(value) <= threshold or np.sign(value) != np.sign(t[run[0]])):
            found.append((run[0], run[-1], t[run].sum()))
            run = []
        if abs(value) > threshold:
            run.append(step)
    return found


def test_clusters_and_p_by_hand():
    values = planted(0)
    table = cluster_permutation(values, np.random.default_rng(0))
    expected = masses(values)
    assert list(zip(table["first_step"], table["last_step"], strict=True)) == [cluster[:2] for cluster in expected]
    assert {(2, 4), (8, 9)} <= {cluster[:2] for cluster in expected}
    assert_allclose(table["mass"], [cluster[2] for cluster in expected])
    null = []
    for signs in itertools.product((1, -1), repeat=7):
        clusters = masses(np.array(signs)[:, None] * values)
        null.append(max((abs(mass) for _, _, mass in clusters), default=0))
    assert_allclose(table["p"], [np.mean(np.array(null) >= abs(mass) - 1e-9) for _, _, mass in expected])
    assert_allclose(table["estimate"].iloc[0], values[:, slice(expected[0][0], expected[0][1] + 1)].mean())
    assert set(table["n_networks"]) == {7}
    assert set(table["smallest_p"]) == {2 / 2**7}
    assert table["p"].min() == 2 / 2**7


def test_neighbours_of_opposite_sign_are_two_clusters():
    values = np.random.default_rng(0).normal([0, 1, -1, 0], 0.1, (9, 4))
    table = cluster_permutation(values, np.random.default_rng(0))
    assert {(1, 1), (2, 2)} <= set(zip(table["first_step"], table["last_step"], strict=True))


def test_many_networks_are_sampled():
    values = planted(1, n=20)
    one, again = (cluster_permutation(values, np.random.default_rng(0)) for _ in range(2))
    assert one.equals(again)
    assert (one["smallest_p"] == 1 / 10_000).all()
    assert one.set_index("first_step").loc[2, "p"] < 0.001


def test_no_cluster():
    table = cluster_permutation(np.array([[1.0, -1.0], [-1.0, 1.0], [0.1, 0.2]]), np.random.default_rng(0))
    assert len(table) == 0
    assert "p" in table


@pytest.mark.parametrize("values", [np.zeros((1, 5)), np.zeros(5), [[np.nan, 1.0], [0.0, 1.0]]])
def test_what_is_no_table_of_networks(values):
    error = "values must be finite and have shape (network, time_step) with at least 2 networks, got shape"
    with refused(f"{error}*"):
        cluster_permutation(values, np.random.default_rng(0))
