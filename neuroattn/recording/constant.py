"""Variables that are the same for every stimulus, which is seldom what a recording was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 1024  # presentations that are compared at once


def constant_variables(arrays: Mapping[str, Any], per_stimulus: int) -> list[str]:
    """Return the variables whose every unit has, in each phase and step, the same value for all stimuli.

    Parameters
    ----------
    arrays
        Variable → (presentation, time_step, neuroid), an array of numpy or Zarr, stimulus-major.
    per_stimulus
        Presentations of a stimulus. With a single stimulus nothing is constant.
    """
    return [name for name, array in arrays.items() if array.shape[0] > per_stimulus and _constant(array, per_stimulus)]


def constant_warning(name: str, n_stimuli: int) -> str:
    """Return what is said of a variable that is constant."""
    return (
        f"{name} is the same for all {n_stimuli} stimuli in every unit; check that the stimuli differ where its units "
        "look, and that it is recorded where it varies"
    )


def _constant(array: Any, per_stimulus: int) -> bool:
    first = np.asarray(array[:per_stimulus])
    step = per_stimulus * max(1, CHUNK // per_stimulus)
    # The second stimulus settles it for nearly every variable.
    for start, stop in ((per_stimulus, 2 * per_stimulus), *((at, at + step) for at in range(0, array.shape[0], step))):
        part = np.asarray(array[start:stop])
        if not np.array_equal(part, np.tile(first, (len(part) // per_stimulus, 1, 1)), equal_nan=True):
            return False
    return True
