"""What every planted subject predicts is what the protocols find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refused import refused

from neuroattn.subjects.planted.named import KINDS
from neuroattn.subjects.planted.subject import centre, on_its_side

KNOWN = [make() for kind, make in KINDS.items() if kind != "shared_noise"]  # which predicts a mean over seeds
OF_TUNING = [KINDS[kind]() for kind in ("response_gain", "baseline", "null", "object_based", "undriven_background")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "subjects"), [("activity_scaling", KNOWN), ("cost_and_benefit", KNOWN), ("tuning", OF_TUNING)]
)
def test_a_protocol_finds_what_every_subject_predicts(through, protocol, subjects):
    units = through(protocol, *subjects).units.query("excluded_by == ''")
    for subject in subjects:
        of_subject = units[units["model"] == subject.name]
        for measure, (low, high) in subject.expected(protocol).items():
            found = of_subject[measure].dropna()
            assert len(found) >= 5, (subject, measure)
            assert found.min() >= low - 2e-4, (subject, measure)
            assert found.max() <= high + 2e-4, (subject, measure)


@pytest.mark.parametrize("kind", ["response_gain", "null"])
def test_cost_and_benefit_finds_what_is_predicted(through, kind):
    subject = KINDS[kind]()
    units = through("cost_and_benefit", subject).units.query("excluded_by == ''")
    for measure, (value, same) in subject.expected("cost_and_benefit").items():
        assert value == same
        np.testing.assert_allclose(units[measure], value, atol=1e-6, rtol=1e-6)


def test_nothing_is_predicted_of_other_protocols():
    with refused(
        "protocol must be one that planted-contrast_gain-0 predicts (activity_scaling, cost_and_benefit), got "
        "'tuning'; of others nothing is known in closed form"
    ):
        KINDS["contrast_gain"]().expected("tuning")


def test_seeds_draw_other_preferred_orientations():
    one, same, other = (KINDS["null"](seed).module.weights for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=1e-3)
    assert torch.allclose(one.sum((1, 2, 3)), torch.ones(8))
    assert bool((one >= 0).all())


def test_the_centre_of_ink_and_its_half_of_the_picture():
    pictures = torch.zeros(3, 1, 5, 8)
    pictures[0, 0, 1, 2] = pictures[0, 0, 3, 2] = 0.5
    pictures[1, 0, 4, 7] = 1
    row, column = centre(pictures)
    np.testing.assert_allclose(row, [2, 4, 2])
    np.testing.assert_allclose(column, [2, 7, 3.5])
    sides = on_its_side(torch.zeros(3, 2, 3, 6), pictures)[:, 0, 0]
    assert sides[:2].tolist() == [[True] * 3 + [False] * 3, [False] * 3 + [True] * 3]


def test_without_an_effect_none_is_found_and_that_by_equivalence(through):
    for protocol, claims in (("activity_scaling", 1), ("cost_and_benefit", 3)):
        verdicts = [finding.verdict for finding in through(protocol, KINDS["null"](1)).findings]
        assert verdicts[:claims] == ["absent"] * claims
