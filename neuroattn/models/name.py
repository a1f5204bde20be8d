"""Names of networks, which become names of files, folders and groups of a store, and stand in tables and reports."""

from __future__ import annotations

import string

from neuroattn.runs.plain_text import shown

MOST_CHARACTERS = 100
_CHARACTERS = frozenset(f"{string.ascii_letters}{string.digits}-_.")
_ZARRS_OWN = "zarr.json"


def require_name(name: object) -> None:
    """Raise unless a network may have this name.

    Raises
    ------
    ValueError
        If it has other characters than letters, digits, ``-``, ``_`` and ``.``, begins with ``.`` or ``-``, is longer
        than 100 characters, or is the name of Zarr's own file.

    Examples
    --------
    >>> require_name("digits-0")
    >>> require_name("../digits")
    Traceback (most recent call last):
    ValueError: name must consist of letters, digits, '-', '_' and '.', got '../digits'
    """
    if not isinstance(name, str) or not name or not set(name) <= _CHARACTERS:
        raise ValueError(f"name must consist of letters, digits, '-', '_' and '.', got {shown(name)}")
    if name[0] in ".-":
        raise ValueError(f"name must not begin with {name[0]!r}, got {shown(name)}; it names files and folders")
    if len(name) > MOST_CHARACTERS:
        raise ValueError(f"name must have at most {MOST_CHARACTERS} characters, got {len(name)}: {shown(name)}")
    if name.lower() == _ZARRS_OWN:  # some file systems do not tell capitals apart
        raise ValueError(f"name must not be {_ZARRS_OWN!r}, got {name!r}, which is a file of every store")
