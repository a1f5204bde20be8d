"""How blocks reach the disk: the same files as zarr's own writer makes, and what a full disk is called."""

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.testing import assert_array_equal

from neuroattn.recording.layout import create_activation, write_block


def test_a_disk_that_is_full_in_the_middle_of_the_values_is_said(disk):
    root, values = laid_out(disk("1m") / "a.zarr", 32768), np.random.default_rng(0).random((64, 1, 32768), np.float32)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_block(root, 0, slice(0, 64), {"a": values}, pd.DataFrame({"correct": [True] * 64}))
    assert error.value.errno == errno.ENOSPC
    assert not np.asarray(root["done"][:]).any()


def test_other_errors_of_the_writer_are_not_taken_for_the_disks(tmp_path, monkeypatch):
    root = laid_out(tmp_path / "a.zarr", 8)

    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(zarr.Array, "__setitem__", fail)
    with pytest.raises(RuntimeError, match="something else"):
        write_block(root, 0, slice(0, 64), {"a": np.zeros((64, 1, 8), np.float32)}, pd.DataFrame({"correct": [True]}))


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_the_writer_replaces_torn_chunks_and_keeps_empty_ones(tmp_path, value):
    """Also a chunk of nothing but the fill value, and one that a kill left longer than it becomes."""
    root, values = laid_out(tmp_path / "a.zarr", 8), np.full((64, 1, 8), value, np.float32)
    chunk = tmp_path / "a.zarr" / "a" / "activation" / "c" / "0" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"torn" * 1000)
    write_block(root, 0, slice(0, 64), {"a": values}, pd.DataFrame({"correct": [True] * 64}))
    assert_array_equal(root["a/activation"][:], values)  # read by zarr's own code
    written = chunk.read_bytes()
    with zarr.config.set({"array.write_empty_chunks": True}):
        root["a/activation"][:] = values  # written by zarr's own code
    assert chunk.read_bytes() == written


def laid_out(store: Path, n_units: int) -> zarr.Group:
    """Return the root of a store of one block of 64 presentations, as the layout makes it."""
    root = zarr.open_group(store, mode="w", zarr_format=3)
    root.create_array("done", shape=(64,), chunks=(64,), dtype=bool, fill_value=False)
    root.create_array("trials", shape=(1,), chunks=(1,), dtype=str)
    create_activation(root.create_group("a"), (64, 1, n_units), 64, np.dtype(np.float32), {})
    return root
