"""Units as maps, placed by their coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction
from neuroattn.recording.unit_maps import unit_maps


@pytest.fixture
def responses(network, stimuli):
    return record(network, stimuli, ["stage1/response"], [1, 4])["stage1/response"]["activation"]


def joined(*arrays):
    return xr.concat(arrays, "neuroid", coords="minimal", compat="override", join="exact")


def test_maps_of_a_variable(responses, stimuli, by_hand, network):
    expected = by_hand(network, torch.from_numpy(stimuli.images))[0]["stage1/response"][:, :, [1, 4]]
    maps = unit_maps(responses)
    assert maps.dims == ("presentation", "time_step", "channel", "channel_y", "channel_x")
    assert maps.shape == (8, 2, 3, 10, 12)
    assert maps.dtype == np.float32
    assert_allclose(maps, expected.reshape(maps.shape), atol=1e-5)
    assert_array_equal(maps["stimulus_id"], responses["stimulus_id"])
    assert_array_equal(maps["time_step"], [1, 4])
    for name, size in (("channel", 3), ("channel_y", 10), ("channel_x", 12)):
        assert_array_equal(maps[name], range(size))


def test_units_are_placed_by_their_coordinates(responses):
    order = np.random.default_rng(0).permutation(responses.sizes["neuroid"])
    xr.testing.assert_identical(unit_maps(responses.isel(neuroid=order)), unit_maps(responses))


def test_missing_units_are_nan(responses):
    whole = unit_maps(responses)
    some = responses.isel(neuroid=responses["channel"].values * 12 + responses["channel_x"].values != 12)
    maps = unit_maps(some)
    assert maps.shape == whole.shape
    assert np.isnan(maps.sel(channel=1, channel_x=0)).all()
    assert_array_equal(maps.where(whole.notnull() & maps.notnull()), whole.where(maps.notnull()))
    assert int(maps.isnull().sum()) == 8 * 2 * 10


def test_vectors_and_reduced_recordings(network, stimuli):
    tree = record(network, stimuli, ["readout/logits"], [4], sink=Reduction(["phase"]))
    found = tree["readout/logits"]
    maps = unit_maps(found["mean"])
    assert maps.sizes == {"condition": 2, "time_step": 1, "channel": 7, "channel_y": 1, "channel_x": 1}
    assert_array_equal(maps.values.reshape(2, 1, 7), found["mean"])
    with refused("dims must include neuroid, got (condition); pass a recording, not a part of it"):
        unit_maps(found["count"])


def test_from_a_file(responses, tmp_path):
    responses.to_dataset(name="activation").to_zarr(tmp_path / "one.zarr", consolidated=False, zarr_format=3)
    with xr.open_zarr(tmp_path / "one.zarr", consolidated=False) as read:
        xr.testing.assert_identical(unit_maps(read["activation"].load()), unit_maps(responses))


def test_without_the_dim(responses):
    with refused("dims must include neuroid, got (presentation, time_step); pass a recording, not a part of it"):
        unit_maps(responses.isel(neuroid=0))


def test_without_the_coordinates(responses):
    with refused("array must have the coordinates of its units, got none of layer, channel_y"):
        unit_maps(responses.drop_vars(["layer", "channel_y"]))


def test_several_models(network, stimuli, responses):
    other = GatedNetwork(network.config, torch.Generator().manual_seed(1), name="other", seed=17)
    more = record(other, stimuli, ["stage1/response"], [1, 4])["stage1/response"]["activation"]
    with refused("array must hold a single model, got other, small; select one first"):
        unit_maps(joined(responses, more))


def test_several_layers(network, stimuli):
    tree = record(network, stimuli, ["stage1/gate", "stage2/gate"], [4])
    both = joined(tree["stage1/gate"]["activation"], tree["stage2/gate"]["activation"])
    with refused("array must hold a single layer, got stage1/gate, stage2/gate; select one first"):
        unit_maps(both)
