"""Bars for tuning, shared out over the objects that stand beside them, with pictures in which there is no bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn.dims import STIMULUS_ID
from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

SELECTION = 0  # the half of the bars that selects units; the other one measures them
CONTROL_BARS = 9  # of each half at each orientation


def shared_out(grid: pd.DataFrame, n_distractors: int, *, noise: bool = False) -> list[pd.DataFrame]:
    """Return the bars that stand beside each distractor.

    Neighbours among the bars of a `neuroattn.stimuli.bars.tuning_grid` lie in different halves and are nearly the same
    picture: beside one distractor the halves would not cross-validate. With several, the half for selection stands
    beside the first, and the other half beside the others in turn, the same bars of it at every orientation.

    Parameters
    ----------
    grid
        Of `neuroattn.stimuli.bars.tuning_grid`.
    n_distractors
        With one, both halves stand beside it.
    noise
        Whether no two pictures are the same. Without it one picture without a bar tells what there is to respond to;
        with it as many are listed as there are bars of an orientation, for a maximum over them to be as much favoured
        by chance.

    Returns
    -------
    list of pandas.DataFrame
        One a distractor: `grid` with ``for_controls`` (a sparse part of the bars, the same at every orientation and as
        many of either half) and ``bar``, false in the rows after the first distractor's bars, whose width is 0.

    Examples
    --------
    >>> from neuroattn.stimuli.bars import tuning_grid
    >>> first, second = shared_out(tuning_grid(1, 2, 1, 1), n_distractors=2)
    >>> first
       orientation  width    x    y  half  for_controls    bar
    0          0.0    0.5  6.0  4.0     0          True   True
    1          0.0    0.0  6.0  4.0     0         False  False
    >>> second
       orientation  width    x    y  half  for_controls   bar
    1          0.0    2.0  6.0  4.0     1          True  True
    """
    import pandas as pd

    grid = grid.assign(for_controls=_for_controls(grid), bar=True)
    in_turn = min(1, n_distractors - 1) + _number(grid) % max(1, n_distractors - 1)
    beside = np.where(grid["half"] == SELECTION, 0, in_turn)
    parts = [grid[beside == number] for number in range(n_distractors)]
    of_one = grid[(grid["half"] == SELECTION) & (grid["orientation"] == grid["orientation"].iloc[0])]
    without = of_one.assign(width=0.0, bar=False, for_controls=False)
    return [pd.concat([parts[0], without if noise else without[:1]], ignore_index=True), *parts[1:]]


def in_one(parts: Sequence[StimulusSet], notes: tuple[str, ...] = ()) -> StimulusSet:
    """Return the pictures beside all distractors as one set, those without a bar last.

    >>> from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
    >>> from neuroattn.stimuli.mnist import embedded
    >>> digits = embedded()
    >>> parts = shared_out(tuning_grid(2, 2, 1, 1), n_distractors=2)
    >>> shown = in_one([bar_and_digit(part, digits.images[k], 0) for k, part in enumerate(parts)])
    >>> shown.table["bar"].tolist()
    [True, True, True, True, False]
    """
    import pandas as pd

    table = pd.concat([part.table for part in parts], ignore_index=True).drop(columns=STIMULUS_ID)
    order = np.argsort(~table["bar"].to_numpy(), kind="stable")
    images = np.concatenate([part.images for part in parts])[order]
    objects = np.concatenate([np.asarray(part.objects) for part in parts])[order]
    return StimulusSet(images, objects, table.iloc[order].reset_index(drop=True), notes)


def _number(grid: pd.DataFrame) -> pd.Series[int]:
    """Return the number of each bar among those of its half and orientation."""
    return grid.groupby(["orientation", "half"]).cumcount()


def _for_controls(grid: pd.DataFrame) -> pd.Series[bool]:
    # The same bars at every orientation, spread over widths and places, as many from either half.
    number, size = _number(grid), grid.groupby(["orientation", "half"])["x"].transform("size")
    few = np.minimum(size, CONTROL_BARS)
    return (number * few // size) != ((number - 1) * few // size)
