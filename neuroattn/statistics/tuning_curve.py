"""Orientation tuning: a von Mises curve fitted to every unit, and one state's curve regressed on the other's.

Orientations are axial (period 180 degrees) and in degrees throughout.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroattn.dims import PERIOD_DEGREES
from neuroattn.statistics.curves import (
    KAPPA_MAXIMUM,
    KAPPA_MINIMUM,
    LOWER,
    RADIANS_PER_DEGREE,
    UPPER,
    checked_orientation,
    checked_responses,
    checked_states,
    curve_and_jacobian,
    is_constant,
)
from neuroattn.statistics.least_squares import BoolArray, FloatArray, LeastSquaresFit, fit_batch

_START_KAPPAS = np.geomspace(KAPPA_MINIMUM, KAPPA_MAXIMUM, 10)
_START_PREFERRED = np.arange(0.0, PERIOD_DEGREES, 4.5)
_N_STARTS = 3
CHUNK = 2048  # units whose working arrays stay in the processor's cache


def von_mises(
    orientation: npt.ArrayLike,
    baseline: npt.ArrayLike,
    amplitude: npt.ArrayLike,
    kappa: npt.ArrayLike,
    preferred: npt.ArrayLike,
) -> FloatArray:
    """Return ``baseline + amplitude * exp(kappa * (cos 2(θ - θ₀) - 1))``.

    Parameters
    ----------
    orientation, preferred : array_like
        θ and θ₀ in degrees. All arguments broadcast against each other.
    baseline, amplitude : array_like
        In units of the response; the curve reaches ``baseline + amplitude`` at the preferred orientation.
    kappa : array_like
        Concentration; larger is narrower.

    References
    ----------
    Swindale 1998, Biological Cybernetics 78:45.

    Examples
    --------
    >>> von_mises([30, 75, 120], baseline=1, amplitude=2, kappa=3, preferred=30).round(3)
    array([3.   , 1.1  , 1.005])
    """
    # As arrays, since two Series would be matched by their index and not by their order.
    theta, b, a, k, theta_0 = (
        np.asarray(argument, dtype=np.float64) for argument in (orientation, baseline, amplitude, kappa, preferred)
    )
    return np.asarray(b + a * np.exp(k * (np.cos(RADIANS_PER_DEGREE * (theta - theta_0)) - 1)))


def half_width(kappa: npt.ArrayLike) -> FloatArray:
    """Return the half width at half height of a von Mises curve, in degrees in (0, 45].

    Half height lies halfway between the trough and the peak, so that every concentration has a width:
    ``cos 2δ = 1 + ln((1 + exp(-2κ)) / 2) / κ``, with δ → 45 as κ → 0.

    Parameters
    ----------
    kappa : array_like
        Concentration, > 0; NaN stays NaN.

    Raises
    ------
    ValueError
        If a concentration is not positive.

    Examples
    --------
    >>> half_width([0.1, 2.0, 50.0]).round(2)
    array([43.57, 24.25,  4.78])
    """
    values = np.asarray(kappa, dtype=np.float64)
    if (values <= 0).any():
        raise ValueError(
            f"kappa must be > 0, got {values.min()}; a curve that points down has its width measured after a turn by 90"
        )
    cosine = 1 + np.log1p(np.expm1(-2 * values) / 2) / values
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))) / 2)


def kappa_of_half_width(width: npt.ArrayLike) -> FloatArray:
    """Return the concentration whose `half_width` is `width`, by bisection on log κ.

    Parameters
    ----------
    width : array_like
        Half width at half height in degrees, in (0, 45); NaN stays NaN.

    Raises
    ------
    ValueError
        If a width is outside (0, 45).

    Examples
    --------
    >>> kappa_of_half_width([43.57, 24.25, 4.78]).round(2)
    array([ 0.1 ,  2.  , 49.91])
    """
    widths = np.asarray(width, dtype=np.float64)
    outside = widths[(widths <= 0) | (widths >= 45)]
    if outside.size:
        raise ValueError(
            f"width must be in (0, 45) degrees, got {outside[0]}; 45 is a cosine, and no von Mises curve is wider"
        )
    low, high = np.full(widths.shape, -25.0), np.full(widths.shape, 25.0)
    for _ in range(80):
        middle = (low + high) / 2
        too_wide = half_width(np.exp(middle)) > widths
        low, high = np.where(too_wide, middle, low), np.where(too_wide, high, middle)
    return np.where(np.isnan(widths), np.nan, np.exp((low + high) / 2))


def axial_difference(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Return ``a - b`` for orientations of period 180 degrees, in [-90, 90); they broadcast, and NaN stays NaN.

    >>> axial_difference([10, 179, 90], [170, 1, 0])
    array([ 20.,  -2., -90.])
    """
    half = PERIOD_DEGREES / 2
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    difference = np.mod(difference + half, PERIOD_DEGREES) - half
    # The remainder of a tiny negative number rounds up to the period itself.
    return np.where(difference >= half, -half, difference)


def fit_tuning(orientation: npt.ArrayLike, response: npt.ArrayLike) -> pd.DataFrame:
    """Fit a von Mises tuning curve to every unit by least squares.

    The curve is that of `von_mises` with amplitude ≥ 0 and κ in [`KAPPA_MINIMUM`, `KAPPA_MAXIMUM`]. The fit starts from
    the best points of a grid of (κ, θ₀), where baseline and amplitude have a closed form, and goes on by
    Levenberg–Marquardt. Residuals are taken to be independent and of equal variance over orientations.

    Parameters
    ----------
    orientation : array_like (m,)
        Degrees, in any order and spacing; at least `MINIMUM_ORIENTATIONS` that differ modulo 180.
    response : array_like (unit, m)
        Finite.

    Returns
    -------
    DataFrame
        One row per unit, in input order: ``baseline``, ``amplitude`` (units of the response), ``kappa``, ``preferred``
        (degrees, [0, 180)), ``half_width`` (degrees), ``r_squared``, ``rss``, ``converged``, and ``at_bound`` (κ on a
        limit, or amplitude 0). With amplitude 0 there is no shape: κ, preferred and half width are NaN. A constant
        curve has amplitude 0 and ``r_squared`` 0.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or there are too few orientations.

    References
    ----------
    Swindale 1998, Biological Cybernetics 78:45.

    Examples
    --------
    >>> orientation = np.arange(0, 180, 15)
    >>> response = von_mises(orientation, 0.5, 2.0, 3.0, [[40.0], [175.0]])
    >>> fit_tuning(orientation, response)[["amplitude", "kappa", "preferred", "r_squared"]].round(3)
       amplitude  kappa  preferred  r_squared
    0        2.0    3.0       40.0        1.0
    1        2.0    3.0      175.0        1.0
    """
    angles = checked_orientation(orientation)
    curves = checked_responses("response", response, len(angles))
    mean = curves.mean(axis=1, keepdims=True)
    flat = is_constant(curves)
    # Centred and scaled, so that the starting damping and the tolerances mean the same for every unit.
    scale = np.where(flat, 1.0, np.ptp(curves, axis=1))[:, None]
    scaled = np.where(flat[:, None], 0.0, (curves - mean) / scale)
    parameters, rss = np.zeros((len(curves), 4)), np.zeros(len(curves))
    converged = np.ones(len(curves), dtype=bool)
    varying = np.flatnonzero(~flat)
    for first in range(0, len(varying), CHUNK):
        chunk = varying[first : first + CHUNK]
        fit = _fit_chunk(angles, scaled[chunk])
        parameters[chunk], rss[chunk], converged[chunk] = fit.parameters, fit.rss, fit.converged
    total = np.square(scaled).sum(axis=1)
    r_squared = np.where(flat, 0.0, 1 - rss / np.where(flat, 1.0, total))
    parameters[:, :2] *= scale
    parameters[:, 0] += mean[:, 0]
    return _table(parameters, r_squared=r_squared, rss=rss * scale[:, 0] ** 2, converged=converged)


def regress(attended: npt.ArrayLike, unattended: npt.ArrayLike) -> pd.DataFrame:
    """Regress each unit's attended curve on its unattended curve, over orientations.

    Ordinary least squares, ``attended = intercept + slope * unattended``: the slope is a gain and the intercept an
    offset. Noise in the unattended curve pulls the slope towards 0, since ordinary least squares takes it as exact.

    Parameters
    ----------
    attended, unattended : array_like (unit, m)
        Finite, the same units and orientations.

    Returns
    -------
    DataFrame
        One row per unit, in input order: ``slope``, ``intercept`` (units of the response), ``correlation`` (Pearson).
        All are NaN where the unattended curve is constant; the correlation also where the attended curve is.

    Raises
    ------
    ValueError
        If shapes do not match or a value is not finite.

    Examples
    --------
    >>> regress([[1.4, 2.5, 3.6]], [[1.0, 2.0, 3.0]]).round(3)
       slope  intercept  correlation
    0    1.1        0.3          1.0
    """
    y, x = checked_states(attended, unattended)
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    x_deviation, y_deviation = x - mean_x[:, None], y - mean_y[:, None]
    flat_x, flat_y = is_constant(x), is_constant(y)
    sxx = np.where(flat_x, np.nan, np.square(x_deviation).sum(axis=1))
    syy = np.where(flat_y, np.nan, np.square(y_deviation).sum(axis=1))
    sxy = np.where(flat_y, 0.0, (x_deviation * y_deviation).sum(axis=1))
    slope = sxy / sxx
    correlation = np.clip(sxy / (np.sqrt(sxx) * np.sqrt(syy)), -1.0, 1.0)
    return pd.DataFrame({"slope": slope, "intercept": mean_y - slope * mean_x, "correlation": correlation})


def _fit_chunk(orientation: FloatArray, response: FloatArray) -> LeastSquaresFit:
    """Fit every centred response from each of its starts, and keep the best solution."""
    starts = _starts(orientation, response)
    unit = np.repeat(np.arange(len(response)), starts.shape[1])
    fit = fit_batch(
        lambda values, _: curve_and_jacobian(orientation, values),
        response[unit],
        starts.reshape(-1, starts.shape[2]),
        LOWER,
        UPPER,
    )
    best = fit.rss.reshape(starts.shape[:2]).argmin(axis=1) + np.arange(len(response)) * starts.shape[1]
    return LeastSquaresFit(parameters=fit.parameters[best], rss=fit.rss[best], converged=fit.converged[best])


def _starts(orientation: FloatArray, response: FloatArray) -> FloatArray:
    """Return the (baseline, amplitude, log κ, θ₀) of the best peaks of a grid, (unit, start, 4), for centred responses.

    With centred, normalised basis curves the explained sum of squares is the squared projection, so one matrix product
    tries the whole grid. Noisy curves have several optima of nearly the same height, hence more than one start.
    """
    kappa, preferred = (grid.ravel() for grid in np.meshgrid(_START_KAPPAS, _START_PREFERRED, indexing="ij"))
    basis = von_mises(orientation, 0.0, 1.0, kappa[:, None], preferred[:, None])
    mean = basis.mean(axis=1)
    centred = basis - mean[:, None]
    norm = np.sqrt(np.square(centred).sum(axis=1))
    norm = np.where(norm > 1e-6, norm, np.inf)  # a narrow curve between uneven samples can be flat on all of them
    projection = response @ (centred / norm[:, None]).T
    grid = projection.reshape(-1, len(_START_KAPPAS), len(_START_PREFERRED))
    padded = np.pad(grid, ((0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    peak = (grid >= padded[:, :-2]) & (grid >= padded[:, 2:])
    peak &= (grid >= np.roll(grid, 1, axis=2)) & (grid >= np.roll(grid, -1, axis=2))
    height = np.where(peak, grid, -np.inf).reshape(projection.shape)
    best = np.argpartition(-height, _N_STARTS, axis=1)[:, :_N_STARTS]
    amplitude = np.maximum(np.take_along_axis(projection, best, axis=1), 0.0) / norm[best]
    return np.stack([-amplitude * mean[best], amplitude, np.log(kappa)[best], preferred[best]], axis=2)


def _table(parameters: FloatArray, *, r_squared: FloatArray, rss: FloatArray, converged: BoolArray) -> pd.DataFrame:
    log_kappa = parameters[:, 2]
    shapeless = parameters[:, 1] <= 0
    limit = (log_kappa <= LOWER[2] + 1e-6) | (log_kappa >= UPPER[2] - 1e-6)
    kappa = np.where(shapeless, np.nan, np.exp(log_kappa))
    preferred = np.mod(parameters[:, 3], PERIOD_DEGREES)
    preferred = np.where(preferred >= PERIOD_DEGREES, 0.0, preferred)  # of a tiny negative number, which rounds up
    return pd.DataFrame(
        {
            "baseline": parameters[:, 0],
            "amplitude": parameters[:, 1],
            "kappa": kappa,
            "preferred": np.where(shapeless, np.nan, preferred),
            "half_width": half_width(kappa),
            "r_squared": r_squared,
            "rss": rss,
            "converged": converged,
            "at_bound": limit | shapeless,
        }
    )
