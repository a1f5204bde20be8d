"""What the stimulus table says of each presentation, once it is known which object is attended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray


def of_objects(
    known: Mapping[str, Any], stimuli: pd.DataFrame, n_objects: int, per_stimulus: int
) -> dict[str, NDArray[Any]]:
    """Return what the stimulus table says of the attended object, where it says it of every object."""
    columns: dict[str, NDArray[Any]] = {}
    attended, rows = known[dims.ATTENDED], np.repeat(np.arange(len(stimuli)), per_stimulus)
    locations = [f"location_{k}" for k in range(n_objects)]
    if set(locations) <= set(stimuli):
        columns[dims.LOCATION] = stimuli[locations].to_numpy()[rows, attended]
    classes = [f"label_{k}" for k in range(n_objects)]
    if set(classes) <= set(stimuli):
        of_object = stimuli[classes].to_numpy()
        columns[dims.ATTENDED_LABEL] = of_object[rows, attended]
        if n_objects == 2:  # with more objects there is no single unattended one
            columns[dims.UNATTENDED_LABEL] = of_object[rows, 1 - attended]
        # A name cannot be compared with the number of a class.
        if of_object.dtype.kind in "iuf" and dims.PREDICTED in known:
            columns[dims.CORRECT] = of_object[rows, attended] == known[dims.PREDICTED]
    return columns
