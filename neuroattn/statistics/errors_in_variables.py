"""A straight line between two noisy responses: attended on unattended, with errors in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from neuroattn.statistics.curves import checked_states, is_constant

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import FloatArray

CONFIDENCE = 0.95
_ROUNDING = 1e-12


def deming(attended: npt.ArrayLike, unattended: npt.ArrayLike, noise_ratio: float = 1.0) -> pd.DataFrame:
    """Fit ``attended = intercept + slope · unattended`` to each unit, both with errors.

    Ordinary least squares takes the unattended response as exact, so that noise in it pulls the slope towards 0 and a
    purely additive effect looks like a gain below 1 with an offset. Deming's line, the maximum likelihood for normal
    errors whose variances have a known ratio, has no such bias. With sums of squares and products over stimuli s_xx,
    s_yy, s_xy (x unattended, y attended) and δ = `noise_ratio`::

        slope = (s_yy - δ s_xx + sqrt((s_yy - δ s_xx)² + 4 δ s_xy²)) / (2 s_xy)

    Intervals are from the jackknife over stimuli, which must be independent, with t on n − 2 degrees of freedom.

    Parameters
    ----------
    attended, unattended : array_like (unit, stimulus)
        Finite, the same units and stimuli; at least four stimuli.
    noise_ratio : float
        δ, error variance of the attended response over that of the unattended one; 1 (orthogonal regression) where
        neither is known to be noisier.

    Returns
    -------
    DataFrame
        One row per unit, in input order: ``slope`` (a gain, 1), ``slope_low``, ``slope_high``, ``intercept`` (offset,
        units of the response), ``intercept_low``, ``intercept_high`` (95 %), ``n_stimuli``. NaN where a state does
        not vary or the states are uncorrelated; intervals also where a single stimulus makes a state vary.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, there are fewer than four stimuli, or δ is not in (0, ∞).

    References
    ----------
    Deming 1943, Statistical Adjustment of Data; Linnet 1993, Clin. Chem. 39:424 (jackknife).

    Examples
    --------
    >>> line = deming([[1.1, 1.9, 3.2, 4.1, 4.9]], [[0.0, 1.1, 1.9, 3.0, 4.1]])
    >>> line[["slope", "slope_low", "slope_high", "intercept"]].round(2)
       slope  slope_low  slope_high  intercept
    0   0.97       0.72        1.23       1.08
    """
    y, x = checked_states(attended, unattended)
    n = x.shape[1]
    if n < 4:
        raise ValueError(f"unattended must hold at least 4 stimuli, got {n}; its interval needs more")
    if not 0 < noise_ratio < np.inf:
        raise ValueError(f"noise_ratio must be above 0 and finite, got {noise_ratio}; 1 is orthogonal regression")
    flat = is_constant(x) | is_constant(y)
    x, y = np.where(flat[:, None], np.nan, x), np.where(flat[:, None], np.nan, y)
    # Leaving out a stimulus at distance d from the mean takes n/(n − 1)·d² from the sum of squares.
    mean_x, mean_y = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    dx, dy = x - mean_x, y - mean_y
    squares = [dx * dx, dy * dy, dx * dy]
    s_xx, s_yy, s_xy = (part.sum(axis=1, keepdims=True) for part in squares)
    xx, yy, xy = (total - n / (n - 1) * part for total, part in zip((s_xx, s_yy, s_xy), squares, strict=True))
    # Without the one stimulus that moves a unit only rounding is left, and no line goes through it.
    gone = (xx < _ROUNDING * s_xx) | (yy < _ROUNDING * s_yy)
    xy = np.where(gone, np.nan, xy)
    slope, slopes = _slope(s_xx, s_yy, s_xy, noise_ratio), _slope(xx, yy, xy, noise_ratio)
    intercept = mean_y - slope * mean_x
    intercepts = (mean_y - dy / (n - 1)) - slopes * (mean_x - dx / (n - 1))
    t = float(stdtrit(n - 2, (1 + CONFIDENCE) / 2))
    table: dict[str, FloatArray] = {}
    for name, value, left_out in (("slope", slope, slopes), ("intercept", intercept, intercepts)):
        pseudo = n * value - (n - 1) * left_out
        half = t * pseudo.std(axis=1, ddof=1) / np.sqrt(n)
        table |= {name: value[:, 0], f"{name}_low": value[:, 0] - half, f"{name}_high": value[:, 0] + half}
    return pd.DataFrame(table).assign(n_stimuli=n)


def proportional_line(attended: npt.ArrayLike, unattended: npt.ArrayLike) -> pd.DataFrame:
    """Fit `deming`'s line with δ = slope²: errors grow with the response as the response does with attention.

    This is the line of the standard deviations, ``slope = sd(y)/sd(x)``, through the means. Where attention multiplies
    a response and its scatter alike, its intercept is 0, while δ = 1 gives a steeper line with a spurious offset; where
    the two disagree, the form of the effect cannot be told.

    Parameters
    ----------
    attended, unattended : array_like (unit, stimulus)
        Finite, the same units and stimuli.

    Returns
    -------
    DataFrame
        One row per unit, in input order: ``slope`` (never negative), ``intercept``; NaN where a state does not vary, or
        falls where the other rises.

    References
    ----------
    Carroll & Ruppert 1996, Am. Stat. 50:1.

    Examples
    --------
    >>> proportional_line([[1.5, 3.0, 4.5]], [[1.0, 2.0, 3.0]])
       slope  intercept
    0    1.5        0.0
    """
    y, x = checked_states(attended, unattended)
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    known = ~is_constant(x) & ~is_constant(y) & ((dx * dy).sum(axis=1) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(known, np.sqrt((dy**2).sum(axis=1) / (dx**2).sum(axis=1)), np.nan)
    return pd.DataFrame({"slope": slope, "intercept": y.mean(axis=1) - slope * x.mean(axis=1)})


def _slope(s_xx: FloatArray, s_yy: FloatArray, s_xy: FloatArray, noise_ratio: float) -> FloatArray:
    difference = s_yy - noise_ratio * s_xx
    root = np.sqrt(difference**2 + 4 * noise_ratio * s_xy**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The same number in two forms, each exact where the other loses its digits.
        slope = np.where(difference > 0, (difference + root) / (2 * s_xy), 2 * noise_ratio * s_xy / (root - difference))
    return np.asarray(np.where(s_xy == 0, np.nan, slope))
