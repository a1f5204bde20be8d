"""Tables that are safe to open, whatever a user's annotations called things."""

from __future__ import annotations

import pandas as pd
import pytest

from neuroattn.output_file import write_csv


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\r=1", "\\r=1"),
        ("a=b", "a=b"),
        ("", None),
    ],
)
@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_texts_that_a_spreadsheet_would_take_for_formulas(tmp_path, text, written, dtype):
    table = pd.DataFrame({"text": pd.Series([text, "plain", None], dtype=dtype), "number": [-1.5, 2, float("nan")]})
    write_csv(table, tmp_path / "table.csv")
    read = pd.read_csv(tmp_path / "table.csv")
    assert read["text"].replace({float("nan"): None}).tolist() == [written, "plain", None]
    assert read["number"].tolist()[:2] == [-1.5, 2]
    assert table["text"].iloc[0] == text
