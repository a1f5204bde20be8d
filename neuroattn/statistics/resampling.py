"""Bootstrap of nested data: networks, feature channels within them, units within those."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuroattn.statistics.least_squares import FloatArray, IntArray

Statistic = Literal["mean", "median"]

# Draws of one chunk of resamples: a handful of arrays that long stay in a core's cache.
_DRAWS_PER_CHUNK = 20_000
# Stands for infinity among values whose order alone matters, and which are averaged in pairs.
_HUGE = 1e300
# With fewer top clusters no percentile of resamples makes a 95 % interval.
FEWEST_CLUSTERS = 5


@dataclass(frozen=True, kw_only=True)
class _Level:
    """The members of every group of the level above: group g owns members first[g] to first[g] + size[g] - 1."""

    first: IntArray
    size: IntArray


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
    members as it has, and so on down to the units. A level with one cluster is kept as it is, since there is nothing
    else to draw. Units of one cluster may depend on each other; clusters of the top level may not, and with fewer than
    about ten of them the interval is too narrow.

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
        normal distribution has ``t(n − 1)·√(n/(n − 1))``. That makes up for what the percentiles of the mean of few
        clusters lack in width: with ten networks a 95 % interval leaves out no effect in 4 to 5 % of experiments, not
        in 10 %; with five in 8 %. No interval of resamples reaches beyond the extreme clusters, so fewer are refused.

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
    """
    data = np.asarray(values, dtype=np.float64)
    if statistic == "median":
        data = np.clip(data, -_HUGE, _HUGE)
    labels = [np.asarray(cluster) for cluster in clusters]
    _require(data, labels, statistic, n_resamples, confidence)
    levels, order = _levels(labels, len(data))
    data = data[order]
    estimate: Callable[[IntArray, np.random.Generator], FloatArray]
    # Means draw every unit. Medians, and shares of units, need the number of draws of every cluster alone.
    width = len(levels[-1].size)
    if statistic == "median":
        estimate = partial(_medians, _ranked(levels[-1], data))
    elif np.isin(data, (0, 1)).all():
        estimate = partial(_shares, levels[-1], data)
    else:
        estimate, width = partial(_means, levels[-1], data), len(data)
    estimates = np.empty(n_resamples)
    chunk = max(1, _DRAWS_PER_CHUNK // width)
    for start in range(0, n_resamples, chunk):
        stop = min(start + chunk, n_resamples)
        counts = np.ones((stop - start, 1), dtype=np.int64)
        for level in levels[:-1]:
            counts = _draw(counts, level, generator)
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
    """Return the generator of one estimate: of a seed and what the estimate is called, whatever came before it.

    So the same estimate has the same interval in every run, whichever networks, layers and controls stand beside it.
    """
    return np.random.default_rng([seed, *"/".join(map(str, names)).encode()])


def median(values: npt.ArrayLike) -> float:
    """Return the median of values that may be infinite, where halves of ±∞ would be no number."""
    return _unclipped(np.median(np.clip(np.asarray(values, dtype=np.float64), -_HUGE, _HUGE)))


def _unclipped(value: float) -> float:
    return float(np.sign(value) * np.inf) if abs(value) > _HUGE / 1e50 else float(value)


def _draw(counts: IntArray, level: _Level, generator: np.random.Generator) -> IntArray:
    """Return how often each member is drawn, (resample, member), given how often its group was, (resample, group)."""
    n_members = int(level.size.sum())
    draws = (counts * level.size).ravel()
    first = np.repeat(np.tile(level.first, len(counts)), draws)
    size = np.repeat(np.tile(level.size, len(counts)), draws)
    member = first + (generator.random(len(first)) * size).astype(np.int64)
    row = np.repeat(np.arange(len(counts)) * n_members, draws.reshape(counts.shape).sum(axis=1))
    return np.bincount(row + member, minlength=len(counts) * n_members).reshape(len(counts), n_members)


def _means(units: _Level, values: FloatArray, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return the mean of each resample, given how often every cluster of units was drawn, (resample, cluster)."""
    of_unit = _draw(counts, units, generator)
    return np.asarray(of_unit @ values / of_unit.sum(axis=1))


def _shares(units: _Level, values: FloatArray, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return `_means` of values that are 0 or 1: only how many 1 were drawn matters, not which."""
    share = np.add.reduceat(values, units.first) / units.size
    draws = counts * units.size
    return np.asarray(generator.binomial(draws, share).sum(axis=1) / draws.sum(axis=1))


def _medians(ranked: _Ranked, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return the median of each resample, given how often every cluster of units was drawn, (resample, cluster)."""
    draws = counts * ranked.size
    total = draws.sum(axis=1)
    low, high = np.zeros_like(total), np.full_like(total, len(ranked.values))
    lower, upper = _order_statistics(ranked, low, high, draws, (total - 1) // 2, total // 2, generator)
    return np.asarray((ranked.values[lower] + ranked.values[upper]) / 2)


class _Ranked(NamedTuple):
    """Where the units of every cluster stand among all units in the order of their values.

    Attributes
    ----------
    values
        (unit,) of all clusters, ascending.
    keys
        (unit,) cluster · number of units + place, ascending.
    first, size
        (cluster,) index of its first key, and how many it has.
    """

    values: FloatArray
    keys: IntArray
    first: IntArray
    size: IntArray

    def below(self, place: IntArray) -> IntArray:
        """Return how many units of every cluster stand before a place, (resample, cluster)."""
        start = np.arange(len(self.first)) * len(self.values)
        return np.searchsorted(self.keys, start + place[:, None]) - self.first


def _ranked(units: _Level, values: FloatArray) -> _Ranked:
    order = np.argsort(values, kind="stable")
    cluster = np.repeat(np.arange(len(units.size)), units.size)[order]
    keys = np.sort(cluster * len(values) + np.arange(len(values)))
    return _Ranked(values[order], keys, units.first, units.size)


def _order_statistics(
    ranked: _Ranked,
    low: IntArray,
    high: IntArray,
    draws: IntArray,
    lower: IntArray,
    upper: IntArray,
    generator: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Return the places of the `lower` and the `upper` of the drawn units, which are one unit or neighbours.

    Of every cluster `draws` (resample, cluster) units fell, each at random, into the places from `low` to before
    `high`. How many of them fell into the lower half of these places is binomial, and tells in which half a rank lies:
    halving after halving finds its place, with no need to draw the others'.
    """
    found = np.empty((2, len(low)), dtype=np.int64)
    rows = np.arange(len(low))
    at_low, at_high = ranked.below(low), ranked.below(high)
    while len(rows):
        single = high - low == 1
        found[:, rows[single]] = low[single]
        middle = (low + high) // 2
        at_middle = ranked.below(middle)
        share = (at_middle - at_low) / np.maximum(at_high - at_low, 1)
        left = generator.binomial(draws, share)
        n_left = left.sum(axis=1)
        apart = ~single & (lower < n_left) & (upper >= n_left)
        if apart.any():  # from here on the two go their own ways: the last on the left, and the first on the right
            last = n_left[apart] - 1
            half = (ranked, low[apart], middle[apart], left[apart], last, last, generator)
            found[0, rows[apart]] = _order_statistics(*half)[0]
            none = np.zeros_like(last)
            half = (ranked, middle[apart], high[apart], (draws - left)[apart], none, none, generator)
            found[1, rows[apart]] = _order_statistics(*half)[1]
        go = ~single & ~apart
        is_left = (upper < n_left)[go]
        taken = np.where(is_left, 0, n_left[go])
        lower, upper = lower[go] - taken, upper[go] - taken
        low, high = np.where(is_left, low[go], middle[go]), np.where(is_left, middle[go], high[go])
        of_cluster = is_left[:, None]
        at_low, at_high = (
            np.where(of_cluster, at_low[go], at_middle[go]),
            np.where(of_cluster, at_middle[go], at_high[go]),
        )
        draws, rows = np.where(of_cluster, left[go], (draws - left)[go]), rows[go]
    return found[0], found[1]


def _levels(labels: list[npt.NDArray[Any]], n_units: int) -> tuple[list[_Level], npt.NDArray[np.intp]]:
    """Return the levels from the top down to the units, and the order of the units in which clusters are contiguous."""
    parent = np.zeros(n_units, dtype=np.int64)
    levels = []
    for label in labels:
        codes = pd.factorize(label)[0].astype(np.int64)
        # Sorting by parent first makes the members of one group neighbours.
        pairs, member = np.unique(np.column_stack([parent, codes]), axis=0, return_inverse=True)
        levels.append(_level(pairs[:, 0]))
        parent = member.ravel().astype(np.int64)
    order = np.argsort(parent, kind="stable")
    levels.append(_level(parent[order]))
    return levels, order


def _level(parent: IntArray) -> _Level:
    size = np.bincount(parent).astype(np.int64)
    return _Level(first=size.cumsum() - size, size=size)


def _require(
    data: FloatArray, labels: list[npt.NDArray[Any]], statistic: str, n_resamples: int, confidence: float
) -> None:
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise ValueError(
            f"values must be one row of finite numbers, got shape {data.shape} with {int((~np.isfinite(data)).sum())} "
            "not finite; drop and count these first"
        )
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
