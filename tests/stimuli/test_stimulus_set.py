"""What a set of stimuli accepts, refuses, and gives back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from stimulus_files import refused

from neuroattn.stimuli.stimulus_set import StimulusSet

N, OBJECTS, CHANNELS, Y, X = 5, 2, 3, 7, 11


@pytest.fixture
def images():
    return np.random.default_rng(0).random((N, CHANNELS, Y, X), dtype=np.float32)


@pytest.fixture
def objects():
    return np.random.default_rng(1).random((N, OBJECTS, CHANNELS, Y, X), dtype=np.float32)


@pytest.fixture
def table():
    return pd.DataFrame({"label_0": [3, 1, 4, 1, 5], "width": [0.5, 1.5, 2.5, 3.5, 4.5], "name": list("abcde")})


def test_keeps_what_it_is_given(images, objects, table):
    stimuli = StimulusSet(images, objects, table)
    assert len(stimuli) == N
    assert stimuli.n_objects == OBJECTS
    assert np.shares_memory(stimuli.images, images)
    assert_array_equal(stimuli.objects, objects)
    assert list(stimuli.table.columns) == ["stimulus_id", "label_0", "width", "name"]
    assert_array_equal(stimuli.table["stimulus_id"], range(N))
    assert "stimulus_id" not in table


def test_a_line_says_what_there_is_and_nothing_to_a_terminal(images, objects, table):
    stimuli = StimulusSet(images, objects, table.assign(label_1=[3, 1, 4, 1, 9]).rename(columns={"name": "\x1b[2J"}))
    line = (
        "<StimulusSet: 5 stimuli of 3 × 7 × 11, 2 objects each, 5 classes; stimulus_id label_0 width \\x1b[2J label_1>"
    )
    assert repr(stimuli) == line
    assert repr(StimulusSet(images)) == "<StimulusSet: 5 stimuli of 3 × 7 × 11; stimulus_id>"


def test_images_alone_are_enough(images):
    stimuli = StimulusSet(images)
    assert stimuli.objects is None
    assert stimuli.n_objects is None
    assert list(stimuli.table.columns) == ["stimulus_id"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_become_arrays(images, dtype):
    tensor = torch.tensor(images, dtype=dtype, requires_grad=True)
    stimuli = StimulusSet(tensor, tensor[:, None])
    assert stimuli.images.dtype == stimuli.objects.dtype == np.float32
    assert_allclose(stimuli.images, images, atol=1e-2 if dtype == torch.bfloat16 else 1e-7)


def test_double_precision_becomes_single(images):
    assert StimulusSet(images.astype(np.float64)).images.dtype == np.float32


def test_own_ids_stay_wherever_they_stand(images, table):
    ids = [13, 11, 7, 5, 3]
    as_column = StimulusSet(images, table=table.assign(stimulus_id=ids))
    as_index = StimulusSet(images, table=table.assign(stimulus_id=ids).set_index("stimulus_id"))
    assert_array_equal(as_column.table["stimulus_id"], ids)
    assert_array_equal(as_index.table["stimulus_id"], ids)


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (3, [3]),
        (-1, [4]),
        (slice(1, 4, 2), [1, 3]),
        ([4, 0], [4, 0]),
        (np.array([True, False, True, False, False]), [0, 2]),
    ],
)
def test_a_subset_keeps_images_objects_rows_and_ids_together(images, objects, table, index, rows):
    subset = StimulusSet(images, objects, table)[index]
    assert_array_equal(subset.images, images[rows])
    assert_array_equal(subset.objects, objects[rows])
    assert_array_equal(subset.table["stimulus_id"], rows)
    assert_array_equal(subset.table["name"], table["name"].iloc[rows])
    assert_array_equal(subset.table.index, range(len(rows)))


def test_a_subset_must_hold_something(images):
    stimuli = StimulusSet(images)
    with refused("index must select at least one stimulus, got none; check the condition it was made from"):
        stimuli.select(np.zeros(N, dtype=bool))
    with pytest.raises(IndexError, match="out of bounds"):
        stimuli[N]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda a: a[0],
            "images must have the axes (stimulus, channel, y, x), got shape (3, 7, 11); add or drop an axis",
        ),
        (
            lambda a: (a * 255).astype(np.uint8),
            "images must be floating point in [0, 1], got uint8; divide 8-bit pictures by 255 first",
        ),
        (lambda a: a[:0], "images must hold at least one stimulus and one pixel, got shape (0, 3, 7, 11)"),
        (
            lambda a: np.where(np.arange(N)[:, None, None, None] == 3, np.nan, a),
            "images must be finite, got NaN or infinity in 1 of 5 stimuli, first in stimulus 3; repair or drop them",
        ),
        (
            lambda a: np.where(np.arange(N)[:, None, None, None] >= 2, -np.inf, a),
            "images must be finite, got NaN or infinity in 3 of 5 stimuli, first in stimulus 2; repair or drop them",
        ),
        (
            lambda a: np.linspace(-0.5, 1.5, a.size).reshape(a.shape),
            "images must be in [0, 1], got values from -0.5 to 1.5; rescale them",
        ),
    ],
)
def test_images_that_are_refused(images, change, text):
    with refused(text):
        StimulusSet(change(images))


def test_objects_must_match_the_images(images, objects):
    with refused(
        "objects must have the shape (5, object, 3, 7, 11) to match the images, got (5, 2, 3, 11, 7); "
        "draw objects and images on the same canvas"
    ):
        StimulusSet(images, objects.swapaxes(3, 4))
    with refused("objects must be in [0, 1], got values from 0 to 2; rescale them"):
        StimulusSet(images, np.round(objects) * 2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t[:3], "table must have one row a stimulus, got 3 rows for 5 stimuli"),
        (
            lambda t: t.assign(stimulus_id=[0, 1, 2, 1, 4]),
            "stimulus_id must be unique, got 1 more than once; renumber the rows or drop the column",
        ),
        (
            lambda t: t.assign(stimulus_id=[0, 1, None, 3, 4]),
            "stimulus_id must be known for every stimulus, got none in row 2",
        ),
        (
            lambda t: t.rename(columns={"width": "name"}),
            "table must have different column names, got 'name' twice; rename one",
        ),
    ],
)
def test_tables_that_are_refused(images, table, change, text):
    with refused(text):
        StimulusSet(images, table=change(table))


def test_identity_does_not_depend_on_how_things_are_stored(images, objects, table):
    identity = StimulusSet(images, objects, table).identity()
    stored_otherwise = StimulusSet(
        np.asfortranarray(images),
        objects.swapaxes(1, 4).copy().swapaxes(1, 4),
        table[["name", "label_0", "width"]].astype({"label_0": "int16", "name": "category"}),
    )
    assert stored_otherwise.identity() == identity


def test_identity_depends_on_everything(images, objects, table):
    other_image, other_object = images.copy(), objects.copy()
    other_image[-1, -1, -1, -1] = 0
    other_object[-1, -1, -1, -1, -1] = 0
    identities = {
        stimuli.identity()
        for stimuli in (
            StimulusSet(images, objects, table),
            StimulusSet(other_image, objects, table),
            StimulusSet(images, other_object, table),
            StimulusSet(images, None, table),
            StimulusSet(images, objects),
            StimulusSet(images, objects, table.assign(name=list("abcdf"))),
            StimulusSet(images, objects, table.assign(name=["ab", "", "c", "d", "e"])),
            StimulusSet(images, objects, table.assign(name=["a", None, "c", "d", "e"])),
            StimulusSet(images, objects, table.assign(width=table["width"] + 1e-9)),
            StimulusSet(images, objects, table.rename(columns={"width": "length"})),
            StimulusSet(images, objects, table)[::-1],
        )
    }
    assert len(identities) == 11


@pytest.mark.process
def test_identity_is_the_same_in_another_process():
    code = (
        "import numpy as np, pandas as pd; from neuroattn.stimuli.stimulus_set import StimulusSet;"
        "print(StimulusSet(np.full((2, 1, 3, 5), 0.25), table=pd.DataFrame({'a': ['x', 'y'], 'b': [1, 2]})).identity())"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert answer == "c612013869ca4c7daa42b3e3bc739fdddf55aa5752dd391d39c2f864d6e1d8dc"
