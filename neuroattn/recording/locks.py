"""Locks of a store, which the kernel takes back from a killed process, and what is said where they cannot be had."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def claim(store: Path, number: int) -> FileLock | None:
    """Lock a block of a store; None if another process has it."""
    with said(store):
        try:
            return locked(store, f"block-{number}", timeout=0)
        except Timeout:
            return None


@contextmanager
def said(store: Path) -> Iterator[None]:
    """Say of a disk that cannot be written what became of the recording."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"store {str(store)!r} could not be written ({error.strerror or error}); what was written stays valid, and "
            "the same call goes on from there"
        ) from error


def locks_of(store: Path) -> Path:
    """Return the folder of the locks of a store: beside it, since a store holds nothing but Zarr."""
    return store.with_name(f"{store.name}.locks")


@contextmanager
def holding(store: Path, name: str) -> Iterator[None]:
    """Hold a lock of a store, waiting for it as long as it takes."""
    lock = locked(store, name)
    try:
        yield
    finally:
        lock.release()


def locked(store: Path, name: str, timeout: float = -1) -> FileLock:
    """Return a lock of a store once this process has it; raise Timeout if it takes longer than `timeout` seconds."""
    folder = locks_of(store)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / name)
        try:
            lock.acquire(timeout=timeout)
        except FileNotFoundError:  # another process is done, and has just cleared the folder away
            continue
        return lock
