"""The units of a recording: what each is called and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn import dims

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def neuroids(model: str, variable: str, shape: tuple[int, ...], index: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Return the coordinates of the units of a variable, in (channel, y, x) order.

    Parameters
    ----------
    model, variable
        Names of the model and of the variable, which is the layer.
    shape
        (channel, y, x) of the whole variable, or fewer axes.
    index
        Numbers of the units that are recorded; None: all. A unit keeps its number, whatever else is recorded.
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
