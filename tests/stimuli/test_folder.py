"""A folder of pictures as stimuli: what is seen of every kind of file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from refused import refused

import neuroattn

GREY = 127 / 255


def saved(path, mode="RGB", size=(30, 20), colour="white", **options):
    Image.new(mode, size, colour).save(path, **options)


def test_pictures_come_in_the_order_of_their_names_and_keep_their_proportions(tmp_path):
    saved(tmp_path / "b.JPG", size=(42, 14), colour=(255, 0, 0), quality=100, subsampling=0)
    saved(tmp_path / "a.png", size=(7, 28), mode="L", colour=255)
    (tmp_path / "notes.txt").write_text("left alone")
    (tmp_path / "c.png").mkdir()
    found = neuroattn.pictures(tmp_path, size=(3, 28, 42))
    assert found.table["file_name"].tolist() == ["a.png", "b.JPG"]
    assert found.table[["width", "height"]].to_numpy().tolist() == [[7, 28], [42, 14]]
    assert found.objects is None
    narrow, wide = found.images
    assert_allclose(narrow[:, :, 18:23], 1)
    assert_allclose(narrow[:, :, [*range(16), *range(26, 42)]], GREY)
    assert_allclose(wide[:, [0, 5, 22, 27]], GREY)
    assert_allclose(wide[:, 10:18], np.broadcast_to(np.array([1, 0, 0])[:, None, None], (3, 8, 42)), atol=0.02)
    (grey,) = neuroattn.pictures(tmp_path)[1].images
    assert_allclose(grey[0, 10:18], 0.299, atol=0.02)  # the luminance of red


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("LA", (255, 0), GREY),
        ("RGBA", (255, 255, 255, 0), GREY),
        ("RGBA", (255, 255, 255, 255), 1),
        ("L", 51, 0.2),
        ("1", 1, 1),
        ("I;16", 257 * 51, 0.2),
    ],
)
def test_kinds_of_files(tmp_path, mode, colour, expected):
    saved(tmp_path / "a.png", mode, colour=colour)
    assert_allclose(neuroattn.pictures(tmp_path, size=(1, 20, 30)).images, expected, atol=1e-6)


def test_a_turned_photograph_is_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :10] = 255  # left as stored, above as seen
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=exif, quality=100)
    found = neuroattn.pictures(tmp_path, size=(1, 30, 20))
    assert found.table[["width", "height"]].to_numpy().tolist() == [[20, 30]]
    assert found.images[0, 0, :8].min() > 0.9
    assert found.images[0, 0, 12:].max() < 0.1


def test_what_is_no_folder_of_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with refused("folder must hold PNG or JPEG files, got 'empty' without any; name another"):
        neuroattn.pictures("empty")
    with refused("folder must be a folder of pictures, got 'missing', which is none; name another"):
        neuroattn.pictures("missing")


@pytest.mark.parametrize("content", [b"", b"no picture", b"GIF89a"])
def test_what_is_no_picture_is_named(tmp_path, content):
    saved(tmp_path / "a.png")
    (tmp_path / "b\x1b.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"^folder must hold whole PNG or JPEG files, got 'b\\x1b\.jpg' \(.+\); mend "):
        neuroattn.pictures(tmp_path)


def test_a_picture_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    saved(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)  # of which Pillow warns, and raises beyond twice
    with pytest.raises(ValueError, match=r"got 'a\.png' \(Image size \(600 pixels\) exceeds limit of 599 pixels"):
        neuroattn.pictures(tmp_path)


def test_more_than_memory_holds(tmp_path, monkeypatch):
    saved(tmp_path / "a.png")
    monkeypatch.setattr("neuroattn.compute.memory.free_memory", lambda: 4000)
    with refused("folder must fit in memory, got 1 files, which needs 4.7e-06 GB, and 4e-06 GB are free; take fewer"):
        neuroattn.pictures(tmp_path)


@pytest.mark.parametrize("size", [(2, 28, 42), (1, 0, 42), (1, 28), (1, 2.5, 3), "abc", (1, 1 << 14, 1 << 14)])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ValueError, match=r"^size must be \(channel, y, x\) with 1 or 3 channels and up to 67,108,864 "):
        neuroattn.pictures(tmp_path, size=size)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400), st.binary(max_size=40), st.integers(0, 400))
def test_whatever_a_file_holds_is_a_picture_or_named(tmp_path, at, junk, length):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (11, 13, 3), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes((content[:at] + junk + content[at + len(junk) :])[: length or None])
    said = "folder must hold whole PNG or JPEG files, got 'a.png' ("
    try:
        said = str(neuroattn.pictures(tmp_path, size=(1, 7, 5)).images.shape)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = "(1, 1, 7, 5)"
    assert refusal.startswith(said)


def test_pictures_are_recorded(tmp_path):
    saved(tmp_path / "a.png")
    tree = neuroattn.record(neuroattn.load_model("digits-0"), neuroattn.pictures(tmp_path), ["stage1/gate"])
    assert tree["stage1/gate"]["activation"].coords["file_name"].to_numpy()[0] == "a.png"


def test_examples_are_the_same_every_time():
    first, again, others = (neuroattn.example_stimuli(5, seed=seed) for seed in (3, 3, 4))
    assert first.identity() == again.identity() != others.identity()
    assert (len(first), first.n_objects, first.size) == (5, 2, (1, 28, 42))
    tree = neuroattn.record(neuroattn.load_model("digits-0"), first, ["readout/logits"], steps=[4])
    assert tree["readout/logits"]["activation"].shape == (10, 1, 10)
    assert_array_equal(tree["readout/logits"]["stimulus_id"], np.repeat(np.arange(5), 2))
