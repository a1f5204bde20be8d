"""What is no netCDF file is none at all: refusals, and failures on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from recording.export.by_hand import refused

from neuroattn.recording.export import netcdf
from neuroattn.recording.export.netcdf import Slices, Unfailing, to_netcdf


def test_nothing_is_overwritten(monkeypatch, tree, tmp_path):
    path, text = tmp_path / "a.nc", "path must not exist, got {!r}, which does; choose another path"
    path.write_text("precious")
    with monkeypatch.context() as patch, refused(text.format(str(path))):
        patch.setattr(xr.DataTree, "to_netcdf", None)  # not even begun
        to_netcdf(tree, path)
    assert path.read_text() == "precious"
    path.unlink()
    write = xr.DataTree.to_netcdf

    def meanwhile(*arguments, **options):
        write(*arguments, **options)
        path.write_text("another's")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", meanwhile)
    with refused(text.format(str(path))):
        to_netcdf(tree, path)
    assert path.read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_what_is_not_complete_is_refused(stored, tree, tmp_path):
    recording = stored.load().assign(done=xr.Variable("presentation", [True, False, True, False, True]))
    end = "; make the same call of record again to complete it"
    with refused(f"recording must be complete, got one without 2 of 5 presentations{end}"):
        to_netcdf(recording, tmp_path / "a.nc")
    part = next(iter(recording.leaves))  # the flags are in the root
    with refused(f"recording must be complete, got one without 2 of 5 presentations{end}"):
        to_netcdf(part, tmp_path / "a.nc")
    unfinished = stored.assign(trials=xr.Variable("block", np.array(["{}"], object)))
    with refused(f"recording must be complete, got one without the coordinates of its presentations{end}"):
        to_netcdf(xr.DataTree.from_dict({"one": unfinished, "two": tree}), tmp_path / "a.nc")
    assert not (tmp_path / "a.nc").exists()


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (None, "NoneType None"),
        (True, "bool True"),
        (np.bool_(False), "bool np.False_"),
        ({"a": 1}, "dict {'a': 1}"),
        ([1, 2], "list [1, 2]"),
        (2**64, "int 18446744073709551616"),
        ("a\0b", "str 'a\\x00b'"),
        (["x" * 70], f"list ['{'x' * 58}…"),
    ],
)
def test_attributes_that_a_file_cannot_hold(tree, tmp_path, value, described):
    start = "attributes must be numbers or text without NUL for netCDF, got 'odd' of "
    end = f", {described}; turn it into text with json.dumps"
    tree["stage1/gate"].attrs["odd"] = value
    with refused(f"{start}/stage1/gate{end}"):
        to_netcdf(tree, tmp_path / "a.nc")
    tree["stage1/gate"].attrs = {}
    tree["stage1/gate/width"].attrs["odd"] = value
    with refused(f"{start}/stage1/gate/width{end}"):
        to_netcdf(tree, tmp_path / "a.nc")
    tree["stage1/gate/width"].attrs.clear()
    tree.attrs["odd"] = value
    with refused(f"{start}/{end}"):
        to_netcdf(tree, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_text_that_a_file_cannot_hold(tree, tmp_path):
    tree["stage1/gate"].coords["name"] = ("presentation", np.array([*"abcd", "e\0"], object))
    with refused("text must be without NUL for netCDF, got one in /stage1/gate/name; replace it"):
        to_netcdf(tree, tmp_path / "a.nc")


def test_a_disk_without_room(monkeypatch, tree, tmp_path):
    monkeypatch.setattr(netcdf, "free_disk", lambda _: 1)
    with pytest.raises(
        ValueError, match=r"^path '.*a\.nc' needs up to 0\.00 GB, and 0\.00 GB are free; choose another "
    ):
        to_netcdf(tree, tmp_path / "a.nc")
    monkeypatch.setattr(
        netcdf, "free_disk", lambda _: sum(node.to_dataset(inherit=False).nbytes for node in tree.subtree)
    )
    to_netcdf(tree, tmp_path / "a.nc")


def test_a_store_that_cannot_be_read_leaves_no_file(stored, tmp_path):
    (tmp_path / "a.zarr" / "readout" / "logits" / "activation" / "c" / "2" / "0" / "0").write_bytes(b"torn")
    with pytest.raises(OSError, match=r"^path '.*a\.nc' could not be written \(.+\); nothing is left of it$"):
        to_netcdf(stored, tmp_path / "a.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_an_interrupt_leaves_no_file(monkeypatch, tree, tmp_path):
    begun = []

    class Interrupted(Slices):
        def __getitem__(self, key):
            begun.append(key)
            os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + 20
            while self.file.stop is None and time.monotonic() < deadline:
                time.sleep(0.01)
            return super().__getitem__(key)

    monkeypatch.setattr(netcdf, "Slices", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        to_netcdf(tree, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []
    assert len(begun) == 1  # of two chunks


def test_a_file_that_was_closed_keeps_it_to_itself(tmp_path):
    file = Unfailing(tmp_path / "a", "w+b")
    assert file.truncate(3) == 3
    assert file.write(b"abc") == 3
    file.check()
    file.close()
    for call in (lambda: file.truncate(5), lambda: file.write(b"abcde")):
        file.failure = None
        assert call() == 5
        with refused("I/O operation on closed file"):
            file.check()
    assert (tmp_path / "a").read_bytes() == b"abc"


FULL = """
import resource, signal, sys
import numpy as np, xarray as xr
from neuroattn.recording.export.netcdf import to_netcdf
values = np.random.default_rng(0).random((int(sys.argv[2]), 1, 1_500_000), np.float32)
recording = xr.DataTree.from_dict({"a": xr.Dataset({"activation": (("presentation", "time_step", "neuroid"), values)})})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
try:
    to_netcdf(recording, sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("chunks", [1, 4])  # in the last one, or on the way
def test_a_disk_that_fills_up_is_survived(tmp_path, chunks):
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.nc"), str(chunks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr  # nothing of HDF5's either
    path = str(tmp_path / "a.nc")
    assert done.stdout == f"path {path!r} could not be written ([Errno 27] File too large); nothing is left of it\n"
    assert list(tmp_path.iterdir()) == []
