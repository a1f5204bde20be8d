"""Gain on the drive, on the response, on both, and a baseline."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from refused import refused

from neuroattn.subjects import planted


@pytest.fixture
def uniform():
    """Return pictures of luminance 0.1, 0.3 and 1, which are the units' drive, and an object on either side."""
    images = np.broadcast_to(np.array([0.1, 0.3, 1.0], np.float32)[:, None, None, None], (3, 1, 11, 20))
    objects = np.zeros((3, 2, 1, 11, 20), np.float32)
    objects[:, 0, :, :, 3] = objects[:, 1, :, :, 17] = 1
    return images, objects


@pytest.mark.parametrize(
    ("subject", "ratios"),
    [
        (planted.response_gain(), [1.26, 1.26, 1.26]),
        (planted.contrast_gain(), [2.021, 1.390, 1.049]),
        (planted.mixed_gain(), [2.555, 1.892, 1.489]),
        (planted.baseline(), [2.0, 1.2, 1.109]),
        (planted.null(), [1, 1, 1]),
    ],
)
def test_the_ratio_of_both_states_at_three_contrasts(cued, uniform, subject, ratios):
    of_left, of_right = cued(subject, *uniform)
    n = of_left.shape[-1] // 2
    for attended, unattended in ((of_left[..., :n], of_right[..., :n]), (of_right[..., n:], of_left[..., n:])):
        expected = np.broadcast_to(np.array(ratios)[:, None, None, None], attended.shape)
        assert_allclose(attended / unattended, expected, atol=6e-4)
        assert_allclose(unattended[:, 0, 0, 0], [0.1, 0.5, 0.917], atol=1e-3)


@pytest.mark.parametrize(
    ("subject", "form"),
    [(planted.response_gain(), "multiplicative"), (planted.baseline(), "additive")],
)
def test_the_form_that_activity_scaling_tells(through, subject, form):
    tables = through("activity_scaling", subject)
    assert [finding.verdict for finding in tables.findings] == ["supported", form]
    assert [line for line in tables.text if "gate" in line.lower()] == []  # it has none


def test_a_gain_that_is_none_is_refused():
    with refused("gain must be above 0 and finite, got 0"):
        planted.response_gain(gain=0)
    with refused("gain must be at least 1, got 0.5"):
        planted.contrast_gain(gain=0.5)
    with refused("peak must be at least 1 and share in [0, 1], got 2 and 1.5"):
        planted.mixed_gain(share=1.5)
    with refused("offset must be above 0 and finite, got nan"):
        planted.baseline(offset=float("nan"))
