"""A photograph as a network sees it: padded, resized, and each of its objects alone on black.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540: padded with grey 127 to the shape of the input, the photograph
in the middle, then resized bilinearly with antialiasing, as Pillow does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from neuroattn.stimuli.outlines import dense_mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from neuroattn.stimuli.outlines import Outline

GREY, BLACK = 127, 0

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "TGA")  # none runs other programs
MOST_CANVAS = 1 << 26  # pixels; as many as an image may have
AT_ONCE = 1 << 22  # of them, where the canvas has more
_ORIENTATION, _TURNED = 0x112, (5, 6, 7, 8)  # EXIF; of these, width and height change places

# What Pillow raises of files that are no whole images, whatever is wrong with them.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)


class OtherSizeError(ValueError):
    """A photograph has not the size that its annotations are for.

    >>> issubclass(OtherSizeError, ValueError)
    True
    """


def read_photograph(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Return a photograph (y, x, 3), 8 bits; grey ones have three equal channels.

    It is turned upright if its EXIF data say so, as those who annotated it saw it, unless only the photograph as it is
    stored has the size that was annotated.

    Raises
    ------
    OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError
        If there is no such file, or it is not a whole image of values whose range is known.
    OtherSizeError
        If it has not the size (px) that its annotations are for.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "grey.png")
    >>> Image.new("L", (4, 3), 200).save(path)
    >>> read_photograph(path, width=4, height=3)[0, 0]
    array([200, 200, 200], dtype=uint8)
    """
    with Image.open(path, formats=_FORMATS) as file:
        orientation = file.getexif().get(_ORIENTATION, 1)
        upright = file.size[::-1] if orientation in _TURNED else file.size
        if (width, height) not in {file.size, upright}:
            raise OtherSizeError(f"{file.size[0]} × {file.size[1]} px, annotated as {width} × {height}")
        return _rgb(file if orientation == 1 or upright != (width, height) else ImageOps.exif_transpose(file))


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a PNG or JPEG file of any size (y, x, 3), 8 bits, upright, and on grey where it is transparent.

    Raises
    ------
    OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError
        If it is not a whole image of values whose range is known.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "half.png")
    >>> Image.new("LA", (4, 3), (255, 0)).save(path)
    >>> read_picture(path)[0, 0]
    array([127, 127, 127], dtype=uint8)
    """
    with Image.open(path, formats=("PNG", "JPEG")) as file:
        upright = ImageOps.exif_transpose(file)
        if upright.has_transparency_data:
            ground = Image.new("RGBA", upright.size, (GREY, GREY, GREY, 255))
            upright = Image.alpha_composite(ground, upright.convert("RGBA"))
        return _rgb(upright)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F" or image.mode.startswith("I"):
        return np.repeat(_eight_bits(np.asarray(image))[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def _eight_bits(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 16-bit values as 8-bit ones; Pillow would clip them, so that nearly all were white."""
    if grey.dtype.kind == "f" or grey.min() < 0 or grey.max() > 65535:
        raise ValueError("values whose range is unknown")
    return ((grey.astype(np.int32) + 128) // 257).astype(np.uint8)


def scene(
    photograph: NDArray[np.uint8], objects: Sequence[Outline], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a photograph and its objects at the size of a network's input.

    Parameters
    ----------
    photograph
        (y, x, 3).
    objects
        Outlines of the photograph's size.
    size
        (y, x) px.

    Returns
    -------
    image, objects : numpy.ndarray
        (3, y, x) and (object, 3, y, x), 8 bits.

    Examples
    --------
    >>> photograph = np.full((2, 3, 3), 90, np.uint8)
    >>> image, objects = scene(photograph, [{"size": [2, 3], "counts": b"222"}], size=(2, 3))
    >>> objects[0, 0]
    array([[ 0, 90,  0],
           [ 0, 90,  0]], dtype=uint8)
    """
    alone = [fitted(photograph * dense_mask(outline)[..., None], size, BLACK) for outline in objects]
    return fitted(photograph, size, GREY), np.stack(alone)


def fitted(picture: NDArray[np.uint8], size: tuple[int, int], padding: int) -> NDArray[np.uint8]:
    """Return a picture (y, x, 3) padded to the proportions of `size` (y, x) and resized to it, (3, y, x).

    >>> fitted(np.full((1, 3, 3), 90, np.uint8), size=(3, 3), padding=GREY)[0]
    array([[127, 127, 127],
           [ 90,  90,  90],
           [127, 127, 127]], dtype=uint8)
    """
    top, left, height, width = canvas(picture.shape[:2], size)
    if height * width > MOST_CANVAS:
        return _fitted_by_rows(picture, size, padding)
    padded = np.full((height, width, 3), padding, dtype=np.uint8)
    padded[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return _resized(padded, size).transpose(2, 0, 1)


def cut_out(
    picture: NDArray[np.uint8], inside: NDArray[np.bool_], size: tuple[int, int], box: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Return the object of a picture on its own, as large as a box lets it be, and in its middle.

    Parameters
    ----------
    picture, inside
        (y, x, 3), and where in it the object is (y, x).
    size
        (y, x) px of what is returned.
    box
        (top, bottom, left, right) px in that.

    Returns
    -------
    numpy.ndarray
        (4, y, x) 8 bits: red, green, blue, and where the object is.

    Examples
    --------
    >>> picture = np.full((4, 4, 3), 90, np.uint8)
    >>> cut_out(picture, np.eye(4, dtype=bool), size=(4, 6), box=(1, 3, 2, 6))[0]
    array([[ 0,  0,  0,  0,  0,  0],
           [ 0,  0,  0, 90, 90,  0],
           [ 0,  0,  0, 90, 90,  0],
           [ 0,  0,  0,  0,  0,  0]], dtype=uint8)
    """
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    cut = np.dstack([picture[part], inside[part] * np.uint8(255)])
    top, bottom, left, right = box
    scale = min((bottom - top) / cut.shape[0], (right - left) / cut.shape[1])
    height, width = (max(1, round(side * scale)) for side in cut.shape[:2])
    placed = np.zeros((*size, 4), np.uint8)
    y, x = (top + bottom - height) // 2, (left + right - width) // 2
    placed[y : y + height, x : x + width] = _resized(cut, (height, width))
    return placed.transpose(2, 0, 1)


def _fitted_by_rows(picture: NDArray[np.uint8], size: tuple[int, int], padding: int) -> NDArray[np.uint8]:
    """Return what `fitted` does, to a step of 8 bits, without a canvas: a long, narrow picture's is far larger."""
    if picture.shape[0] > picture.shape[1]:  # the long side first, which leaves little for the other
        return _fitted_by_rows(picture.swapaxes(0, 1), size[::-1], padding).swapaxes(1, 2)
    top, left, height, width = canvas(picture.shape[:2], size)
    narrowed = np.full((height, size[1], 3), padding, dtype=np.uint8)
    step = max(1, AT_ONCE // width)
    for first in range(0, picture.shape[0], step):
        rows = picture[first : first + step]
        padded = np.full((len(rows), width, 3), padding, dtype=np.uint8)
        padded[:, left : left + picture.shape[1]] = rows
        narrowed[top + first : top + first + len(rows)] = _resized(padded, (len(rows), size[1]))
    return _resized(narrowed, size).transpose(2, 0, 1)


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def canvas(picture: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return where a picture (y, x) px stands on the smallest canvas around it of the proportions of `size` (y, x).

    Returns
    -------
    top, left, height, width : int
        Of the picture's corner on the canvas, and of the canvas, px.

    Examples
    --------
    >>> canvas((480, 640), size=(100, 100))
    (80, 0, 640, 640)
    """
    height = max(picture[0], round(picture[1] * size[0] / size[1]))
    width = max(picture[1], round(picture[0] * size[1] / size[0]))
    return (height - picture[0]) // 2, (width - picture[1]) // 2, height, width
