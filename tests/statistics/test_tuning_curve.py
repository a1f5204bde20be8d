from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused
from scipy.optimize import curve_fit
from scipy.stats import linregress

from neuroattn.statistics.curves import KAPPA_MAXIMUM, KAPPA_MINIMUM
from neuroattn.statistics.tuning_curve import (
    axial_difference,
    fit_tuning,
    half_width,
    kappa_of_half_width,
    regress,
    von_mises,
)

ORIENTATION = np.arange(19) * 180 / 19
UNEVEN = np.array([3.0, 0.0, 17.0, 40.0, 52.0, 78.0, 101.0, 111.0, 149.0, 160.0, 180.0])
finite = st.floats(-1e6, 1e6)


def planted(generator, n):
    return pd.DataFrame(
        {
            "baseline": generator.normal(0, 2, n),
            "amplitude": generator.uniform(0.5, 5, n),
            "kappa": np.exp(generator.uniform(np.log(0.4), np.log(20), n)),
            "preferred": generator.uniform(0, 180, n),
        }
    )


def curves(orientation, truth):
    return von_mises(orientation, *(truth[name].to_numpy()[:, None] for name in truth))


def test_von_mises_peaks_at_the_preferred_orientation_and_is_axial():
    assert_allclose(von_mises(30, 1, 2, 3, 30), 3)
    assert_allclose(von_mises(120, 1, 2, 3, 30), 1 + 2 * np.exp(-6))
    assert_allclose(von_mises(210, 1, 2, 3, 30), 3)
    assert von_mises(np.zeros(3), 0, np.ones((5, 1)), 1, 0).shape == (5, 3)


@given(kappa=st.floats(1e-3, 500))
def test_half_width_is_where_the_curve_is_halfway(kappa):
    height = von_mises(half_width(kappa), 0, 1, kappa, 0)
    assert_allclose(height, (1 + np.exp(-2 * kappa)) / 2, rtol=1e-9)


def test_half_width_limits():
    assert_allclose(half_width(1e-9), 45, atol=1e-6)
    assert_allclose(half_width(KAPPA_MAXIMUM), 4.776, atol=1e-3)
    assert_array_equal(np.isnan(half_width([2.0, np.nan])), [False, True])
    assert_array_equal(np.isnan(kappa_of_half_width([[20.0, np.nan, 30.0]])), [[False, True, False]])


@given(width=st.floats(0.5, 44.9))
def test_kappa_of_half_width_is_the_inverse(width):
    assert_allclose(half_width(kappa_of_half_width(width)), width, rtol=1e-6)


NO_PEAK = "kappa must be > 0, got {}; a curve that points down has its width measured after a turn by 90"
NO_WIDTH = "width must be in (0, 45) degrees, got {}; 45 is a cosine, and no von Mises curve is wider"


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (half_width, 0.0, NO_PEAK),
        (half_width, -2.0, NO_PEAK),
        (kappa_of_half_width, 0.0, NO_WIDTH),
        (kappa_of_half_width, 45.0, NO_WIDTH),
    ],
)
def test_widths_that_no_curve_has(function, value, text):
    with refused(text.format(value)):
        function([20.0, value])


@given(a=finite, b=finite)
def test_axial_difference_range_and_antisymmetry(a, b):
    difference = axial_difference(a, b)
    assert -90 <= difference < 90
    turned_back = axial_difference(b, a) + difference
    assert_allclose(min(abs(turned_back), 180 - abs(turned_back)), 0, atol=1e-6)


@given(a=finite, turns=st.integers(-3, 3))
def test_axial_difference_does_not_see_half_turns(a, turns):
    assert_allclose(axial_difference(a + 180 * turns + 20, a), 20, atol=1e-6)


def test_series_are_taken_in_their_order():
    one, other = pd.Series([10.0, 20.0], index=[3, 5]), pd.Series([1.0, 2.0], index=[5, 7])
    assert_array_equal(axial_difference(one, other), [9, 18])
    assert_array_equal(von_mises(one, 0, other, 2, one), [1, 2])


def test_axial_difference_at_the_ends():
    assert_array_equal(axial_difference([90, 0, 179, 1], [0, 90, 1, 179]), [-90, -90, -2, 2])
    assert axial_difference(-90 - 1e-14, 0) < 90


@pytest.mark.parametrize("orientation", [ORIENTATION, UNEVEN], ids=["even", "uneven"])
def test_planted_curves_come_back(orientation):
    truth = planted(np.random.default_rng(1), 97).query("kappa < 8")
    fit = fit_tuning(orientation, curves(orientation, truth))
    for name in ("baseline", "amplitude", "kappa"):
        assert_allclose(fit[name], truth[name], rtol=1e-5, atol=1e-6)
    assert_allclose(axial_difference(fit["preferred"], truth["preferred"]), 0, atol=1e-5)
    assert_allclose(fit["half_width"], half_width(truth["kappa"]), rtol=1e-5)
    assert_allclose(fit["r_squared"], 1, atol=1e-10)
    assert fit["converged"].all()
    assert not fit["at_bound"].any()


def scipy_fit(response):
    """The best of many starts of the same bounded problem."""
    bounds = ([-np.inf, 0, KAPPA_MINIMUM, -np.inf], [np.inf, np.inf, KAPPA_MAXIMUM, np.inf])
    best, best_rss = None, np.inf
    for kappa in (1.0, 12.0):
        for preferred in (*ORIENTATION[np.argsort(response)[-3:]], ORIENTATION[np.argmin(response)] + 90):
            start = [response.min(), np.ptp(response), kappa, preferred]
            # Not solved to the end from a bad start is fine: another start wins.
            try:
                values, _, info, *_ = curve_fit(
                    von_mises, ORIENTATION, response, start, bounds=bounds, x_scale=[1, 1, 1, 10], full_output=True,
                    jac=scipy_jacobian, ftol=1e-13, xtol=1e-13, gtol=1e-13, max_nfev=400,
                )  # fmt: skip
            except RuntimeError:
                continue
            rss = np.square(info["fvec"]).sum()
            if rss < best_rss:
                best, best_rss = values, rss
    return best, best_rss


def scipy_jacobian(orientation, baseline, amplitude, kappa, preferred):
    angle = np.radians(2 * (orientation - preferred))
    curve = np.exp(kappa * (np.cos(angle) - 1))
    by_preferred = amplitude * curve * kappa * np.sin(angle) * np.pi / 90
    return np.column_stack([np.ones_like(curve), curve, amplitude * curve * (np.cos(angle) - 1), by_preferred])


@pytest.mark.slow
def test_as_good_as_scipy_on_noisy_curves():
    generator = np.random.default_rng(11)
    truth = planted(generator, 199)
    noise = generator.choice([0.02, 0.2, 1.0], (len(truth), 1))
    response = curves(ORIENTATION, truth) + noise * generator.normal(size=(len(truth), len(ORIENTATION)))
    fit = fit_tuning(ORIENTATION, response)
    assert fit["converged"].all()
    n_compared = 0
    for unit, row in fit.iterrows():
        values, rss = scipy_fit(response[unit])
        assert row["rss"] <= rss * (1 + 1e-6)
        inside = KAPPA_MINIMUM * 1.5 < row["kappa"] < KAPPA_MAXIMUM * 0.8
        if row["r_squared"] > 0.9 and inside:
            n_compared += 1
            size = np.ptp(response[unit])
            assert_allclose(row[["baseline", "amplitude"]].to_numpy(float), values[:2], rtol=0.01, atol=0.01 * size)
            assert_allclose(row["kappa"], values[2], rtol=0.01)
            assert_allclose(axial_difference(row["preferred"], values[3]), 0, atol=0.1)
    assert n_compared > 80


@settings(max_examples=25)
@given(turn=st.floats(-400, 400), seed=st.integers(0, 1000))
def test_turning_the_labels_turns_the_preferred_orientation(turn, seed):
    generator = np.random.default_rng(seed)
    truth = planted(generator, 5)
    response = curves(ORIENTATION, truth) + 0.05 * generator.normal(size=(5, len(ORIENTATION)))
    still, turned = fit_tuning(ORIENTATION, response), fit_tuning(ORIENTATION + turn, response)
    assert_allclose(axial_difference(turned["preferred"], still["preferred"] + turn), 0, atol=1e-3)
    assert_allclose(turned["kappa"], still["kappa"], rtol=1e-3)
    assert turned["preferred"].between(0, 180, inclusive="left").all()


@settings(max_examples=25)
@given(factor=st.floats(1e-6, 1e6), offset=st.floats(-10, 10), seed=st.integers(0, 1000))
def test_scaling_the_response_scales_baseline_and_amplitude(factor, offset, seed):
    generator = np.random.default_rng(seed)
    response = curves(ORIENTATION, planted(generator, 5)) + 0.05 * generator.normal(size=(5, len(ORIENTATION)))
    one, other = fit_tuning(ORIENTATION, response), fit_tuning(ORIENTATION, factor * (response + offset))
    assert_allclose(other["baseline"], factor * (one["baseline"] + offset), rtol=1e-3, atol=1e-3 * factor)
    assert_allclose(other["amplitude"], factor * one["amplitude"], rtol=1e-3)
    assert_allclose(other["kappa"], one["kappa"], rtol=1e-3)
    assert_allclose(other["rss"], factor**2 * one["rss"], rtol=1e-6)


def test_order_of_orientations_does_not_matter():
    generator = np.random.default_rng(8)
    response = curves(UNEVEN, planted(generator, 7)) + 0.1 * generator.normal(size=(7, len(UNEVEN)))
    order = generator.permutation(len(UNEVEN))
    pd.testing.assert_frame_equal(
        fit_tuning(UNEVEN[order], response[:, order]), fit_tuning(UNEVEN, response), rtol=1e-4
    )


def test_constant_curves_have_no_shape():
    truth = planted(np.random.default_rng(0), 3)
    response = curves(ORIENTATION, truth)
    response[1] = 0.1
    fit = fit_tuning(ORIENTATION, response)
    assert_allclose(
        fit.loc[1, ["baseline", "amplitude", "r_squared", "rss"]].to_numpy(float), [0.1, 0, 0, 0], atol=1e-15
    )
    assert fit.loc[1, ["preferred", "kappa", "half_width"]].isna().all()
    assert_array_equal(fit["at_bound"], [False, True, False])
    assert fit["converged"].all()


def test_pure_noise_converges():
    fit = fit_tuning(ORIENTATION, np.random.default_rng(15).normal(size=(1999, len(ORIENTATION))))
    assert fit["converged"].all()
    assert (fit["r_squared"].between(0, 1)).all()


def test_narrow_curve_rests_on_the_bound():
    fit = fit_tuning(ORIENTATION, von_mises(ORIENTATION, 0, 1, 300, ORIENTATION[4])[None])
    assert_allclose(fit["kappa"], KAPPA_MAXIMUM)
    assert fit["at_bound"].all()


def test_no_units():
    fit = fit_tuning(ORIENTATION, np.zeros((0, len(ORIENTATION))))
    assert len(fit) == 0
    assert list(fit) == [
        "baseline", "amplitude", "kappa", "preferred", "half_width", "r_squared", "rss", "converged", "at_bound",
    ]  # fmt: skip


def test_more_units_than_a_chunk_keep_their_order(monkeypatch):
    truth = planted(np.random.default_rng(6), 23)
    whole = fit_tuning(ORIENTATION, curves(ORIENTATION, truth))
    monkeypatch.setattr("neuroattn.statistics.tuning_curve.CHUNK", 5)
    pd.testing.assert_frame_equal(fit_tuning(ORIENTATION, curves(ORIENTATION, truth)), whole, rtol=1e-6)


def test_fit_refuses_responses_that_do_not_match():
    with refused("response must have shape (unit, 19), got (3, 17); pass one row a unit and one column an orientation"):
        fit_tuning(ORIENTATION, np.zeros((3, 17)))


def test_regress_agrees_with_linregress():
    generator = np.random.default_rng(9)
    unattended = generator.normal(size=(5, 7))
    attended = 1.3 * unattended + 0.4 + 0.2 * generator.normal(size=(5, 7))
    table = regress(attended, unattended)
    expected = [linregress(x, y) for x, y in zip(unattended, attended, strict=True)]
    assert_allclose(table["slope"], [line.slope for line in expected])
    assert_allclose(table["intercept"], [line.intercept for line in expected])
    assert_allclose(table["correlation"], [line.rvalue for line in expected])


def test_regress_on_constant_curves():
    ramp, flat = np.arange(7.0), np.full(7, 0.1)
    table = regress([flat, ramp, 2 * ramp + 1], [ramp, flat, ramp])
    assert_allclose(table["slope"], [0, np.nan, 2], atol=1e-15)
    assert_allclose(table["intercept"], [0.1, np.nan, 1])
    assert_allclose(table["correlation"], [np.nan, np.nan, 1])
