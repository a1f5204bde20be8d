"""Files that a command is to write, looked at before the long work begins."""

from __future__ import annotations

from pathlib import Path

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
