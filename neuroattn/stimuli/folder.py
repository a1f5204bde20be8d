"""A folder of pictures as stimuli."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuroattn.compute.memory import require_room
from neuroattn.runs.local_path import local_path
from neuroattn.runs.plain_text import shown
from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg")
_MOST_PIXELS = 1 << 26  # of an input: beyond it a size is a slip


def pictures(folder: str | Path, *, size: tuple[int, int, int] = (1, 28, 42)) -> StimulusSet:
    """Load a folder of PNG and JPEG files as stimuli, in the order of their names.

    A picture is turned upright, laid on grey where it is transparent, padded with grey to the proportions of `size`,
    and resized to it bilinearly. Nothing is said of objects.

    Parameters
    ----------
    folder
        Where the files are; other files in it are left alone.
    size
        (channel, y, x) of a network's input (`network.config.image_size`), with 1 channel for grey or 3 for colour.

    Returns
    -------
    StimulusSet
        With ``file_name`` and the ``width`` and ``height`` (px) of each file in its table.

    Raises
    ------
    ValueError
        If there is no such folder, no picture in it, one that cannot be read, or no memory for so many.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> import neuroattn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (640, 480), "orange").save(f"{folder}/orange.png")
    ...     neuroattn.pictures(folder, size=(3, 100, 100))
    <StimulusSet: 1 stimuli of 3 × 100 × 100; stimulus_id file_name width height>
    """
    from PIL import Image

    from neuroattn.stimuli.scene_pictures import GREY, UNREADABLE, fitted, read_picture

    where = local_path("folder", folder)
    _require_size(size)
    if not where.is_dir():
        raise ValueError(f"folder must be a folder of pictures, got {shown(str(folder))}, which is none; name another")
    files = sorted(file for file in where.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise ValueError(f"folder must hold PNG or JPEG files, got {shown(str(folder))} without any; name another")
    channels, height, width = size
    require_room("folder", f"{len(files):,} files", len(files) * channels * height * width * 4, "take fewer")
    images = np.empty((len(files), *size), np.float32)
    shapes = []
    for image, file in zip(images, files, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = read_picture(file)
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"folder must hold whole PNG or JPEG files, got {shown(file.name)} ({reason}); mend it, or take it out"
            ) from error
        shapes.append(picture.shape[:2])
        seen = fitted(picture, (height, width), GREY)
        if channels == 1:
            seen = np.asarray(Image.fromarray(seen.transpose(1, 2, 0)).convert("L"))[None]
        image[:] = seen / np.float32(255)
    heights, widths = zip(*shapes, strict=True)
    names = [file.name for file in files]
    return StimulusSet(images, table=pd.DataFrame({"file_name": names, "width": widths, "height": heights}))


def _require_size(size: tuple[int, int, int]) -> None:
    whole = isinstance(size, tuple | list) and len(size) == 3 and all(isinstance(side, int) for side in size)
    if not whole or size[0] not in {1, 3} or min(size) < 1 or size[1] * size[2] > _MOST_PIXELS:
        raise ValueError(
            f"size must be (channel, y, x) with 1 or 3 channels and up to {_MOST_PIXELS:,} pixels, got {shown(size)}; "
            "give that of the network's input"
        )
