from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.statistics.curves import (
    checked_orientation,
    checked_responses,
    curve_and_jacobian,
    is_constant,
    require_same_units,
)
from neuroattn.statistics.tuning_curve import von_mises

ORIENTATION = np.array([0.0, 11.0, 31.0, 47.0, 83.0, 101.0, 139.0])


def test_curve_is_the_von_mises_curve():
    parameters = np.array([[1.0, 2.0, np.log(3.0), 40.0], [-1.0, 0.5, np.log(0.2), 170.0]])
    expected = [von_mises(ORIENTATION, b, a, np.exp(k), p) for b, a, k, p in parameters]
    assert_allclose(curve_and_jacobian(ORIENTATION, parameters)[0], expected, rtol=1e-13)


def test_jacobian_is_the_derivative():
    generator = np.random.default_rng(4)
    parameters = generator.normal(size=(5, 4)) * [1, 1, 1, 50]
    jacobian = curve_and_jacobian(ORIENTATION, parameters)[1]
    for column in range(4):
        step = np.zeros(4)
        step[column] = 1e-5
        above, below = (curve_and_jacobian(ORIENTATION, parameters + sign * step)[0] for sign in (1, -1))
        assert_allclose(jacobian[:, column], (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_opposite_ends_of_the_period_count_once():
    assert_array_equal(checked_orientation([0, 30, 60, 90, 120, 150, 180]), [0, 30, 60, 90, 120, 150, 180])
    message = "orientation must hold at least 6 values that differ modulo 180, got 5; record more orientations"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        checked_orientation([0, 36, 72, 108, 144, 180])


def test_orientation_of_two_axes():
    message = "orientation must have shape (m,), got (2, 7); pass one orientation a column"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        checked_orientation([ORIENTATION, ORIENTATION])


def test_orientation_not_finite():
    message = "orientation must be finite, got NaN or inf; give every column its orientation in degrees"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        checked_orientation([*ORIENTATION, np.nan])


def test_responses_of_the_wrong_shape():
    message = "attended must have shape (unit, 7), got (3, 5); pass one row a unit and one column an orientation"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        checked_responses("attended", np.zeros((3, 5)), 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_responses_not_finite(bad):
    responses = np.zeros((3, 5))
    responses[1, 2] = bad
    message = "response must be finite, got NaN or inf in 1 of 3 units; drop and count these units first"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        checked_responses("response", responses, 5)


def test_states_of_different_units():
    message = (
        "attended and unattended must hold the same units, got 3 and 5 rows; pair the states before comparing them"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        require_same_units(np.zeros((3, 7)), np.zeros((5, 7)))


def test_constant_up_to_rounding():
    curves = np.array([[0.1] * 3, [0.1, 0.1 + 2e-17, 0.1], [0.1, 0.1 + 1e-12, 0.1], [0.0] * 3])
    assert_array_equal(is_constant(curves), [True, True, False, True])
