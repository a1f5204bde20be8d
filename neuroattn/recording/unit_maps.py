"""Units as maps: from the flat dim of a recording to (channel, y, x)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn import labels

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr


def unit_maps(array: xr.DataArray) -> xr.DataArray:
    """Return an array with its units laid out as maps.

    Parameters
    ----------
    array
        Any array of a recording's group, with the dim ``neuroid`` and its coordinates.

    Returns
    -------
    xarray.DataArray
        ``neuroid`` replaced by ``(channel, channel_y, channel_x)``; NaN where a unit was not recorded.

    Raises
    ------
    ValueError
        If `array` has no dim ``neuroid`` or lacks its coordinates, or holds several models or layers.
    """
    labels.require_dims(array, labels.NEUROID)
    place = [labels.CHANNEL, labels.CHANNEL_Y, labels.CHANNEL_X]
    missing = [name for name in (labels.MODEL, labels.LAYER, *place) if name not in array.coords]
    if missing:
        raise ValueError(f"array must have the coordinates of its units, got none of {', '.join(missing)}")
    for name in (labels.MODEL, labels.LAYER):
        if len(found := np.unique(array[name].values.astype(object))) > 1:
            raise ValueError(f"array must hold a single {name}, got {', '.join(found)}; select one first")
    extra = [name for name, c in array.coords.items() if labels.NEUROID in c.dims and name not in place]
    indices: dict[Hashable, list[str]] = {labels.NEUROID: place}
    return array.drop_vars(extra).set_index(indices).unstack(labels.NEUROID)
