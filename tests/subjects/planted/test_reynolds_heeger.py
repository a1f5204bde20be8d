"""The normalisation model: the paper's simulations, the theorem of its two gains, and a protocol's exact result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from refused import refused

import neuroattn
from neuroattn.subjects import planted
from neuroattn.subjects.planted.reynolds_heeger import Focus, Kernels, gains, normalised

DIRECTION = Kernels(field_tuning=60, pool_tuning=360, period=360)  # the paper's 30° and 180° are of orientation
STEP = 5  # degrees between features
AT = {1: 300, -1: 100}  # place of either stimulus, on a line of 401 places


def stimuli(width):
    """Return two stimuli of direction 0 on either side of fixation: Gaussian over places, SD 1° over directions."""
    place = torch.arange(401, dtype=torch.float64)
    line = sum(torch.exp(-((place - at) ** 2) / (2 * width**2)) for at in AT.values())
    shown = torch.zeros(1, 360 // STEP, 1, 401, dtype=torch.float64)
    shown[0, 0, 0] = line * (2 * np.pi) ** 0.5 / STEP
    return shown


def attended(side, spread, peak=2.0):
    where = torch.zeros(1, dtype=torch.float64), torch.full((1,), float(AT[side]), dtype=torch.float64)
    return Focus(*where, spread, peak).over((1, 401), torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("width", "spread", "lowest", "highest"),
    [(3, 30, 1.98, 1.009), (5, 3, 1.99, 1.418)],
    ids=["2A: contrast gain", "2B: response gain"],
)
def test_figure_2_of_the_paper(width, spread, lowest, highest):
    drive = DIRECTION.driven(stimuli(width))
    for contrast, ratio in ((1e-5, lowest), (1.0, highest)):
        inside, outside = (
            normalised(contrast * drive, attended(side, spread), DIRECTION, 1e-6)[0, 0, 0, AT[1]] for side in (1, -1)
        )
        assert_allclose(inside / outside, ratio, atol=0.006)


def test_figure_5c_of_the_paper_scales_a_tuning_curve():
    drive = DIRECTION.driven(stimuli(10))
    inside, outside = (normalised(drive, attended(side, 10), DIRECTION, 1e-6)[0, :, 0, AT[1]] for side in (1, -1))
    assert_allclose(inside / outside, np.full(72, 1.166), atol=2e-3)


def test_attention_is_a_contrast_gain_and_a_response_gain_at_every_contrast():
    drive = torch.rand(2, 7, 5, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    field = 1 + torch.rand(2, 1, 5, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kernels = Kernels(field=1, pool=3)
    response, contrast = gains(drive, field, kernels)
    neutral = kernels.pooled(drive)
    for c in (0.01, 0.3, 1.0):
        at_more_contrast = contrast * c * drive / (contrast * c * neutral + 0.2)
        assert_allclose(normalised(c * drive, field, kernels, 0.2), response * at_more_contrast, rtol=1e-12)
    assert_allclose(gains(drive, 2 * torch.ones_like(field), kernels)[0], torch.ones_like(drive))


def test_benefit_is_the_closed_form_of_every_unit(cued):
    """A/O = a(S₀ + σ)/(S + σ), with a and S computed apart from the model's code."""
    subject, place = planted.normalisation(sigma=0.03, peak=5, spread=20), np.arange(20)
    images = np.random.default_rng(0).random((2, 1, 13, 20), np.float32)
    objects = np.zeros((2, 2, 1, 13, 20), np.float32)
    objects[:, 0, 0, 4, 5] = objects[:, 1, 0, 8, 14] = 1
    found = cued(subject, images, objects)
    facing = subject.facing((1, 13, 20))
    stimuli_alone = neuroattn.StimulusSet(images)
    ungated = neuroattn.record(facing, stimuli_alone, ["response"], steps=[0])["response"]["activation"].to_numpy()
    drive = subject.module.driven_by(torch.from_numpy(images)).double().numpy()
    for number, (row, column) in enumerate(((4, 5), (8, 14))):
        squared = (np.arange(13)[:, None] - row) ** 2 + (place[None] - column) ** 2
        a = 1 + 4 * np.exp(-squared / (2 * 8.0**2))
        pools = [_pool(drive * one) for one in (a, 1.0)]
        ratio = a * (pools[1] + 0.03) / (pools[0] + 0.03)
        assert_allclose(found[number] / ungated.reshape(found[number].shape), ratio, rtol=1e-4)


def _pool(values):
    """Return values pooled over places (SD 8 px, kernels as long as the picture allows) and orientations (180°)."""
    for axis, number in ((2, values.shape[2]), (3, values.shape[3])):
        line = np.arange(1 - number, number)
        kernel = np.exp(-(line**2) / (2 * 8.0**2))
        weights = (kernel / kernel.sum())[number - 1 + np.subtract.outer(np.arange(number), np.arange(number))]
        values = np.moveaxis(np.moveaxis(values, axis, -1) @ weights, -1, axis)
    apart = abs(np.subtract.outer(np.arange(8), np.arange(8)))
    weights = np.exp(-((np.minimum(apart, 8 - apart) * 22.5) ** 2) / (2 * 180.0**2))
    return np.einsum("fg,bgyx->bfyx", weights / weights.sum(1, keepdims=True), values)


@pytest.mark.slow
def test_a_wide_field_of_attention_suppresses_the_other_object_and_a_narrow_one_does_not(through):
    wide, narrow = (
        through("cost_and_benefit", planted.normalisation(spread=spread), n_stimuli=40).units.query("excluded_by == ''")
        for spread in (30, 3)
    )
    assert wide["cost"].max() < -0.02 < narrow["cost"].mean() < 0


def test_what_the_model_cannot_have_is_refused():
    with refused("peak - 1 must be above 0 and finite, got 0"):
        planted.normalisation(peak=1)
