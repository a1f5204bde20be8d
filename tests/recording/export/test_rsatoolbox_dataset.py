"""Datasets of rsatoolbox: observations, channels and time in its order, with their descriptors."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from recording.export.by_hand import on, refused

from neuroattn.recording.export.rsatoolbox_dataset import to_rsatoolbox
from neuroattn.recording.record import record


@pytest.fixture(scope="module")
def rsatoolbox():
    return pytest.importorskip("rsatoolbox")


def assert_described(descriptors, group, dim):
    assert set(descriptors) == on(group, dim)
    for name, values in descriptors.items():
        assert_array_equal(values, group[name])
        assert values.dtype.kind in "biufU"


def test_several_steps(rsatoolbox, gate):
    dataset = to_rsatoolbox(gate)
    assert type(dataset) is rsatoolbox.data.TemporalDataset
    assert dataset.measurements.shape == (5, 7, 3)
    assert dataset.measurements.dtype == np.float32
    assert_array_equal(dataset.measurements, gate["activation"].transpose("presentation", "neuroid", "time_step"))
    assert dataset.descriptors == {"model": "small", "layer": "stage1/gate", "units": "1"}
    assert_described(dataset.obs_descriptors, gate, "presentation")
    assert_described(dataset.channel_descriptors, gate, "neuroid")
    assert list(dataset.time_descriptors) == ["time"]
    assert_array_equal(dataset.time_descriptors["time"], [0, 2, 5])
    later = dataset.subset_time("time", 2, 5)
    assert_array_equal(later.measurements[:, :, 1], gate["activation"].sel(time_step=5))
    one = dataset.subset_obs("name", "日本語").subset_channel("neuroid_id", "small.stage1.gate.4")
    assert_array_equal(one.measurements.ravel(), gate["activation"][2, :, 4])


def test_a_single_step(rsatoolbox, gate, stored):
    expected = gate["activation"].sel(time_step=2)
    for data in (
        gate.sel(time_step=2),
        gate.sel(time_step=[2])["activation"],
        stored["stage1/gate"].to_dataset().sel(time_step=2),
    ):
        dataset = to_rsatoolbox(data)
        assert type(dataset) is rsatoolbox.data.Dataset
        assert_array_equal(dataset.measurements, expected)
        assert dataset.descriptors == {"model": "small", "layer": "stage1/gate", "units": "1", "time_step": 2}
        assert_described(dataset.obs_descriptors, gate, "presentation")
        assert_described(dataset.channel_descriptors, gate, "neuroid")


@pytest.mark.filterwarnings("ignore:.*Multiple pattern descriptors:UserWarning")
def test_dissimilarities_are_those_of_the_recording(rsatoolbox, gate):
    values = gate["activation"].sel(time_step=5).values.astype(float)
    found = rsatoolbox.rdm.calc_rdm(to_rsatoolbox(gate.sel(time_step=5))).get_matrices()[0]
    assert_allclose(found, ((values[:, None] - values[None]) ** 2).mean(-1), atol=1e-5)
    movie = rsatoolbox.rdm.calc_rdm_movie(to_rsatoolbox(gate))
    assert_allclose(movie.get_matrices()[2], found, atol=1e-5)
    assert_array_equal(movie.rdm_descriptors["time"], [0, 2, 5])


def test_a_dataset_can_be_saved(rsatoolbox, gate, tmp_path):
    dataset = to_rsatoolbox(gate.drop_vars(["name", "attended_label"]))  # its HDF5 holds ASCII; NaN is not equal to NaN
    dataset.save(str(tmp_path / "a.hdf5"), file_type="hdf5")
    assert rsatoolbox.data.load_dataset(str(tmp_path / "a.hdf5")) == dataset


def test_a_dataset_shares_no_memory_with_the_recording(rsatoolbox, gate):
    for part in (gate, gate.isel(time_step=0), gate.isel(neuroid=[0])):
        assert not np.shares_memory(to_rsatoolbox(part).measurements, gate["activation"].values)


def test_several_layers_are_told_by_the_channels_alone(rsatoolbox, gate):
    layers = np.array(["stage1/gate"] * 3 + ["stage2/gate"] * 4, object)
    dataset = to_rsatoolbox(gate.assign_coords(layer=("neuroid", layers)))
    assert dataset.descriptors == {"model": "small", "units": "1"}
    assert_array_equal(dataset.channel_descriptors["layer"], layers)


@settings(deadline=None, max_examples=20)
@given(sizes=st.tuples(st.integers(1, 5), st.integers(2, 4), st.integers(1, 4)), seed=st.integers(0, 99))
def test_measurements_are_the_activation(rsatoolbox, made, sizes, seed):
    presentations, n_steps, units = sizes
    group = made(presentations, range(n_steps), units, seed)
    measurements = to_rsatoolbox(group).measurements
    assert_array_equal(np.moveaxis(measurements, 2, 1), group["activation"])


def test_without_rsatoolbox(monkeypatch, gate):
    monkeypatch.setitem(sys.modules, "rsatoolbox", None)
    with refused("rsatoolbox must be installed to make its datasets; pip install rsatoolbox"):
        to_rsatoolbox(gate)


def test_with_a_broken_rsatoolbox(rsatoolbox, monkeypatch, gate):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rsatoolbox"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ModuleNotFoundError, match="networkx"):
        to_rsatoolbox(gate)


def test_what_record_returns(rsatoolbox, network, stimuli):
    variable = record(network, stimuli, ["readout/logits"], [1, 4])["readout/logits"]
    dataset = to_rsatoolbox(variable)
    assert_array_equal(np.moveaxis(dataset.measurements, 2, 1), variable["activation"])
    assert dataset.descriptors["layer"] == "readout/logits"
