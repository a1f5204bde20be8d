"""Composites of digits: their geometry, their randomness, and that they agree with the published ones."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from stimulus_files import refused

from neuroattn.compute import memory
from neuroattn.stimuli.digits import composites, sample_composites, stimulus_set
from neuroattn.stimuli.mnist import Digits, embedded, from_folder


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def digits():
    """Digits with every pixel bright enough to be told from black, of unequal numbers a class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([7, 0, 3, 9, 1]), [11, 2, 5, 1, 3])
    return Digits(images=rng.integers(1, 256, (22, 28, 28), dtype=np.uint8), labels=labels, source="test")


def by_hand(digits, digit):
    """Draw the objects of one composite one at a time."""
    width = 28 + 14 * (len(digit) - 1)
    objects = np.zeros((len(digit), 1, 28, width))
    for place, index in enumerate(digit):
        objects[place, 0, :, 14 * place : 14 * place + 28] = digits.images[index] / 255
    return objects


@pytest.mark.parametrize("n_objects", [2, 3, 5])
@pytest.mark.parametrize("resample", [True, False])
def test_every_composite_is_the_clamped_sum_of_its_shifted_digits(digits, n_objects, resample):
    first = torch.arange(13)
    made = composites(digits, first, n_objects=n_objects, noise=0, resample=resample, generator=seeded())
    assert made.images.shape == (13, 1, 28, 28 + 14 * (n_objects - 1))
    assert made.images.dtype == made.objects.dtype == torch.float32
    assert len(made) == 13
    for index in range(13):
        objects = by_hand(digits, made.digit[index])
        assert_allclose(made.objects[index], objects, rtol=1e-6)
        assert_allclose(made.images[index], np.minimum(objects.sum(axis=0), 1), rtol=1e-6)
        assert first[index] in made.digit[index]
    assert_array_equal(made.labels, digits.labels[made.digit])


@pytest.mark.slow
def test_noise_fills_exactly_the_background():
    made = composites(embedded(), torch.arange(0, 5000, 7), noise=0.3, generator=seeded())
    background = made.objects.sum(dim=1) == 0
    noise = made.images[background]
    assert 0 < noise.min() < 1e-4
    assert 0.2999 < noise.max() < 0.3
    assert_allclose(noise.mean(), 0.15, atol=1e-3)
    assert_allclose(noise.std(), 0.3 / np.sqrt(12), atol=1e-3)
    assert_array_equal(made.images[~background], made.objects.sum(dim=1).clamp(max=1)[~background])


def test_places_are_random():
    made = composites(embedded(), torch.arange(5000), n_objects=3, generator=seeded())
    first_at = (made.digit == torch.arange(5000)[:, None]).float().mean(dim=0)
    assert_allclose(first_at, 1 / 3, atol=0.03)


def test_further_digits_are_drawn_from_the_whole_set(digits):
    made = composites(digits, torch.zeros(20_000, dtype=torch.int64), n_objects=2, generator=seeded())
    further = made.digit.sum(dim=1)  # the first is digit 0
    assert_allclose(np.bincount(further, minlength=22) / 20_000, 1 / 22, atol=0.006)


def test_without_resampling_every_digit_of_another_class_is_as_likely(digits):
    made = composites(
        digits, torch.full((20_000,), 11), n_objects=2, resample=False, generator=seeded()
    )  # digit 11 is one of the two of class 0
    further = made.digit.sum(dim=1) - 11
    expected = np.where(digits.labels == 0, 0, 1 / 20)
    assert_allclose(np.bincount(further, minlength=22) / 20_000, expected, atol=0.006)


@pytest.mark.slow
def test_without_resampling_the_third_digit_follows_from_the_first_two(digits):
    made = composites(
        digits, torch.zeros(40_000, dtype=torch.int64), n_objects=3, resample=False, generator=seeded()
    )  # digit 0 is of class 7
    pairs = np.sort(made.labels.numpy(), axis=1)
    counts = {0: 2, 1: 3, 3: 5, 9: 1}
    for a, b in ((0, 1), (0, 3), (1, 9), (3, 9)):
        # The two orders of drawing a and b from the 11 digits that are not of class 7.
        expected = counts[a] / 11 * counts[b] / (11 - counts[a]) + counts[b] / 11 * counts[a] / (11 - counts[b])
        found = np.mean(np.all(pairs == sorted([a, b, 7]), axis=1))
        assert_allclose(found, expected, atol=0.01)


def test_all_classes_at_once(digits):
    made = composites(digits, torch.arange(22), n_objects=5, resample=False, generator=seeded())
    assert_array_equal(np.sort(made.labels.numpy(), axis=1), np.tile([0, 1, 3, 7, 9], (22, 1)))


def test_the_seed_decides_and_the_noise_does_not_change_the_digits(digits):
    def two(seed, **kwargs):
        generator = seeded(seed)
        return [composites(digits, np.arange(17), generator=generator, **kwargs) for _ in range(2)]

    for one, same, quiet in zip(two(3), two(3), two(3, noise=0), strict=True):
        assert_array_equal(one.images, same.images)
        assert_array_equal(one.digit, quiet.digit)
    assert not torch.equal(two(3)[0].digit, two(4)[0].digit)
    assert not torch.equal(two(3)[0].digit, two(3)[1].digit)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_composites_are_the_same_on_every_device(digits):
    here = composites(digits, torch.arange(17), generator=seeded())
    there = composites(digits, torch.arange(17), generator=seeded(), device="cuda")
    assert there.images.device.type == "cuda"
    assert_allclose(there.images.cpu(), here.images, rtol=1e-6)
    assert_array_equal(there.digit.cpu(), here.digit)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n_objects": 1}, "n_objects must be at least 2, got 1"),
        ({"noise": 1.5}, "noise must be in [0, 1], got 1.5"),
        ({"noise": float("nan")}, "noise must be in [0, 1], got nan"),
        (
            {"n_objects": 6, "resample": False},
            (
                "n_objects must be at most 5 with resample=False, the number of classes among the digits, got 6; "
                "take fewer objects or resample=True"
            ),
        ),
        ({"first": torch.tensor([3, 22])}, "first must be in 0–21, the indices of the digits, got 3 to 22"),
        ({"first": np.array([-1, 3])}, "first must be in 0–21, the indices of the digits, got -1 to 3"),
        (
            {"first": torch.zeros(3, 2)},
            "first must be one-dimensional and hold at least one index, got shape (3, 2)",
        ),
        (
            {"first": np.zeros(0, np.int64)},
            "first must be one-dimensional and hold at least one index, got shape (0,)",
        ),
        ({"first": torch.zeros(3)}, "first must hold integer indices, got torch.float32"),
        ({"first": np.zeros(3, bool)}, "first must hold integer indices, got torch.bool"),
    ],
)
def test_arguments_that_are_refused(digits, change, text):
    arguments = {"first": torch.arange(3), "generator": seeded()} | change
    with refused(text):
        composites(digits, **arguments)


def test_as_stimuli(digits):
    made = composites(digits, torch.arange(7), n_objects=3, generator=seeded())
    stimuli = stimulus_set(made)
    assert_array_equal(stimuli.images, made.images)
    assert_array_equal(stimuli.objects, made.objects)
    table = stimuli.table
    assert_array_equal(table["stimulus_id"], range(7))
    for k in range(3):
        assert_array_equal(table[f"label_{k}"], made.labels[:, k])
        assert_array_equal(table[f"location_{k}"], k)
        assert_array_equal(table[f"digit_{k}"], made.digit[:, k])
    assert table.shape == (7, 10)


def test_a_part_of_composites_is_of_the_same_kind(digits):
    made = composites(digits, torch.arange(7), generator=seeded())
    for part in (made.part(slice(2, 5)), made.part(slice(2, 5)).to("cpu")):
        for name in ("images", "objects", "labels", "digit"):
            assert_array_equal(getattr(part, name), getattr(made, name)[2:5])


def test_published_composites_are_of_the_same_kind(reference, mnist):
    golden = np.load(reference / "reference" / "golden_digits.npz")
    test, s = from_folder(mnist, "test"), 0.2
    place_of = {image.tobytes(): index for index, image in enumerate(test.images)}
    image = golden["x"]
    objects = np.stack([(golden[f"target{k}"] - (1 - s) * image) / s for k in range(2)], axis=1)
    found = np.rint(objects.reshape(-1, 2, 28, 42) * 255).astype(np.uint8)
    for index in range(len(image)):
        digit = [place_of[found[index, k, :, 14 * k : 14 * k + 28].tobytes()] for k in range(2)]
        assert_array_equal(test.labels[digit], [golden[f"label{k}"][index] for k in range(2)])
        clean = np.minimum(by_hand(test, digit).sum(axis=0), 1)
        assert_allclose(image[index][clean > 0], clean[clean > 0], atol=1e-6)
        background = image[index][clean == 0]
        assert 0 <= background.min() < 0.01
        assert 0.29 < background.max() < 0.3


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_making_a_batch_is_much_quicker_than_training_on_it(one_thread):
    digits, generator, first = embedded(), seeded(), torch.arange(64)
    times = []
    for _ in range(31):
        start = perf_counter()
        composites(digits, first, generator=generator)
        times.append(perf_counter() - start)
    assert min(times) < 0.02  # measured: 0.4 ms; the margin is for a busy machine


def test_more_composites_than_memory_holds(digits, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    text = (
        "composites must fit in memory, got 101 of 2 digits, which needs 0.0019 GB, and 0.001 GB are free; make fewer"
    )
    with refused(text):
        sample_composites(digits, 101, n_objects=2, noise=0.3, generator=torch.Generator())
