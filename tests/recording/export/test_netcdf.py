"""Recordings as netCDF files: whole, the same when read back, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroattn.recording.export import netcdf
from neuroattn.recording.export.netcdf import to_netcdf
from neuroattn.recording.record import record
from neuroattn.recording.store import open_recording


def read(path):
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def assert_same(there, here):
    """Hold values, coordinates, attributes, groups and types against each other; text has several types in memory."""
    xr.testing.assert_identical(there, here)
    for node in here.subtree:
        for name, variable in node.variables.items():
            found = there[node.path].variables[name].dtype
            assert found == variable.dtype or (found.kind in "OUT" and variable.dtype.kind in "OUT"), name


def test_a_recording_in_memory(tree, tmp_path):
    to_netcdf(tree, tmp_path / "new" / "a.nc")
    there = read(tmp_path / "new" / "a.nc")
    assert_same(there, tree)
    assert set(there.groups) == {"/", "/stage1", "/stage1/gate", "/readout", "/readout/logits"}
    assert there.attrs == {"protocol": '{"größe": null}', "note": "", "schema_version": 3, "rate": 0.25}
    assert there["stage1/gate/correct"].dtype == bool
    assert there["stage1/gate/activation"].attrs == {"units": "1"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.nc"]


def test_a_recording_from_a_store(stored, tree, tmp_path):
    to_netcdf(stored, str(tmp_path / "a.nc"))
    there = read(tmp_path / "a.nc")
    assert_same(there, stored)
    assert there["done"].dtype == bool
    del there["done"]
    assert_same(there, tree)
    with h5py.File(tmp_path / "a.nc") as file:
        array = file["stage1/gate/activation"]
        assert array.chunks == (2, 3, 7)  # the store's, so that each of its chunks is read once
        assert (array.compression, array.compression_opts) == ("gzip", 1)
        assert h5py.check_string_dtype(file["stage1/gate/name"].dtype).length is None


def test_a_recording_that_was_read_from_a_file(tree, tmp_path):
    to_netcdf(tree, tmp_path / "a.nc")
    with xr.open_datatree(tmp_path / "a.nc", engine="h5netcdf") as opened:
        to_netcdf(opened, tmp_path / "b.nc")
    assert_same(read(tmp_path / "b.nc"), tree)


def test_how_another_file_packed_its_values_does_not_matter(tree, tmp_path):
    tree["stage1/gate/width"].encoding = {"dtype": "int16", "scale_factor": 0.1}
    to_netcdf(tree, tmp_path / "a.nc")
    assert_same(read(tmp_path / "a.nc"), tree)


@pytest.mark.slow
def test_a_part_of_a_store_and_a_store_of_several_models(stored, tree, tmp_path):
    several = xr.DataTree.from_dict({"one": stored, "two": tree})
    to_netcdf(several, tmp_path / "several.nc")
    assert_same(read(tmp_path / "several.nc"), several)
    to_netcdf(several["one"], tmp_path / "one.nc")
    assert_same(read(tmp_path / "one.nc"), stored)


def test_a_reduced_recording_and_one_that_dask_holds(reduced, tree, tmp_path):
    small = xr.DataTree.from_dict({"stage1/gate": reduced})
    to_netcdf(small, tmp_path / "a.nc")
    assert_same(read(tmp_path / "a.nc"), small)
    to_netcdf(tree.chunk(), tmp_path / "b.nc")
    assert_same(read(tmp_path / "b.nc"), tree)


def test_half_precision_is_widened(made, tmp_path):
    half = xr.DataTree.from_dict({"stage1/gate": made(dtype=np.float16)})
    to_netcdf(half, tmp_path / "a.nc")
    there = read(tmp_path / "a.nc")
    xr.testing.assert_identical(there, half)
    assert there["stage1/gate/activation"].dtype == np.float32


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)


@pytest.mark.slow
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), presentations=st.integers(1, 4))
def test_any_values_come_back(made, tmp_path, data, presentations):
    def column(values):
        return data.draw(st.lists(values, min_size=presentations, max_size=presentations))

    table = {
        "note": np.array(column(TEXT), object),
        "flag": np.array(column(st.booleans())),
        "count": np.array(column(st.integers(-(2**63), 2**63 - 1))),
        "small": np.array(column(st.integers(0, 255)), np.uint8),
        "share": np.array(column(st.floats(width=64))),
    }
    group = made(presentations).assign_coords({name: ("presentation", column) for name, column in table.items()})
    group["activation"][0, 0, :] = data.draw(st.lists(st.floats(width=32), min_size=7, max_size=7))
    recording = xr.DataTree.from_dict({"stage1/gate": group})
    recording.attrs = data.draw(st.dictionaries(st.from_regex("[a-z]+", fullmatch=True), TEXT | st.integers(0, 2**60)))
    (tmp_path / "a.nc").unlink(missing_ok=True)
    to_netcdf(recording, tmp_path / "a.nc")
    assert_same(read(tmp_path / "a.nc"), recording)


@pytest.mark.parametrize("lazily", [True, False])
def test_memory_is_bounded(tmp_path, lazily):
    shape = (48, 2, 125_000)  # 48 MB, a megabyte a presentation
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    dims = ("presentation", "time_step", "neuroid")
    array = root.create_array(
        "stage1/activation", shape=shape, chunks=(2, *shape[1:]), dtype="float32", dimension_names=dims
    )
    for first in range(0, 48, 2):
        array[first : first + 2] = np.full((2, *shape[1:]), first, np.float32)
    recording = open_recording(tmp_path / "a.zarr")
    to_netcdf(recording.isel(presentation=slice(1), missing_dims="ignore"), tmp_path / "first.nc")  # imports
    if not lazily:
        recording = recording.load()
    tracemalloc.start()
    to_netcdf(recording, tmp_path / "a.nc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    recording.close()
    with xr.open_datatree(tmp_path / "a.nc", engine="h5netcdf") as there:
        np.testing.assert_array_equal(there["stage1/activation"][:, 1, -1], np.arange(48) // 2 * 2)


def test_without_chunks_of_its_own_a_recording_is_written_in_small_ones(monkeypatch, tree, tmp_path):
    monkeypatch.setattr(netcdf, "CHUNK_BYTES", 2 * 3 * 7 * 4 + 5)
    to_netcdf(tree, tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc") as file:
        assert file["stage1/gate/activation"].chunks == (2, 3, 7)
        assert file["readout/logits/activation"].chunks == (4, 3, 3)
    assert_same(read(tmp_path / "a.nc"), tree)


def test_what_record_returns_and_what_it_streams(network, stimuli, tmp_path):
    names = ["stage1/response", "readout/logits"]
    kept = record(network, stimuli, names, [1, 4])
    to_netcdf(kept, tmp_path / "kept.nc")
    assert_same(read(tmp_path / "kept.nc"), kept)
    with record(network, stimuli, names, [1, 4], store=tmp_path / "a.zarr") as streamed:
        to_netcdf(streamed, tmp_path / "streamed.nc")
        assert_same(read(tmp_path / "streamed.nc"), streamed)
