"""Tables of users, as they wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_INT64 = np.iinfo(np.int64)


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in a ``.parquet`` file, or in any other as comma-separated text, one row a stimulus.

    Parquet says the types of its columns. In text a column holds numbers only if every cell of it is written just as
    its number is printed (``7``, ``0.5``, ``-1e-05``), and booleans only if every cell is ``True`` or ``False``;
    otherwise it is text, cell by cell as it stands in the file: ``None``, ``NA``, ``007``, ``0.50`` and the empty cell
    mean nothing but themselves. Quotes around a cell do not count.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    ValueError
        If it is no such file, or a row has more cells than the first line has names.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "table.csv")
    >>> pd.DataFrame({"label_0": [7, 2], "name": ["007", "NA"]}).to_csv(path, index=False)
    >>> read_table(path)
       label_0 name
    0        7  007
    1        2   NA
    """
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    # Without a header: pandas would rename twins, and take what a longer row begins with for an index.
    cells = pd.read_csv(path, header=None, dtype=str, na_filter=False)
    table = pd.DataFrame({k: _column(cells[k].tolist()[1:]) for k in cells})
    table.columns = pd.Index(cells.iloc[0].tolist())
    return table


def _column(cells: list[str]) -> NDArray[Any]:
    """Return cells as booleans, whole numbers, other numbers or text: the first of these that prints them unchanged."""
    if set(cells) <= {"True", "False"}:
        return np.array([cell == "True" for cell in cells])
    for read, dtype in ((_whole, np.int64), (_number, np.float64)):
        try:
            return np.array([read(cell) for cell in cells], dtype)
        except ValueError:
            continue
    return np.array(cells, object)


def _whole(cell: str) -> int:
    number = int(cell)
    if str(number) != cell or not _INT64.min <= number <= _INT64.max:
        raise ValueError(cell)
    return number


def _number(cell: str) -> float:
    number = float(cell)
    whole = number.is_integer() and abs(number) <= 2**53 and str(int(number)) == cell  # beside others with a fraction
    if not np.isfinite(number) or not (whole or repr(number) == cell):
        raise ValueError(cell)
    return number
