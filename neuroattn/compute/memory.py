"""Free memory, and whether a request fits into it."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory() -> int:
    """Return the bytes of memory that this process may still take, within the limit of its container, if any."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        # The cache of files is given back when memory is needed.
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(stat["inactive_file"]) + int(stat["active_file"])
    except (OSError, ValueError, KeyError):  # no such container, or "max"
        return free
    return min(free, max(0, limit - used + cached))


def require_room(name: str, value: object, n_bytes: int, advice: str = "give less") -> None:
    """Raise ValueError if an option's value needs more than the free memory.

    Parameters
    ----------
    name, value
        Of the option.
    n_bytes
        Least memory that it needs.
    advice
        How the message ends.
    """
    free = free_memory()
    if n_bytes > free:
        raise ValueError(
            f"{name} must fit in memory, got {value}, which needs {n_bytes / 1e9:.3g} GB, and {free / 1e9:.3g} GB are "
            f"free; {advice}"
        )
