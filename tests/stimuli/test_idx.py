"""The parser of IDX files: what it reads, and that nothing but its own errors comes out of a broken file."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal
from stimulus_files import idx, refused

from neuroattn.compute import memory
from neuroattn.stimuli.idx import read_idx

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path):
    """Return what is read, or None if it is refused with a text of ours: one that begins with the file."""
    try:
        return read_idx(path)
    except ValueError as error:
        if not str(error).startswith(f"{path} "):
            raise
        return None


byte_arrays = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7))
packings = st.sampled_from([lambda content: content, gzip.compress])


@quick
@given(array=byte_arrays, pack=packings)
def test_round_trip(tmp_path, array, pack):
    path = tmp_path / "any-name"
    path.write_bytes(pack(idx(array)))
    read = read_idx(path)
    assert read.dtype == np.uint8
    assert_array_equal(read, array)


@quick
@given(array=byte_arrays, pack=packings, data=st.data())
def test_every_cut_is_noticed(tmp_path, array, pack, data):
    whole = pack(idx(array))
    path = tmp_path / "cut"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match=r"cut|empty|not an IDX file"):
        read_idx(path)


@quick
@given(
    start=st.sampled_from([b"", b"\0\0\x08", b"\0\0\x08\x01", b"\0\0\x08\x03", b"\x1f\x8b", b"\x1f\x8b\x08"]),
    rest=st.binary(max_size=71),
)
def test_noise_is_read_or_refused(tmp_path, start, rest):
    path = tmp_path / "noise"
    path.write_bytes(start + rest)
    read = read_or_refuse(path)
    assert read is None or read.size > 0


@quick
@given(array=byte_arrays, data=st.data())
def test_damaged_gzip_is_read_or_refused(tmp_path, array, data):
    packed = bytearray(gzip.compress(idx(array)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged"
    path.write_bytes(packed)
    read = read_or_refuse(path)
    if read is not None:
        assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", " is empty; fetch it again"),
        (gzip.compress(b"", mtime=0), " is empty once unpacked; fetch it again"),
        (b"\0\0\x08", " is cut: 4 bytes expected for its type, 3 found; fetch it again"),
        (b"\x89PNG\r\n", " is not an IDX file: it starts with 89 50 4e 47, not with 00 00 08"),
        (b"\0\0\x07\x01" + bytes(5), " is not an IDX file: it starts with 00 00 07 01, not with 00 00 08"),
        (b"\0\0\x0d\x01" + bytes(5), " must hold unsigned bytes, got float32; convert it"),
        (b"\0\0\x08\x00" + bytes(5), " must have 1 to 64 dimensions, got 0"),
        (b"\0\0\x08\x41" + b"\0\0\0\1" * 65 + b"!", " must have 1 to 64 dimensions, got 65"),
        (b"\0\0\x08\x03" + bytes(5), " is cut: 16 bytes expected for its header, 9 found; fetch it again"),
        (b"\0\0\x08\x01" + bytes(4), " must hold at least one element, got shape (0,)"),
        (idx(np.ones((3, 5)))[:-2], " is cut: 15 bytes expected after the header, 13 found; fetch it again"),
        (idx(np.ones((3, 5))) + b"!", " is too long: 15 bytes expected after the header, 16 found; fetch it again"),
        (
            gzip.compress(idx(np.ones((3, 5))) + bytes(10**7), mtime=0),
            " is too long: 15 bytes expected after the header, 16 or more found; fetch it again",
        ),
        (gzip.compress(idx(np.ones((3, 5))), mtime=0)[:-3], " is cut: its gzip stream ends early; fetch it again"),
        (b"\x1f\x8b\x07" + bytes(13), " is damaged: Unknown compression method; fetch it again"),
    ],
)
def test_files_that_are_refused(tmp_path, content, text):
    path = tmp_path / "file"
    path.write_bytes(content)
    with refused(f"{path}{text}"):
        read_idx(path)


def test_a_file_must_be_there(tmp_path):
    path = tmp_path / "absent"
    with refused(f"{path} is not a file; give the path of an IDX file", FileNotFoundError):
        read_idx(path)


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
def test_a_bomb_takes_no_more_memory_than_its_header_says(tmp_path, pack):
    path = tmp_path / "bomb"
    path.write_bytes(pack(idx(np.ones((3, 5))) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="is too long"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
def test_a_header_of_more_than_memory_holds(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    path = tmp_path / "large"
    path.write_bytes(pack(idx(np.ones((7, 11, 13)))))
    needed = "got shape (7, 11, 13), which needs 1e-06 GB, and 1e-06 GB are free"
    with refused(f"{path} must fit in memory, {needed}; take a smaller set"):
        read_idx(path)
