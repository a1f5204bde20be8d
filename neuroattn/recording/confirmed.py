"""Conditions of a reduced recording, told apart by whether attention was confirmed, joined again with its count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.recording.reduce import COUNT, MAXIMUM, MEAN, PRESENTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

N_CONFIRMED = "n_confirmed"


def over_confirmed(dataset: xr.Dataset, by: Sequence[str]) -> xr.Dataset:
    """Return the means and maxima over all presentations of each condition, and how many of them were confirmed.

    Parameters
    ----------
    dataset
        One variable of a recording that was reduced by the coordinates `by` and by ``confirmed``.
    by
        Coordinates that tell the joined conditions apart; their order is that of the result.

    Returns
    -------
    xarray.Dataset
        As reduced by `by` alone, and ``n_confirmed`` (condition).
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
