"""Outlines of objects as COCO's annotation files give them, checked before native code sees them.

pycocotools trusts what it is given: run lengths that are too many are written beyond their memory, and polygons take
memory for every step along them. What it gets here is bounded: the image, the number of runs, the length of the path.

Source of the format: Lin et al. (2014), arXiv:1405.0312.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pycocotools import mask as outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outline = dict[str, Any]  # run lengths, as pycocotools takes them

# Of an image: as long as a JPEG can be, and so small that no run length has more letters than pycocotools leaves room
# for. It takes four bytes for each pixel, and ends the process where there are none.
MOST_SIDE, MOST_PIXELS = 65_535, 1 << 26
_MOST_RUNS = 1 << 20  # of an outline
MOST_LETTERS = 6  # of a run length of such an image
_MOST_STEPS = 1 << 22  # of a fifth of a pixel along the polygons of an outline, and one for each corner
_STEPS_PER_PIXEL = 5
_FEWEST_COORDINATES = 6  # of a polygon: three corners
_AT_ONCE = 16  # merging many costs the square of their number

NO_FORM = "it is in none of COCO's forms"
NOT_FILLING = "its run lengths do not fill the image"
DAMAGED = "its run lengths are damaged"


class OutlineError(ValueError):
    """An outline cannot be used; the text says why.

    >>> try:
    ...     decode_outline(b"[]", 10, 20)
    ... except OutlineError as error:
    ...     print(error)
    none is given
    """


class _Runs(msgspec.Struct):
    size: tuple[int, int]
    counts: list[float] | str


_decode = msgspec.json.Decoder(list[list[float]] | _Runs).decode


def usable_size(height: int, width: int) -> bool:
    """Return whether an image of that size (px) can have outlines.

    >>> usable_size(480, 640), usable_size(0, 640)
    (True, False)
    """
    return min(height, width) >= 1 and max(height, width) <= MOST_SIDE and height * width <= MOST_PIXELS


def decode_outline(segmentation: bytes | msgspec.Raw, height: int, width: int) -> Outline:
    """Return an object's outline as compressed run lengths, whatever form the file gives it.

    Polygons may be lists of coordinates or of points, and a single one may stand alone; those of fewer than three
    points are passed over.

    Parameters
    ----------
    segmentation
        JSON, as the file has it.
    height, width
        Of the image, px; one that `usable_size` accepts.

    Raises
    ------
    OutlineError
        If there is no outline, it is damaged or too large, or it covers no pixel.

    Examples
    --------
    >>> dense_mask(decode_outline(b"[[1, 0, 3, 0, 3, 2, 1, 2]]", 3, 4))
    array([[0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]], dtype=uint8)
    """
    try:
        given = _decode(segmentation)
    except (msgspec.MsgspecError, RecursionError):
        given = _other_polygons(segmentation)
    if isinstance(given, _Runs):
        outline = _outline_of_runs(given, height, width)
    else:
        outline = _outline_of_polygons(given, height, width)
    if not outlines.area(outline):
        raise OutlineError("it covers no pixel")
    return outline


def _other_polygons(segmentation: bytes | msgspec.Raw) -> list[list[float]]:
    """Return polygons that are not given as COCO does: one alone, or lists of points."""
    if bytes(segmentation) == b"null":
        return []
    try:
        return [msgspec.json.decode(segmentation, type=list[float])]
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        given = msgspec.json.decode(segmentation, type=list[list[tuple[float, float]]])
    except (msgspec.MsgspecError, RecursionError):
        raise OutlineError(NO_FORM) from None
    return [_joined(points) for points in given]


def _joined(points: list[Any]) -> list[float]:
    return [coordinate for point in points for coordinate in point]


def _outline_of_polygons(given: list[list[float]], height: int, width: int) -> Outline:
    if not any(given):
        raise OutlineError("none is given")
    if len(given) * 2 >= _FEWEST_COORDINATES and all(len(part) == 2 for part in given):
        given = [_joined(given)]
    if any(len(part) % 2 for part in given):
        raise OutlineError("a polygon ends within a point")
    parts = [part for part in given if len(part) >= _FEWEST_COORDINATES]
    if not parts:
        raise OutlineError("its polygons have fewer than three points")
    low, high = min(map(min, parts)), max(map(max, parts))
    if max(-low, high) > 2 * (width + height):
        raise OutlineError("it lies far outside the image")
    if low >= 0 and high <= 1 and any(coordinate % 1 for part in parts for coordinate in part):
        raise OutlineError("its coordinates are fractions of the image, not px")
    if _steps(parts, high - low) > _MOST_STEPS:
        raise OutlineError("its polygons are too long")
    shapes = outlines.frPyObjects(parts, height, width)
    while len(shapes) > _AT_ONCE:
        shapes = [outlines.merge(shapes[k : k + _AT_ONCE]) for k in range(0, len(shapes), _AT_ONCE)]
    merged: Outline = outlines.merge(shapes)
    return merged


def _steps(parts: list[list[float]], extent: float) -> float:
    """Return for how many steps along polygons pycocotools takes memory; more than that where it does not matter."""
    n_corners = [len(part) // 2 for part in parts]
    most = sum(n_corners) * (_STEPS_PER_PIXEL * extent + 2)
    if most <= _MOST_STEPS or sum(n_corners) > _MOST_STEPS:
        return most
    corners = np.fromiter(itertools.chain.from_iterable(parts), float).reshape(-1, 2)
    ends = np.cumsum(n_corners)
    following = np.arange(1, len(corners) + 1)
    following[ends - 1] = ends - n_corners  # a polygon is closed
    edges = np.abs(corners - corners[following]).max(axis=1)
    return float((_STEPS_PER_PIXEL * edges + 2).sum())


def _outline_of_runs(given: _Runs, height: int, width: int) -> Outline:
    if given.size != (height, width):
        raise OutlineError("its run lengths are of an image of another size")
    most = min(height * width + 1, _MOST_RUNS)
    if isinstance(given.counts, str):
        packed = given.counts
        if packed.startswith("b'") and packed.endswith("'"):  # bytes that were written as Python shows them
            packed = packed[2:-1].replace("\\\\", "\\")
        if len(packed) > most * MOST_LETTERS:
            raise OutlineError(DAMAGED)
        runs: NDArray[Any] = _run_lengths(packed)
    else:
        if len(given.counts) > most:
            raise OutlineError("it has more runs than pixels" if most > height * width else "it has too many runs")
        runs = np.array(given.counts)
    _require_filling(runs, height, width)
    counts = {"size": [height, width], "counts": runs.astype(np.uint32)}
    outline: Outline = outlines.frPyObjects(counts, height, width)
    return outline


def _require_filling(runs: NDArray[Any], height: int, width: int) -> None:
    """Raise unless runs are an image's: each of a pixel at least but the first, together all pixels."""
    if not len(runs) or runs.min() < 0 or (runs % 1).any() or runs.sum() != height * width:
        raise OutlineError(NOT_FILLING)
    if not runs[1:].all():
        raise OutlineError("it has runs of length zero")


def stored_outline(height: int, width: int, counts: str) -> Outline:
    """Return the outline of an image of that size (px) whose run lengths an index has.

    Raises
    ------
    OutlineError
        If it is none of such an image: the index is not what this package wrote.

    Examples
    --------
    >>> stored_outline(10, 20, "0X6")
    {'size': [10, 20], 'counts': b'0X6'}
    """
    try:
        if not usable_size(int(height), int(width)):
            raise OutlineError("it is of no image")  # noqa: TRY301
        _require_filling(_run_lengths(counts), int(height), int(width))
    except OutlineError as error:
        raise OutlineError(f"index must hold outlines of its images, got one where {error}; remove the index") from None
    return {"size": [int(height), int(width)], "counts": counts.encode("ascii")}


def dense_mask(outline: Outline) -> NDArray[np.uint8]:
    """Return an outline as zeros and ones (y, x); that of pycocotools warns with NumPy 2.

    >>> dense_mask(stored_outline(2, 3, "222"))
    array([[0, 1, 0],
           [0, 1, 0]], dtype=uint8)
    """
    height, width = outline["size"]
    lengths = _run_lengths(outline["counts"].decode("ascii"))
    return np.repeat(np.arange(len(lengths)).astype(np.uint8) % 2, lengths).reshape(width, height).T


def _run_lengths(packed: str) -> NDArray[np.int64]:
    """Return the run lengths of a compressed outline; pycocotools itself would read past the end of a damaged one.

    A letter has five bits of a number, the lowest first, and one that says whether the number goes on; the highest of
    its last letter is its sign. From the fourth on, a number is what its run has more than the one before the last.
    """
    if not packed or not packed.isascii():
        raise OutlineError(DAMAGED)
    bits = np.frombuffer(packed.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(bits < 32)
    if bits.min() < 0 or bits.max() >= 64 or bits[-1] >= 32:
        raise OutlineError(DAMAGED)
    n_letters = np.diff(last, prepend=-1)
    if n_letters.max() > MOST_LETTERS:
        raise OutlineError(DAMAGED)
    first = last - n_letters + 1
    place = np.arange(len(bits)) - np.repeat(first, n_letters)
    lengths = np.add.reduceat((bits & 31) << (5 * place), first)
    lengths -= (bits[last] >> 4 & 1) << (5 * n_letters)
    for parity in (1, 2):
        lengths[parity::2] = np.cumsum(lengths[parity::2])
    return lengths
