"""The units of a recording: what each is called and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def neuroids(model: str, variable: str, array: NDArray[Any]) -> pd.DataFrame:
    """Return the coordinates of the units of a variable, in (channel, y, x) order.

    Parameters
    ----------
    model, variable
        Names of the network and of the variable, which is the layer.
    array
        (…, time_step, channel, y, x) or (…, time_step, channel); all but the last dims are ignored.
    """
    import pandas as pd

    shape = (*array.shape[2:], 1, 1)[:3]
    channel, y, x = (index.ravel() for index in np.indices(shape))
    layer = variable.replace("/", ".")
    return pd.DataFrame(
        {
            labels.NEUROID_ID: [f"{model}.{layer}.{number}" for number in range(channel.size)],
            labels.MODEL: model,
            labels.LAYER: variable,
            labels.AREA: variable.partition("/")[0],
            labels.CHANNEL: channel,
            labels.CHANNEL_Y: y,
            labels.CHANNEL_X: x,
        }
    )
