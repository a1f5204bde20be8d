"""The folder of a run: its default name, the lock that keeps it to one process, and errors where it cannot be used."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.runs.local_path import local_path
from neuroattn.runs.output_file import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = "run.lock"


def run_folder(out: str | None, name: str) -> Path:
    """Return the folder that a user asked for, or ``runs/NAME-DATE-TIME``."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005 -- the user's own clock names the folder
    return local_path("out", out or f"runs/{name}-{stamp}")


def is_free(folder: Path) -> bool:
    """Return whether a folder is missing, empty, or holds only what a killed run leaves: a lock, half a file."""
    return not folder.exists() or (
        folder.is_dir() and all(path.name == LOCK or path.name.startswith(UNFINISHED) for path in folder.iterdir())
    )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder of a run, and keep other processes out; if it was made and stays empty, it is removed again.

    Raises
    ------
    ValueError
        If another process works there, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock, missing = FileLock(folder / LOCK), list[Path]()
    try:
        if folder.exists() and not folder.is_dir():
            raise occupied(folder)
        missing += [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ValueError(
            f"out must be a folder that no other process works in, got {str(folder)!r}; let that one finish, or choose "
            "another folder"
        ) from error
    except OSError as error:
        _remove_empty(missing)
        raise unwritable(folder, error) from error
    try:
        for path in folder.glob(f"{UNFINISHED}*"):
            path.unlink()
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # there is something in it
            folder.rmdir()


def occupied(folder: Path) -> ValueError:
    """Return the error of a folder that is not empty."""
    return ValueError(f"out must be a folder that is empty or does not exist, got {str(folder)!r}")


def unwritable(folder: Path, error: OSError, name: str = "out") -> ValueError:
    """Return the error of a folder that cannot be written, with the reason."""
    reason = error.strerror or str(error)
    return ValueError(f"{name} must be a folder that can be written, got {str(folder)!r} ({reason})")
