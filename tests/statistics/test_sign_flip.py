from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from refused import refused

from neuroattn.statistics.sign_flip import sign_flip_test


def test_all_signs_by_hand():
    values = np.random.default_rng(0).normal(0.7, 1, 7)
    result = sign_flip_test(values, np.random.default_rng(0))
    means = [np.mean(np.array(signs) * values) for signs in itertools.product((1, -1), repeat=7)]
    assert_allclose(result.p, np.mean(np.abs(means) >= abs(values.mean()) - 1e-12))
    assert_allclose(result.mean, values.mean())
    assert (result.n, result.smallest_p, result.warning) == (7, 2 / 2**7, "")


def test_the_smallest_p_is_reached_and_told():
    result = sign_flip_test([1.0, 1.5, 0.9, 1.1, 2.0], np.random.default_rng(0))
    assert result.p == result.smallest_p == 2 / 2**5
    assert result.warning == "5 networks cannot give p below 0.0625"
    assert sign_flip_test(np.arange(1.0, 11), np.random.default_rng(0)).p == 2 / 2**10


def test_many_networks_are_sampled():
    values = np.random.default_rng(1).normal(0.3, 1, 30)
    one, again, other = (sign_flip_test(values, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == again
    assert one.p != other.p
    assert_allclose(one.p, other.p, atol=0.02)
    assert one.smallest_p == 2 / 10_000


@pytest.mark.parametrize("values", [[], [3.0]])
def test_too_few_networks(values):
    result = sign_flip_test(values, np.random.default_rng(0))
    assert np.isnan(result.p)
    assert result.warning == f"{len(values)} network(s): a permutation test needs at least 2"


def test_what_is_no_row_of_numbers():
    error = "values must be one row of finite numbers, got shape (2,) with 1 not finite"
    with refused(f"{error}*"):
        sign_flip_test([1.0, np.nan], np.random.default_rng(0))
