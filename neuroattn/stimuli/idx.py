"""The IDX file format, in which MNIST is distributed.

Two zero bytes, a byte for the type of the elements, a byte for the number of dimensions, each dimension as a big-endian
32-bit integer, then the elements in C order. Source: http://yann.lecun.com/exdb/mnist/ (section "The IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from neuroattn.compute.memory import require_room
from neuroattn.runs.local_path import local_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_UNSIGNED_BYTES = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_DIMENSIONS = 64  # NumPy's own limit


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path
        The file. Whether it is gzipped is read from its first bytes, not from its name.

    Returns
    -------
    array
        Of the shape that the header says; read-only.

    Raises
    ------
    FileNotFoundError
        If `path` is not a file.
    ValueError
        If it is empty, cut, too long, damaged, no IDX file, holds another type than unsigned bytes, or memory does not
        hold what its header says.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "labels-idx1-ubyte")
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = local_path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give the path of an IDX file")
    with path.open("rb") as file:
        magic = file.read(len(_GZIP_MAGIC))
        if not magic:
            raise ValueError(f"{path} is empty; fetch it again")
        file.seek(0)
        if magic != _GZIP_MAGIC:
            return _array(path, file, path.stat().st_size)
        try:
            with gzip.open(file) as unpacked:
                return _array(path, unpacked, None)
        except EOFError:
            raise ValueError(f"{path} is cut: its gzip stream ends early; fetch it again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}; fetch it again") from None


def _array(path: Path, file: IO[bytes] | gzip.GzipFile, size: int | None) -> NDArray[np.uint8]:
    """Return the elements of an opened file of so many bytes; None: nobody knows before it is unpacked."""
    shape, start = _header(path, file)
    expected = math.prod(shape)
    if size is not None and size != start + expected:
        raise _of_another_length(path, expected, size - start)
    require_room(str(path), f"shape {shape}", expected, "take a smaller set")
    # A few bytes may unpack to gigabytes: one more than there should be tells as much.
    elements = file.read(expected + 1)
    if len(elements) != expected:
        more = " or more" if len(elements) > expected else ""
        raise _of_another_length(path, expected, len(elements), more)
    return np.frombuffer(elements, dtype=np.uint8).reshape(shape)


def _of_another_length(path: Path, expected: int, found: int, more: str = "") -> ValueError:
    what = "cut" if found < expected else "too long"
    return ValueError(
        f"{path} is {what}: {expected} bytes expected after the header, {found}{more} found; fetch it again"
    )


def _header(path: Path, file: IO[bytes] | gzip.GzipFile) -> tuple[tuple[int, ...], int]:
    """Read the header; return the shape and where the elements start."""
    content = file.read(4)
    if not content:
        raise ValueError(f"{path} is empty once unpacked; fetch it again")
    if len(content) < 4:
        raise ValueError(f"{path} is cut: 4 bytes expected for its type, {len(content)} found; fetch it again")
    zeros, kind, ndim = content[:2], content[2], content[3]
    if zeros != b"\0\0" or kind not in _TYPES:
        raise ValueError(f"{path} is not an IDX file: it starts with {content[:4].hex(' ')}, not with 00 00 08")
    if kind != _UNSIGNED_BYTES:
        raise ValueError(f"{path} must hold unsigned bytes, got {_TYPES[kind]}; convert it")
    if not 1 <= ndim <= _MOST_DIMENSIONS:
        raise ValueError(f"{path} must have 1 to {_MOST_DIMENSIONS} dimensions, got {ndim}")
    start = 4 + 4 * ndim
    content += file.read(4 * ndim)
    if len(content) < start:
        raise ValueError(f"{path} is cut: {start} bytes expected for its header, {len(content)} found; fetch it again")
    shape: tuple[Any, ...] = struct.unpack(f">{ndim}I", content[4:start])
    if 0 in shape:
        raise ValueError(f"{path} must hold at least one element, got shape {shape}")
    return shape, start
