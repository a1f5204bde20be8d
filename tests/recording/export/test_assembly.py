"""Assemblies in Brain-Score's shape: every coordinate a level, every value where its coordinates say."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from recording.export.by_hand import on, refused

from neuroattn.recording.export.assembly import to_assembly
from neuroattn.recording.record import record


def flat(assembly):
    """Return an assembly with its levels as coordinates; indices with NaN are never the same."""
    return assembly.reset_index(list(assembly.indexes))


def test_a_single_step(gate):
    assembly = to_assembly(gate.sel(time_step=[2]))
    assert assembly.dims == ("presentation", "neuroid")
    assert assembly.shape == (5, 7)
    assert assembly.dtype == np.float32
    assert assembly.attrs == {"units": "1"}
    assert int(assembly["time_step"]) == 2
    for dim in assembly.dims:
        assert set(assembly.indexes[dim].names) == on(gate, dim)
    xr.testing.assert_identical(flat(assembly), gate["activation"].sel(time_step=2))
    for name in gate.coords:
        assert assembly[name].dtype == gate[name].dtype


def test_however_the_variable_is_handed_over(gate, tree, stored):
    step = {"time_step": 5}
    expected = flat(to_assembly(gate.sel(step)))
    for given_ in (gate["activation"].sel(step), gate.transpose().sel(step), gate.chunk().sel(step)):
        xr.testing.assert_identical(flat(to_assembly(given_)), expected)
    xr.testing.assert_identical(flat(to_assembly(tree["stage1/gate"].isel(time_step=2))), expected)
    from_store = to_assembly(stored["stage1/gate"], ms_per_step=10)
    xr.testing.assert_identical(flat(from_store), flat(to_assembly(tree["stage1/gate"], ms_per_step=10)))


def test_the_recording_stays_on_disk(stored):
    group = stored["stage1/gate"].to_dataset()
    to_assembly(group, ms_per_step=1).load()
    assert not group["activation"].variable._in_memory


def test_steps_as_bins(gate):
    assembly = to_assembly(gate, ms_per_step=20)
    assert assembly.dims == ("presentation", "neuroid", "time_bin")
    assert list(assembly["time_bin"].values) == [(0, 20), (40, 60), (100, 120)]
    assert assembly.indexes["time_bin"].names == ["time_bin_start", "time_bin_end"]
    assert "time_step" not in assembly.coords
    assert_array_equal(assembly.transpose("presentation", "time_bin", "neuroid"), gate["activation"])
    assert_array_equal(assembly.sel(time_bin_start=40).squeeze(), gate["activation"].sel(time_step=2))


def test_one_step_as_a_bin(gate):
    for one in (gate.sel(time_step=5), gate.sel(time_step=[5])):
        assembly = to_assembly(one, ms_per_step=np.float32(0.5))
        assert assembly.shape == (5, 7, 1)
        assert list(assembly["time_bin"].values) == [(2.5, 3)]


def test_values_are_found_by_their_coordinates(gate):
    assembly = to_assembly(gate.isel(time_step=1))
    for i, stimulus in enumerate(gate["stimulus_id"].values):
        for j, unit in enumerate(gate["neuroid_id"].values):
            found = assembly.sel(stimulus_id=stimulus, neuroid_id=unit)
            assert found.item() == gate["activation"][i, 1, j]


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    first=st.integers(0, 9),
    ms=st.floats(1e-3, 1e3) | st.integers(1, 1000),
    seed=st.integers(0, 99),
)
def test_bins_cover_the_steps_and_keep_the_values(made, sizes, first, ms, seed):
    presentations, n_steps, units = sizes
    group = made(presentations, range(first, first + n_steps), units, seed)
    assembly = to_assembly(group, ms_per_step=ms)
    start, end = assembly["time_bin_start"].values, assembly["time_bin_end"].values
    assert_array_equal(start[1:], end[:-1])
    assert_allclose(start, group["time_step"] * ms)
    assert_allclose(end - start, ms)
    assert_array_equal(assembly.transpose("presentation", "time_bin", "neuroid"), group["activation"])
    for name in on(group, "presentation") | on(group, "neuroid"):
        assert_array_equal(assembly[name], group[name])


def test_a_single_coordinate_keeps_its_name(gate):
    bare = gate.drop_vars(on(gate, "neuroid") - {"neuroid_id"} | on(gate, "presentation"))
    assembly = to_assembly(bare.isel(time_step=0))
    assert assembly.indexes["neuroid"].names == ["neuroid_id"]
    assert "presentation" not in assembly.indexes


def test_several_steps_without_a_duration(gate):
    with refused(
        "data must have a single time step where ms_per_step is None, got 3; select one with sel(time_step=...), or "
        "give ms_per_step"
    ):
        to_assembly(gate)


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), True, "20", [20]])
def test_a_duration_that_is_none(gate, value):
    text = "ms_per_step must be a positive finite number, got {!r}; give the milliseconds of a time step"
    with refused(text.format(value)):
        to_assembly(gate, ms_per_step=value)


def test_a_duration_without_a_step_or_with_a_coordinate_in_the_way(gate):
    with refused("data must have the coordinate time_step where ms_per_step is given, got none; keep it"):
        to_assembly(gate.isel(time_step=0, drop=True), ms_per_step=1)
    with refused("data must not have a coordinate time_bin_end, which is an assembly's own; rename it"):
        to_assembly(gate.rename(width="time_bin_end"), ms_per_step=1)


def test_what_has_no_activation_or_other_dims(gate, reduced):
    with refused(
        "data must have an array activation, got mean, maximum, count; pass one variable of a recording that was not "
        "reduced"
    ):
        to_assembly(reduced)
    with refused("data must have an array activation, got none; pass one variable of a recording that was not reduced"):
        to_assembly(gate.drop_vars("activation"))
    with refused(
        "dims must include presentation, got (condition, time_step, neuroid); pass a recording, not a part of it"
    ):
        to_assembly(reduced["mean"])
    with refused("dims must be among presentation, neuroid, time_step, got fold too; pass a recording as it is"):
        to_assembly(gate.expand_dims("fold"))


def test_what_record_returns(network, stimuli):
    variable = record(network, stimuli, ["stage1/gate"], [1, 4])["stage1/gate"]
    assembly = to_assembly(variable, ms_per_step=25)
    assert assembly.shape == (8, 143, 2)
    assert list(assembly["time_bin"].values) == [(25, 50), (100, 125)]
    last = variable["activation"].sel(time_step=4)
    assert_array_equal(assembly.sel(time_bin_end=125).squeeze(), last)
    assert set(assembly.indexes["neuroid"].names) == on(last, "neuroid")
