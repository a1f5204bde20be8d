"""Columns of every kind that pandas has: they come back as numbers or text, or are refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from refused import refused

from neuroattn.recording.columns import RESERVED, plain_table
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet

nan = np.nan


KINDS = {
    "bool": ([True, False, True, True], [True, False, True, True], "b"),
    "int8": (np.array([1, -2, 3, 4], np.int8), [1, -2, 3, 4], "i"),
    "float32": (np.array([1.5, nan, 3, 4], np.float32), [1.5, nan, 3, 4], "f"),
    "text": (["a", "", "naïve", "much longer"], ["a", "", "naïve", "much longer"], "O"),
    "text with None": (["a", None, "c", nan], ["a", "", "c", ""], "O"),
    "text of objects": (np.array(["a", None, "c", "d"], object), ["a", "", "c", "d"], "O"),
    "string dtype": (pd.array(["a", pd.NA, "c", "d"], "string"), ["a", "", "c", "d"], "O"),
    "arrow text": (pd.array(["a", pd.NA, "c", "d"], "string[pyarrow]"), ["a", "", "c", "d"], "O"),
    "fixed width": (np.array(["a", "bb", "c", "d"], "U2"), ["a", "bb", "c", "d"], "O"),
    "category": (pd.Categorical(["b", "a", "b", None]), ["b", "a", "b", ""], "O"),
    "category of numbers": (pd.Categorical([3, 1, 3, 2]), [3, 1, 3, 2], "i"),
    "category of numbers, one missing": (pd.Categorical([3, None, 3, 2]), [3, nan, 3, 2], "f"),
    "nullable integers": (pd.array([1, 2, 3, 4], "Int64"), [1, 2, 3, 4], "i"),
    "nullable integers, one missing": (pd.array([1, pd.NA, 3, 4], "Int64"), [1, nan, 3, 4], "f"),
    "nullable booleans": (pd.array([True, False, True, True], "boolean"), [True, False, True, True], "b"),
    "nullable booleans, one missing": (
        pd.array([True, pd.NA, True, False], "boolean"),
        ["True", "", "True", "False"],
        "O",
    ),
    "integers as objects": (np.array([1, 2, 3, 4], object), [1, 2, 3, 4], "i"),
    "nothing": ([None] * 4, [""] * 4, "O"),
    "numbers and text": (np.array(["a", 2, 3.5, True], object), ["a", "2", "3.5", "True"], "O"),
    "dates": (
        pd.to_datetime(["2024-03-01", "2023-01-02", None, "2022-05-05"]),
        ["2024-03-01 00:00:00", "2023-01-02 00:00:00", "", "2022-05-05 00:00:00"],
        "O",
    ),
    "durations": (pd.to_timedelta([1, 2, 3, 4], "s"), [f"0 days 00:00:0{s}" for s in (1, 2, 3, 4)], "O"),
    "intervals": (pd.cut([1.0, 2, 3, 4], [0, 2, 4]), ["(0, 2]", "(0, 2]", "(2, 4]", "(2, 4]"], "O"),
    "sparse": (pd.arrays.SparseArray([0, 0, 3, 0]), [0, 0, 3, 0], "i"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_becomes_a_coordinate(network, images, kind):
    given, expected, letter = KINDS[kind]
    stimuli = StimulusSet(images, None, pd.DataFrame({"column": given}))
    found = record(network, stimuli, ["readout/logits"], [4], batch_size=3)["readout/logits"]["column"]
    assert found.dtype.kind == letter
    assert_array_equal(found.values, np.repeat(np.array(expected, found.dtype), 2))


def name(kind):
    return kind.replace(" ", "_")


def test_every_column_comes_back_from_the_file(network, images, tmp_path):
    table = pd.DataFrame({name(kind): given for kind, (given, _, _) in KINDS.items()})
    tree = record(network, StimulusSet(images, None, table), ["readout/logits"], [4])
    tree.to_zarr(tmp_path / "one.zarr", consolidated=False, zarr_format=3)
    with xr.open_datatree(tmp_path / "one.zarr", engine="zarr", consolidated=False) as read:
        for kind in KINDS:
            there, here = (data["readout/logits"][name(kind)].values for data in (read, tree))
            assert_array_equal(there, here, err_msg=kind)


def test_numbers_keep_their_width():
    table = plain_table(pd.DataFrame({"a": np.array([1], np.int8), "b": np.array([0.1], np.float32)}))
    assert [str(dtype) for dtype in table.dtypes] == ["int8", "float32"]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, np.zeros(2), b"bytes", 1j], ids=lambda value: type(value).__name__)
def test_what_is_neither_number_nor_text_is_refused(network, images, value):
    column = np.empty(4, object)
    column[:] = [None, value, None, value]
    with refused(
        f"table must hold numbers, booleans or text, got a {type(value).__name__} in column 'odd'; "
        "convert the column or drop it"
    ):
        record(network, StimulusSet(images, None, pd.DataFrame({"odd": column})), ["readout/logits"])


def test_the_names_that_a_recording_uses_are_reserved(network, stimuli):
    tree = record(network, stimuli, ["readout/logits"], design="cued")
    data = tree["readout/logits"].to_dataset()
    assert {*data.dims, *data.variables} - set(stimuli.table.columns) <= RESERVED
    assert not RESERVED & set(stimuli.table.columns)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused(network, images, name):
    with refused(f"table must not have a column {name!r}, which every recording has; rename the column"):
        record(network, StimulusSet(images, None, pd.DataFrame({name: range(4)})), ["readout/logits"])


@pytest.mark.parametrize("name", ["x/y", "width deg", " ", "", ".", "..", 3, ("a", "b")])
def test_a_name_that_a_store_cannot_have_is_refused(network, images, name):
    table = pd.DataFrame({0: range(4)})
    table.columns = pd.Index([name], tupleize_cols=False)
    with refused(f"table must have words without a slash as column names, got {name!r}; rename the column"):
        record(network, StimulusSet(images, None, table), ["readout/logits"])
