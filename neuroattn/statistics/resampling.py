"""Bootstrap of nested data: networks, feature channels within them, units within those."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from neuroattn.statistics.curves import checked_row
from neuroattn.statistics.draws import draw, levels_of, means, medians, ranked, shares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuroattn.statistics.least_squares import FloatArray, IntArray

Statistic = Literal["mean", "median"]

# Draws of a chunk of resamples: a handful of such arrays stay in a core's cache.
DRAWS_PER_CHUNK = 20_000
# Stands for infinity where only the order of values matters and the middle two are averaged.
_HUGE = 1e300
# With fewer top clusters no percentile of resamples gives a 95 % interval.
FEWEST_CLUSTERS = 5


def hierarchical_bootstrap(
    values: npt.ArrayLike,
    clusters: Sequence[npt.ArrayLike],
    statistic: Statistic,
    n_resamples: int,
    generator: np.random.Generator,
    confidence: float = 0.95,
    *,
    expanded: bool = False,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic over units, resampling every level from the top down.

    A resample draws as many top clusters as there are, with replacement; then for each drawn one as many of its
    members as it has, and so on down to the units. A level with a single cluster is kept as it is. Units of one cluster
    may depend on each other, clusters of the top level may not; with fewer than about ten of these the interval is too
    narrow.

    Parameters
    ----------
    values : array_like (unit,)
        Finite; for the median infinite too.
    clusters : sequence of array_like (unit,)
        Labels, integers or strings, from the top level down, such as ``[model, channel]``. A label of a lower level
        counts within its parent only: channel 3 of two networks is two channels. Empty: units are independent.
    statistic : {"mean", "median"}
        Taken over the units of a resample, each with the same weight.
    n_resamples : int
    generator : numpy.random.Generator
    confidence : float
        In (0, 1).
    expanded : bool
        Take percentiles further out, as Hesterberg (2015) does for few top clusters: with n of them, those at which a
        normal distribution has ``t(n − 1)·√(n/(n − 1))``. Without an effect, a 95 % interval of the mean over ten
        networks then misses 0 in 4 to 5 % of experiments instead of 10 %, over five in 8 %. No interval of resamples
        reaches beyond the extreme clusters, so fewer than five are refused.

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        If there are no values, one is not finite, labels and values differ in length, or an option is out of range; if
        `expanded` is asked for with fewer than five clusters, for a median, or with fewer resamples than its
        percentiles need.

    References
    ----------
    Saravanan, Berman & Sober 2020, Neurons, Behavior, Data Analysis and Theory 3(5); Hesterberg 2015, Am. Stat. 69:371.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> channel = np.repeat(np.arange(8), 25)
    >>> values = random.normal(0.2, 0.1, 8)[channel] + random.normal(0, 0.1, 200)
    >>> low, high = hierarchical_bootstrap(values, [channel], "median", 1000, random)
    >>> round(low, 2), round(high, 2)
    (0.19, 0.27)
    """
    data = np.asarray(values, dtype=np.float64)
    if statistic == "median":
        data = np.clip(data, -_HUGE, _HUGE)
    labels = [np.asarray(cluster) for cluster in clusters]
    _require(data, labels, statistic, n_resamples, confidence)
    levels, order = levels_of(labels, len(data))
    data = data[order]
    estimate: Callable[[IntArray, np.random.Generator], FloatArray]
    # Means draw every unit. Medians, and shares of units, need the number of draws of every cluster alone.
    width = len(levels[-1].size)
    if statistic == "median":
        estimate = partial(medians, ranked(levels[-1], data))
    elif np.isin(data, (0, 1)).all():
        estimate = partial(shares, levels[-1], data)
    else:
        estimate, width = partial(means, levels[-1], data), len(data)
    estimates = np.empty(n_resamples)
    chunk = max(1, DRAWS_PER_CHUNK // width)
    for start in range(0, n_resamples, chunk):
        stop = min(start + chunk, n_resamples)
        counts = np.ones((stop - start, 1), dtype=np.int64)
        for level in levels[:-1]:
            counts = draw(counts, level, generator)
        estimates[start:stop] = estimate(counts, generator)
    tail = (1 - confidence) / 2
    number = next((len(level.size) for level in levels[1:] if len(level.size) > 1), len(data))
    if expanded:
        tail = _expanded(tail, number, statistic, n_resamples)
    low, high = np.quantile(estimates, [tail, 1 - tail])
    return _unclipped(low), _unclipped(high)


def _expanded(tail: float, number: int, statistic: str, n_resamples: int) -> float:
    """Return the tail beyond Hesterberg's expanded percentile for `number` clusters."""
    if number < FEWEST_CLUSTERS or statistic != "mean":
        raise ValueError(
            f"expanded must be False but for the mean of at least {FEWEST_CLUSTERS} clusters, got the {statistic} of "
            f"{number}; take a t interval over network means"
        )
    further = float(ndtr(stdtrit(number - 1, tail) * np.sqrt(number / (number - 1))))
    if further * n_resamples < 1:
        raise ValueError(
            f"n_resamples must be at least {int(np.ceil(1 / further))} for expanded percentiles of {number} clusters, "
            f"got {n_resamples}; draw more"
        )
    return further


def named_generator(seed: int, *names: object) -> np.random.Generator:
    """Return the generator of one estimate, from a seed and the estimate's name.

    So an estimate has the same interval in every run, whichever networks, layers and controls stand beside it.

    >>> named_generator(0, "tuning", "gain").random() == named_generator(0, "tuning", "gain").random()
    True
    """
    return np.random.default_rng([seed, *"/".join(map(str, names)).encode()])


def median(values: npt.ArrayLike) -> float:
    """Return the median of values that may be infinite, where halves of ±∞ would be no number.

    >>> median([1.0, 2.0, float("inf")]), median([1.0, float("inf")])
    (2.0, inf)
    """
    return _unclipped(np.median(np.clip(np.asarray(values, dtype=np.float64), -_HUGE, _HUGE)))


def _unclipped(value: float) -> float:
    return float(np.sign(value) * np.inf) if abs(value) > _HUGE / 1e50 else float(value)


def _require(
    data: FloatArray, labels: list[npt.NDArray[Any]], statistic: str, n_resamples: int, confidence: float
) -> None:
    if not checked_row(data).size:
        raise ValueError("values must hold at least 1 unit, got none; give the units of the estimate")
    for level, label in enumerate(labels):
        if label.shape != data.shape:
            raise ValueError(
                f"clusters[{level}] must have one label a value, {data.shape}, got {label.shape}; "
                "pass the labels of the same units"
            )
    if statistic not in {"mean", "median"}:
        raise ValueError(f"statistic must be 'mean' or 'median', got {statistic!r}; choose one of these")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}; 2000 are enough for a 95 % interval")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}; 0.95 is usual")
