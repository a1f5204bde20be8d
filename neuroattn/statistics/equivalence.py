"""Equivalence: evidence that a mean lies inside bounds, which a non-significant difference is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from neuroattn.statistics.curves import checked_row, is_constant

# Two tests at level α reject together exactly when the 1 - 2α interval lies inside the bounds.
CONFIDENCE = 0.90


@dataclass(frozen=True, kw_only=True)
class EquivalenceResult:
    """Two one-sided t tests of a mean against bounds.

    Attributes
    ----------
    mean, sd : float
        Of the values; `sd` has n - 1 in its denominator.
    n : int
    low, high : float
        The bounds, in units of the values.
    p_lower, p_upper : float
        Of the hypotheses mean ≤ low and mean ≥ high.
    p : float
        The larger of the two: small is evidence that the mean lies between the bounds.
    interval_low, interval_high : float
        90 % t interval of the mean; inside the bounds exactly when p < .05.
    warning : str
        Empty, or why the p values are NaN or rest on no variance.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float
    p_lower: float
    p_upper: float
    p: float
    interval_low: float
    interval_high: float
    warning: str


def equivalence_test(values: npt.ArrayLike, low: float, high: float) -> EquivalenceResult:
    """Test that the mean of independent values lies between `low` and `high`, by two one-sided t tests.

    ``t_lower = (mean - low) / (sd / √n)`` against mean ≤ low and ``t_upper = (high - mean) / (sd / √n)`` against
    mean ≥ high, both on n - 1 degrees of freedom. Assumes independent values with a normal mean: one value per network
    or channel, never per unit.

    Parameters
    ----------
    values : array_like (n,)
        Finite. Fewer than two give p = NaN and a warning; values that are all equal give p = 0 strictly inside the
        bounds and p = 1 elsewhere, with a warning.
    low, high : float
        Bounds within which a difference is too small to matter, stated before looking at the data.

    Raises
    ------
    ValueError
        If the values are not one finite row, or `low` is not below `high`.

    References
    ----------
    Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657; Lakens 2017, Soc. Psychol. Personal. Sci. 8:355.

    Examples
    --------
    >>> result = equivalence_test([0.02, -0.03, 0.01, 0.04], low=-0.1, high=0.1)
    >>> round(result.p, 4), round(result.interval_low, 3), round(result.interval_high, 3)
    (0.0044, -0.025, 0.045)
    """
    data = checked_row(values)
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}; state the bounds in that order")
    n = len(data)
    mean = float(data.mean()) if n else float("nan")
    nan = float("nan")
    if n < 2:
        sd = p_lower = p_upper = margin = nan
        warning = f"{n} independent value(s): an equivalence test needs at least 2"
    elif is_constant(data[None])[0]:
        # The computed mean of equal values may differ from them in its last digit.
        mean, sd, margin = float(data[0]), 0.0, 0.0
        p_lower, p_upper = float(mean <= low), float(mean >= high)
        warning = f"all {n} values are equal: the p values rest on no variance"
    else:
        sd = float(data.std(ddof=1))
        error = sd / np.sqrt(n)
        p_lower = float(stdtr(n - 1, (low - mean) / error))
        p_upper = float(stdtr(n - 1, (mean - high) / error))
        margin = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * error)
        warning = ""
    return EquivalenceResult(
        mean=mean,
        sd=sd,
        n=n,
        low=float(low),
        high=float(high),
        p_lower=p_lower,
        p_upper=p_upper,
        p=float(np.maximum(p_lower, p_upper)),
        interval_low=mean - margin,
        interval_high=mean + margin,
        warning=warning,
    )
