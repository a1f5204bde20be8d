"""What of a recording is one variable: its group, and its activation with the dims in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from neuroattn import dims
from neuroattn.recording.damage import require_complete

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


def group_of(data: xr.DataTree | xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Return the group of one variable, whichever way it was handed over.

    Parameters
    ----------
    data
        A recording's group of one variable (``recording["stage1/gate"]``, or the same as a Dataset), or an array of it.

    Returns
    -------
    xarray.Dataset
        With its coordinates.

    Raises
    ------
    ValueError
        If `data` is something else, or of a recording that was not completed.
    """
    if isinstance(data, xr.DataArray):
        return data.to_dataset(name=data.name if data.name is not None else dims.ACTIVATION)
    if isinstance(data, xr.Dataset):
        return data
    if isinstance(data, xr.DataTree) and not data.children:
        for node in (data, *data.parents):
            require_complete(node)
        return data.to_dataset()
    raise ValueError(
        f"data must be the group of one variable or an array of it, got {_named(data)}; pass recording[variable]"
    )


def activation_of(data: xr.DataTree | xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Return the activation of one variable, (presentation, neuroid, time_step) or (presentation, neuroid).

    Raises
    ------
    ValueError
        If `data` is not one variable, has no activation, or the activation has other dims.
    """
    dataset = group_of(data)
    if isinstance(data, xr.DataArray):
        (array,) = dataset.data_vars.values()
    elif dims.ACTIVATION in dataset.data_vars:
        array = dataset[dims.ACTIVATION]
    else:
        raise ValueError(
            f"data must have an array {dims.ACTIVATION}, got {', '.join(map(str, dataset.data_vars)) or 'none'}; "
            "pass one variable of a recording that was not reduced"
        )
    dims.require_dims(array, dims.PRESENTATION, dims.NEUROID)
    axes = [dims.PRESENTATION, dims.NEUROID, dims.TIME_STEP]
    if extra := [str(dim) for dim in array.dims if dim not in axes]:
        raise ValueError(f"dims must be among {', '.join(axes)}, got {', '.join(extra)} too; pass a recording as it is")
    return array.transpose(*axes, missing_dims="ignore")


def coordinates_of(dim: str, coords: Mapping[Any, xr.DataArray]) -> dict[str, NDArray[np.generic]]:
    """Return the flat coordinates of a dim, text as objects: a store's own text type is unknown to other libraries."""
    return {
        str(name): coordinate.to_numpy().astype(object) if is_text(coordinate) else coordinate.to_numpy()
        for name, coordinate in coords.items()
        if coordinate.dims == (dim,)
    }


def is_text(array: xr.DataArray) -> bool:
    """Whether an array holds text: objects in memory, a type of its own from a store, or of fixed width."""
    return array.dtype.kind in "OUT"


def _named(data: object) -> str:
    return f"a tree of {', '.join(data.children)}" if isinstance(data, xr.DataTree) else type(data).__name__
