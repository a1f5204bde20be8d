"""The reduction equals numpy on the whole recording, however it is cut into batches."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction, over_confirmed
from neuroattn.recording.run import Batch

quick = settings(deadline=None, max_examples=40)


def batch(values, **columns):
    return Batch(pd.DataFrame(columns), {"layer": np.asarray(values, np.float32)})


def reduced(values, cuts, columns, by, keep=None):
    """Reduce `values` in the batches that `cuts` makes of them."""
    reduction = Reduction(by, keep)
    edges = [0, *sorted(cuts), len(values)]
    for start, stop in pairwise(edges):
        if stop > start:
            part = {name: column[start:stop] for name, column in columns.items()}
            reduction.take(batch(values[start:stop], **part))
    dims, table, arrays = reduction.result()
    assert dims == ("condition",)
    return table, arrays["layer"]


@quick
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 29),
    cuts=st.lists(st.integers(0, 29), max_size=7),
    mean=st.sampled_from([0.0, 1.0, -1e4, 1e4]),
    spread=st.sampled_from([1e-2, 1.0]),
)
def test_equals_numpy_for_any_partition(seed, n, cuts, mean, spread):
    rng = np.random.default_rng(seed)
    values = (mean + spread * rng.standard_normal((n, 2, 3, 5))).astype(np.float32)
    columns = {"kind": rng.integers(0, 3, n), "side": rng.integers(0, 2, n), "good": rng.random(n) < 0.7}
    if not columns["good"].any():
        columns["good"][0] = True
    table, found = reduced(values, [min(cut, n) for cut in cuts], columns, ["side", "kind"], "good")
    expected = sorted({(side, kind) for side, kind in zip(columns["side"], columns["kind"], strict=True)})
    assert [tuple(row) for row in table.to_numpy()] == expected
    assert list(table) == ["side", "kind"]
    for number, (side, kind) in enumerate(expected):
        member = (columns["side"] == side) & (columns["kind"] == kind)
        kept = values[member & columns["good"]].astype(np.float64)
        assert found["presented"][number] == member.sum()
        assert found["count"][number] == len(kept)
        if len(kept):
            assert_allclose(found["mean"][number], kept.mean(0), rtol=1e-6, atol=1e-9)
            assert_allclose(found["variance"][number], kept.var(0), rtol=1e-6, atol=1e-12)
            assert_array_equal(found["maximum"][number], kept.max(0))
        else:
            assert all(np.isnan(found[name][number]).all() for name in ("mean", "variance", "maximum"))
    assert all(found[name].dtype == np.float32 for name in ("mean", "variance", "maximum"))


def test_no_digits_are_lost_where_the_mean_is_large_beside_the_spread():
    rng = np.random.default_rng(0)
    values = (1e4 + 1e-2 * rng.standard_normal((997, 1, 3))).astype(np.float32)
    _, found = reduced(values, range(0, 997, 7), {"kind": np.zeros(997, int)}, ["kind"])
    assert_allclose(found["variance"][0], values.astype(np.float64).var(0), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_a_recording_is_reduced_as_if_it_had_been_kept(network, stimuli, batch_size):
    names = ["stage1/response", "readout/logits"]
    whole = record(network, stimuli, names, [0, 4])
    tree = record(network, stimuli, names, [0, 4], batch_size=batch_size, sink=Reduction(["odd", "phase"]))
    for name in names:
        values = whole[name].to_dataset()
        found = tree[name].to_dataset()
        assert found["mean"].dims == ("condition", "time_step", "neuroid")
        assert_array_equal(found["odd"], [False, False, True, True])
        assert_array_equal(found["phase"], [0, 1, 0, 1])
        assert_array_equal(found["time_step"], [0, 4])
        assert found["mean"].attrs == {"units": "1"}
        xr.testing.assert_identical(found["neuroid_id"].variable, values["neuroid_id"].variable)
        for number in range(4):
            member = (values["odd"] == found["odd"][number]) & (values["phase"] == found["phase"][number])
            kept = values["activation"].values[member]
            assert found["count"].dims == ("condition",)
            assert found["count"][number] == found["presented"][number] == len(kept) == (1, 1, 3, 3)[number]
            assert_allclose(found["mean"][number], kept.mean(0), atol=1e-5)
            assert_allclose(found["variance"][number], kept.var(0), atol=1e-5)
            assert_allclose(found["maximum"][number], kept.max(0), atol=1e-5)


@pytest.mark.parametrize("what", [["mean"], ["maximum"], ["maximum", "mean"], ["variance"]])
def test_only_what_is_asked_for_is_made(network, stimuli, what):
    names = ["stage1/response"]
    everything = record(network, stimuli, names, sink=Reduction(["odd"]), batch_size=3)[names[0]].to_dataset()
    part = record(network, stimuli, names, sink=Reduction(["odd"], what=what), batch_size=3)[names[0]].to_dataset()
    assert set(part.data_vars) == {*what, "count", "presented"}
    xr.testing.assert_identical(part, everything[list(part.data_vars)])


@pytest.mark.parametrize("what", [[], "mean", ["median"], ["mean", "mean"]])
def test_what_cannot_be_made(what):
    with refused(f"what must be a list of different ones of mean, variance, maximum, got {what!r}"):
        Reduction(["odd"], what=what)


def test_a_reduced_recording_is_written_and_read(network, stimuli, tmp_path):
    tree = record(network, stimuli, ["readout/logits"], sink=Reduction(["name"], keep="odd"))
    tree.to_zarr(tmp_path / "one.zarr", consolidated=False, zarr_format=3)
    with xr.open_datatree(tmp_path / "one.zarr", engine="zarr", consolidated=False) as read:
        xr.testing.assert_identical(read.load(), tree)
    found = tree["readout/logits"]
    assert_array_equal(found["name"], ["", "a much longer name than the others", "bar", "naïve"])
    assert_array_equal(found["count"], [2, 2, 2, 0])
    assert_array_equal(found["presented"], [2, 2, 2, 2])
    assert np.isnan(found["mean"][3]).all()
    assert np.isfinite(found["mean"][:3]).all()


def test_a_condition_may_be_called_condition(network, images):
    from neuroattn.stimuli.stimulus_set import StimulusSet

    stimuli = StimulusSet(images, None, pd.DataFrame({"condition": list("baab")}))
    tree = record(network, stimuli, ["readout/logits"], sink=Reduction(["condition"]))
    assert_array_equal(tree["readout/logits"]["condition"], ["a", "b"])
    assert_array_equal(tree["readout/logits"]["count"], [4, 4])


def test_what_is_stored_does_not_grow_with_the_number_of_batches():
    reduction, sizes = Reduction(["kind"]), []
    for number in range(211):
        reduction.take(batch(np.full((2, 1, 101), number), kind=[number % 3, (number + 1) % 3]))
        sizes.append(len(pickle.dumps(reduction)))
    assert sizes[-1] < sizes[2] + 50  # counts have more digits


def test_a_reduction_forgets_what_it_returned():
    reduction = Reduction(["kind"])
    for value in (3.0, 5.0):
        reduction.take(batch(np.full((2, 1, 3), value), kind=[0, 0]))
        _, _, arrays = reduction.result()
        assert_array_equal(arrays["layer"]["mean"], np.full((1, 1, 3), value))
        assert_array_equal(arrays["layer"]["count"], [2])


def test_nothing_left():
    reduction = Reduction(["kind"], keep="good")
    for _ in range(3):
        reduction.take(batch(np.zeros((2, 1, 3)), kind=[0, 1], good=[False, False]))
    with refused("no presentation is left: good is false in all 6; show others, or take a network that attends these"):
        reduction.result()


def test_missing_coordinates():
    text = "conditions must be coordinates of a presentation (kind, odd), got side, good"
    with refused(text):
        Reduction(["side", "kind"], keep="good").take(batch(np.zeros((2, 1, 3)), kind=[0, 1], odd=[1, 1]))


def test_unknown_conditions_are_not_dropped_in_silence():
    text = (
        "width must be known of every presentation to be a condition, got none for 1 of 2 in a batch; "
        "leave those stimuli out"
    )
    with refused(text):
        Reduction(["width"]).take(batch(np.zeros((2, 1, 3)), width=[0.5, np.nan]))


@pytest.mark.parametrize(("good", "dtype"), [([0, 1], "int64"), ([0.0, 1.0], "float64")])
def test_what_keeps_must_be_boolean(good, dtype):
    with refused(f"keep must be a boolean coordinate, got 'good' of {dtype}"):
        Reduction(["kind"], keep="good").take(batch(np.zeros((2, 1, 3)), kind=[0, 1], good=good))


@pytest.mark.parametrize("by", ["kind", [], ["kind", "side", "kind"]])
def test_by_must_be_a_list(by):
    with refused(f"by must be a list of different coordinates, at least one, got {by!r}"):
        Reduction(by)


@pytest.mark.parametrize("name", ["mean", "variance", "maximum", "count", "presented"])
def test_names_of_its_arrays_cannot_be_conditions(name):
    with refused(f"by must not have {name!r}, an array of every reduced recording; rename the column"):
        Reduction(["kind", name])


def test_an_interrupted_recording_is_forgotten(network, stimuli):
    sink = Reduction(["phase"])
    sink.take(batch(np.ones((3, 1, 7)), phase=[0, 0, 1]))
    tree = record(network, stimuli, ["readout/logits"], sink=sink)
    assert_array_equal(tree["readout/logits"]["count"], [4, 4])


DIMS = ("condition", "time_step", "neuroid")


def by_hand(presentations, values, by, keep):
    """Return moments of (presentation, neuroid) values by hand."""
    rows, mean, maximum, count, presented = [], [], [], [], []
    for key, index in sorted(presentations.groupby(by).indices.items()):
        kept = index[keep[index]]
        rows.append(key)
        nothing = np.full(values.shape[1], np.nan)
        mean.append(values[kept].mean(0) if len(kept) else nothing)
        maximum.append(values[kept].max(0) if len(kept) else nothing)
        count.append(len(kept))
        presented.append(len(index))
    arrays = {"mean": mean, "maximum": maximum}
    return xr.Dataset(
        {name: (DIMS, np.array(array)[:, None].astype(np.float32)) for name, array in arrays.items()}
        | {"count": ("condition", count), "presented": ("condition", presented)},
        coords={name: ("condition", list(column)) for name, column in zip(by, zip(*rows, strict=True), strict=True)}
        | {"neuroid_id": ("neuroid", [f"m.{unit}" for unit in range(values.shape[1])])},
    )


def test_moments_are_those_over_all_presentations_and_the_confirmed_ones_are_counted():
    rng = np.random.default_rng(3)
    n = 211
    presentations = pd.DataFrame(
        {"orientation": rng.integers(0, 3, n) * 60.0, "cued": rng.integers(0, 2, n), "confirmed": rng.random(n) < 0.7}
    )
    presentations.loc[(presentations["orientation"] == 60) & (presentations["cued"] == 1), "confirmed"] = True
    values, keep = rng.normal(size=(n, 5)), rng.random(n) < 0.9
    keep[(presentations["orientation"] == 120) & (presentations["cued"] == 0)] = False  # nothing of it is left
    by = ["orientation", "cued"]
    found = over_confirmed(by_hand(presentations, values, [*by, "confirmed"], keep), by)
    expected = by_hand(presentations, values, by, keep)
    assert found["mean"].dims == DIMS
    for name in ("mean", "maximum", "count", "presented"):
        assert_allclose(found[name], expected[name], rtol=1e-5)
    assert_array_equal(found["orientation"], expected["orientation"])
    counted = presentations[keep & presentations["confirmed"]].groupby(by).size()
    assert_array_equal(
        found["n_confirmed"], counted.reindex(list(zip(*(found[c].values for c in by), strict=True)), fill_value=0)
    )
    assert "confirmed" not in found.coords
    assert found["neuroid_id"].values.tolist() == expected["neuroid_id"].values.tolist()
