"""The table of estimates that every protocol gives, one row an estimate: the same in memory and in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

# Columns that hold text: "" where a row has none (all networks together, no control, no layer).
TEXTS = (
    *("what", "model", "layer", "area", "against", "measure", "condition", "reduction", "control"),
    *("unit", "scope", "test", "warnings", "stimuli"),
)


def with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of text hold "" where they held nothing.

    >>> with_texts(pd.DataFrame({"layer": ["stage1", None], "p": [0.02, None]}))["layer"].tolist()
    ['stage1', '']
    """
    texts = [name for name in TEXTS if name in table.columns]
    return table.assign(**{name: table[name].astype(object).where(table[name].notna(), "") for name in texts})


def read_statistics(path: Path) -> pd.DataFrame:
    r"""Return the table of a run's ``statistics.csv``, as its analysis gave it.

    >>> import io
    >>> read_statistics(io.StringIO("layer,control,p\nstage1,,0.02"))
        layer control     p
    0  stage1          0.02
    """
    return with_texts(pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""]))
