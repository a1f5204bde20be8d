"""Bars on grey beside a natural object."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.stimuli.bars import bars
from neuroattn.stimuli.scene_bars import bar_and_object, on_the_right, scene_tuning_grid

SIZE = (60, 80)


@pytest.fixture
def alone():
    """A striped box of 20 × 10 px on black, in colour."""
    picture = np.zeros((3, *SIZE), np.uint8)
    picture[0, 30:50, 5:15] = 200
    picture[1, 30:50, 5:10] = 90
    return picture


def test_the_object_fills_its_place(alone):
    placed = on_the_right(alone)
    rows, columns = (np.flatnonzero(placed[3].any(axis)) for axis in (1, 0))
    # 48 rows are free and 34 columns (.55 to .97 of 80): twice as high as wide, it is bounded by the rows.
    assert (rows[0], rows[-1] + 1, columns[-1] + 1 - columns[0]) == (6, 54, 24)
    assert columns[0] >= 44
    assert columns[-1] < 78
    middle = placed[:, 30]
    assert_array_equal(middle[:, columns[2]], [200, 90, 0, 255])
    assert_array_equal(middle[:, columns[-3]], [200, 0, 0, 255])
    assert_array_equal(placed[:, :, :44], 0)
    with pytest.raises(ValueError, match="alone must show an object on black, got a black picture"):
        on_the_right(np.zeros((3, *SIZE), np.uint8))


def test_pictures_are_bar_and_object_on_grey(alone):
    grid = scene_tuning_grid(SIZE, 4, 2, 3, 2)
    assert len(grid) == 4 * 2 * 3 * 2
    assert (grid["width"].min(), grid["width"].max()) == (0.6, 2.4)
    assert (grid["x"].min(), grid["x"].max(), grid["y"].min(), grid["y"].max()) == (16, 24, 15, 45)
    distractor = on_the_right(alone)
    shown = bar_and_object(grid, distractor)
    assert shown.images.shape == (48, 3, *SIZE)
    assert shown.objects.shape == (48, 2, 3, *SIZE)
    white = bars(
        *(grid[name].to_numpy() for name in ("orientation", "width", "x", "y")), height=60, width=80, length=24
    )
    left, inside = np.arange(80) < 44, distractor[3] == 255
    assert_allclose(shown.objects[:, 0, :, :, left], np.moveaxis(white[..., left], -1, 0).repeat(3, 2), atol=1e-6)
    assert_allclose(shown.images[..., left], (127 + white[..., left] * 128) / 255 * np.ones((1, 3, 1, 1)), atol=1e-6)
    # Where the object stands it is all that is seen, and the same beside every bar.
    colours = np.broadcast_to(distractor[:3][:, inside] / 255, (48, 3, inside.sum()))
    assert_allclose(shown.images[:, :, inside], colours, atol=1e-6)
    assert_allclose(shown.objects[:, 1, :, inside], np.moveaxis(colours, -1, 0), atol=1e-6)
    assert not shown.objects[:, 1, :, :, left].any()
    assert not shown.objects[:, 0, :, inside].any()


@pytest.mark.parametrize("size", [(100, 100), (100, 60), (60, 120)])
def test_no_bar_reaches_the_objects_place_nor_is_cut_off(size):
    grid = scene_tuning_grid(size, 20, 2, 3, 3)
    shown = bar_and_object(grid, np.zeros((4, *size), np.uint8))
    # What is left there is the flank of the widest bars, two standard deviations away.
    assert shown.objects[:, 0, :, :, round(0.55 * size[1]) :].max() < 0.15
    ink = pd.Series(shown.objects[:, 0].sum((1, 2, 3)))
    assert (ink.groupby(grid["width"]).max() < 1.06 * ink.groupby(grid["width"]).min()).all()
