"""Variables that are the same for every stimulus, which is seldom what a recording was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROUNDING = 1e-5  # relative
CHUNK = 1024  # presentations that are compared at once


def constant_variables(arrays: Mapping[str, Any], per_stimulus: int) -> list[str]:
    """Return the variables whose every unit has, in each phase and step, the same value for all of several stimuli.

    Arrays of numpy or Zarr are (presentation, time_step, neuroid), stimulus-major.
    """
    return [name for name, array in arrays.items() if array.shape[0] > per_stimulus and _constant(array, per_stimulus)]


def varying(arrays: Mapping[str, NDArray[Any]], per_stimulus: int) -> set[str]:
    """Return the variables that differ already between the first stimuli; see `constant_variables`."""
    return {name for name, array in arrays.items() if not _same(array[: 2 * per_stimulus], array[:per_stimulus])}


class StillConstant:
    """Watches a recording that is not kept, batch by batch, for variables that are the same for all stimuli."""

    def __init__(self, per_stimulus: int) -> None:
        self._per_stimulus, self._n = per_stimulus, 0
        self._first: dict[str, NDArray[Any]] = {}

    def watch(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the next batch: variable → (presentation, time_step, neuroid)."""
        if not self._n:
            self._first = {name: array[: self._per_stimulus].copy() for name, array in arrays.items()}
        for name, first in list(self._first.items()):  # those that vary are no longer looked at
            if not _same(arrays[name], first):
                del self._first[name]
        self._n += len(next(iter(arrays.values())))

    @property
    def variables(self) -> list[str]:
        """The variables that were the same for every stimulus so far, if there were several."""
        return list(self._first) if self._n > self._per_stimulus else []


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
    parts = ((per_stimulus, 2 * per_stimulus), *((at, at + step) for at in range(0, array.shape[0], step)))
    return all(_same(np.asarray(array[start:stop]), first) for start, stop in parts)


def _same(part: NDArray[Any], first: NDArray[Any]) -> bool:
    """Return whether all stimuli of a part are like the first one, to rounding: batches of other sizes round anew."""
    scale = float(np.abs(first[np.isfinite(first)]).max(initial=0))
    repeated = np.tile(first, (len(part) // len(first), 1, 1))
    return bool(np.allclose(part, repeated, rtol=ROUNDING, atol=ROUNDING * scale, equal_nan=True))
