"""Digits that no one has embedded, in small numbers."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from neuroattn.stimuli.mnist import Digits, embedded
from neuroattn.training.launch import launched


@pytest.fixture(scope="session")
def few_digits():
    """67 digits of all classes, moved by a pixel so that they are not the embedded ones."""
    every = embedded().select(slice(0, None, 75))
    return Digits(images=np.roll(every.images, 1, axis=2), labels=every.labels, source="test")


@pytest.fixture
def folder(few_digits, tmp_path):
    """A folder with the IDX files of a training set."""
    place = tmp_path / "digits"
    place.mkdir()
    for name, array in (("images-idx3", few_digits.images), ("labels-idx1", few_digits.labels)):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        with gzip.open(place / f"train-{name}-ubyte.gz", "wb") as file:
            file.write(header + array.astype(np.uint8).tobytes())
    return place


@pytest.fixture(scope="session")
def one_process():
    return launched("cpu", "32")
