"""One variable as Brain-Score takes it: an assembly of presentations and neuroids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from neuroattn import dims
from neuroattn.recording.export.one_variable import activation_of, coordinates_of

if TYPE_CHECKING:
    import xarray as xr

TIME_BIN, TIME_BIN_START, TIME_BIN_END = "time_bin", "time_bin_start", "time_bin_end"


def to_assembly(data: xr.DataTree | xr.Dataset | xr.DataArray, *, ms_per_step: float | None = None) -> xr.DataArray:
    """Return one variable in the shape of Brain-Score's assemblies.

    ``NeuroidAssembly(to_assembly(...))`` of Brain-Score takes it as it is.

    Parameters
    ----------
    data
        One variable: its group, or its array ``activation`` with the dims presentation, time_step and neuroid.
    ms_per_step
        How many milliseconds you take a time step to last. The model has no clock: this is your assumption. None
        leaves time out.

    Returns
    -------
    xarray.DataArray
        Without `ms_per_step` (presentation, neuroid), of the only time step. With it (presentation, neuroid, time_bin),
        where step s fills the bin [s, s + 1) · `ms_per_step`, in ms, named by ``time_bin_start`` and ``time_bin_end``.
        Each dim has one MultiIndex, with its coordinates as levels. Values are loaded when they are looked at.

    Raises
    ------
    ValueError
        If there are several time steps and no `ms_per_step`, `ms_per_step` is not a positive finite number, or `data`
        is not one variable.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], steps=[0, 4])
    >>> dict(to_assembly(tree["stage1/gate"], ms_per_step=20).sizes)
    {'presentation': 6, 'neuroid': 1176, 'time_bin': 2}
    """
    import pandas as pd
    import xarray as xr

    array = activation_of(data)
    array = _first_step(array) if ms_per_step is None else _in_bins(array, ms_per_step)
    for dim in array.dims:
        coordinates = coordinates_of(str(dim), array.coords)
        if coordinates:
            index = pd.MultiIndex.from_arrays(list(coordinates.values()), names=list(coordinates))
            levels = xr.Coordinates.from_pandas_multiindex(index, str(dim))
            array = array.drop_vars(coordinates).assign_coords(levels)
    return array


def _first_step(array: xr.DataArray) -> xr.DataArray:
    steps = array.sizes.get(dims.TIME_STEP, 1)
    if steps != 1:
        raise ValueError(
            f"data must have a single time step where ms_per_step is None, got {steps}; select one with "
            "sel(time_step=...), or give ms_per_step"
        )
    return array.squeeze(dims.TIME_STEP) if dims.TIME_STEP in array.dims else array


def _in_bins(array: xr.DataArray, ms_per_step: float) -> xr.DataArray:
    number = isinstance(ms_per_step, int | float | np.integer | np.floating) and not isinstance(ms_per_step, bool)
    if not number or not math.isfinite(ms_per_step) or ms_per_step <= 0:
        raise ValueError(
            f"ms_per_step must be a positive finite number, got {ms_per_step!r}; give the milliseconds of a time step"
        )
    if dims.TIME_STEP not in array.coords:
        raise ValueError("data must have the coordinate time_step where ms_per_step is given, got none; keep it")
    if taken := [name for name in (TIME_BIN, TIME_BIN_START, TIME_BIN_END) if name in array.coords]:
        raise ValueError(f"data must not have a coordinate {taken[0]}, which is an assembly's own; rename it")
    if dims.TIME_STEP not in array.dims:
        array = array.expand_dims(dims.TIME_STEP, axis=-1)
    steps = array[dims.TIME_STEP].to_numpy()
    # No more levels than these two: Brain-Score reads (start, end) from the values of `time_bin`.
    bins = {
        TIME_BIN_START: (TIME_BIN, steps * float(ms_per_step)),
        TIME_BIN_END: (TIME_BIN, (steps + 1) * float(ms_per_step)),
    }
    return array.drop_vars(dims.TIME_STEP).rename({dims.TIME_STEP: TIME_BIN}).assign_coords(bins)
