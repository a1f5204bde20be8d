"""Intervals of a mean over few networks, and of differences of paired choices, within the limits of a fraction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, norm, t

from neuroattn.statistics.curves import is_constant

CONFIDENCE = 0.95


class MeanInterval(NamedTuple):
    """A mean with its interval."""

    mean: float
    low: float
    high: float


def t_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> MeanInterval:
    """Return the mean of independent values with its t interval.

    Values that are all equal have an interval without width; fewer than two have none (NaN).

    >>> mean, low, high = t_interval([0.2, 0.3, 0.5, 0.4])
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (0.35, 0.14, 0.56)
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) < 2:
        return MeanInterval(float(data[0]) if len(data) else np.nan, np.nan, np.nan)
    if is_constant(data[None])[0]:  # the computed mean of equal values may differ from them in its last digit
        return MeanInterval(*[float(data[0])] * 3)
    mean, half = float(data.mean()), _half_width(data, confidence)
    return MeanInterval(mean, mean - half, mean + half)


def limited_interval(
    values: npt.ArrayLike, limits: tuple[float, float], confidence: float = CONFIDENCE
) -> MeanInterval:
    """Return the mean of independent values between two limits with an interval that stays between them.

    With the mean scaled to the fraction m of the way between the limits and its standard error e, the interval is
    ``logit(m) ± t(n − 1)·e/(m(1 − m))``, scaled back: the t interval on logits, by the delta method. Near the middle it
    is the plain t interval. Values that are all equal have an interval without width; see `fraction_interval`.

    Raises
    ------
    ValueError
        If a value lies outside the limits.

    Examples
    --------
    >>> mean, low, high = limited_interval([0.85, 0.88, 0.946], (0, 1))
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (0.892, 0.7, 0.967)
    """
    low, high = limits
    data = np.asarray(values, dtype=np.float64)
    outside = data[~((data >= low) & (data <= high))]
    if outside.size:
        raise ValueError(f"values must lie in [{low:g}, {high:g}], got {outside[0]:g}; give the limits of the measure")
    if len(data) < 2:
        return t_interval(data, confidence)
    if _agree(data, limits):
        return MeanInterval(*[float(data[0])] * 3)
    fractions = (data - low) / (high - low)
    return _on_logits(float(fractions.mean()), _half_width(fractions, confidence), limits)


def _on_logits(mean: float, half: float, limits: tuple[float, float]) -> MeanInterval:
    """Return the interval on logits of a mean and its half width, both as fractions of the way between limits."""
    low, high = limits
    logit, reach = np.log(mean / (1 - mean)), half / (mean * (1 - mean))
    ends = (low + (high - low) / (1 + np.exp(-(logit + sign * reach))) for sign in (-1, 1))
    return MeanInterval(low + (high - low) * mean, *map(float, ends))


def fraction_interval(
    fractions: npt.ArrayLike,
    limits: tuple[float, float] = (0.0, 1.0),
    confidence: float = CONFIDENCE,
    *,
    trials: int | None = None,
) -> MeanInterval:
    """Return the mean over networks of a fraction, or of a difference of two, with an interval that has a width.

    Where networks differ, `limited_interval`. Where all agree between the limits and the number of trials behind each
    fraction is known, the standard error is that of as many independent trials. Where all agree at a limit, or trials
    are unknown, nothing tells how far others would differ: the interval is then the exact one of Clopper and Pearson
    with every network as one trial, which holds whatever the distribution over networks (ten fractions of 0 allow a
    mean of up to .31). Two caveats: if one network differs a little from the rest, the interval jumps to a short one;
    and where most fractions are 0 and few are large, a 95 % interval holds the mean in about 85 % of samples.

    Parameters
    ----------
    fractions : array_like (network,)
    limits
        Of what is averaged: 0 and 1, or −1 and 1 for a difference of fractions.
    trials
        Behind the fraction of each network.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26:404.

    Examples
    --------
    >>> mean, low, high = fraction_interval([0.0] * 10)
    >>> float(mean), float(low), round(high, 2)
    (0.0, 0.0, 0.31)
    """
    data = np.asarray(fractions, dtype=np.float64)
    if len(data) < 2 or not _agree(data, limits):
        return limited_interval(data, limits, confidence)
    low, high = limits
    n, mean, tail = len(data), (data[0] - low) / (high - low), (1 - confidence) / 2
    if trials is not None and 0 < mean < 1:
        error = np.sqrt(mean * (1 - mean) / (n * trials))
        return _on_logits(mean, float(t.ppf(1 - tail, n - 1) * error), limits)
    successes, failures = n * mean, n * (1 - mean)
    ends = (
        beta.ppf(tail, successes, failures + 1) if successes > 0 else 0.0,
        beta.ppf(1 - tail, successes + 1, failures) if failures > 0 else 1.0,
    )
    below, above = (float(low + (high - low) * end) for end in ends)
    return MeanInterval(float(data[0]), min(below, float(data[0])), max(above, float(data[0])))


def paired_difference_interval(differences: npt.ArrayLike, confidence: float = CONFIDENCE) -> MeanInterval:
    """Return the mean difference of two choices made on the same trials, with Tango's score interval.

    With b trials of difference 1, c of −1 and n in all, the limits are the Δ at which
    ``(b − c − n·Δ)/√(n·(2q + Δ(1 − Δ))) = ±z``, q being the most likely probability of −1 if the difference is Δ. They
    lie in [−1, 1] and apart, even where all trials agree: n differences of 1 have the lower limit (n − z²)/(n + z²).

    Parameters
    ----------
    differences : array_like (trial,)
        −1, 0 or 1 each, of independent trials; none give NaN.

    Raises
    ------
    ValueError
        If a difference is another number.

    References
    ----------
    Tango 1998, Statistics in Medicine 17:891.

    Examples
    --------
    >>> mean, low, high = paired_difference_interval([1] * 12 + [-1] * 2 + [0] * 36)
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (0.2, 0.06, 0.34)
    """
    data = np.asarray(differences, dtype=np.float64)
    other = data[~np.isin(data, (-1, 0, 1))]
    if other.size:
        raise ValueError(f"differences must be -1, 0 or 1, got {other[0]:g}; pass one difference of choices a trial")
    if not len(data):
        return MeanInterval(np.nan, np.nan, np.nan)
    z, more, fewer = float(norm.ppf((1 + confidence) / 2)), int((data == 1).sum()), int((data == -1).sum())
    low, high = _score_limit(more, fewer, len(data), z), -_score_limit(fewer, more, len(data), z)
    return MeanInterval((more - fewer) / len(data), low, high)


def _score_limit(more: int, fewer: int, n: int, z: float) -> float:
    if fewer == n:
        return -1.0

    def excess(difference: float) -> float:
        b = (2 * n - more + fewer) * difference - more - fewer
        c = -fewer * difference * (1 - difference)
        q = (np.sqrt(max(b**2 - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = max(n * (2 * q + difference * (1 - difference)), 0.0)  # rounding alone makes it negative
        return float(more - fewer - n * difference - z * np.sqrt(variance))

    # Where all trials agree, the excess is 0 at their own difference, too.
    return float(brentq(excess, -1.0, (more - fewer) / n - 1e-9))


def _agree(data: npt.NDArray[np.float64], limits: tuple[float, float]) -> bool:
    """Return whether values between these limits differ by rounding alone."""
    return bool(np.ptp(data) <= 8 * np.finfo(np.float64).eps * (limits[1] - limits[0]))


def _half_width(data: npt.NDArray[np.float64], confidence: float) -> float:
    n = len(data)
    return float(t.ppf((1 + confidence) / 2, n - 1) * data.std(ddof=1) / np.sqrt(n))
