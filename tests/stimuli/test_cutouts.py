"""Objects cut out of drawn photographs, and composites of them."""

from __future__ import annotations

import functools
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from drawn_scenes import COLOURS, drawn_scenes
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from stimulus_files import refused

from neuroattn.stimuli import cutouts as cutouts_module
from neuroattn.stimuli import scenes
from neuroattn.stimuli.coco import SUPERCATEGORIES
from neuroattn.stimuli.cutouts import SIDE, load_cutouts, paste
from neuroattn.stimuli.scenes import load_scenes
from neuroattn.training.config import ScenesConfig
from neuroattn.training.source import ScenesSource

CLASS_COLOUR = {SUPERCATEGORIES.index("animal"): COLOURS[1], SUPERCATEGORIES.index("vehicle"): COLOURS[2]}


@pytest.fixture
def files(tmp_path):
    return drawn_scenes(tmp_path, 12)


@pytest.fixture
def cutouts(files, tmp_path):
    return load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "cache")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_object_fills_its_patch(cutouts):
    assert (len(cutouts), cutouts.patches.shape[1:]) == (24, (4, SIDE, SIDE))
    for row, label in zip(cutouts.rows, cutouts.labels, strict=True):
        patch = cutouts.patches[row]
        inside = patch[3] > 0
        assert max(inside.any(0).sum(), inside.any(1).sum()) == SIDE
        assert_allclose(patch[:3][:, patch[3] == 255].mean(1), CLASS_COLOUR[int(label)], atol=1)


def test_objects_of_turned_photographs_are_those_of_upright_ones(files, cutouts, tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    for path in files[0].iterdir():
        Image.open(path).rotate(90, expand=True).save(path, exif=exif)
    found = load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "other")
    assert found.notes == ()
    assert_array_equal(found.patches, cutouts.patches)
    assert_array_equal(found.backgrounds, cutouts.backgrounds)


def test_why_nothing_can_be_cut_out(files, tmp_path):
    given = {"size": (60, 90), "labels": "supercategory", "cache": tmp_path / "cache"}
    absent = tmp_path / "absent"
    text = f"images must be a folder, got {str(absent)!r}, which is none; name the folder of the images"
    with refused(text):
        load_cutouts(absent, files[1], **given)
    absent.mkdir()
    text = (
        f"images must be a folder with the images of instances.json, got {str(absent)!r}, in which none of 12 can be "
        "read (12 images left out: missing (the first is 000000000000.png)); check the folder"
    )
    with refused(text):
        load_cutouts(absent, files[1], **given)


def test_small_objects_are_not_cut_out(files, tmp_path):
    with pytest.raises(ValueError, match="must have an image with 1 object"):
        load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "cache", least_area=0.5)


def rewritten(file, change):
    """Change the content of an annotation file."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_supercategories_as_labels_where_there_are_none(files, tmp_path):
    rewritten(files[1], lambda content: content["categories"][2].pop("supercategory"))
    text = (
        "labels must be category for instances.json, a category of which has no supercategory, got 'supercategory'; "
        "take --labels category"
    )
    given = {"size": (60, 90), "cache": tmp_path / "cache"}
    with refused(text):
        load_cutouts(*files, labels="supercategory", **given)
    assert set(load_cutouts(*files, labels="category", **given).labels) == {0, 1}  # car, dog


def damage(files):
    """Lose a photograph of two objects, cut another off, and spoil the outline of an object of a third."""
    (files[0] / f"{3:012d}.png").unlink()
    cut = files[0] / f"{5:012d}.png"
    cut.write_bytes(cut.read_bytes()[:300])
    rewritten(files[1], lambda content: content["annotations"][0].update(iscrowd=1))
    rewritten(files[1], lambda content: content["annotations"][2].update(segmentation=[]))


UNCUT = (
    "1 left out: crowd regions (the first has id 1)",
    "1 left out: objects without a usable outline, as none is given (the first has id 11)",
    "1 image left out: missing (the first is 000000000003.png)",
    "1 image left out: damaged, or not readable (the first is 000000000005.png)",
)


def test_what_was_left_out_is_counted_with_its_reason(files, cutouts, tmp_path):
    assert cutouts.notes == ()
    damage(files)
    for _ in range(2):  # made, and from the cache
        found = load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "cache")
        assert found.notes == found.without(np.array([1])).notes == UNCUT
        assert len(found) == 24 - 2 - 2 * 2


def test_more_cutouts_than_are_kept(files, tmp_path, monkeypatch):
    monkeypatch.setattr(cutouts_module, "MOST", 17)
    found = load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "cache")
    assert len(found) == 17
    assert found.notes == ("17 of 24 objects are cut out, drawn at random",)


def test_what_was_left_out_is_told_once(files, tmp_path, monkeypatch):
    damage(files)
    monkeypatch.setattr(cutouts_module, "MOST", 17)
    given = {"size": (60, 90), "labels": "supercategory", "cache": tmp_path / "cache"}
    told, config = [], ScenesConfig(images=str(files[0]), annotations=str(files[1]), size=(60, 90), hidden=(3,))
    found = load_scenes(*files, **given)
    assert found.notes == UNCUT
    ScenesSource(config, found, load_cutouts(*files, **given), told.append)
    assert told == ["note: for cutouts, 17 of 22 objects are cut out, drawn at random"]
    told.clear()
    ScenesSource(config, found, None, told.append)
    assert told == []


def test_a_photograph_is_decoded_once_for_all_its_objects(files, tmp_path, monkeypatch):
    real, read = scenes.read_photograph, []

    def counted(path, *size):
        read.append(path.name)
        return real(path, *size)

    monkeypatch.setattr(scenes, "read_photograph", counted)
    # Two threads may begin with one photograph at the same time.
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", functools.partial(ThreadPoolExecutor, 1))
    found = load_cutouts(*files, size=(60, 90), labels="supercategory", cache=tmp_path / "cache")
    assert len(found) == 24
    assert read == [f"{k:012d}.png" for k in range(12)]


def test_nothing_of_an_image_that_is_held_out(cutouts):
    part = cutouts.without(np.array([1, 2, 3]))
    assert len(part) == 18
    assert set(part.image_ids) == set(part.background_ids) == set(range(4, 13))
    assert_array_equal(part.rows, cutouts.rows[6:])
    assert len(part.without(np.array([1, 2, 3]))) == 18
    with pytest.raises(ValueError, match="must leave objects to cut out"):
        cutouts.without(np.arange(1, 13))


def test_the_seed_decides_the_composites(cutouts):
    before = torch.get_rng_state()
    one, same, other = (paste(cutouts, 5, n_objects=2, generator=seeded(seed)) for seed in (1, 1, 2))
    assert_array_equal(torch.get_rng_state(), before)
    assert_array_equal(one.images, same.images)
    assert_array_equal(one.labels, same.labels)
    assert not torch.equal(one.images, other.images)


@pytest.mark.parametrize("n_objects", [2, 3])
def test_what_a_composite_is_made_of(cutouts, n_objects):
    made = paste(cutouts, 40, n_objects=n_objects, generator=seeded())
    assert made.images.shape == (40, 3, 60, 90)
    assert made.objects.shape == (40, n_objects, 3, 60, 90)
    assert 0 <= made.images.min() <= made.images.max() <= 1
    places = []
    for image, objects, labels in zip(made.images, made.objects, made.labels, strict=True):
        shares = objects.amax(1) > 0.9  # boxes have one bright channel each; at their rims they are mixed
        assert (shares.sum(0) <= 1).all()
        for one, label, share in zip(objects, labels, shares, strict=True):
            assert share.sum() > 60
            colour = torch.tensor(CLASS_COLOUR[int(label)]) / 255
            inside = one.permute(1, 2, 0)[share]
            assert_allclose(inside.median(0).values, colour, atol=0.02)
            assert_allclose(image[:, share].T, inside, atol=0.15)
            places.append(share.nonzero().float().mean(0))
    # On opposite sides of the middle, in any direction.
    pairs = torch.stack(places).reshape(40, n_objects, 2)
    across = (pairs[:, 0] - pairs[:, 1]).abs()
    assert (across.norm(dim=1) > 12).all()
    assert (across[:, 0] > across[:, 1]).float().mean() > 0.1
    assert (across[:, 1] > across[:, 0]).float().mean() > 0.1


def test_every_class_is_as_likely_whatever_it_has_cutouts(tmp_path):
    files = drawn_scenes(tmp_path, 20, categories=(1, 1, 1, 1, 2))
    cutouts = load_cutouts(*files, size=(40, 40), labels="supercategory", cache=tmp_path / "cache")
    counts = np.unique(cutouts.labels, return_counts=True)[1]
    assert counts.max() > 3 * counts.min()
    made = paste(cutouts, 1000, n_objects=2, generator=seeded())
    shares = torch.bincount(made.labels.ravel())[torch.from_numpy(np.unique(cutouts.labels))] / 2000
    assert_allclose(shares, [0.5, 0.5], atol=0.04)


def test_what_is_behind_is_a_photograph(cutouts):
    made = paste(cutouts, 10, n_objects=2, generator=seeded())
    bare = made.objects.sum((1, 2)) == 0
    backgrounds = torch.from_numpy(np.array(cutouts.backgrounds)) / 255
    for image, there in zip(made.images, bare, strict=True):
        distance = (backgrounds[:, :, there] - image[:, there]).abs().amax((1, 2))
        assert distance.min() < 0.01
        assert there.float().mean() > 0.3
