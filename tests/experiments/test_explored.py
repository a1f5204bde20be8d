"""The explorer of a run: its curves are those that the analysis measured, and an analysis makes the same page again."""

from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

import neuroattn

pytestmark = pytest.mark.slow


def read(run):
    """Return the description in a run's page, and a function that gives its blocks."""
    text = (run.path / "explorer.html").read_text(encoding="utf-8")
    found = dict(re.findall(r'id="block-([^"]*)">([^<]*)<', text))
    head = json.loads(re.search(r'id="head">(.*?)</script>', text)[1])
    return head, lambda name: gzip.decompress(base64.b64decode(found[name]))


def records(head, block, group):
    """Return the 16-bit numbers of all units of a group, a row each."""
    parts = []
    for number, name in enumerate(group["blocks"]):
        low, high = np.frombuffer(block(name), np.uint8).reshape(2, -1).astype("<u2")
        n = min(head["per_block"], group["count"] - number * head["per_block"])
        parts.append((low | (high << 8)).reshape(n, -1))
    return np.concatenate(parts)


def test_tuning_curves_are_those_that_were_fitted(finished):
    run = neuroattn.open_run(finished("tuning"))
    head, block = read(run)
    units = run.units
    assert [group["states"] for group in head["groups"]] == [["bar attended", "bar unattended"]] * 2
    assert head["measures"] == ["gain_maximum", "modulation_index_maximum"]
    for group in head["groups"]:
        rows = units.iloc[group["first"] : group["first"] + group["count"]]
        assert set(rows["layer"]) == {group["layer"]}
        n, size = len(group["x"]), 2 * 2 * len(group["x"])
        curves = records(head, block, group)[:, :size].view("<f2").astype(float).reshape(-1, 2, 2, n) * group["scale"]
        drawn = rows["curve_attended_maximum"].notna().to_numpy()
        assert drawn.any()
        for state, name in enumerate(("attended", "unattended")):
            for array, reduction in enumerate(group["values"]):
                expected = np.stack(rows.loc[drawn, f"curve_{name}_{reduction}"])
                assert_allclose(curves[drawn, array, state], expected, rtol=1e-3, atol=1e-5 * group["scale"])


def test_an_analysis_shows_the_same_as_the_run(finished, tmp_path):
    run = neuroattn.open_run(finished("activity_scaling"))
    again = run.analyse(out=tmp_path / "again")
    assert (again.path / "explorer.html").read_bytes() == (run.path / "explorer.html").read_bytes()
    head, _ = read(again)
    (group, _) = head["groups"]
    assert (group["states"], group["steps"]) == (["own object attended", "own object unattended"], [0, 1, 2, 3, 4])
    assert (group["ranks"], group["field"], head["no_pictures"]) == (8, True, "")


def test_pictures_that_cannot_be_made_again_are_missed_in_words(finished, tmp_path, monkeypatch):
    run = neuroattn.open_run(finished("activity_scaling"))
    monkeypatch.setattr("neuroattn.stimuli.stimulus_set.StimulusSet.identity", lambda _self: "another")
    head, _ = read(run.analyse(out=tmp_path / "again"))
    assert (
        head["no_pictures"] == "a recording does not hold them, and what is made by the same options now is another set"
    )
    assert not any("pictures" in group for group in head["groups"])
