"""Findings as records: what a line says, and that JSON gives them back."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattn.experiments.finding import Estimate, Finding, from_json, to_json, verdict_of_mean

NUMBERS = st.floats(allow_nan=False)
ESTIMATES = st.builds(
    Estimate, what=st.text(), value=NUMBERS, low=NUMBERS, high=NUMBERS, unit=st.text(),
    bounds=st.none() | st.tuples(NUMBERS, NUMBERS),
)  # fmt: skip
FINDINGS = st.builds(
    Finding, claim=st.text(), verdict=st.text(), layer=st.text(), condition=st.text(),
    rests_on=st.lists(ESTIMATES, max_size=3).map(tuple), n=st.dictionaries(st.text(), st.integers(0, 10**9)),
    test=st.text(), warnings=st.lists(st.text()).map(tuple),
)  # fmt: skip


@given(st.lists(FINDINGS, max_size=3).map(tuple))
def test_json_gives_every_finding_back(findings):
    assert from_json(json.loads(json.dumps(to_json(findings), allow_nan=False))) == findings


def test_a_number_that_is_missing_is_null():
    (record,) = to_json(
        [Finding(claim="a", verdict="b", rests_on=(Estimate(what="c", value=math.nan, low=1, high=2),))]
    )
    assert record["rests_on"][0]["value"] is None
    assert math.isnan(from_json([record])[0].rests_on[0].value)


@pytest.mark.parametrize("damage", [{}, {"claim": 3}, {"rests_on": [{"what": "a"}]}, []])
def test_what_is_no_finding_is_refused(damage):
    with pytest.raises((TypeError, ValueError, KeyError)):
        from_json([damage])


def test_a_line_says_verdict_claim_place_numbers_and_n():
    estimate = Estimate(what="mean shift", value=1.23456, low=-0.5, high=math.inf, unit="°", bounds=(-5, 5))
    finding = Finding(
        claim="Attention leaves the shape", verdict="undecided", layer="stage1/response", condition="maximum over bars",
        rests_on=(estimate,), n={"networks": 3, "units": 12_345},
    )  # fmt: skip
    assert str(finding) == (
        "UNDECIDED  Attention leaves the shape (stage1/response, maximum over bars): mean shift 1.235° [-0.500, ∞]; "
        "n = 3 networks, 12,345 units"
    )
    assert estimate.asked == "bounds -5 to 5°"
    assert Estimate(what="avoidance", value=0, low=0, high=0, bounds=(-math.inf, 0.1)).asked == "bound 0.1"
    assert str(Finding(claim="A", verdict="absent")) == "ABSENT  A: no number"
    assert str(Estimate(what="mean shift", value=math.nan, low=math.nan, high=math.nan)) == "mean shift not measured"


@pytest.mark.parametrize(
    ("low", "high", "side", "expected"),
    [
        *((1.01, 1.2, 1, "supported"), (1.01, 1.2, -1, "contradicted"), (0.7, 0.9, -1, "supported")),
        *((0.7, 0.9, 1, "contradicted"), (0.99, 1.01, 1, "absent"), (0.99, 1.01, -1, "absent")),
        *((0.9, 1.1, 1, "undecided"), (math.nan, math.nan, 1, "undecided")),
    ],
)
def test_the_verdict_of_a_mean_is_that_of_its_interval(low, high, side, expected):
    row = {"cluster_mean_low": low, "cluster_mean_high": high}
    assert verdict_of_mean(row, 1.0, (1 / 1.02, 1.02), side) == expected
