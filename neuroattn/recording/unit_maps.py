"""Units as maps: from the flat dim of a recording to (channel, y, x)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn import dims

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

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], steps=[4])
    >>> dict(unit_maps(tree["stage1/gate"]["activation"]).sizes)
    {'presentation': 6, 'time_step': 1, 'channel': 1, 'channel_y': 28, 'channel_x': 42}
    """
    dims.require_dims(array, dims.NEUROID)
    place = [dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X]
    missing = [name for name in (dims.MODEL, dims.LAYER, *place) if name not in array.coords]
    if missing:
        raise ValueError(f"array must have the coordinates of its units, got none of {', '.join(missing)}")
    for name in (dims.MODEL, dims.LAYER):
        if len(found := np.unique(array[name].values.astype(object))) > 1:
            raise ValueError(f"array must hold a single {name}, got {', '.join(found)}; select one first")
    extra = [name for name, c in array.coords.items() if dims.NEUROID in c.dims and name not in place]
    indices: dict[Hashable, list[str]] = {dims.NEUROID: place}
    return array.drop_vars(extra).set_index(indices).unstack(dims.NEUROID)
