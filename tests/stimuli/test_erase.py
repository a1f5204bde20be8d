from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from stimulus_files import refused

from neuroattn.stimuli.erase import without_object
from neuroattn.stimuli.stimulus_set import StimulusSet

RANDOM = np.random.default_rng


def overlapping():
    """Two objects of 5 x 7 pixels that share a column, on a background."""
    objects = np.zeros((3, 2, 1, 5, 7), np.float32)
    objects[:, 0, 0, 1:4, :4], objects[:, 1, 0, 1:4, 3:6] = 0.5, 0.7
    background = 0.1 * RANDOM(0).random((3, 1, 5, 7), dtype=np.float32)
    images = np.where(objects.sum(1) > 0, objects.sum(1).clip(max=1), background)
    return StimulusSet(images, objects)


def test_an_object_of_a_composite_gives_way_to_the_other_one_and_to_noise():
    stimuli = overlapping()
    found = without_object(stimuli, 0, noise=0.1, generator=RANDOM(1)).images[:, 0]
    gap = found[:, 1:4, :3]
    assert (gap < 0.1).all()
    assert len(np.unique(gap)) == gap.size
    assert_allclose(found[:, 1:4, 3], 0.7)  # where both have ink, the other one is left
    elsewhere = np.ones((5, 7), bool)
    elsewhere[1:4, :4] = False
    assert_array_equal(found[:, elsewhere], stimuli.images[:, 0][:, elsewhere])


def test_an_object_of_a_photograph_gives_way_to_the_colour_around():
    images = np.full((2, 3, 4, 6), 0.25, np.float32)
    objects = np.zeros((2, 2, 3, 4, 6), np.float32)
    objects[:, 0, :, :, :2], objects[:, 1, :, :, 4:] = 0.9, 0.6
    images[..., :2], images[..., 4:] = 0.9, 0.6
    found = without_object(StimulusSet(images, objects), 1, noise=None, generator=RANDOM(0)).images
    assert_allclose(found[..., 4:], 0.25)
    assert_array_equal(found[..., :4], images[..., :4])


def test_an_object_that_is_not_there():
    text = "number must be that of an object of the stimuli, of 2, got 2; give objects"
    with refused(text):
        without_object(overlapping(), 2, noise=None, generator=RANDOM(0))
