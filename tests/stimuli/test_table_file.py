"""A user's table is what was written: labels stay labels, and numbers are numbers where nothing is lost."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattn.stimuli.table_file import read_table

TEXT = [
    ["None", "NA", "nan", "null", "", "N/A", "NaN"],
    ["000000000009", "25"],
    ["7", "07"],
    ["7", ""],
    ["1.0", "0.50"],
    ["1e5", "2.0"],
    ["+1", "2"],
    ["-0", "1"],
    ["inf", "1.0"],
    ["1_000", "5"],
    ["١", "2"],
    [" 1", "2"],
    ["true", "false"],
    ["True", "False", ""],
    ["True", "1"],
    ["9223372036854775808", "1"],  # beyond 64 bits
    ["9007199254740993", "0.5"],  # beyond what a fraction can stand beside
    ["0.1000000000000000055", "0.5"],
]
OTHERS = [
    (["7", "-11", "0"], np.array([7, -11, 0])),
    (["9223372036854775807", "-9223372036854775808"], np.array([2**63 - 1, -(2**63)])),
    (["0.5", "-1e-05", "1e+16"], np.array([0.5, -1e-5, 1e16])),
    (["0", "0.5", "1"], np.array([0, 0.5, 1])),
    (["True", "False"], np.array([True, False])),
]


def written(tmp_path, cells, quote=""):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["k,cell", *(f"{k},{quote}{cell}{quote}" for k, cell in enumerate(cells))]) + "\n")
    return read_table(path)["cell"]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("cells", TEXT, ids=repr)
def test_what_would_not_be_printed_again_is_text(tmp_path, cells, quote):
    column = written(tmp_path, cells, quote)
    assert column.tolist() == cells
    assert all(type(cell) is str for cell in column)


@pytest.mark.parametrize(("cells", "expected"), OTHERS, ids=repr)
def test_what_is_printed_again_is_a_number_or_boolean(tmp_path, cells, expected):
    column = written(tmp_path, cells).to_numpy()
    assert column.dtype == expected.dtype
    np.testing.assert_array_equal(column, expected)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53), min_size=1))
def test_numbers_that_are_written_come_back(tmp_path_factory, numbers):
    column = written(tmp_path_factory.mktemp("t"), list(map(repr, numbers)))
    assert column.dtype.kind in "if"
    assert column.tolist() == numbers


def test_names_and_shape(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('\ufeffa,a,007\n1,2,"x, y"\n')
    table = read_table(path)
    assert list(table) == ["a", "a", "007"]
    assert table.iloc[0].tolist() == [1, 2, "x, y"]
    path.write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(ValueError, match="Expected 2 fields in line 2, saw 3"):
        read_table(path)
    path.write_text("")
    with pytest.raises(ValueError, match="No columns to parse from file"):
        read_table(path)


def test_parquet_says_what_is_what(tmp_path):
    table = pd.DataFrame({"a": ["007", "None", ""], "b": [1.5, np.nan, 2.0]})
    table.to_parquet(tmp_path / "t.parquet", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    with pytest.raises(FileNotFoundError, match=re.escape("none.parquet")):
        read_table(tmp_path / "none.parquet")
