"""Tidy tables: a row for every value, and every value in the row that its coordinates say."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from recording.export.by_hand import refused

from neuroattn.recording.export import tidy
from neuroattn.recording.export.tidy import to_dataframe
from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction

MOMENTS = ["mean", "variance", "maximum", "count", "presented"]


def assert_holds(table, group, array="activation", first="stimulus_id"):
    """Rebuild an array from the rows, and hold it against the one that they were made of."""
    rows = table.pivot_table(index=[first, "time_step"], columns="neuroid_id", values=array, sort=False, observed=True)
    n = len(group["time_step"])
    assert_array_equal(rows.index.get_level_values("time_step"), list(group["time_step"].values) * (len(rows) // n))
    assert_array_equal(rows.index.get_level_values(first)[::n], group[first])
    assert_array_equal(rows.columns, group["neuroid_id"].values.astype(object))
    assert_array_equal(rows.to_numpy().reshape(group[array].shape), group[array])


def test_rows_and_columns(gate):
    table = to_dataframe(gate)
    assert len(table) == 5 * 3 * 7
    assert list(table) == [
        *("stimulus_id", "phase", "correct", "attended_label", "width", "name"),
        *("time_step", "neuroid_id", "model", "layer", "channel", "channel_x", "activation"),
    ]
    assert_array_equal(table.index, range(105))
    # presentation slowest, neuroid fastest
    assert_array_equal(table["stimulus_id"], np.repeat(gate["stimulus_id"], 21))
    assert_array_equal(table["time_step"], np.tile(np.repeat([0, 2, 5], 7), 5))
    assert_array_equal(table["channel_x"], np.tile(gate["channel_x"], 15))
    assert_array_equal(table["activation"], gate["activation"].values.ravel())
    assert_holds(table, gate)


def test_types(gate):
    types = to_dataframe(gate).dtypes
    for name in ("stimulus_id", "phase", "correct", "attended_label", "width", "time_step", "channel", "activation"):
        assert types[name] == gate[name].dtype, name
    for name in ("name", "neuroid_id", "model", "layer"):
        assert isinstance(types[name], pd.CategoricalDtype), name
    table = to_dataframe(gate)
    assert list(table["name"].cat.categories) == ["", "naïve", "日本語", "a much longer text than the others", "x"]
    assert table["name"].cat.codes.dtype == np.int8
    assert_array_equal(table["name"].astype(object), np.repeat(gate["name"], 21))
    assert int(table["attended_label"].isna().sum()) == 2 * 21


def test_however_the_variable_is_handed_over(gate, tree, stored):
    expected = to_dataframe(gate)
    for data in (
        gate["activation"],
        gate["activation"].rename(None),
        gate.transpose(),
        gate.chunk(),
        tree["stage1/gate"],
    ):
        pd.testing.assert_frame_equal(to_dataframe(data), expected)
    group = stored["stage1/gate"].to_dataset()
    for data in (stored["stage1/gate"], group, group["activation"]):
        pd.testing.assert_frame_equal(to_dataframe(data)[list(expected)], expected)
    assert not group["activation"].variable._in_memory  # the recording itself stays on disk


def test_parts_of_a_variable(gate):
    step = to_dataframe(gate.sel(time_step=2))
    assert_array_equal(step["activation"], gate["activation"].sel(time_step=2).values.ravel())
    assert list(step)[-2:] == ["time_step", "activation"]
    assert set(step["time_step"]) == {2}
    unit = to_dataframe(gate.isel(neuroid=3))
    assert_array_equal(unit["activation"], gate["activation"][:, :, 3].values.ravel())
    assert set(unit["neuroid_id"]) == {"small.stage1.gate.3"}
    assert len(to_dataframe(gate.isel(presentation=[]))) == 0


def test_a_reduced_recording(reduced):
    table = to_dataframe(reduced)
    assert list(table) == ["cued", "time_step", "neuroid_id", "mean", "maximum", "count"]
    assert len(table) == 2 * 3 * 5
    for name in ("mean", "maximum"):
        assert_holds(table, reduced, name, "cued")
    assert_array_equal(table["count"], np.repeat([11, 13], 15))
    assert table["count"].dtype == np.int64
    only = to_dataframe(reduced["mean"])
    pd.testing.assert_frame_equal(only, table[["cued", "time_step", "neuroid_id", "mean"]])


def test_a_table_shares_no_memory_with_the_recording(gate):
    before = gate.copy(deep=True)
    table = to_dataframe(gate)
    for name in table.columns[table.dtypes != "category"]:
        table.loc[:, name] = table[name].to_numpy()[::-1].copy()
    assert not any(np.shares_memory(table[name].to_numpy(), gate[name].values) for name in ("activation", "width"))
    xr.testing.assert_identical(gate, before)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 6)),
    seed=st.integers(0, 99),
    order=st.permutations(["presentation", "time_step", "neuroid"]),
)
def test_values_stay_with_their_coordinates(made, sizes, seed, order):
    presentations, n_steps, units = sizes
    group = made(presentations, range(n_steps), units, seed)
    shuffled = group.isel({dim: np.random.default_rng(seed).permutation(size) for dim, size in group.sizes.items()})
    table = to_dataframe(shuffled.transpose(*order))
    assert_holds(table, shuffled)
    for row in table.sample(3, replace=True, random_state=seed).itertuples():
        place = {
            "presentation": int(np.flatnonzero(group["stimulus_id"] == row.stimulus_id)[0]),
            "time_step": row.time_step,
            "neuroid": int(row.neuroid_id.rpartition(".")[2]),
        }
        cell = group.isel(place)
        assert row.activation == cell["activation"]
        assert (row.name, row.phase, row.channel) == (cell["name"], cell["phase"], cell["channel"])


def test_what_does_not_fit_in_memory_is_refused_before_it_is_loaded(monkeypatch, stored):
    rows, a_row = 5 * 3 * 7, 8 + 8 + 1 + 8 + 4 + 1 + 8 + 1 + 1 + 1 + 8 + 8 + 4
    needed = rows * a_row + rows * 4
    monkeypatch.setattr(tidy, "free_memory", lambda: needed)
    to_dataframe(stored["stage1/gate"])
    monkeypatch.setattr(tidy, "free_memory", lambda: needed - 1)
    with refused(
        "data must fit in memory as a table, got 105 rows that need 0.00 GB, and 0.00 GB are free; select steps, "
        "channels or presentations first"
    ):
        to_dataframe(stored["stage1/gate"])


def test_the_numbers_of_a_table_that_does_not_fit(monkeypatch, made):
    monkeypatch.setattr(tidy, "free_memory", lambda: 5 * 10**7)
    group = made(101, range(11), 1009)
    with refused(
        "data must fit in memory as a table, got 1,120,999 rows that need 0.07 GB, and 0.05 GB are free; select steps, "
        "channels or presentations first"
    ):
        to_dataframe(group)


def test_memory_is_what_was_estimated(monkeypatch, made):
    group = made(101, range(11), 307)
    estimated = []
    monkeypatch.setattr(tidy, "free_memory", lambda: estimated.append(1) or 10**12)
    to_dataframe(made())
    tracemalloc.start()
    table = to_dataframe(group)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    a_row = 8 + 8 + 1 + 8 + 4 + 1 + 8 + 2 + 1 + 1 + 8 + 8 + 4
    assert len(estimated) == 2
    assert peak < len(table) * (a_row + 4) * 1.1


def test_what_record_returns(network, stimuli):
    whole = record(network, stimuli, ["readout/logits"], [1, 4])["readout/logits"].to_dataset()
    table = to_dataframe(whole)
    assert len(table) == 8 * 2 * 7
    assert_array_equal(table["activation"], whole["activation"].values.ravel())
    reduced = record(network, stimuli, ["readout/logits"], [1, 4], sink=Reduction(["phase"]))["readout/logits"]
    table = to_dataframe(reduced)
    assert set(MOMENTS) <= set(table)
    assert_holds(table, reduced.to_dataset(), "variance", "phase")
