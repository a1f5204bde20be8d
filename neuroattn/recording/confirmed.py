"""Conditions of a reduced recording, told apart by whether attention was confirmed, joined again with its count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from neuroattn import labels
from neuroattn.recording.reduce import COUNT, MAXIMUM, MEAN, PRESENTED

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    conditions = dataset[list(by)].to_dataframe()[list(by)]
    confirmed, joined = dataset[labels.CONFIRMED].values, []
    for _, rows in sorted(conditions.groupby(list(by)).indices.items()):
        part, counts = dataset.isel({labels.CONDITION: rows}), dataset[COUNT].values[rows]
        one = part.isel({labels.CONDITION: [0]}).drop_vars(labels.CONFIRMED)
        kept = part.isel({labels.CONDITION: counts > 0}) if counts.any() else part  # all NaN if nothing was kept
        arrays = {
            MEAN: kept[MEAN].weighted(kept[COUNT]).mean(labels.CONDITION),
            MAXIMUM: kept[MAXIMUM].max(labels.CONDITION),
            COUNT: counts.sum(),
            PRESENTED: part[PRESENTED].sum(),
            N_CONFIRMED: counts[confirmed[rows]].sum(),
        }
        joined.append(
            one.assign({name: xr.DataArray(value).expand_dims(labels.CONDITION) for name, value in arrays.items()})
        )
    return xr.concat(joined, labels.CONDITION).transpose(*dataset.dims)
