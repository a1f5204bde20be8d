"""One variable as a tidy table: a row for every presentation, time step and neuroid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neuroattn import dims
from neuroattn.compute.memory import free_memory
from neuroattn.recording.export.one_variable import group_of, is_text

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

ORDER = (dims.PRESENTATION, dims.CONDITION, dims.TIME_STEP, dims.NEUROID)


class _Column(NamedTuple):
    """A coordinate before it is repeated over the rows: text as small numbers into its categories."""

    dims: tuple[Hashable, ...]
    values: NDArray[Any]
    categories: NDArray[Any] | None = None


def to_dataframe(data: xr.DataTree | xr.Dataset | xr.DataArray) -> pd.DataFrame:
    """Return one variable as a tidy table.

    Parameters
    ----------
    data
        One variable, recorded or reduced: its group, or one array of it.

    Returns
    -------
    pandas.DataFrame
        One row for every (presentation, time_step, neuroid), in this order, the last fastest; (condition, time_step,
        neuroid) where the recording was reduced. Every coordinate is a column, text as a categorical, and so is every
        array (``activation``; or ``mean``, ``variance``, ``maximum``, ``count``, ``presented``) in the model's units.

    Raises
    ------
    ValueError
        If the table does not fit in the memory that is available, or `data` is not one variable.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], steps=[4])
    >>> to_dataframe(tree["stage1/gate"])[["stimulus_id", "phase", "channel_y", "channel_x"]].tail(2)
          stimulus_id  phase  channel_y  channel_x
    7054            2      1         27         40
    7055            2      1         27         41
    """
    import pandas as pd

    dataset = group_of(data)
    axes = sorted(dataset.sizes, key=lambda dim: ORDER.index(str(dim)) if dim in ORDER else len(ORDER))
    columns = _coordinates(dataset, axes)
    _require_memory(dataset, columns)
    shape = tuple(dataset.sizes[dim] for dim in axes)
    table: dict[str, Any] = {}
    for name, column in columns.items():
        rows = _repeated(column.values, column.dims, axes, shape)
        table[name] = (
            rows if column.categories is None else pd.Categorical.from_codes(rows, pd.Index(column.categories))
        )
    for key, array in dataset.data_vars.items():
        table[str(key)] = _repeated(array.transpose(*axes, missing_dims="ignore").to_numpy(), array.dims, axes, shape)
    return pd.DataFrame(table, copy=False)  # the columns are copies already


def _coordinates(dataset: xr.Dataset, axes: list[Hashable]) -> dict[str, _Column]:
    """Return the coordinates in the order of their dims, those that hold for all rows last."""
    import pandas as pd

    columns = {}
    for name in sorted(dataset.coords, key=lambda name: [axes.index(dim) for dim in dataset[name].dims] or [len(axes)]):
        coordinate = dataset[name]
        values = coordinate.to_numpy()
        if is_text(coordinate):
            codes, categories = pd.factorize(values.astype(object).ravel())
            smallest = np.min_scalar_type(-len(categories) - 1)
            columns[str(name)] = _Column(coordinate.dims, codes.astype(smallest).reshape(values.shape), categories)
        else:
            columns[str(name)] = _Column(coordinate.dims, values)
    return columns


def _require_memory(dataset: xr.Dataset, columns: dict[str, _Column]) -> None:
    arrays = dataset.data_vars.values()
    rows = math.prod(dataset.sizes.values())
    row = sum(column.values.itemsize for column in columns.values()) + sum(array.dtype.itemsize for array in arrays)
    # An array is there twice while it becomes a column.
    needed = rows * row + max((array.nbytes for array in arrays), default=0)
    if needed > (free := free_memory()):
        raise ValueError(
            f"data must fit in memory as a table, got {rows:,} rows that need {needed / 1e9:,.2f} GB, and "
            f"{free / 1e9:,.2f} GB are free; select steps, channels or presentations first"
        )


def _repeated(
    values: NDArray[Any], own: tuple[Hashable, ...], axes: list[Hashable], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return an array of some of the dims, in their order, as one value a row."""
    aligned = values.reshape([size if dim in own else 1 for dim, size in zip(axes, shape, strict=True)])
    return np.array(np.broadcast_to(aligned, shape), order="C").reshape(-1)
