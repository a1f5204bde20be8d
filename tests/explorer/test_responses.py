"""Curves of units: which rows of a recording they are made of, and their values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.explorer.responses import curves, extremes, layout
from neuroattn.explorer.view import View

from .conftest import TUNED


def whole(dataset, of):
    parts = list(curves(dataset, of, np.arange(dataset.sizes["neuroid"])))
    return np.concatenate([values for _, values in parts])


def test_a_reduced_recording_has_a_curve_over_its_coordinate_in_either_state(recording):
    dataset = recording["first/stage1/response"].to_dataset()
    of = layout(dataset, TUNED)
    assert (of.arrays, of.states, of.x, of.steps) == (
        ("maximum", "mean"), ("bar attended", "bar unattended"), (0.0, 45.0, 90.0, 135.0), (3, 4),
    )  # fmt: skip
    expected = dataset["mean"].values.reshape(2, 4, 2, 13).transpose(3, 0, 1, 2)
    assert_allclose(whole(dataset, of)[:, 1], expected)
    assert_allclose(whole(dataset, of)[:, 0], expected + 1)


def test_without_a_word_from_the_protocol_the_coordinates_tell_the_same(recording):
    dataset = recording["first/stage1/response"].to_dataset()
    said, guessed = (layout(dataset, view) for view in (TUNED, View()))
    assert (guessed.x_name, guessed.states) == ("orientation", ("object 0 attended", "object 1 attended"))
    assert_array_equal(said.cell, guessed.cell)


def test_conditions_that_share_a_place_weigh_by_their_number_of_stimuli(recording):
    dataset = recording["first/stage1/response"].to_dataset()
    merged = dataset.assign_coords(orientation=("condition", [0, 0, 90, 90] * 2))
    values = dataset["mean"].values
    found = whole(merged, layout(merged, TUNED))
    assert_allclose(found[:, 1, 0, 0], ((1 * values[0] + 2 * values[1]) / 3).T, rtol=1e-6)
    assert_allclose(found[:, 0, 0, 0], 1 + np.maximum(values[0], values[1]).T, rtol=1e-6)


def test_rows_that_do_not_count_are_on_no_curve(recording):
    dataset = recording["first/stage1/response"].to_dataset().assign_coords(half=("condition", [0, 1] * 4))
    of = layout(dataset, View(x="orientation", where={"half": 1, "not there": 3}))
    assert of.x == (45.0, 135.0)
    assert_allclose(whole(dataset, of)[:, 1, 0, 1], dataset["mean"].values[3].T)


def test_of_units_with_an_object_of_their_own_states_and_classes_are_that_object_s(pairs):
    of = layout(pairs, View(where={"half": 1}))
    assert (of.x_name, of.x, of.states) == (
        "class of the own object", (3, 8), ("own object attended", "own object unattended"),
    )  # fmt: skip
    found = whole(pairs, of)
    rows = {name: pairs[name].values for name in ("attended", "half", "label_0", "label_1")}
    for unit, own in enumerate(pairs["own"].values[0]):
        for state, x in np.ndindex(2, 2):
            label = rows[f"label_{max(own, 0)}"]
            counts = (rows["half"] == 1) & ((rows["attended"] == own) == (state == 0)) & (label == of.x[x]) & (own >= 0)
            part = pairs["activation"].values[counts, :, unit]
            expected = part.mean(0) if len(part) else [np.nan, np.nan]
            assert_allclose(found[unit, 0, state, x], expected, rtol=1e-6)


def test_pictures_are_ranked_by_the_mean_over_states_at_the_last_step(pairs):
    of, pool = layout(pairs, View()), np.arange(6)
    which, driven = extremes(pairs, of, np.arange(5), pool)
    mean = pairs["activation"].values[:, -1].reshape(6, 2, 5).mean(1)
    assert_array_equal(which[:, :4], np.argsort(-mean, 0)[:4].T)
    assert_array_equal(which[:, 4:], np.argsort(mean, 0)[:4].T)
    assert_allclose(driven, np.take_along_axis(mean.T, which, 1), rtol=1e-6)


def test_only_pictures_of_the_pool_are_ranked(pairs):
    which, _ = extremes(pairs, layout(pairs, View()), np.arange(5), np.array([1, 4]))
    assert which.shape == (5, 4)
    assert set(which.ravel().tolist()) == {0, 1}


@pytest.mark.parametrize("names", [["orientation"], ["orientation", "attended"]])
def test_without_a_coordinate_there_is_one_condition(recording, names):
    dataset = recording["first/stage1/response"].to_dataset().drop_vars(names)
    of = layout(dataset, TUNED)
    assert (of.x, of.x_name, len(of.states)) == (("",), "", 3 - len(names))


def test_a_coordinate_of_too_many_values_is_no_axis(recording):
    dataset = recording["first/stage1/response"].to_dataset().isel(condition=np.arange(80) % 8)
    dataset = dataset.assign_coords(orientation=("condition", np.arange(80.0)))
    assert layout(dataset, View()).x == ("",)


def test_what_holds_no_responses_of_units_has_no_curves(recording):
    assert layout(recording["first/stage1/response"].to_dataset()[["count"]], View()) is None
