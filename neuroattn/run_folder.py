"""The folder that a run writes into: its default name, whether it is free, and what is said if it cannot be written."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from neuroattn.local_path import local_path

if TYPE_CHECKING:
    from pathlib import Path


def run_folder(out: str | None, name: str) -> Path:
    """Return the folder that a user asked for, or ``runs/NAME-DATE-TIME``."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005 -- the user's own clock names the folder
    return local_path("out", out or f"runs/{name}-{stamp}")


def is_free(folder: Path) -> bool:
    """Return whether a folder does not exist or is empty."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def occupied(folder: Path) -> ValueError:
    """Return the error that says a folder holds something already."""
    return ValueError(f"out must be a folder that is empty or does not exist, got {str(folder)!r}")


def unwritable(folder: Path, error: OSError, name: str = "out") -> ValueError:
    """Return the error that says the folder of an option cannot be written, and why."""
    reason = error.strerror or str(error)
    return ValueError(f"{name} must be a folder that can be written, got {str(folder)!r} ({reason})")
