from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import mannwhitneyu, norm

from neuroattn.statistics.modulation import modulation


def test_against_the_formulas_of_each_unit():
    random = np.random.default_rng(0)
    attended, unattended = random.gamma(2, 1.3, (5, 17)), random.gamma(2, 1, (5, 17))
    table = modulation(attended, unattended)
    assert table["n_stimuli"].tolist() == [17] * 5
    for unit, row in table.iterrows():
        a, n = attended[unit], unattended[unit]
        assert_allclose(row["difference"], a.mean() - n.mean())
        assert_allclose(row["gain_ratio"], a.mean() / n.mean())
        assert_allclose(row["modulation_index"], (a.mean() - n.mean()) / (a.mean() + n.mean()))
        assert_allclose(row["d_prime"], (a.mean() - n.mean()) / np.sqrt((np.var(a, ddof=1) + np.var(n, ddof=1)) / 2))
        assert_allclose(row["roc_area"], mannwhitneyu(a, n).statistic / 17**2)


def test_d_prime_and_roc_area_of_normal_responses_agree():
    """With equal normal noise the area is Φ(d′/√2)."""
    random = np.random.default_rng(1)
    table = modulation(random.normal(5.8, 1, (1, 200_000)), random.normal(5, 1, (1, 200_000)))
    assert_allclose(table["d_prime"], 0.8, atol=0.01)
    assert_allclose(table["roc_area"], norm.cdf(0.8 / np.sqrt(2)), atol=0.003)


def test_silent_units():
    attended = np.array([[0.0, 0, 0], [1, 3, 2], [0, 0, 0], [0.6, 0.6, 0.6], [0.1, 0.1, 0.1]])
    unattended = np.array([[0.0, 0, 0], [0, 0, 0], [1, 3, 2], [0.3, 0.3, 0.3], [0.1, 0.1, 0.1]])
    table = modulation(attended, unattended)
    assert_allclose(table["gain_ratio"], [np.nan, np.inf, 0, 2, 1])
    assert_allclose(table["modulation_index"], [np.nan, 1, -1, 1 / 3, 0])
    assert_array_equal(table["roc_area"], [0.5, 1, 0, 1, 0.5])
    # Numbers whose mean is not exact: without spread d′ is no number or infinite all the same.
    assert_array_equal(table["d_prime"].iloc[[0, 3, 4]], [np.nan, np.inf, np.nan])


@given(arrays(np.float64, (2, 7, 3), elements=st.floats(0, 1e6, width=32)))
def test_exchanging_the_states_turns_every_measure_round(responses):
    one, other = modulation(*responses), modulation(*responses[::-1])
    assert_allclose(one["modulation_index"], -other["modulation_index"])
    assert_allclose(one["difference"], -other["difference"])
    assert_allclose(one["roc_area"], 1 - other["roc_area"])
    known = one["modulation_index"].dropna()
    assert known.between(-1, 1).all()


def test_one_stimulus_has_no_spread():
    table = modulation(np.full((2, 1), 3.0), np.full((2, 1), 1.0))
    assert table["d_prime"].isna().all()
    assert_array_equal(table["modulation_index"], [0.5, 0.5])


@pytest.mark.parametrize(
    ("attended", "unattended", "error"),
    [
        (np.zeros((3, 2)), np.zeros((3, 5)), "attended and unattended must have the same shape (unit, stimulus)"),
        (np.zeros(3), np.zeros(3), "attended and unattended must have the same shape (unit, stimulus)"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "attended and unattended must have the same shape (unit, stimulus)"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "responses must be finite, got 6 that are not"),
    ],
)
def test_what_cannot_be_compared(attended, unattended, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        modulation(attended, unattended)
