"""Coordinates of a recording: of presentations, the columns of the stimulus table, and of units, where each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# What a recording says itself, and its dims and arrays.
RESERVED = frozenset(
    {
        *(dims.PRESENTATION, dims.TIME_STEP, dims.NEUROID, dims.ACTIVATION),
        *(dims.PHASE, dims.CUED, dims.ATTENDED, dims.ATTENDED_UNCONSTRAINED, dims.ATTENDED_LABEL),
        *(dims.UNATTENDED_LABEL, dims.CONFIRMED, dims.PREDICTED, dims.CORRECT, dims.LOCATION, dims.SEED),
        *(dims.NEUROID_ID, dims.MODEL, dims.LAYER, dims.AREA),
        *(dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X),
    }
)


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a stimulus table of numbers, booleans and text, whatever pandas stores them as.

    Missing numbers become NaN. Text cannot be missing in a file: it becomes "". Categories and times become numbers
    where they are numbers, and text otherwise.

    Parameters
    ----------
    table
        One row a stimulus.

    Raises
    ------
    ValueError
        If a column's name is taken by a recording or cannot be stored, or a value is neither a number nor text.
    """
    import pandas as pd

    for name in table:
        # In a file, a name with a space is no coordinate, one with a slash a group, and one of dots a folder.
        if not isinstance(name, str) or name.split() != [name] or "/" in name or not name.strip("."):
            raise ValueError(f"table must have words without a slash as column names, got {name!r}; rename the column")
        if name in RESERVED:
            raise ValueError(f"table must not have a column {name!r}, which every recording has; rename the column")
    return pd.DataFrame({str(name): _plain(str(name), table[name]) for name in table})


def _plain(name: str, column: pd.Series[Any]) -> NDArray[Any]:
    import pandas as pd

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy()
    values = column.astype(object)
    known = values.notna().to_numpy()
    numbers = values[known].infer_objects().to_numpy()
    if numbers.dtype.kind in "biuf" and known.all():
        return numbers
    if numbers.dtype.kind in "iuf":
        filled = np.full(len(values), np.nan)
        filled[known] = numbers
        return filled
    for value in values[known]:
        if not pd.api.types.is_scalar(value) or isinstance(value, bytes | complex):
            raise ValueError(
                f"table must hold numbers, booleans or text, got a {type(value).__name__} in column {name!r}; "
                "convert the column or drop it"
            )
    return np.array([str(value) if there else "" for value, there in zip(values, known, strict=True)], dtype=object)


def neuroids(model: str, variable: str, shape: tuple[int, ...], index: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Return the coordinates of the units of a variable, of `shape` (channel, y, x) or fewer axes, in that order.

    `index` are the numbers of the units that are recorded, None: all. A unit keeps its number, whatever else is
    recorded.
    """
    import pandas as pd

    whole = (*shape, 1, 1)[:3]
    numbers = np.arange(np.prod(whole)) if index is None else index
    channel, y, x = np.unravel_index(numbers, whole)
    layer = variable.replace("/", ".")
    return pd.DataFrame(
        {
            dims.NEUROID_ID: [f"{model}.{layer}.{number}" for number in numbers],
            dims.MODEL: model,
            dims.LAYER: variable,
            dims.AREA: variable.partition("/")[0],
            dims.CHANNEL: channel,
            dims.CHANNEL_Y: y,
            dims.CHANNEL_X: x,
        }
    )
