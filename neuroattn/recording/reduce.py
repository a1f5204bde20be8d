"""Reductions of a recording while it is made, so that its size does not grow with the number of stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from neuroattn.recording.plan import Plan
    from neuroattn.recording.run import Batch

# Names of the arrays of a reduced recording. The count is of the presentations that were kept.
MEAN, VARIANCE, MAXIMUM, COUNT, PRESENTED = "mean", "variance", "maximum", "count", "presented"
MOMENTS = (MEAN, VARIANCE, MAXIMUM)
N_CONFIRMED = "n_confirmed"


@dataclass
class _Group:
    """Moments of the presentations of one condition so far, one array a variable; what is not asked for is empty."""

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
    what
        Which of ``mean``, ``variance`` and ``maximum`` to make; what is not made costs nothing.

    Raises
    ------
    ValueError
        If `by` or `what` is not a list of different names, if `by` has the name of an array of the reduced recording,
        or `what` one that there is not.

    Notes
    -----
    Means and sums of squared deviations are accumulated in float64 and joined batch by batch by the pairwise formula of
    Chan, Golub & LeVeque (1983), which does not lose digits where the mean is large beside the spread. The variance is
    the population's (divided by the count).

    Examples
    --------
    >>> import neuroattn
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> model, means = neuroattn.load_model("digits-0"), Reduction(["phase"], what=["mean"])
    >>> dict(neuroattn.record(model, stimuli, ["stage1/gate"], sink=means)["stage1/gate"]["mean"].sizes)
    {'condition': 2, 'time_step': 5, 'neuroid': 1176}
    """

    def __init__(self, by: Sequence[str], keep: str | None = None, *, what: Sequence[str] = MOMENTS) -> None:
        if isinstance(by, str) or not by or len(set(by)) < len(by):
            raise ValueError(f"by must be a list of different coordinates, at least one, got {by!r}")
        for name in (MEAN, VARIANCE, MAXIMUM, COUNT, PRESENTED):
            if name in by:
                raise ValueError(f"by must not have {name!r}, an array of every reduced recording; rename the column")
        if isinstance(what, str) or not what or not set(what) <= set(MOMENTS) or len(set(what)) < len(what):
            raise ValueError(f"what must be a list of different ones of {', '.join(MOMENTS)}, got {what!r}")
        self.by, self.keep = list(by), keep
        self.what = [name for name in MOMENTS if name in what]
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._presented: dict[tuple[Any, ...], int] = {}
        self._variables: list[str] = []

    @property
    def kept(self) -> dict[str, Any]:
        """What it keeps of a recording: moments by these coordinates."""
        return {"reduced_by": self.by, "reduced_keep": self.keep, "reduced_to": self.what}

    def n_bytes(self, plan: Plan) -> dict[str, int]:
        """Return the bytes that moments of each variable take, accumulated and as they are returned.

        Conditions are counted in the stimulus table; where they are also of what only a run tells (``attended``), as
        many are taken for each stimulus as those of the rehearsal had.
        """
        number = self._n_conditions(plan)
        size = {MEAN: 8 + 4, VARIANCE: 8 + 4, MAXIMUM: np.dtype(plan.work.precision).itemsize + 4}
        # A variance needs the mean.
        of_unit = sum(size[name] for name in self.what) + (8 if self.what in ([VARIANCE], [VARIANCE, MAXIMUM]) else 0)
        return {
            name: number * of_unit * len(plan.work.steps[name]) * plan.work.n_units(name) for name in plan.variables
        }

    def _n_conditions(self, plan: Plan) -> int:
        stimuli, trials = plan.stimuli.table, plan.rehearsal.presentations
        known = [name for name in self.by if name in stimuli]
        told = [name for name in self.by if name not in known and name in trials]
        n_known = len(stimuli[known].drop_duplicates()) if known else 1
        each = trials.groupby(np.arange(len(trials)) // plan.per_stimulus)
        n_told = min(len(rows[told].drop_duplicates()) for _, rows in each) if told else 1
        return min(n_known * n_told, plan.n_presentations)

    def begin(self) -> None:
        """Forget what an earlier recording left: it may have been interrupted."""
        self._groups, self._presented, self._variables = {}, {}, []

    def take(self, batch: Batch) -> None:
        """Add a batch to its conditions.

        Raises
        ------
        ValueError
            If a coordinate is not there or not known of every presentation, or `keep` is not boolean.
        """
        table = batch.presentations
        self._check(table)
        self._variables = list(batch.activations)
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
        mean, squares, maximum = {}, {}, {}
        for name, value in values.items():
            if self.what != [MAXIMUM]:
                mean[name] = value.mean(0, dtype=np.float64)
            if VARIANCE in self.what:
                squares[name] = ((value - mean[name]) ** 2).sum(0)
            if MAXIMUM in self.what:
                maximum[name] = value.max(0)
        part = _Group(len(next(iter(values.values()))), mean, squares, maximum)
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
            number = sum(self._presented.values())
            raise ValueError(
                f"no presentation is left: {self.keep} is false in all {number}; show others, or take a network that "
                "attends these"
            )
        conditions = sorted(self._presented)
        table = pd.DataFrame(conditions, columns=self.by)
        counts = np.array([self._groups[c].count if c in self._groups else 0 for c in conditions])
        presented = np.array([self._presented[c] for c in conditions])
        arrays = {name: self._stacked(name, conditions) for name in self._variables}
        for of_variable in arrays.values():
            of_variable |= {COUNT: counts, PRESENTED: presented}
        self._groups, self._presented = {}, {}
        return (dims.CONDITION,), table, arrays

    def _stacked(self, variable: str, conditions: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
        """Return the moments of a variable, (condition, step, neuroid) each; NaN where a condition has none."""
        groups = [self._groups.get(condition) for condition in conditions]
        stacked = {}
        for moment in self.what:
            of_groups = [None if group is None else _moment(group, moment, variable) for group in groups]
            shape = next(values.shape for values in of_groups if values is not None)
            empty = np.full(shape, np.nan)
            stacked[moment] = np.stack([empty if v is None else v for v in of_groups]).astype(np.float32)
        return stacked


def _moment(group: _Group, moment: str, variable: str) -> NDArray[Any]:
    if moment == VARIANCE:
        return group.squares[variable] / group.count
    return group.mean[variable] if moment == MEAN else group.maximum[variable]


def _joined(a: _Group, b: _Group) -> _Group:
    count = a.count + b.count
    mean, squares = {}, {}
    for name, of_a in a.mean.items():
        difference = b.mean[name] - of_a
        mean[name] = of_a + difference * (b.count / count)
        if a.squares:
            squares[name] = a.squares[name] + b.squares[name] + difference**2 * (a.count * b.count / count)
    maximum = {name: np.maximum(of_a, b.maximum[name]) for name, of_a in a.maximum.items()}
    return _Group(count, mean, squares, maximum)


def over_confirmed(dataset: xr.Dataset, by: Sequence[str]) -> xr.Dataset:
    """Return the means and maxima over all presentations of each condition, and how many of them were confirmed.

    The dataset is one variable of a recording that was reduced by the coordinates `by` and by ``confirmed``; the result
    is as reduced by `by` alone, in their order, with ``n_confirmed`` (condition) beside it.
    """
    conditions = dataset[list(by)].to_dataframe()[list(by)].groupby(list(by)).indices
    rows_of_each = [rows for _, rows in sorted(conditions.items())]
    counts, presented = dataset[COUNT].values, dataset[PRESENTED].values
    confirmed = np.where(dataset[dims.CONFIRMED].values, counts, 0)
    values = {name: dataset[name].transpose(dims.CONDITION, ...).values for name in (MEAN, MAXIMUM)}
    joined: dict[str, list[Any]] = {name: [] for name in (MEAN, MAXIMUM, COUNT, PRESENTED, N_CONFIRMED)}
    for rows in rows_of_each:
        kept = rows[counts[rows] > 0] if counts[rows].any() else rows[:1]  # all are NaN where nothing was kept
        weights = counts[kept] if counts[kept].any() else None
        joined[MEAN].append(np.average(values[MEAN][kept], axis=0, weights=weights))
        joined[MAXIMUM].append(values[MAXIMUM][kept].max(0))
        for name, numbers in ((COUNT, counts), (PRESENTED, presented), (N_CONFIRMED, confirmed)):
            joined[name].append(numbers[rows].sum())
    first = dataset.isel({dims.CONDITION: [rows[0] for rows in rows_of_each]}).drop_vars(dims.CONFIRMED)
    axes = (dims.CONDITION, *(dim for dim in dataset[MEAN].dims if dim != dims.CONDITION))
    arrays = {name: np.stack(of_each).astype(np.float32) for name, of_each in joined.items() if name in values}
    return first.assign(
        {name: (axes, array) for name, array in arrays.items()}
        | {name: (dims.CONDITION, np.array(joined[name])) for name in (COUNT, PRESENTED, N_CONFIRMED)}
    )
