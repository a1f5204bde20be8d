from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from refused import refused
from scipy import stats

from neuroattn.statistics.errors_in_variables import deming, proportional_line
from neuroattn.statistics.tuning_curve import regress


def noisy(n_units, n_stimuli, slope, intercept, sd_x, sd_y, seed=0):
    random = np.random.default_rng(seed)
    truth = random.normal(2, 1, (n_units, n_stimuli))
    unattended = truth + random.normal(0, sd_x, truth.shape)
    return intercept + slope * truth + random.normal(0, sd_y, truth.shape), unattended


def test_orthogonal_regression_is_the_first_principal_axis():
    attended, unattended = noisy(5, 23, 1.3, -0.4, 0.3, 0.3)
    table = deming(attended, unattended)
    for unit, row in table.iterrows():
        points = np.stack([unattended[unit], attended[unit]])
        axis = np.linalg.eigh(np.cov(points))[1][:, -1]
        assert_allclose(row["slope"], axis[1] / axis[0])
        assert_allclose(row["intercept"], points[1].mean() - row["slope"] * points[0].mean())


def test_the_jackknife_leaves_out_each_stimulus():
    attended, unattended = noisy(3, 11, 1.3, -0.4, 0.3, 0.3)
    table = deming(attended, unattended, 2.0)
    for name in ("slope", "intercept"):
        left_out = np.stack(
            [deming(np.delete(attended, k, 1), np.delete(unattended, k, 1), 2.0)[name] for k in range(11)], axis=1
        )
        pseudo = 11 * table[name].to_numpy()[:, None] - 10 * left_out
        half = stats.t.ppf(0.975, 9) * stats.sem(pseudo, axis=1)
        assert_allclose(table[f"{name}_low"], table[name] - half)
        assert_allclose(table[f"{name}_high"], table[name] + half)


def test_noise_in_the_unattended_state_does_not_pull_the_slope_down():
    """A purely additive effect: least squares makes it a gain below 1, this does not; and intervals hold."""
    attended, unattended = noisy(2_000, 101, 1.0, 0.5, 0.4, 0.8)
    table = deming(attended, unattended, 4.0)
    assert_allclose(table["slope"].median(), 1, atol=0.01)
    assert_allclose(table["intercept"].median(), 0.5, atol=0.02)
    assert regress(attended, unattended)["slope"].median() < 0.9
    for name, value in (("slope", 1.0), ("intercept", 0.5)):
        covered = table[f"{name}_low"].le(value) & table[f"{name}_high"].ge(value)
        assert 0.93 < covered.mean() < 0.97


def test_exchanging_the_states_turns_the_line_round():
    attended, unattended = noisy(4, 13, -0.7, 3, 0.2, 0.3)
    one, other = deming(attended, unattended, 2.5), deming(unattended, attended, 1 / 2.5)
    assert_allclose(one["slope"], 1 / other["slope"])
    assert_allclose(one["intercept"], -other["intercept"] * one["slope"])


def test_lines_without_noise_and_units_without_a_line():
    x = np.arange(7.0)
    table = deming([2 * x + 1, -x, np.full(7, 3.0), x], [x, x, x, np.full(7, 0.1)])
    assert_allclose(table["slope"], [2, -1, np.nan, np.nan])
    assert_allclose(table["intercept"], [1, 0, np.nan, np.nan], atol=1e-12)
    assert_allclose(table["slope_low"][:2], [2, -1])


def test_one_stimulus_alone_gives_no_interval():
    responses = np.outer([0.1, 0.3, 0.7, 1.3, 2.9], np.eye(9)[4])
    table = deming(1.7 * responses, responses)
    assert_allclose(table["slope"], 1.7)
    assert table[["slope_low", "slope_high", "intercept_low", "intercept_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((np.zeros((2, 3)), np.zeros((2, 3))), "unattended must hold at least 4 stimuli, got 3"),
        ((np.zeros((2, 5)), np.zeros((3, 5))), "attended and unattended must hold the same units, got 2 and 3 rows"),
        ((np.zeros((2, 5)), np.zeros((2, 5)), 0.0), "noise_ratio must be above 0 and finite, got 0.0"),
    ],
)
def test_what_cannot_be_fitted(arguments, error):
    with refused(f"{error}*"):
        deming(*arguments)


def test_gain_with_proportional_scatter_is_a_gain_with_errors_in_proportion_alone():
    """The line of equal errors is steeper, with an offset that nobody planted."""
    random = np.random.default_rng(0)
    true = random.gamma(4, 1, (1, 40_000))
    unattended, attended = (gain * true * (1 + 0.3 * random.normal(size=true.shape)) for gain in (1.0, 1.5))
    equal, proportional = deming(attended, unattended).iloc[0], proportional_line(attended, unattended).iloc[0]
    assert_allclose([proportional["slope"], proportional["intercept"]], [1.5, 0], atol=0.05)
    assert equal["slope"] > 1.6
    assert equal["intercept"] < -0.3


def test_both_lines_are_one_where_nothing_scatters():
    unattended = np.random.default_rng(1).random((5, 13))
    attended = 1.3 * unattended + 0.2
    for line in (deming(attended, unattended), proportional_line(attended, unattended)):
        assert_allclose(line["slope"], 1.3, rtol=1e-6)
        assert_allclose(line["intercept"], 0.2, rtol=1e-5)


def test_a_state_that_does_not_vary_or_falls_where_the_other_rises_has_no_proportional_line():
    rising = np.tile(np.arange(5.0), (3, 1))
    other = np.stack([rising[0], np.ones(5), -rising[0]])
    assert_allclose(proportional_line(other, rising)["slope"], [1, np.nan, np.nan])
