"""Files of pictures as others write them, and the errors that refuse them."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from pycocotools import mask as pycoco

CATEGORIES = [
    {"id": 1, "name": "dog", "supercategory": "animal"},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
    {"id": 3, "name": "cat", "supercategory": "animal"},
]


def refused(text, error=ValueError):
    """Expect an error of exactly this text."""
    return pytest.raises(error, match=f"^{re.escape(text)}$")


def idx(array):
    """Return an array as an IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def run_lengths(mask):
    """Return a mask as COCO's uncompressed run lengths: down the columns, the background first."""
    groups = [(value, len(list(members))) for value, members in itertools.groupby(mask.T.ravel().tolist())]
    return ([0] if groups[0][0] else []) + [length for _, length in groups]


def compressed(mask):
    """Return a mask as COCO's compressed run lengths."""
    return pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii")
