"""Draws with replacement from nested groups, and the statistics of what was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Level:
    """The members of every group of the level above: group g owns members first[g] to first[g] + size[g] - 1."""

    first: IntArray
    size: IntArray


class Ranked(NamedTuple):
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


def levels_of(labels: list[npt.NDArray[Any]], n_units: int) -> tuple[list[Level], npt.NDArray[np.intp]]:
    """Return the levels from the top down to the units, and the order of units in which clusters are contiguous.

    >>> levels, order = levels_of([np.array([*"abab"])], 4)
    >>> [level.size.tolist() for level in levels], order.tolist()
    ([[2], [2, 2]], [0, 2, 1, 3])
    """
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


def _level(parent: IntArray) -> Level:
    size = np.bincount(parent).astype(np.int64)
    return Level(first=size.cumsum() - size, size=size)


def ranked(units: Level, values: FloatArray) -> Ranked:
    """Return the ranks of units whose clusters are contiguous, as `medians` needs them.

    >>> ranked(Level(first=np.array([0, 2]), size=np.array([2, 1])), np.array([0.3, 0.1, 0.2])).keys
    array([0, 2, 4])
    """
    order = np.argsort(values, kind="stable")
    cluster = np.repeat(np.arange(len(units.size)), units.size)[order]
    keys = np.sort(cluster * len(values) + np.arange(len(values)))
    return Ranked(values[order], keys, units.first, units.size)


def draw(counts: IntArray, level: Level, generator: np.random.Generator) -> IntArray:
    """Return how often each member is drawn, (resample, member), given how often its group was, (resample, group).

    >>> level = Level(first=np.array([0, 2]), size=np.array([2, 3]))
    >>> draw(np.array([[2, 0], [1, 1]]), level, np.random.default_rng(0))
    array([[3, 1, 0, 0, 0],
           [0, 2, 0, 2, 1]])
    """
    n_members = int(level.size.sum())
    draws = (counts * level.size).ravel()
    first = np.repeat(np.tile(level.first, len(counts)), draws)
    size = np.repeat(np.tile(level.size, len(counts)), draws)
    member = first + (generator.random(len(first)) * size).astype(np.int64)
    row = np.repeat(np.arange(len(counts)) * n_members, draws.reshape(counts.shape).sum(axis=1))
    return np.bincount(row + member, minlength=len(counts) * n_members).reshape(len(counts), n_members)


def means(units: Level, values: FloatArray, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return the mean of each resample, given how often every cluster of units was drawn, (resample, cluster).

    >>> level = Level(first=np.array([0, 2]), size=np.array([2, 3]))
    >>> means(level, np.array([1.0, 2.0, 7.0, 7.0, 7.0]), np.array([[2, 0], [0, 2]]), np.random.default_rng(0))
    array([1.25, 7.  ])
    """
    of_unit = draw(counts, units, generator)
    return np.asarray(of_unit @ values / of_unit.sum(axis=1))


def shares(units: Level, values: FloatArray, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return `means` of values that are 0 or 1: only how many 1 were drawn matters, not which.

    >>> level = Level(first=np.array([0, 2]), size=np.array([2, 3]))
    >>> shares(level, np.array([1.0, 0.0, 1.0, 1.0, 1.0]), np.array([[2, 0], [0, 2]]), np.random.default_rng(0))
    array([0.5, 1. ])
    """
    share = np.add.reduceat(values, units.first) / units.size
    draws = counts * units.size
    return np.asarray(generator.binomial(draws, share).sum(axis=1) / draws.sum(axis=1))


def medians(units: Ranked, counts: IntArray, generator: np.random.Generator) -> FloatArray:
    """Return the median of each resample, given how often every cluster of units was drawn, (resample, cluster).

    >>> level = Level(first=np.array([0, 2]), size=np.array([2, 3]))
    >>> units = ranked(level, np.array([1.0, 2.0, 7.0, 7.0, 7.0]))
    >>> medians(units, np.array([[2, 0], [0, 2]]), np.random.default_rng(0))
    array([2., 7.])
    """
    draws = counts * units.size
    total = draws.sum(axis=1)
    low, high = np.zeros_like(total), np.full_like(total, len(units.values))
    lower, upper = _order_statistics(units, low, high, draws, (total - 1) // 2, total // 2, generator)
    return np.asarray((units.values[lower] + units.values[upper]) / 2)


def _order_statistics(
    units: Ranked,
    low: IntArray,
    high: IntArray,
    draws: IntArray,
    lower: IntArray,
    upper: IntArray,
    generator: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Return the places of the `lower` and the `upper` of the drawn units, which are one unit or neighbours.

    Of every cluster `draws` (resample, cluster) units fell, each at random, into the places from `low` to before
    `high`. How many of them fell into the lower half is binomial, and tells in which half a rank lies: halving again
    and again finds its place without drawing the others'.
    """
    found = np.empty((2, len(low)), dtype=np.int64)
    rows = np.arange(len(low))
    at_low, at_high = units.below(low), units.below(high)
    while len(rows):
        single = high - low == 1
        found[:, rows[single]] = low[single]
        middle = (low + high) // 2
        at_middle = units.below(middle)
        share = (at_middle - at_low) / np.maximum(at_high - at_low, 1)
        left = generator.binomial(draws, share)
        n_left = left.sum(axis=1)
        apart = ~single & (lower < n_left) & (upper >= n_left)
        if apart.any():  # the two part: the last on the left, the first on the right
            last = n_left[apart] - 1
            half = (units, low[apart], middle[apart], left[apart], last, last, generator)
            found[0, rows[apart]] = _order_statistics(*half)[0]
            none = np.zeros_like(last)
            half = (units, middle[apart], high[apart], (draws - left)[apart], none, none, generator)
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
