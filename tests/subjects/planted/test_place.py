"""Attention to a place and to an object: what tells them apart, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from refused import refused

from neuroattn.subjects import planted


@pytest.fixture
def cross():
    """Return a cross of two lines of one centre, and each line alone."""
    objects = np.zeros((1, 2, 1, 21, 21), np.float32)
    objects[:, 0, :, 10] = objects[:, 1, :, :, 10] = 0.5
    return objects.sum(1), objects


def test_at_one_centre_a_spotlight_knows_no_object(cued, cross):
    horizontal, vertical = cued(planted.spatial_only(), *cross)
    assert_allclose(horizontal, vertical, rtol=1e-6)
    middle = horizontal.shape[-1] // 2
    ungated = cued(planted.null(), *cross)[0]
    assert_allclose(horizontal[..., middle, middle] / ungated[..., middle, middle], 1.5, rtol=1e-5)
    side = horizontal[..., middle, 0] / ungated[..., middle, 0]
    assert_allclose(side, 1 + 0.5 * np.exp(-(7**2) / (2 * 7**2)), rtol=1e-5)


def test_at_one_centre_an_object_is_weighted_by_its_ink(cued, cross):
    images, objects = cross
    subject = planted.object_based()
    horizontal, vertical = cued(subject, images, objects)
    drives = [cued(subject, np.ascontiguousarray(objects[:, k]), 0 * objects)[0] for k in (0, 1)]
    assert_allclose(horizontal - vertical, 0.5 * (drives[0] - drives[1]), atol=1e-6)
    assert abs(horizontal - vertical).max() > 0.05
    assert_allclose(horizontal, 1.5 * drives[0] + drives[1], atol=1e-6)


def test_cost_tells_a_spotlight_from_an_object_where_its_flank_reaches_the_other_one(through):
    place, ink = (
        through("cost_and_benefit", subject).units.query("excluded_by == ''")["cost"]
        for subject in (planted.spatial_only(spread=12), planted.object_based())
    )
    assert place.min() > 0.005
    assert_allclose(ink, 0, atol=1e-6)


def test_without_a_background_an_object_has_its_gain_in_every_unit(through):
    units = through("activity_scaling", planted.object_based(), noise=0.0).units.query("excluded_by == ''")
    assert_allclose(units["gain_ratio"], 1.5, rtol=1e-5)
    assert_allclose(units["intercept"], 0, atol=1e-5)


def test_what_cannot_be_a_spotlight_or_a_gain_is_refused():
    with refused("peak and spread must be above 0, got 0.5 and 0"):
        planted.spatial_only(spread=0)
    with refused("gain must be above 1, got 1"):
        planted.object_based(gain=1)
