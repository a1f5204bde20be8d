"""What a page holds: every number of it can be read back."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.explorer.contents import Shown, contents
from neuroattn.explorer.responses import curves, layout
from neuroattn.explorer.view import View

from .conftest import TUNED


def group_of(made, model, layer):
    return next(group for group in made.head["groups"] if (group["model"], group["layer"]) == (model, layer))


def test_columns_are_read_back_as_they_were(units, recording, column):
    made = contents("title", units, recording, TUNED)
    assert_allclose(column(made, "gain"), units["gain"], rtol=1e-4)
    assert_array_equal(column(made, "channel"), units["channel"])
    assert column(made, "excluded_by") == units["excluded_by"].tolist()
    assert column(made, "tuned") == ["" if value is None else str(value) for value in units["tuned"]]
    assert "orientations" not in [one["name"] for one in made.head["columns"]]  # lists are curves, not measures
    assert made.head["measures"] == ["gain", "modulation_index"]


def test_responses_of_a_unit_are_read_back_wherever_its_row_stands(units, recording, record):
    shuffled = units.sample(frac=1, random_state=3)
    made = contents("title", shuffled, recording, TUNED)
    group = group_of(made, "first", "stage2/response")
    dataset = recording["first/stage2/response"].to_dataset()
    for row in (0, 7):
        identity = made.units["neuroid_id"].iloc[group["first"] + row]
        place = dataset["neuroid_id"].values.tolist().index(identity)
        ((_, expected),) = curves(dataset, layout(dataset, TUNED), np.array([place]))
        found = record(made, group, row).view("<f2").astype(float) * group["scale"]
        assert_allclose(found, expected.ravel(), rtol=1e-3)


def test_large_responses_are_scaled_to_what_half_a_float_holds(units, recording, record):
    large = recording.map_over_datasets(lambda one: one.assign(mean=one["mean"] * 1e9) if "mean" in one else one)
    made = contents("title", units, large, TUNED)
    group = group_of(made, "first", "stage1/response")
    found = record(made, group, 3).view("<f2").astype(float).reshape(2, 2, 4, 2) * group["scale"]
    expected = large["first/stage1/response"]["mean"].values[:, :, 3].reshape(2, 4, 2)
    assert_allclose(found[1], expected, rtol=1e-3)


def test_pictures_and_fields_stand_beside_the_responses(units, recording, stimuli, fields, record):
    made = contents("title", units, recording, TUNED, Shown(stimuli=stimuli, fields=fields))
    group = group_of(made, "first", "stage1/response")
    assert group["pictures"]["of_x"] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert (group["pictures"]["size"], tuple(group["pictures"]["shape"])) == ((5, 7), (5, 7, 1))
    # Unit 5 is at y 1, x 2.
    assert record(made, group, 5)[-4:].tolist() == [2, 5, 4, 7]
    assert group_of(made, "first", "stage2/response")["field"] is False


def test_every_other_network_has_its_pictures_once(units, recording, stimuli):
    made = contents("title", units, recording, TUNED, Shown(stimuli=stimuli))
    assert len({block for group in made.head["groups"] for block in group["pictures"]["blocks"]}) == 1


def test_more_units_than_there_is_room_for_are_drawn_at_random_and_it_says_so(units, recording):
    made = contents("title", units, recording, TUNED, most=9)
    assert (made.head["n_units"], made.head["n_total"], len(made.units)) == (9, len(units), 9)
    assert made.units.equals(contents("title", units, recording, TUNED, most=9).units)
    assert sum(group["count"] for group in made.head["groups"]) == 9


def test_units_that_are_not_in_the_recording_have_numbers_alone(units, recording):
    made = contents("title", units.assign(neuroid_id=units["neuroid_id"] + "?"), recording, TUNED)
    assert [group["blocks"] for group in made.head["groups"]] == [[], [], []]


def test_rows_that_are_no_units_are_shown_and_it_says_so(recording):
    rows = pd.DataFrame({"model": ["a", "a", "b"], "gate": [0.1, np.inf, np.nan], "chosen": [True, False, True]})
    made = contents("title", rows, recording, View())
    assert (made.head["groups"], made.head["measures"], made.head["of_units"]) == ([], ["gate"], False)
    assert made.head["notes"][-1].startswith("The rows are not single units")


def test_the_same_table_gives_the_same_bytes(units, recording, stimuli):
    first, second = (contents("title", units, recording, TUNED, Shown(stimuli=stimuli)) for _ in range(2))
    assert first.blocks == second.blocks
    assert first.head == second.head
