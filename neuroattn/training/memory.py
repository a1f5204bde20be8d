"""Freed memory kept at hand: fresh pages cost a training as much as its arithmetic."""

from __future__ import annotations

import ctypes
import platform

# Parameters of glibc's mallopt (malloc.h) and their values in bytes.
_TRIM_THRESHOLD, _NEVER = -1, 2**31 - 1
_MMAP_THRESHOLD, _LARGEST = -3, 32 * 2**20


def keep_memory() -> None:
    """Have the C library keep what is freed for the next batch, instead of giving it back to the system.

    A batch frees and takes the same arrays of a few megabytes again and again. What may be set for this process from
    outside is undone: the workers of a Dask cluster are told to give back all they can. Where the library is not glibc,
    nothing changes.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
