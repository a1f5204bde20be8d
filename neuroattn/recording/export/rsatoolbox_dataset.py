"""One variable as rsatoolbox takes it: observations, channels, and time."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.recording.export.one_variable import activation_of, coordinates_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

TIME = "time"  # the name that rsatoolbox asks for


def to_rsatoolbox(data: xr.DataTree | xr.Dataset | xr.DataArray) -> Any:
    """Return one variable as a dataset of rsatoolbox, for representational similarity analysis.

    Parameters
    ----------
    data
        One variable: its group, or its array ``activation`` with the dims presentation, time_step and neuroid.

    Returns
    -------
    rsatoolbox.data.TemporalDataset or rsatoolbox.data.Dataset
        A presentation is an observation, a neuroid a channel, and their coordinates are descriptors. Measurements are
        (presentation, neuroid, time) in the model's units, a copy; the descriptor ``time`` counts time steps, and is
        not in milliseconds. A single time step makes a Dataset, (presentation, neuroid), with the descriptor
        ``time_step``. Descriptors of the dataset are units, and model and layer where there is one of each.

    Raises
    ------
    ValueError
        If rsatoolbox is not installed, or `data` is not one variable.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], steps=[4])
    >>> to_rsatoolbox(tree["stage1/gate"]).measurements.shape
    (6, 1176)
    """
    try:
        rsatoolbox: Any = importlib.import_module("rsatoolbox")
    except ModuleNotFoundError as error:
        if error.name != "rsatoolbox":
            raise
        raise ValueError("rsatoolbox must be installed to make its datasets; pip install rsatoolbox") from None

    array = activation_of(data)
    neuroids = _described(dims.NEUROID, array)
    several: dict[str, Any] = {
        "obs_descriptors": _described(dims.PRESENTATION, array),
        "channel_descriptors": neuroids,
    }
    descriptors: dict[str, Any] = {
        name: str(neuroids[name][0])
        for name in (dims.MODEL, dims.LAYER)
        if name in neuroids and len(np.unique(neuroids[name])) == 1
    }
    if "units" in array.attrs:
        descriptors["units"] = array.attrs["units"]
    if array.sizes.get(dims.TIME_STEP, 1) > 1:
        time = {TIME: array[dims.TIME_STEP].to_numpy()}
        measurements = np.array(array.to_numpy(), order="C")
        return rsatoolbox.data.TemporalDataset(measurements, descriptors=descriptors, time_descriptors=time, **several)
    if dims.TIME_STEP in array.dims:
        array = array.squeeze(dims.TIME_STEP)
    if dims.TIME_STEP in array.coords:
        descriptors[dims.TIME_STEP] = int(array[dims.TIME_STEP])
    return rsatoolbox.data.Dataset(np.array(array.to_numpy(), order="C"), descriptors=descriptors, **several)


def _described(dim: str, array: xr.DataArray) -> dict[str, NDArray[Any]]:
    """Return the coordinates of a dim with text of a fixed width, the only one that rsatoolbox can write to a file."""
    return {
        name: values.astype(str) if values.dtype.kind == "O" else values
        for name, values in coordinates_of(dim, array.coords).items()
    }
