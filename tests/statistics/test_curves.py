from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.statistics.curves import (
    checked_orientation,
    checked_responses,
    checked_row,
    checked_states,
    curve_and_jacobian,
    is_constant,
)
from neuroattn.statistics.tuning_curve import von_mises

ORIENTATION = np.array([0.0, 11.0, 31.0, 47.0, 83.0, 101.0, 139.0])


def test_curve_is_the_von_mises_curve():
    parameters = np.array([[1.0, 2.0, np.log(3.0), 40.0], [-1.0, 0.5, np.log(0.2), 170.0]])
    expected = [von_mises(ORIENTATION, b, a, np.exp(k), p) for b, a, k, p in parameters]
    assert_allclose(curve_and_jacobian(ORIENTATION, parameters)[0], expected, rtol=1e-13)


def test_jacobian_is_the_derivative():
    parameters = np.random.default_rng(4).normal(size=(5, 4)) * [1, 1, 1, 50]
    jacobian = curve_and_jacobian(ORIENTATION, parameters)[1]
    for column, step in enumerate(1e-5 * np.eye(4)):
        above, below = (curve_and_jacobian(ORIENTATION, parameters + sign * step)[0] for sign in (1, -1))
        assert_allclose(jacobian[:, column], (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_opposite_ends_of_the_period_count_once():
    assert_array_equal(checked_orientation([0, 30, 60, 90, 120, 150, 180]), [0, 30, 60, 90, 120, 150, 180])


@pytest.mark.parametrize(
    ("check", "arguments", "message"),
    [
        (
            checked_orientation,
            ([0, 36, 72, 108, 144, 180],),
            "orientation must hold at least 6 values that differ modulo 180, got 5; record more orientations",
        ),
        (
            checked_orientation,
            ([ORIENTATION, ORIENTATION],),
            "orientation must have shape (m,), got (2, 7); pass one orientation a column",
        ),
        (
            checked_orientation,
            ([*ORIENTATION, np.nan],),
            "orientation must be finite, got NaN or inf; give every column its orientation in degrees",
        ),
        (
            checked_responses,
            ("attended", np.zeros((3, 5)), 7),
            "attended must have shape (unit, 7), got (3, 5); pass one row a unit and one column an orientation",
        ),
        *(
            (
                checked_responses,
                ("response", [[0, 0], [0, bad], [0, 0]], 2),
                "response must be finite, got NaN or inf in 1 of 3 units; drop and count these units first",
            )
            for bad in (np.nan, np.inf)
        ),
        (
            checked_states,
            (np.zeros((3, 7)), np.zeros((5, 7))),
            "attended and unattended must hold the same units, got 3 and 5 rows; pair the states before comparing them",
        ),
        (
            checked_states,
            (np.zeros((3, 7)), np.zeros((3, 5))),
            "attended must have shape (unit, 5), got (3, 7); pass one row a unit and one column an orientation",
        ),
        (
            checked_row,
            ([[1, 2], [3, np.nan]],),
            "values must be one row of finite numbers, got shape (2, 2) with 1 not finite; drop and count these first",
        ),
    ],
)
def test_arrays_that_are_refused(check, arguments, message):
    with refused(message):
        check(*arguments)


def test_constant_up_to_rounding():
    curves = np.array([[0.1] * 3, [0.1, 0.1 + 2e-17, 0.1], [0.1, 0.1 + 1e-12, 0.1], [0.0] * 3])
    assert_array_equal(is_constant(curves), [True, True, False, True])
