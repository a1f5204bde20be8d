from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from refused import refused
from statsmodels.stats.weightstats import DescrStatsW

from neuroattn.statistics.equivalence import equivalence_test


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_statsmodels(seed):
    values = np.random.default_rng(seed).normal(0.3, 1, 13)
    result = equivalence_test(values, -0.7, 0.9)
    reference = DescrStatsW(values)
    p, (_, p_lower, _), (_, p_upper, _) = reference.ttost_mean(-0.7, 0.9)
    assert_allclose([result.p, result.p_lower, result.p_upper], [p, p_lower, p_upper], rtol=1e-10)
    assert_allclose([result.interval_low, result.interval_high], reference.tconfint_mean(alpha=0.10), rtol=1e-10)
    assert_allclose([result.mean, result.sd, result.n], [values.mean(), values.std(ddof=1), 13])
    assert (result.low, result.high, result.warning) == (-0.7, 0.9, "")


@given(shift=st.floats(-3, 3), seed=st.integers(0, 100))
def test_interval_lies_inside_exactly_when_the_test_rejects(shift, seed):
    result = equivalence_test(np.random.default_rng(seed).normal(shift, 1, 7), -1.5, 1.5)
    inside = result.interval_low > -1.5 and result.interval_high < 1.5
    assert inside == (result.p < 0.05)


@pytest.mark.parametrize(("value", "p"), [(0.3, 0.0), (0.5, 1.0), (-0.5, 1.0), (0.7, 1.0), (-2.0, 1.0)])
def test_equal_values(value, p):
    result = equivalence_test([value] * 3, -0.5, 0.5)
    assert (result.p, result.sd, result.mean, result.interval_low, result.interval_high) == (p, 0, value, value, value)
    assert result.warning == "all 3 values are equal: the p values rest on no variance"


@pytest.mark.parametrize("values", [[], [0.2]])
def test_too_few_values_warn_and_do_not_raise(values):
    result = equivalence_test(values, -1, 1)
    assert np.isnan([result.p, result.p_lower, result.p_upper, result.sd, result.interval_low]).all()
    assert_allclose(result.mean, values[0] if values else np.nan)
    assert result.warning == f"{len(values)} independent value(s): an equivalence test needs at least 2"


@pytest.mark.parametrize("true_mean", [-0.4, 0.4])
def test_level_at_the_bound_is_nominal(true_mean):
    samples = np.random.default_rng(17).normal(true_mean, 0.3, (3001, 11))
    rejected = [equivalence_test(sample, -0.4, 0.4).p < 0.05 for sample in samples]
    assert_allclose(np.mean(rejected), 0.05, atol=0.015)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 3], 1, -1), "low must be below high, got 1 and -1; state the bounds in that order"),
        (
            ([1, np.nan, 3], -1, 1),
            "values must be one row of finite numbers, got shape (3,) with 1 not finite; drop and count these first",
        ),
    ],
)
def test_what_cannot_be_tested(arguments, message):
    with refused(message):
        equivalence_test(*arguments)
