from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.statistics.nested_models import MODELS, N_PARAMETERS, compare_models, predict
from neuroattn.statistics.tuning_curve import fit_tuning, von_mises

ORIENTATION = np.arange(19) * 180 / 19
N_UNITS = 53


def plant(kind, generator, n=N_UNITS, noise=0.0):
    """Return both states of units whose attended curve differs in all that `kind` allows."""
    b, a, preferred = generator.normal(0, 0.5, n), generator.uniform(1, 4, n), generator.uniform(0, 180, n)
    kappa = np.exp(generator.uniform(np.log(0.8), np.log(8), n))
    level = MODELS.index(kind)
    gain, offset = (1.4 if level >= 1 else 1.0), (0.8 if level >= 2 else 0.0)
    attended = [gain * b + offset, gain * a, kappa * (1.7 if level >= 3 else 1), preferred + (12 if level >= 4 else 0)]
    states = [
        von_mises(ORIENTATION, *(np.asarray(p)[:, None] for p in state))
        for state in (attended, (b, a, kappa, preferred))
    ]
    return [state + noise * generator.normal(size=state.shape) for state in states]


def rss(table):
    return table[[f"rss_{name}" for name in MODELS]].to_numpy()


@pytest.mark.parametrize("kind", MODELS)
def test_planted_model_is_found_without_noise(kind):
    table = compare_models(ORIENTATION, *plant(kind, np.random.default_rng(3)))
    assert_array_equal(table["best_model"], [kind] * N_UNITS)
    assert table["best_model"].dtype == "string"
    assert table["converged"].all()
    assert_allclose(table[f"rss_{kind}"], 0, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_planted_model_is_mostly_found_in_noise(kind):
    table = compare_models(ORIENTATION, *plant(kind, np.random.default_rng(4), noise=0.03))
    assert (table["best_model"] == kind).mean() > 0.7


@pytest.mark.parametrize("noise", [0.02, 0.3, 3.0])
def test_sum_of_squares_never_rises_along_the_chain(noise):
    generator = np.random.default_rng(5)
    states = np.concatenate([plant(kind, generator, noise=noise) for kind in MODELS], axis=1)
    table = compare_models(ORIENTATION, *states)
    assert (np.diff(rss(table), axis=1) <= 0).all()


def test_largest_model_is_two_separate_fits():
    attended, unattended = plant("shift", np.random.default_rng(6), noise=0.1)
    table = compare_models(ORIENTATION, attended, unattended)
    separate = [fit_tuning(ORIENTATION, state)["rss"] for state in (attended, unattended)]
    assert_allclose(table["rss_shift"], sum(separate), rtol=1e-9)


def test_shared_curve_is_that_of_the_mean():
    attended, unattended = plant("shift", np.random.default_rng(6), n=211, noise=2.0)
    table = compare_models(ORIENTATION, attended, unattended)
    mean = (attended + unattended) / 2
    about_mean = np.square(attended - mean).sum(axis=1) + np.square(unattended - mean).sum(axis=1)
    assert_allclose(table["rss_same"], about_mean + 2 * fit_tuning(ORIENTATION, mean)["rss"], rtol=1e-9)


def test_aicc_counts_the_noise_variance():
    table = compare_models(ORIENTATION, *plant("gain", np.random.default_rng(7), noise=0.2))
    n = 2 * len(ORIENTATION)
    for name in MODELS:
        k = N_PARAMETERS[name] + 1
        expected = n * np.log(table[f"rss_{name}"] / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
        assert_allclose(table[f"aicc_{name}"], expected)


def test_identical_curves_are_the_same():
    generator = np.random.default_rng(8)
    exact = plant("same", generator)[0]
    shapeless = generator.normal(size=exact.shape)
    silent = np.zeros((2, len(ORIENTATION)))
    state = np.concatenate([exact, shapeless, silent, silent + 0.1])
    table = compare_models(ORIENTATION, state, state)
    assert_array_equal(table["best_model"], ["same"] * len(state))
    assert np.isfinite(table.drop(columns=["best_model", "converged"]).to_numpy(float)).all()


def test_one_silent_state_is_a_gain():
    response, _ = plant("same", np.random.default_rng(9), noise=0.05)
    silent = np.zeros_like(response)
    for states in [(response, silent), (silent, response)]:
        table = compare_models(ORIENTATION, *states)
        assert table["converged"].all()
        assert (table["rss_gain"] < 0.1 * table["rss_same"]).all()


def test_swapping_the_states_changes_no_sum():
    attended, unattended = plant("gain_offset", np.random.default_rng(10), noise=0.2)
    assert_allclose(
        rss(compare_models(ORIENTATION, attended, unattended)),
        rss(compare_models(ORIENTATION, unattended, attended)),
        rtol=1e-6,
    )


def test_fits_that_are_passed_in_replace_the_own_ones(monkeypatch):
    attended, unattended = plant("gain", np.random.default_rng(11), noise=0.1)
    expected = compare_models(ORIENTATION, attended, unattended)
    fits = {"attended_fit": fit_tuning(ORIENTATION, attended), "unattended_fit": fit_tuning(ORIENTATION, unattended)}
    counted = Mock(side_effect=fit_tuning)
    monkeypatch.setattr("neuroattn.statistics.nested_models.fit_tuning", counted)
    pd.testing.assert_frame_equal(compare_models(ORIENTATION, attended, unattended, **fits), expected)
    assert counted.call_count == 1


def test_chunks_keep_the_order_of_units(monkeypatch):
    states = plant("width", np.random.default_rng(12), noise=0.1)
    expected = compare_models(ORIENTATION, *states)
    monkeypatch.setattr("neuroattn.statistics.nested_models.CHUNK", 7)
    pd.testing.assert_frame_equal(compare_models(ORIENTATION, *states), expected, rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_jacobian_is_the_derivative(name):
    generator = np.random.default_rng(13)
    parameters = generator.uniform(0.3, 1.7, (3, N_PARAMETERS[name]))
    jacobian = predict(name, ORIENTATION, parameters)[1]
    for column, step in enumerate(1e-5 * np.eye(N_PARAMETERS[name])):
        above, below = (predict(name, ORIENTATION, parameters + sign * step)[0] for sign in (1, -1))
        assert_allclose(jacobian[:, column], (above - below) / 2e-5, rtol=1e-6, atol=1e-8)


def test_states_and_fits_of_other_units():
    attended, unattended = plant("same", np.random.default_rng(14))
    with refused("attended_fit must have one row a unit (53), got 11; pass the fit of the same array"):
        compare_models(ORIENTATION, attended, unattended, attended_fit=fit_tuning(ORIENTATION, attended[:11]))
    with refused("attended and unattended must hold the same units, got 11 and 53 rows; *"):
        compare_models(ORIENTATION, attended[:11], unattended)
