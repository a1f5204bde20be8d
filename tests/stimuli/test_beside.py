from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from neuroattn.experiments.tuning.protocol import MEASUREMENT, SELECTION
from neuroattn.stimuli.bars import tuning_grid
from neuroattn.stimuli.beside import in_one, shared_out
from neuroattn.stimuli.stimulus_set import StimulusSet

PLACES = ["width", "x", "y"]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_half_stands_beside_the_first_and_the_other_beside_the_others(n):
    grid = tuning_grid(6, 3, 5, 7)
    parts = shared_out(grid, n)
    assert len(parts) == n
    bars = pd.concat([part[part["bar"]] for part in parts])
    assert len(bars) == len(grid)
    assert not bars[["orientation", *PLACES]].duplicated().any()
    halves = [set(part["half"]) for part in parts]
    assert halves == ([{SELECTION, MEASUREMENT}] if n == 1 else [{SELECTION}, *[{MEASUREMENT}] * (n - 1)])
    sizes = [len(part) for part in parts[1:]]
    assert not sizes or max(sizes) - min(sizes) <= 6  # one of each orientation
    for part in parts:
        places = {
            frozenset(map(tuple, rows[PLACES].to_numpy())) for _, rows in part[part["bar"]].groupby("orientation")
        }
        assert len(places) == 1  # of each orientation the same bars


def test_one_picture_without_a_bar_or_as_many_as_bars_where_there_is_noise():
    grid = tuning_grid(6, 3, 5, 7)
    for noise, number in ((False, 1), (True, 53)):
        first, *others = shared_out(grid, 3, noise=noise)
        without = first[~first["bar"]]
        assert len(without) == number == (first.query("orientation == 0 and bar").shape[0] if noise else 1)
        assert (without["width"] == 0).all()
        assert not without["for_controls"].any()
        assert first["bar"].is_monotonic_decreasing
        assert all(part["bar"].all() for part in others)


def test_pictures_without_a_bar_are_the_last_of_all():
    parts = []
    for level, bar in ((0.2, [True, False]), (0.5, [True, True, True])):
        pictures = np.full((len(bar), 1, 2, 2), level, np.float32)
        parts.append(StimulusSet(pictures, np.stack([pictures] * 2, 1), pd.DataFrame({"bar": bar, "level": level})))
    whole = in_one(parts, ("a note",))
    assert whole.table["bar"].tolist() == [True] * 4 + [False]
    assert whole.table["stimulus_id"].tolist() == list(range(5))
    assert_array_equal(whole.images[:, 0, 0, 0], whole.table["level"].to_numpy(np.float32))
    assert_array_equal(whole.objects[:, 1, 0, 0, 0], whole.table["level"].to_numpy(np.float32))
    assert whole.notes == ("a note",)
