"""Files that a run writes: checked before the long work, written whole or not at all, and safe to open."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.runs.plain_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

UNFINISHED = ".part-"  # begins the name of a file that is being written
# A spreadsheet takes these for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@")
_PICTURES = (".png", ".svg", ".pdf")


class WriteError(OSError):
    """A file could not be written; the message names it and says why. A former file is as it was."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file to write, which takes the place of `path` when the block ends, whole or not at all.

    It is in the same folder, with the same ending and a name that nobody can foresee and put a link at, and is on the
    disk before it takes its place. A link at `path` is replaced, not followed.

    Raises
    ------
    WriteError
        If the system refuses: a full disk, a quota, permissions.
    """
    unfinished = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
    try:
        with refused_at(path):
            unfinished.touch(exist_ok=False)
            mode = unfinished.stat().st_mode
            yield unfinished
            unfinished.chmod(mode)  # some libraries make the file anew, for nobody else to read
            with unfinished.open("r+b") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def refused_at(path: Path) -> Iterator[None]:
    """Raise WriteError in place of the system's refusal to write, or a library's error over it."""
    try:
        yield
    except Exception as error:
        reason = _refusal(error)
        if reason is None or isinstance(error, WriteError):
            raise
        raise WriteError(f"{str(path)!r} could not be written ({reason}) and is as it was before") from error


def new_folder(path: Path) -> None:
    """Make an empty folder in place of a killed process's; a link is removed, not followed."""
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def _refusal(error: BaseException | None) -> str | None:
    """Return the system's reason for refusing to write, or None if the error is of another kind.

    Libraries hide it: torch raises its own error over it, and Rust puts its number in a text.
    """
    while error is not None:
        if isinstance(error, OSError):
            return os.strerror(error.errno) if error.errno else str(error)
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            return os.strerror(int(number[1]))
        # A ValueError is about what was given, whatever was being handled when it was raised.
        error = error.__cause__ or (None if isinstance(error, ValueError) else error.__context__)
    return None


def require_new(name: str, file: str | None) -> None:
    """Raise if the file that an option names exists, or its folder does not."""
    if file is not None and os.path.lexists(file):
        raise ValueError(f"{name} must be a file that does not exist, got {file!r}")
    require_folder(name, file)


def require_folder(name: str, file: str | None) -> None:
    """Raise if the file that an option names is a folder, a link or a device, or has no folder."""
    if file is None:
        return
    if Path(file).is_dir():
        raise ValueError(f"{name} must be a file, got {file!r}, which is a folder; name a file in it")
    if os.path.lexists(file) and (Path(file).is_symlink() or not Path(file).is_file()):
        raise ValueError(f"{name} must be a file, got {file!r}, which is a link or a device; name a new file")
    if not Path(file).parent.is_dir():
        raise ValueError(f"{name} must be in a folder that exists, got {file!r}; make the folder")


def require_picture(name: str, file: str | None) -> None:
    """Raise if the file that an option names does not end as pictures do that can be drawn."""
    if file is not None and Path(file).suffix not in _PICTURES:
        raise ValueError(f"{name} must end in {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}, got {file!r}")


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its index, whole or not at all.

    Texts may come from a user's annotations and files: those that a spreadsheet would take for a formula get an
    apostrophe in front, and control characters are escaped.
    """
    from pandas.api.types import is_numeric_dtype

    texts = {str(name): column.map(_inert) for name, column in table.items() if not is_numeric_dtype(column)}
    with replacing(Path(path)) as file:
        table.assign(**texts).to_csv(file, index=False)


def _inert(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
