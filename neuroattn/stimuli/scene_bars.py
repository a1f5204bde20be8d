"""Bars on grey beside an object that was cut out of a photograph, in colour, to measure tuning to orientation with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn.stimuli.bars import bars_of, tuning_grid
from neuroattn.stimuli.scene_pictures import GREY, cut_out

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.stimuli.stimulus_set import StimulusSet

# As fractions of the picture's shorter side.
LENGTH = 0.4
WIDTH = (0.01, 0.04)  # σ
# Of its width and height. No bar is cut off, nor reaches the distractor's place: at most .30 + .40/2 = .50.
X, Y = (0.2, 0.3), (0.25, 0.75)
PLACE_X, PLACE_Y = (0.55, 0.97), (0.1, 0.9)  # of the distractor


def scene_tuning_grid(
    size: tuple[int, int], n_orientations: int = 20, n_widths: int = 3, n_x: int = 5, n_y: int = 5
) -> pd.DataFrame:
    """List every combination of orientation, width and place for pictures of a size (y, x) px.

    As `neuroattn.stimuli.bars.tuning_grid`, with σ from 1 to 4 % of the shorter side, centres from 20 to 30 % of the
    width and from 25 to 75 % of the height.

    >>> scene_tuning_grid((100, 100), n_orientations=1, n_widths=2, n_x=1, n_y=1)
       orientation  width     x     y  half
    0          0.0    1.0  20.0  25.0     0
    1          0.0    4.0  20.0  25.0     1
    """
    height, width = size
    return tuning_grid(
        n_orientations,
        n_widths,
        n_x,
        n_y,
        width=(WIDTH[0] * min(size), WIDTH[1] * min(size)),
        x=(X[0] * width, X[1] * width),
        y=(Y[0] * height, Y[1] * height),
    )


def on_the_right(alone: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an object alone on black (3, y, x), made as large as the distractor's place lets it be, and put there.

    Returns
    -------
    numpy.ndarray
        (4, y, x) 8 bits: red, green, blue, and where the object is.

    Raises
    ------
    ValueError
        If there is no object in the picture.

    Examples
    --------
    >>> alone = np.zeros((3, 100, 100), np.uint8)
    >>> alone[0, 40:50, 40:45] = 200
    >>> on_the_right(alone)[:, 50, 76]
    array([200,   0,   0, 255], dtype=uint8)
    """
    inside: NDArray[np.bool_] = np.any(alone, axis=0)
    if not inside.any():
        raise ValueError("alone must show an object on black, got a black picture")
    height, width = inside.shape
    box = (*(round(y * height) for y in PLACE_Y), *(round(x * width) for x in PLACE_X))
    return cut_out(alone.transpose(1, 2, 0), inside, (height, width), box)


def bar_and_object(grid: pd.DataFrame, distractor: NDArray[np.uint8]) -> StimulusSet:
    """Put each bar of `grid`, white on grey, on the left of one object.

    Parameters
    ----------
    grid
        One row a picture, with the columns ``orientation``, ``width``, ``x`` and ``y`` of `scene_tuning_grid`. A width
        of 0 leaves the bar out.
    distractor
        (4, y, x) of `on_the_right`; its size is that of the pictures.

    Returns
    -------
    stimuli
        Images (bar, 3, y, x). Object 0 is the bar, object 1 the distractor, each alone on black. The table is `grid`
        with ``location_0`` and ``location_1``; it has no ``label_k``, because a bar has no class.

    Examples
    --------
    >>> shown = bar_and_object(scene_tuning_grid((60, 80), 4, 1, 1, 1), np.zeros((4, 60, 80), np.uint8))
    >>> shown.images.shape
    (4, 3, 60, 80)
    """
    from neuroattn.stimuli.stimulus_set import StimulusSet

    _, height, width = distractor.shape
    white = bars_of(grid, height=height, width=width, length=LENGTH * min(height, width))
    colour, opaque = distractor[:3].astype(np.float32) / 255, distractor[3:].astype(np.float32) / 255
    objects = np.empty((len(grid), 2, 3, height, width), np.float32)
    objects[:, 0] = white * (1 - opaque)
    objects[:, 1] = colour * opaque
    images = GREY / 255 * (1 - white)
    images = (images * (1 - opaque) + objects[:, 0]) + objects[:, 1]
    return StimulusSet(np.minimum(images, 1, dtype=np.float32), objects, grid.assign(location_0=0, location_1=1))
