"""Intervals of a mean over few networks: t intervals, and such as stay within the limits of a fraction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from neuroattn.statistics.curves import is_constant

CONFIDENCE = 0.95


class MeanInterval(NamedTuple):
    """A mean with its interval."""

    mean: float
    low: float
    high: float


def t_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> MeanInterval:
    """Return the mean of independent values with its t interval.

    Values that are all equal have an interval without width, fewer than two have none (NaN).
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
    """
    low, high = limits
    data = np.asarray(values, dtype=np.float64)
    outside = data[~((data >= low) & (data <= high))]
    if outside.size:
        raise ValueError(f"values must lie in [{low:g}, {high:g}], got {outside[0]:g}; give the limits of the measure")
    if len(data) < 2 or is_constant(data[None])[0]:
        return t_interval(data, confidence)
    fractions = (data - low) / (high - low)
    mean, half = float(fractions.mean()), _half_width(fractions, confidence)
    logit, reach = np.log(mean / (1 - mean)), half / (mean * (1 - mean))
    ends = (low + (high - low) / (1 + np.exp(-(logit + sign * reach))) for sign in (-1, 1))
    return MeanInterval(low + (high - low) * mean, *map(float, ends))


def fraction_interval(
    fractions: npt.ArrayLike, limits: tuple[float, float] = (0.0, 1.0), confidence: float = CONFIDENCE
) -> MeanInterval:
    """Return the mean over networks of a fraction, or of a difference of two, with an interval that has a width.

    Where networks differ, `limited_interval`. Where all agree, nothing tells how far others would differ; the interval
    is then the exact one of Clopper and Pearson with every network as one trial, which holds however fractions are
    distributed over networks: ten networks that all have the fraction 0 allow a mean of up to .31.

    Parameters
    ----------
    fractions : array_like (network,)
        One a network.
    limits
        Of what is averaged: 0 and 1, or −1 and 1 for a difference of fractions.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26:404.
    """
    data = np.asarray(fractions, dtype=np.float64)
    if len(data) < 2 or not is_constant(data[None])[0]:
        return limited_interval(data, limits, confidence)
    low, high = limits
    n, mean, tail = len(data), (data[0] - low) / (high - low), (1 - confidence) / 2
    successes, failures = n * mean, n * (1 - mean)
    ends = (
        beta.ppf(tail, successes, failures + 1) if successes > 0 else 0.0,
        beta.ppf(1 - tail, successes + 1, failures) if failures > 0 else 1.0,
    )
    return MeanInterval(float(data[0]), *(float(low + (high - low) * end) for end in ends))


def _half_width(data: npt.NDArray[np.float64], confidence: float) -> float:
    n = len(data)
    return float(t.ppf((1 + confidence) / 2, n - 1) * data.std(ddof=1) / np.sqrt(n))
