"""What attention does with a unit's responses: index, ratio, difference, d′ and ROC area, one row a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from neuroattn.statistics.curves import is_constant

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import FloatArray


def modulation(attended: npt.ArrayLike, unattended: npt.ArrayLike) -> pd.DataFrame:
    """Compare the responses of units (unit, stimulus) in two states, paired by stimulus, a row a unit.

    With A and N the responses when attended and when not, and means and variances over stimuli::

        modulation_index = (mean A - mean N) / (mean A + mean N)
        gain_ratio       = mean A / mean N
        difference       = mean A - mean N
        d_prime          = (mean A - mean N) / sqrt((var A + var N) / 2)
        roc_area         = P(A > N) + P(A = N) / 2

    beside ``mean_attended``, ``mean_unattended`` and ``n_stimuli``. Index and ratio are for responses that are never
    negative. d′ and the ROC area take an ideal observer who sees one response and does not know the stimulus, so that
    the stimuli's own spread counts as noise. A unit that is silent in both states has no index and no ratio (NaN); one
    that is silent when unattended has ratio ∞ and index 1. d′ is NaN where neither state varies and the means are
    equal, and infinite where only they differ.

    Raises
    ------
    ValueError
        If shapes do not match, there is no stimulus, or a value is not finite.

    References
    ----------
    Treue & Maunsell 1999, J. Neurosci. 19:7591 (index); Green & Swets 1966, Signal Detection Theory (d′, ROC area).

    Examples
    --------
    >>> table = modulation([[2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0]])
    >>> table[["modulation_index", "gain_ratio", "d_prime", "roc_area"]].round(3)
       modulation_index  gain_ratio  d_prime  roc_area
    0               0.2         1.5      1.0     0.778
    """
    a, n = _checked(attended, unattended)
    mean_a, mean_n = a.mean(axis=1), n.mean(axis=1)
    # Means of equal values may differ from them in their last digit.
    mean_a, mean_n = (np.where(is_constant(state), state[:, 0], mean) for state, mean in ((a, mean_a), (n, mean_n)))
    difference = mean_a - mean_n
    if a.shape[1] > 1:
        variances = [np.where(is_constant(state), 0.0, state.var(axis=1, ddof=1)) for state in (a, n)]
        spread = np.sqrt(sum(variances) / 2)
    else:
        spread = np.full(len(a), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "mean_attended": mean_a,
                "mean_unattended": mean_n,
                "difference": difference,
                "gain_ratio": mean_a / mean_n,
                "modulation_index": difference / (mean_a + mean_n),
                "d_prime": difference / spread,
                "roc_area": _roc_area(a, n),
                "n_stimuli": a.shape[1],
            }
        )


def _roc_area(attended: FloatArray, unattended: FloatArray) -> FloatArray:
    """Return the area by the ranks' sum (Mann & Whitney)."""
    n = attended.shape[1]
    ranks = rankdata(np.concatenate([attended, unattended], axis=1), axis=1)[:, :n].sum(axis=1)
    return np.asarray((ranks - n * (n + 1) / 2) / n**2)


def _checked(attended: npt.ArrayLike, unattended: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, n = np.asarray(attended, dtype=np.float64), np.asarray(unattended, dtype=np.float64)
    if a.shape != n.shape or a.ndim != 2 or not a.shape[1]:
        raise ValueError(
            "attended and unattended must have the same shape (unit, stimulus) with at least one stimulus, got "
            f"{a.shape} and {n.shape}; pair the states by stimulus"
        )
    infinite = int((~np.isfinite(a)).sum() + (~np.isfinite(n)).sum())
    if infinite:
        raise ValueError(f"responses must be finite, got {infinite} that are not; drop and count these stimuli first")
    return a, n
