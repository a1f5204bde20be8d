"""Cued trials: probabilities, the ideal observer's sensitivity, and where things are drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.stimuli.cueing import CONTRASTS, D_PRIME, cued_trials, line_templates


def trials(n, seed=0, **options):
    return cued_trials(n, np.random.default_rng(seed), **options)


def evidence(shown):
    """Return the matched filter's evidence for a tilted line at each place, in standard deviations of the noise."""
    lines = line_templates()
    difference = lines[:, 1] - lines[:, 0]
    contrast = shown.table["contrast"].to_numpy()[:, None, None]
    residual = (shown.images[:, 0] - 0.5) * 10 - contrast * lines[:, 0].sum(axis=0)
    filters = difference / np.linalg.norm(difference, axis=(1, 2), keepdims=True)
    noise = np.linalg.norm(difference[0]) / D_PRIME
    return np.einsum("nyx,pyx->np", residual, filters) / noise


def test_the_same_generator_gives_the_same_trials_and_another_gives_others():
    assert trials(5).identity() == trials(5).identity() != trials(5, seed=1).identity()


def test_probabilities_are_those_asked_for():
    table = trials(8_000, validity=0.7, neutral=0.3, present=0.4).table
    with_target = table[table["target"] >= 0]
    informative = with_target[with_target["cue"] < 2]
    assert_allclose((table["target"] >= 0).mean(), 0.4, atol=0.025)
    assert_allclose((table["cue"] == 2).mean(), 0.3, atol=0.025)
    assert_allclose((informative["cue"] == informative["target"]).mean(), 0.7, atol=0.04)
    assert_allclose(table["contrast"].value_counts(normalize=True)[list(CONTRASTS)], 1 / 8, atol=0.018)


def test_validity_says_how_cue_and_target_lie():
    table = trials(500).table
    same = table["cue"] == table["target"]
    assert_array_equal(table["validity"] == "valid", same & (table["cue"] < 2))
    assert_array_equal(table["validity"] == "neutral", table["cue"] == 2)
    assert_array_equal(table["validity"] == "no_target", (table["cue"] < 2) & (table["target"] < 0))
    assert set(table["validity"]) == {"valid", "invalid", "neutral", "no_target"}


def test_without_a_target_the_cue_is_on_either_side():
    table = trials(4_000, present=0, neutral=0).table
    assert_allclose((table["cue"] == 1).mean(), 0.5, atol=0.035)


@pytest.mark.parametrize("target", [0, 1])
def test_an_ideal_observer_of_one_place_has_five_times_the_contrast(target):
    shown = trials(4_000, present=1)
    here = shown.select((shown.table["target"] == target).to_numpy())
    for contrast in (CONTRASTS[1], CONTRASTS[7]):
        seen = here.table["contrast"].to_numpy() == contrast
        scores = evidence(here)[seen]
        assert_allclose(scores[:, target].mean(), D_PRIME * contrast, atol=0.35)
        assert_allclose(scores[:, target].std(), 1, atol=0.2)


def test_the_line_without_a_target_carries_no_evidence():
    scores = evidence(trials(3_000, present=0, neutral=1))
    assert_allclose(scores.mean(axis=0), 0, atol=0.1)


def test_the_cue_is_drawn_on_its_side_alone():
    shown = trials(3_000)
    mean = {cue: shown.images[(shown.table["cue"] == cue).to_numpy(), 0].mean(axis=0) for cue in (0, 1, 2)}
    left, right = np.zeros((24, 40), bool), np.zeros((24, 40), bool)
    left[11:13, 16:19], right[11:13, 22:25] = True, True
    assert_array_equal(mean[0] - mean[1] > 0.05, left)
    assert_array_equal(mean[1] - mean[0] > 0.05, right)
    assert_array_equal(mean[2] - mean[0] > 0.05, right)
    assert_array_equal(mean[2] - mean[1] > 0.05, left)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"n": 2, "validity": 1.5}, "validity must be in [0, 1], got 1.5"),
        ({"n": 2, "neutral": float("nan")}, "neutral must be in [0, 1], got nan"),
        ({"n": 2, "present": -0.1}, "present must be in [0, 1], got -0.1"),
    ],
)
def test_bad_values_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        trials(**options)
