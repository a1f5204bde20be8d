"""Paths as users write them, expanded once where they come in, so that every reader and writer agrees."""

from __future__ import annotations

import os
import re
from pathlib import Path

# s3://bucket, memory://, simplecache::s3://bucket; `Path` makes one slash of two. A single letter may be a drive.
_ADDRESS = re.compile(r"[A-Za-z][\w.+-]+:([\w.+-]*:)*/")


def local_path(name: str, given: str | os.PathLike[str]) -> Path:
    """Return the path that a user means: ``~`` is the home folder, as in a shell.

    Raises
    ------
    ValueError
        If it is an address (``s3://…``), or names the home folder of an unknown user; the parameter is called `name`.
    """
    path = Path(expanded(name, os.fspath(given)))
    # A name in the current folder that begins with a tilde must not be expanded again.
    return path.absolute() if str(path).startswith("~") else path


def expanded(name: str, given: str) -> str:
    """Return a path with the home folder in place of its ``~``; see `local_path`."""
    shown = repr(given if len(given) <= 100 else f"{given[:100]}…")
    if _ADDRESS.match(given):
        raise ValueError(f"{name} must be a path on this machine, got {shown}; name a local or a mounted folder")
    path = os.path.expanduser(given)  # noqa: PTH111 -- that of Path raises where there is no such user
    if path.startswith("~"):
        raise ValueError(f"{name} must be a path, got {shown}, and there is no such user; write it in full")
    return path
