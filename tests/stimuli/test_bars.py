"""Bars against closed forms, against brute force, and against what symmetry asks."""

from __future__ import annotations

import tracemalloc
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from stimulus_files import refused

from neuroattn.stimuli.bars import bar_and_digit, bars, tuning_grid

OBLIQUE = [9, 17, 45, 63, 81, 99, 135, 153, 171]


def bar(orientation, sigma, x, y, **kwargs):
    return bars(*(np.array([value], dtype=float) for value in (orientation, sigma, x, y)), **kwargs)[0, 0]


def supersampled(orientation, sigma, x, y, *, height, width, length, n=32):
    """Return the bar averaged over n × n points a pixel, and how far along the bar each pixel is."""
    theta = np.deg2rad(orientation)
    within = (np.arange(n) + 0.5) / n - 0.5
    right = (np.arange(width)[:, None] + within).ravel()[None, :] - x
    up = y - (np.arange(height)[:, None] + within).ravel()[:, None]
    along = right * np.cos(theta) + up * np.sin(theta)
    across = up * np.cos(theta) - right * np.sin(theta)
    luminance = np.exp(-(across**2) / (2 * sigma**2)) * (np.abs(along) < length / 2)
    average = [values.reshape(height, n, width, n).mean(axis=(1, 3)) for values in (luminance, np.abs(along))]
    return average[0], average[1]


def profile(positions, centre, sigma):
    upper, lower = (norm.cdf(positions + side, loc=centre, scale=sigma) for side in (0.5, -0.5))
    return sigma * np.sqrt(2 * np.pi) * (upper - lower)


def coverage(positions, centre, length):
    start = np.maximum(positions - 0.5, centre - length / 2)
    return np.clip(np.minimum(positions + 0.5, centre + length / 2) - start, 0, 1)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(("x", "y"), [(8.5, 14.0), (17.0, 11.3), (0.25, 22.75)])
def test_closed_form_along_rows_and_columns(sigma, x, y):
    height, width, length = 23, 29, 11.6
    rows, columns = np.arange(height), np.arange(width)
    horizontal = profile(rows, y, sigma)[:, None] * coverage(columns, x, length)[None, :]
    vertical = coverage(rows, y, length)[:, None] * profile(columns, x, sigma)[None, :]
    size = {"height": height, "width": width, "length": length}
    assert_allclose(bar(0, sigma, x, y, **size), horizontal, atol=3e-7)
    assert_allclose(bar(90, sigma, x, y, **size), vertical, atol=3e-7)


@pytest.mark.parametrize("orientation", OBLIQUE)
@pytest.mark.parametrize("sigma", [0.5, 1.1, 2.0])
def test_oblique_bars_against_brute_force(orientation, sigma):
    size = {"height": 29, "width": 31, "length": 17.0}
    expected, along = supersampled(orientation, sigma, 14.3, 13.8, **size)
    found = bar(orientation, sigma, 14.3, 13.8, **size)
    inside = np.abs(along - size["length"] / 2) > 0.75
    # 32 points a pixel are 1e-4 off at σ = 0.5; within a pixel of the ends the product of averages is an approximation.
    assert_allclose(found[inside], expected[inside], atol=1.5e-4)
    assert_allclose(found, expected, atol=0.025)


@pytest.mark.parametrize("orientation", [0, 1e-3, 90, *OBLIQUE])
@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_total_luminance(orientation, sigma):
    found = bar(orientation, sigma, 24.7, 23.1, height=47, width=53, length=20.0)
    assert_allclose(found.sum(), 20 * sigma * np.sqrt(2 * np.pi), rtol=1e-3)


@pytest.mark.parametrize("orientation", [0, 90, *OBLIQUE])
def test_second_moments_give_the_bar_back(orientation):
    picture = bar(orientation, 1.3, 24.7, 23.1, height=47, width=53).astype(np.float64)
    weight = picture / picture.sum()
    y, x = np.indices(picture.shape)
    assert_allclose([np.sum(weight * x), np.sum(weight * y)], [24.7, 23.1], atol=0.01)
    right, up = x - 24.7, 23.1 - y
    xx, yy, xy = (np.sum(weight * product) for product in (right**2, up**2, right * up))
    found = np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)
    assert_allclose((found - orientation + 90) % 180 - 90, 0, atol=0.02)
    # A uniform bar of length 20 has the variance 20²/12 along; each pixel adds its own 1/12.
    assert_allclose(xx + yy, 20**2 / 12 + 1.3**2 + 2 / 12, rtol=4e-3)


def test_counter_clockwise_on_the_screen():
    picture = bar(45, 0.5, 10, 10, height=21, width=21, length=15.0)
    assert picture[6, 14] > 0.6  # to the right and up
    assert picture[14, 14] < 1e-6  # to the right and down


@pytest.mark.parametrize("orientation", [0, 33, 90, 171])
def test_symmetries(orientation):
    size = {"height": 29, "width": 31, "length": 17.0}
    picture = bar(orientation, 0.9, 14.3, 13.8, **size)
    assert_array_equal(bar(orientation + 180, 0.9, 14.3, 13.8, **size), picture)
    assert_array_equal(bar(orientation - 180, 0.9, 14.3, 13.8, **size), picture)
    assert_allclose(bar(-orientation, 0.9, 30 - 14.3, 13.8, **size), picture[:, ::-1], atol=1e-6)
    assert_allclose(bar(-orientation, 0.9, 14.3, 28 - 13.8, **size), picture[::-1], atol=1e-6)
    transposed = bar(90 - orientation, 0.9, 28 - 13.8, 30 - 14.3, height=31, width=29, length=17.0)
    assert_allclose(transposed, picture[::-1, ::-1].T, atol=1e-6)


def test_many_bars_are_drawn_as_one_is():
    rng = np.random.default_rng(0)
    given = rng.uniform([0, 0.5, 5, 5], [180, 2, 25, 20], (521, 4)).T
    pictures = bars(*given)
    assert pictures.shape == (521, 1, 28, 42)
    assert pictures.dtype == np.float32
    for index in (0, 255, 256, 520):
        assert_array_equal(pictures[index, 0], bar(*given[:, index]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"x": np.ones(5)},
            (
                "orientation, sigma, x and y must be one-dimensional and equally long, "
                "got orientation (3,), sigma (3,), x (5,), y (3,)"
            ),
        ),
        ({"y": np.array([1, np.nan, 3])}, "y must be finite, got nan"),
        ({"sigma": np.array([1, 0.0, 3])}, "sigma must be above 0 pixels, got 0"),
        ({"length": -1.0}, "length must be above 0 pixels, got -1.0"),
        ({"height": 0}, "height must be above 0 pixels, got 0"),
    ],
)
def test_arguments_that_are_refused(change, text):
    with refused(text):
        bars(**{name: np.ones(3) for name in ("orientation", "sigma", "x", "y")} | change)


def test_the_papers_grid():
    grid = tuning_grid()
    assert list(grid.columns) == ["orientation", "width", "x", "y", "half"]
    assert len(grid) == 14_520
    assert not grid[["orientation", "width", "x", "y"]].duplicated().any()
    assert_allclose(grid["orientation"].unique(), np.arange(0, 180, 9))
    assert_allclose(grid["width"].unique(), [0.5, 0.8, 1.1, 1.4, 1.7, 2.0])
    assert_allclose(grid["x"].unique(), np.arange(6, 11.5, 0.5))
    assert_allclose(grid["y"].unique(), np.arange(4, 26, 2))
    assert grid["orientation"].is_monotonic_increasing


def test_each_half_covers_the_whole_space():
    grid = tuning_grid(3, 4, 5, 7)
    assert_array_equal(grid.groupby("orientation")["half"].sum(), 4 * 5 * 7 // 2)
    for pair in (["width", "x"], ["width", "y"], ["x", "y"]):
        assert (grid.groupby(pair)["half"].nunique() == 2).all()
    cube = grid["half"].to_numpy().reshape(3, 4, 5, 7)
    for axis in (1, 2, 3):
        assert_array_equal(np.abs(np.diff(cube, axis=axis)), 1)
    assert_array_equal(np.diff(cube, axis=0), 0)


def test_a_grid_of_ones_own():
    grid = tuning_grid(2, 3, 1, 1, width=(1.0, 3.0), x=(5.0, 7.0), y=(2.0, 4.0))
    assert_allclose(
        grid[["orientation", "width", "x", "y"]],
        [[orientation, width, 5, 2] for orientation in (0, 90) for width in (1, 2, 3)],
    )
    with pytest.raises(ValueError, match=r"^n_x must be at least 1, got 0$"):
        tuning_grid(n_x=0)


@pytest.fixture
def digit_image():
    image = np.zeros((28, 28), dtype=np.uint8)
    image[5:23, 2:19] = np.random.default_rng(0).integers(1, 256, (18, 17))
    return image


def test_bar_beside_a_digit(digit_image):
    grid = tuning_grid(5, 2, 3, 1)
    stimuli = bar_and_digit(grid, digit_image, 7)
    assert stimuli.images.shape == (30, 1, 28, 42)
    assert_array_equal(stimuli.objects[:, 0], bars(grid["orientation"], grid["width"], grid["x"], grid["y"]))
    assert_array_equal(stimuli.objects[:, 1, 0, :, :14], 0)
    assert_allclose(stimuli.objects[:, 1, 0, :, 14:], np.tile(digit_image / 255, (30, 1, 1)), rtol=1e-6)
    assert_array_equal(stimuli.images, np.minimum(stimuli.objects.sum(axis=1), 1))
    expected = grid.assign(stimulus_id=range(30), location_0=0, location_1=1, distractor_label=7)
    pd.testing.assert_frame_equal(stimuli.table, expected, check_like=True)


def test_a_width_of_0_leaves_the_bar_out(digit_image):
    grid = tuning_grid(3, 2, 1, 1)
    grid.loc[2, "width"] = 0.0
    stimuli = bar_and_digit(grid, digit_image, 7)
    assert stimuli.objects[:, 0].any(axis=(1, 2, 3)).tolist() == [True, True, False, True, True, True]
    assert_array_equal(stimuli.images[2], stimuli.objects[2, 1])


def test_noise_beside_a_bar_is_in_the_background_only(digit_image):
    grid = tuning_grid(7, 2, 3, 5)
    quiet = bar_and_digit(grid, digit_image, 7)
    noisy = bar_and_digit(grid, digit_image, 7, noise=0.3, generator=torch.Generator().manual_seed(0))
    added = noisy.images - quiet.images
    background = quiet.images < 0.5 / 255
    assert_array_equal(added[~background], 0)
    assert 0.4 < background.mean() < 0.9
    assert_allclose(added[background].mean(), 0.15, atol=2e-3)
    assert 0.299 < added[background].max() < 0.3
    assert_array_equal(noisy.objects, quiet.objects)
    loudest = bar_and_digit(grid, digit_image, 7, noise=1.0, generator=torch.Generator().manual_seed(0))
    assert loudest.images.max() == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"grid": pd.DataFrame({"x": [1.0], "orientation": [0.0]})},
            "grid must have the columns orientation, width, x and y, got no width, y",
        ),
        ({"digit_image": np.zeros((28, 42))}, "digit_image must be (28, 28) uint8, got (28, 42) float64"),
        ({"label": 10}, "label must be in 0–9, got 10"),
        ({"noise": -0.1}, "noise must be in [0, 1], got -0.1"),
        (
            {"noise": 0.3},
            "generator must be given for noise 0.3; pass torch.Generator().manual_seed(seed)",
        ),
    ],
)
def test_scenes_that_are_refused(digit_image, change, text):
    arguments = {"grid": tuning_grid(2, 1, 1, 1), "digit_image": digit_image, "label": 3} | change
    with refused(text):
        bar_and_digit(**arguments)


@pytest.mark.slow
def test_the_whole_grid_is_quick_and_small(digit_image):
    tracemalloc.start()
    start = perf_counter()
    stimuli = bar_and_digit(tuning_grid(), digit_image, 7, noise=0.3, generator=torch.Generator().manual_seed(0))
    duration = perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len({image.tobytes() for image in stimuli.objects[:, 0]}) == 14_520
    assert duration < 30  # measured: 4 s; the margin is for a busy machine
    assert peak < 400e6
