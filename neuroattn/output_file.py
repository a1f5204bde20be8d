"""Files that a command writes: looked at before the long work begins, and tables that are safe to open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.options import printable

if TYPE_CHECKING:
    import pandas as pd

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@")
_PICTURES = (".png", ".svg", ".pdf")


def require_new(name: str, file: str | None) -> None:
    """Raise if the file that an option names exists, or its folder does not."""
    if file is not None and Path(file).exists():
        raise ValueError(f"{name} must be a file that does not exist, got {file!r}")
    require_folder(name, file)


def require_folder(name: str, file: str | None) -> None:
    """Raise if the file that an option names is a folder, or has none."""
    if file is not None and Path(file).is_dir():
        raise ValueError(f"{name} must be a file, got {file!r}, which is a folder; name a file in it")
    if file is not None and not Path(file).parent.is_dir():
        raise ValueError(f"{name} must be in a folder that exists, got {file!r}; make the folder")


def require_picture(name: str, file: str | None) -> None:
    """Raise if the file that an option names does not end as pictures do that can be drawn."""
    if file is not None and Path(file).suffix not in _PICTURES:
        raise ValueError(f"{name} must end in {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}, got {file!r}")


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its index.

    Texts may come from a user's annotations and files. One that a spreadsheet would take for a formula gets an
    apostrophe before it, and control characters are escaped.
    """
    from pandas.api.types import is_numeric_dtype

    texts = {str(name): column.map(_inert) for name, column in table.items() if not is_numeric_dtype(column)}
    table.assign(**texts).to_csv(path, index=False)


def _inert(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
