"""Reductions of a recording while it is made, so that its size does not grow with the number of stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.recording.presentations import Batch

# Names of the arrays of a reduced recording. The count is of the presentations that were kept.
MEAN, VARIANCE, MAXIMUM, COUNT, PRESENTED = "mean", "variance", "maximum", "count", "presented"


@dataclass
class _Group:
    """Moments of the presentations of one condition so far, one array a variable."""

    count: int
    mean: dict[str, NDArray[np.float64]]
    squares: dict[str, NDArray[np.float64]]
    maximum: dict[str, NDArray[np.float32]]


class Reduction:
    """Mean, variance, maximum and count over the presentations of each condition, for every unit and step.

    Parameters
    ----------
    by
        Coordinates of a presentation; presentations that share all of them are one condition.
    keep
        A boolean coordinate; presentations where it is false are left out. None keeps all.

    Raises
    ------
    ValueError
        If `by` is not a list of different names, or has the name of an array of the reduced recording.

    Notes
    -----
    Means and sums of squared deviations are accumulated in float64 and joined batch by batch by the pairwise formula of
    Chan, Golub & LeVeque (1983), which does not lose digits where the mean is large beside the spread. The variance is
    the population's (divided by the count).
    """

    def __init__(self, by: Sequence[str], keep: str | None = None) -> None:
        if isinstance(by, str) or not by or len(set(by)) < len(by):
            raise ValueError(f"by must be a list of different coordinates, at least one, got {by!r}")
        for name in (MEAN, VARIANCE, MAXIMUM, COUNT, PRESENTED):
            if name in by:
                raise ValueError(f"by must not have {name!r}, an array of every reduced recording; rename the column")
        self.by, self.keep = list(by), keep
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._presented: dict[tuple[Any, ...], int] = {}

    @property
    def kept(self) -> dict[str, Any]:
        """What it keeps of a recording: moments by these coordinates."""
        return {"reduced_by": self.by, "reduced_keep": self.keep}

    def take(self, batch: Batch) -> None:
        """Add a batch to its conditions.

        Raises
        ------
        ValueError
            If a coordinate is not there or not known of every presentation, or `keep` is not boolean.
        """
        table = batch.presentations
        self._check(table)
        keep = np.ones(len(table), bool) if self.keep is None else table[self.keep].to_numpy()
        for key, indices in table.groupby(self.by, sort=False).indices.items():
            condition, rows = key if isinstance(key, tuple) else (key,), np.asarray(indices)
            self._presented[condition] = self._presented.get(condition, 0) + len(rows)
            kept = rows[keep[rows]]
            if len(kept):
                self._add(condition, {name: values[kept] for name, values in batch.activations.items()})

    def _check(self, table: pd.DataFrame) -> None:
        missing = [name for name in [*self.by, *([self.keep] if self.keep else [])] if name not in table]
        if missing:
            there = ", ".join(map(str, table.columns))
            raise ValueError(f"conditions must be coordinates of a presentation ({there}), got {', '.join(missing)}")
        for name in self.by:
            if unknown := int(table[name].isna().sum()):
                raise ValueError(
                    f"{name} must be known of every presentation to be a condition, got none for {unknown} of "
                    f"{len(table)} in a batch; leave those stimuli out"
                )
        if self.keep is not None and table[self.keep].dtype != bool:
            raise ValueError(f"keep must be a boolean coordinate, got {self.keep!r} of {table[self.keep].dtype}")

    def _add(self, condition: tuple[Any, ...], values: dict[str, NDArray[np.float32]]) -> None:
        count = len(next(iter(values.values())))
        mean = {name: value.mean(0, dtype=np.float64) for name, value in values.items()}
        part = _Group(
            count,
            mean,
            {name: ((value - mean[name]) ** 2).sum(0) for name, value in values.items()},
            {name: value.max(0) for name, value in values.items()},
        )
        old = self._groups.get(condition)
        self._groups[condition] = part if old is None else _joined(old, part)

    def result(self) -> tuple[tuple[str, ...], pd.DataFrame, dict[str, dict[str, NDArray[Any]]]]:
        """Return the conditions in sorted order, and forget them for the next recording.

        Conditions that lost every presentation are NaN, with a count of 0.

        Raises
        ------
        ValueError
            If no presentation was kept at all.
        """
        import pandas as pd

        if not self._groups:
            raise ValueError(f"no presentation is left: {self.keep} is false in all {sum(self._presented.values())}")
        conditions = sorted(self._presented)
        table = pd.DataFrame(conditions, columns=self.by)
        counts = np.array([self._groups[c].count if c in self._groups else 0 for c in conditions])
        presented = np.array([self._presented[c] for c in conditions])
        example = next(iter(self._groups.values()))
        arrays: dict[str, dict[str, NDArray[Any]]] = {}
        for name, mean in example.mean.items():
            empty = _Group(1, *({name: np.full(mean.shape, np.nan)} for _ in range(3)))
            groups = [self._groups.get(condition, empty) for condition in conditions]
            arrays[name] = {
                MEAN: np.stack([group.mean[name] for group in groups]).astype(np.float32),
                VARIANCE: np.stack([group.squares[name] / group.count for group in groups]).astype(np.float32),
                MAXIMUM: np.stack([group.maximum[name] for group in groups]).astype(np.float32),
                COUNT: counts,
                PRESENTED: presented,
            }
        self._groups, self._presented = {}, {}
        return (labels.CONDITION,), table, arrays


def _joined(a: _Group, b: _Group) -> _Group:
    count = a.count + b.count
    mean, squares = {}, {}
    for name, of_a in a.mean.items():
        difference = b.mean[name] - of_a
        mean[name] = of_a + difference * (b.count / count)
        squares[name] = a.squares[name] + b.squares[name] + difference**2 * (a.count * b.count / count)
    maximum = {name: np.maximum(of_a, b.maximum[name]) for name, of_a in a.maximum.items()}
    return _Group(count, mean, squares, maximum)
