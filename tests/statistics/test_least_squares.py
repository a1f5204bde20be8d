from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused
from scipy.optimize import least_squares

from neuroattn.statistics.least_squares import fit_batch

N_UNITS, N_POINTS = 17, 11
FREE = np.full(2, np.inf)


def decay(times):
    """The model a·exp(-r t) with its own times for every unit."""

    def model(parameters, index):
        curve = np.exp(-parameters[:, 1:] * times[index])
        return parameters[:, :1] * curve, np.stack([curve, -parameters[:, :1] * times[index] * curve], axis=1)

    return model


@pytest.fixture
def decays():
    generator = np.random.default_rng(5)
    times = np.sort(generator.uniform(0, 3, (N_UNITS, N_POINTS)), axis=1)
    truth = np.column_stack([generator.uniform(1, 9, N_UNITS), generator.uniform(0.2, 2, N_UNITS)])
    return times, truth, decay(times)(truth, np.arange(N_UNITS))[0]


def test_recovers_every_unit_from_its_own_data(decays):
    times, truth, observed = decays
    fit = fit_batch(decay(times), observed, np.ones((N_UNITS, 2)), -FREE, FREE)
    assert_allclose(fit.parameters, truth, rtol=1e-9)
    assert_allclose(fit.rss, 0, atol=1e-18)
    assert fit.converged.all()


def test_linear_problem_has_the_closed_form_solution():
    generator = np.random.default_rng(3)
    design = generator.normal(size=(N_POINTS, 3))
    observed = generator.normal(size=(N_UNITS, N_POINTS))
    fit = fit_batch(
        lambda values, _: (values @ design.T, np.broadcast_to(design.T, (len(values), 3, N_POINTS))),
        observed,
        np.zeros((N_UNITS, 3)),
        np.full(3, -np.inf),
        np.full(3, np.inf),
    )
    expected, rss, *_ = np.linalg.lstsq(design, observed.T)
    assert_allclose(fit.parameters, expected.T, rtol=1e-6, atol=1e-9)
    assert_allclose(fit.rss, rss, rtol=1e-10)


def test_bounds_hold_and_agree_with_scipy(decays):
    times, _, observed = decays
    noisy = observed + np.random.default_rng(2).normal(0, 0.3, observed.shape)
    lower, upper = np.array([0.0, 0.5]), np.array([5.0, 1.0])
    start = np.tile([2.0, 0.7], (N_UNITS, 1))
    fit = fit_batch(decay(times), noisy, start, lower, upper)
    for unit in range(N_UNITS):
        reference = least_squares(
            lambda p, u=unit: noisy[u] - p[0] * np.exp(-p[1] * times[u]), start[unit], bounds=(lower, upper), xtol=1e-14
        )
        assert_allclose(fit.rss[unit], 2 * reference.cost, rtol=1e-7)
    assert_array_equal(fit.parameters, np.clip(fit.parameters, lower, upper))
    assert (fit.parameters == upper).any()
    assert fit.converged.all()


def test_parameter_without_effect_leaves_the_others_free():
    observed = np.arange(N_POINTS, dtype=float) * np.arange(1, N_UNITS + 1)[:, None]

    def model(values, _):
        jacobian = np.zeros((len(values), 2, N_POINTS))
        jacobian[:, 0] = np.arange(N_POINTS)
        return values[:, :1] * np.arange(N_POINTS), jacobian

    fit = fit_batch(model, observed, np.zeros((N_UNITS, 2)), -FREE, FREE)
    assert_allclose(fit.parameters[:, 0], np.arange(1, N_UNITS + 1), rtol=1e-9)
    assert_array_equal(fit.parameters[:, 1], 0)


def test_iteration_limit_is_reported_and_the_start_not_made_worse(decays):
    times, _, observed = decays
    start = np.tile([1.0, 0.01], (N_UNITS, 1))
    before = np.square(observed - decay(times)(start, np.arange(N_UNITS))[0]).sum(axis=1)
    kept = start.copy()
    fit = fit_batch(decay(times), observed, start, -FREE, FREE, max_iterations=1)
    assert not fit.converged.any()
    assert (fit.rss <= before).all()
    assert_array_equal(start, kept)


def test_rss_belongs_to_the_parameters(decays):
    times, _, observed = decays
    noisy = observed + np.random.default_rng(7).normal(0, 1, observed.shape)
    fit = fit_batch(decay(times), noisy, np.ones((N_UNITS, 2)), -FREE, FREE, max_iterations=4)
    residual = noisy - decay(times)(fit.parameters, np.arange(N_UNITS))[0]
    assert_allclose(fit.rss, np.square(residual).sum(axis=1), rtol=1e-12)


def test_no_units():
    fit = fit_batch(decay(np.zeros((0, 3))), np.zeros((0, 3)), np.zeros((0, 2)), -FREE, FREE)
    assert fit.parameters.shape == (0, 2)


@pytest.mark.parametrize(
    ("n_starts", "lower", "message"),
    [
        (13, -FREE, "start must have one row a unit of observed (17), got 13; pass the same units to both"),
        (
            N_UNITS,
            np.zeros(3),
            (
                "lower and upper must have shape (2,), one entry a parameter, got (3,) and (2,); "
                "use ±inf where there is no bound"
            ),
        ),
    ],
)
def test_shapes_that_do_not_match(decays, n_starts, lower, message):
    times, _, observed = decays
    with refused(message):
        fit_batch(decay(times), observed, np.ones((n_starts, 2)), lower, FREE)
