"""Arrays of pictures that are made once and mapped ever after; making them may be interrupted, and goes on."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tokenize
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from neuroattn.compute.progress import progress
from neuroattn.runs.folder import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

DONE, MISSING, DAMAGED, OTHER_SIZE, OUTSIDE, IRREGULAR = 1, 2, 3, 4, 5, 6  # 0: still to be made
FORMAT = 3  # of what is kept; another one where the way in which it is made has changed

BLOCK = 256  # pictures between two notes of how far they are
_STATE = "state"
# What NumPy raises of files that are no whole arrays.
_NO_ARRAY = (FileNotFoundError, ValueError, TypeError, SyntaxError, tokenize.TokenError)


def cached_pictures(
    place: Path,
    shapes: Mapping[str, tuple[int, ...]],
    number: int,
    make: Callable[[int], Mapping[str, NDArray[np.uint8]] | int],
    what: str,
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.uint8]]:
    """Return arrays of pictures from a folder; those that are not there yet are made, with a progress bar.

    Where an array is missing or damaged, all are made anew. Several processes may ask for the same ones
    at once: one makes them, the others wait.

    Parameters
    ----------
    place
        Folder of these pictures alone; its name says what they depend on.
    shapes
        Name of each array → shape of one picture in it.
    number
        Of pictures.
    make
        Returns picture k of every array, 8 bits, or why it cannot be had. Called by several threads.
    what
        What a picture is, for the progress bar.

    Returns
    -------
    arrays, state
        Name → (picture, …) mapped; and what has become of each picture: `DONE`, or why it is not to be had.

    Raises
    ------
    ValueError
        If there is no room for them, or the folder cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp(), "grey")
    >>> make = lambda k: {"images": np.full((3, 2, 2), 10 * k, np.uint8)} if k else MISSING
    >>> arrays, state = cached_pictures(place, {"images": (3, 2, 2)}, 3, make, "picture")
    >>> (arrays["images"].shape, state.tolist() == [MISSING, DONE, DONE])
    ((3, 3, 2, 2), True)
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f"{place.name}.lock")):
            state = _complete(place, shapes, number, make, what)
            # Mapped before another process may find them damaged: what it makes anew are other files.
            return {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in shapes}, state
    except OSError as error:
        raise unwritable(place.parent, error, "cache") from error


def _complete(
    place: Path,
    shapes: Mapping[str, tuple[int, ...]],
    number: int,
    make: Callable[[int], Mapping[str, NDArray[np.uint8]] | int],
    what: str,
) -> NDArray[np.uint8]:
    from concurrent.futures import ThreadPoolExecutor

    layout = {**shapes, _STATE: ()}
    if not all(_is_whole(place / f"{name}.npy", (number, *shape)) for name, shape in layout.items()):
        _require_room(place.parent, number * sum(int(np.prod(shape)) for shape in shapes.values()))
        place.mkdir(exist_ok=True)
        (place / f"{_STATE}.npy").unlink(missing_ok=True)  # it would call pictures done that are made anew
        for name, shape in layout.items():  # the state last: with it, all are there
            part = place / f"{name}.part"
            part.unlink(missing_ok=True)
            np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(number, *shape)).flush()
            if hasattr(os, "posix_fallocate"):  # a disk that fills up later would end the process without a word
                with part.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
            part.replace(place / f"{name}.npy")
    state = np.load(place / f"{_STATE}.npy", mmap_mode="r+")
    # What could not be had may be there now.
    todo = np.flatnonzero(state != DONE)
    if len(todo):
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r+") for name in shapes}

        def fill(k: int) -> int:
            made = make(k)
            if isinstance(made, int):
                return made
            for name, array in arrays.items():
                array[k] = made[name]
            return DONE

        bar = progress("decoding", what, total=number, initial=number - len(todo))
        with ThreadPoolExecutor() as pool, bar:  # Pillow decodes without the interpreter's lock
            for first in range(0, len(todo), BLOCK):
                block = todo[first : first + BLOCK]
                done = list(pool.map(fill, block))
                for array in arrays.values():
                    array.flush()
                state[block] = done
                state.flush()
                bar.update(len(block))
    return np.array(state)


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether a file is an array of bytes of that shape, and not cut off."""
    if path.is_symlink() or not path.is_file():  # what a link leads to would be written
        return False
    try:
        # Only reading tells: for writing, a file that was cut off is made longer, with zeros.
        array = np.lib.format.open_memmap(path, mode="r")
    except _NO_ARRAY:
        return False
    return array.shape == shape and array.dtype == np.uint8


def picture_path(folder: Path, name: str) -> Path | int:
    """Return where a picture of that name is in a folder, or why it is nowhere: `MISSING`, `OUTSIDE` or `IRREGULAR`.

    Names may have been written on Windows, and may begin with the folder's own name. Links that are in the folder are
    followed.

    >>> from pathlib import Path
    >>> picture_path(Path("images"), "../../secret.png") == OUTSIDE
    True
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/") or parts[0][1:2] == ":":
        return OUTSIDE
    paths = [folder / name, folder.joinpath(*parts)]
    if parts[0] == folder.name:
        paths.append(folder.joinpath(*parts[1:]))
    for path in paths:
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError):  # a name may hold what no name can
            continue
        return path if stat.S_ISREG(mode) else IRREGULAR  # opening a pipe would wait for ever
    return MISSING


def files_digest(folder: Path, names: Iterable[str]) -> str:
    """Return the SHA-256 of files' names, sizes and times: enough to see that one has changed, without reading it.

    >>> from pathlib import Path
    >>> files_digest(Path("images"), ["absent.png"])[:12]
    '3e391256d4ec'
    """
    digest = hashlib.sha256()
    for name in names:
        path = picture_path(folder, name)
        if isinstance(path, int):
            digest.update(f"{name} missing\n".encode(errors="surrogateescape"))
        else:
            its = path.stat()
            digest.update(f"{name} {its.st_size} {its.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _require_room(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise ValueError(
            f"cache must have room for {n_bytes / 2**30:.1f} GiB of pictures, got {str(folder)!r} with "
            f"{free / 2**30:.1f} GiB; name another folder"
        )
