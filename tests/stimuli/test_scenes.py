"""Scenes as networks take them, against plain Pillow; and the cache that keeps them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from pyarrow import parquet
from stimulus_files import CATEGORIES, refused

from neuroattn.stimuli import picture_cache, scene_pictures, scenes
from neuroattn.stimuli.coco import SUPERCATEGORIES, Rule, write_index
from neuroattn.stimuli.picture_cache import picture_path
from neuroattn.stimuli.scene_pictures import canvas, fitted, read_photograph
from neuroattn.stimuli.scenes import class_counts, load_index, load_scenes, tell_notes

ENVIRONMENT = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
SHAPES = [(20, 40), (40, 20), (30, 30), (21, 40)]  # (y, x) px
DAMAGED, OTHER_SIZE = "damaged, or not readable", "of another size than annotated"
IRREGULAR, OUTSIDE = "not regular files", "with names that lead out of the folder"


def rectangles(shape):
    """Return where the objects of an image are, as (top, left, bottom, right): the largest is on the right."""
    height, width = shape
    return [(0, width // 2, height, width), (0, 0, height - 3, width // 3), (height - 3, 0, height, width // 2)]


def annotated(folder, shapes, n_objects=2, file_names=None):
    """Write the annotations of images of these shapes."""
    images, annotations = [], []
    for k, (height, width) in enumerate(shapes):
        name = f"{k:03}.png" if file_names is None else file_names[k]
        images.append({"id": 10 + k, "file_name": name, "width": width, "height": height})
        for n, (top, left, bottom, right) in enumerate(rectangles((height, width))[:n_objects]):
            annotations.append(
                {
                    "id": 100 * k + n,
                    "image_id": 10 + k,
                    "category_id": [7, 1, 3][(k + n) % 3],
                    "iscrowd": 0,
                    "area": (bottom - top) * (right - left),
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                }
            )
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return path


def noise(shape, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8))


class World:
    """A folder of images, their annotations, and a cache."""

    def __init__(self, folder, shapes=SHAPES, n_objects=2):
        self.images, self.cache = folder / "images", folder / "cache"
        self.images.mkdir(parents=True)
        self.annotations = annotated(folder, shapes, n_objects)
        for k, shape in enumerate(shapes):
            noise(shape, k).save(self.images / f"{k:03}.png")

    def rename(self, file_names):
        annotated(self.images.parent, SHAPES, file_names=file_names)

    def load(self, **options):
        return load_scenes(self.images, self.annotations, **({"size": (24, 24), "cache": self.cache} | options))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "world")


def plain(photograph, masks, size):
    """Return an image and its objects as Pillow alone makes them, channels last."""

    def fitted(picture, grey):
        scale = max(picture.width / size[1], picture.height / size[0])
        padded = Image.new("RGB", (round(size[1] * scale), round(size[0] * scale)), (grey, grey, grey))
        padded.paste(picture, ((padded.width - picture.width) // 2, (padded.height - picture.height) // 2))
        return np.asarray(padded.resize((size[1], size[0]), Image.Resampling.BILINEAR))

    photograph = photograph.convert("RGB")
    black = Image.new("RGB", photograph.size)
    alone = [Image.composite(photograph, black, Image.fromarray(np.uint8(255) * mask)) for mask in masks]
    return fitted(photograph, 127), [fitted(picture, 0) for picture in alone]


def masks_of(shape, n_objects=2):
    masks = []
    for top, left, bottom, right in rectangles(shape)[:n_objects]:
        mask = np.zeros(shape, np.uint8)
        mask[top:bottom, left:right] = 1
        masks.append(mask)
    return masks


def assert_plain(found, k, photograph, masks):
    image, objects = plain(photograph, masks, found.size)
    assert_array_equal(found.images[found.rows[k]].transpose(1, 2, 0), image)
    for part, expected in zip(found.objects[found.rows[k]], objects, strict=True):
        assert_array_equal(part.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("size", [(24, 24), (100, 100), (32, 48), (48, 32), (7, 60), (1, 1)])
def test_pictures_are_those_of_plain_pillow(world, size):
    found = world.load(size=size)
    assert found.size == size
    assert found.images.shape == (4, 3, *size)
    assert found.objects.shape == (4, 2, 3, *size)
    assert found.images.dtype == found.objects.dtype == np.uint8
    for k, shape in enumerate(SHAPES):
        assert_plain(found, k, Image.open(world.images / f"{k:03}.png"), masks_of(shape))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "1", "RGBA", "LA"])
def test_photographs_that_are_not_rgb(tmp_path, mode):
    world = World(tmp_path / "world", SHAPES[:2])
    suffix = {"L": "jpg", "CMYK": "jpg"}.get(mode, "png")
    annotated(tmp_path / "world", SHAPES[:2], file_names=[f"other.{suffix}", "001.png"])
    noise(SHAPES[0]).convert(mode).save(world.images / f"other.{suffix}")
    file = Image.open(world.images / f"other.{suffix}")
    assert file.mode == mode
    found = world.load()
    assert_plain(found, 0, file, masks_of(SHAPES[0]))
    if mode in {"L", "1", "LA"}:
        assert_array_equal(found.images[0], found.images[0][[1, 2, 0]])


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", np.uint16), ("a.tif", np.uint16), ("a.tif", ">u2"), ("a.pgm", np.int32)], ids=str
)
def test_sixteen_bits_of_grey_become_eight(tmp_path, name, kind):
    grey = np.random.default_rng(0).integers(0, 256, (13, 11), dtype=np.uint8)
    grey[0, :2] = 0, 255
    Image.fromarray((grey * np.int32(257)).astype(kind)).save(tmp_path / name)
    with Image.open(tmp_path / name) as file:
        assert file.mode.startswith("I")
    assert_array_equal(read_photograph(tmp_path / name, 11, 13), np.dstack([grey] * 3))
    # To the nearest: one step of eight bits is 257 of sixteen.
    Image.fromarray(np.array([[128, 129, 65535 - 129]]).astype(kind)).save(tmp_path / name)
    assert_array_equal(read_photograph(tmp_path / name, 3, 1)[0, :, 0], [0, 1, 254])


# How a camera's sensor lay, for each number of EXIF: what undoes it.
TURNS = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.swapaxes(0, 1),
    6: np.rot90,
    7: lambda seen: np.rot90(seen, 2).swapaxes(0, 1),
    8: lambda seen: np.rot90(seen, -1),
}


def turned(path, seen, orientation):
    """Save a photograph as a camera would that was held so."""
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(np.ascontiguousarray(TURNS[orientation](seen))).save(path, exif=exif)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("shape", [(11, 7), (7, 7)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_photographs_are_upright(tmp_path, shape, orientation, kind):
    seen = np.asarray(noise(shape)) if kind == np.uint8 else np.asarray(noise(shape))[..., 0] * np.uint16(257)
    turned(tmp_path / "a.png", seen, orientation)
    expected = seen if kind == np.uint8 else np.dstack([seen // 257] * 3)
    assert_array_equal(read_photograph(tmp_path / "a.png", shape[1], shape[0]), expected)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_photographs_that_were_annotated_as_they_are_stored(tmp_path, orientation):
    seen = np.asarray(noise((11, 7)))
    turned(tmp_path / "a.png", seen, orientation)
    assert_array_equal(read_photograph(tmp_path / "a.png", 11, 7), TURNS[orientation](seen))
    with pytest.raises(scenes.OtherSizeError, match=r"^11 × 7 px, annotated as 11 × 8$"):
        read_photograph(tmp_path / "a.png", 11, 8)


@pytest.mark.parametrize("orientation", [0, 9, 65535, 3])
def test_orientations_that_there_are_not(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    photograph = noise((5, 7))
    photograph.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(photograph)[::-1, ::-1] if orientation == 3 else photograph
    assert_array_equal(read_photograph(tmp_path / "a.png", 7, 5), expected)


def test_scenes_of_turned_photographs_are_those_of_upright_ones(world, tmp_path):
    upright = world.load()
    for k, orientation in enumerate((6, 3, 8, 5)):
        path = world.images / f"{k:03}.png"
        turned(path, np.asarray(Image.open(path)), orientation)
    found = world.load(cache=tmp_path / "other")
    assert found.notes == ()
    assert found.identity == upright.identity
    assert_array_equal(found.objects, upright.objects)


def test_pictures_that_were_made_in_another_way_are_made_anew(world, monkeypatch):
    for module in (scenes, picture_cache):
        monkeypatch.setattr(module, "FORMAT", 2)
    world.load()
    monkeypatch.undo()
    world.load()
    assert len(list(world.cache.glob("pictures-*/images.npy"))) == len(list(world.cache.glob("index-*.parquet"))) == 2


@given(
    st.tuples(*[st.integers(1, 60)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.integers(1, 3000), st.integers(0, 9)
)
def test_pictures_whose_canvas_is_too_large_are_fitted_by_rows(shape, size, at_once, seed):
    photograph = noise(shape, seed)
    expected, _ = plain(photograph, [], size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_pictures, "AT_ONCE", at_once)
        patch.setattr(scene_pictures, "MOST_CANVAS", 0)
        found = fitted(np.asarray(photograph), size, 127).transpose(1, 2, 0)
    assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1)  # of two passes, either may come first


@pytest.mark.parametrize("shape", [(60, 20_000), (20_000, 60)])
def test_a_long_picture_takes_no_square_of_memory(shape):
    photograph = np.asarray(noise(shape))
    tracemalloc.start()
    small = fitted(photograph, (100, 100), 127)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # 1.2 GB as a square
    assert (small[:, 0, 0] == 127).all()
    assert small[:, 50, 50].max() > 0


@pytest.mark.parametrize(
    ("name", "stands_in"),
    [
        ("sub\\a.png", "sub/a.png"),
        ("sub\\a.png", "sub\\a.png"),  # a name of its own where names may hold it
        (".\\sub\\a.png", "sub/a.png"),
        ("./a.png", "a.png"),
        ("images/a.png", "a.png"),  # the folder's own name
        ("images\\sub\\a.png", "sub/a.png"),
        ("images/a.png", "images/a.png"),
        ("a..b.png", "a..b.png"),
    ],
)
def test_where_a_picture_is(tmp_path, name, stands_in):
    path = tmp_path / "images" / stands_in
    path.parent.mkdir(parents=True)
    path.touch()
    assert picture_path(tmp_path / "images", name) == path


def tiff(value, kind):
    return lambda path: Image.fromarray(np.full(SHAPES[2], value, kind)).save(path, "TIFF")


def link_to_a_pipe(path):
    os.mkfifo(path.parent / "pipe")
    path.symlink_to(path.parent / "pipe")


PAGE = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 30\n%%EndComments\nshowpage\n"  # another program would read it
CONTENTS = [b"", b"no image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", PAGE]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        *((functools.partial(Path.write_bytes, data=content), DAMAGED) for content in CONTENTS),
        *((tiff(*unknown), DAMAGED) for unknown in ((-1, np.int32), (1 << 16, np.int32), (0.5, np.float32))),
        *((make, IRREGULAR) for make in (os.mkfifo, Path.mkdir, link_to_a_pipe)),
        (lambda path: path.symlink_to("/dev/zero"), IRREGULAR),
    ],
)
def test_what_is_no_photograph_is_left_out(world, make, reason):
    path = world.images / "002.png"
    path.unlink()
    make(path)
    found = world.load()
    assert found.table["file_name"].tolist() == ["000.png", "001.png", "003.png"]
    assert found.notes == (f"1 image left out: {reason} (the first is 002.png)",)


def test_pillow_takes_the_page_for_an_image(tmp_path):
    (tmp_path / "a.png").write_bytes(PAGE)
    with Image.open(tmp_path / "a.png") as file:
        assert file.format == "EPS"


def test_links_in_the_folder_are_followed(world, tmp_path):
    before = world.load()
    (world.images / "002.png").rename(tmp_path / "elsewhere.png")
    (world.images / "002.png").symlink_to(tmp_path / "elsewhere.png")
    assert world.load().identity == before.identity


def test_a_changed_image_with_a_name_of_windows(world):
    world.rename([f"images\\00{k}.png" for k in range(4)])
    before = world.load()
    assert before.notes == ()
    noise(SHAPES[2], 99).save(world.images / "002.png")
    assert world.load().identity != before.identity


OUT = [
    *("../a.png", "..", "sub/../../a.png", "sub\\..\\..\\a.png", "/etc/passwd", "\\\\server\\a.png", "//a.png"),
    *("C:\\a.png", "c:a.png", "", ".", "images/../../a.png"),
]
ODD = {"\x1b[2J.png": r"'\x1b[2J.png'", "a\n.png": r"'a\n.png'", "a" * 300: "a" * 80 + " …", "\x00": r"'\x00'"}


@pytest.mark.parametrize(
    ("name", "reason", "shown"),
    [*((name, OUTSIDE, name) for name in OUT), *((name, "missing", shown) for name, shown in ODD.items())],
)
def test_names_that_lead_out_of_the_folder_or_that_a_terminal_would_obey(world, name, reason, shown):
    (world.images.parent / "a.png").touch()
    world.rename(["000.png", "001.png", name, "003.png"])
    found = world.load()
    assert found.table["file_name"].tolist() == ["000.png", "001.png", "003.png"]
    assert found.notes == (f"1 image left out: {reason} (the first is {shown})",)


@pytest.mark.parametrize("empty", [True, False])
def test_why_no_image_can_be_read(tmp_path, empty):
    world = World(tmp_path / "world", SHAPES[:2])
    (world.images / "001.png").unlink()
    if empty:
        (world.images / "000.png").unlink()
        because = "2 images left out: missing (the first is 000.png)"
    else:
        noise((21, 41)).save(world.images / "000.png")
        because = (
            f"1 image left out: missing (the first is 001.png); 1 image left out: {OTHER_SIZE} (the first is 000.png)"
        )
    with refused(
        f"images must be a folder with the images of instances.json, got {str(world.images)!r}, in which none of 2 can "
        f"be read ({because}); check the folder"
    ):
        world.load()


@pytest.mark.parametrize("most", [900, 1000])
def test_images_that_pillow_takes_for_bombs(world, monkeypatch, most):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)  # of more, it warns; of twice as many, it refuses them
    noise((50, 50)).save(world.images / "002.png")
    assert world.load().notes == (f"1 image left out: {DAMAGED} (the first is 002.png)",)


@given(st.tuples(*[st.integers(1, 700)] * 2), st.tuples(*[st.integers(1, 300)] * 2))
def test_the_canvas_holds_the_picture_in_its_middle(picture, size):
    top, left, height, width = canvas(picture, size)
    for before, inside, whole in ((top, picture[0], height), (left, picture[1], width)):
        assert before >= 0
        assert 0 <= whole - inside - 2 * before <= 1
    assert (top, left) == (0, 0) or 0 in {top, left}  # padded one way alone
    assert abs(height * size[1] - width * size[0]) <= max(size) / 2 + 1  # to the pixel the proportions of the input


@pytest.fixture(scope="module")
def coco(reference):
    folder = reference / "data" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no COCO at {folder}")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools, with NumPy 2
def test_the_real_scenes(coco, tmp_path):
    from pycocotools.coco import COCO

    file = coco / "annotations" / "instances.json"
    found = load_scenes(coco / "images", file, cache=tmp_path)
    known = COCO(str(file))
    assert (len(found), found.n_objects, found.size) == (81, 2, (100, 100))
    assert found.classes == SUPERCATEGORIES
    for k, row in enumerate(found.table.to_dict("records")):
        annotations = [known.anns[row[f"annotation_id_{n}"]] for n in range(2)]
        masks = [known.annToMask(annotation) for annotation in annotations]
        assert_plain(found, k, Image.open(coco / "images" / row["file_name"]), masks)
        names = [known.cats[annotation["category_id"]]["supercategory"] for annotation in annotations]
        assert [found.classes[label] for label in found.labels[k]] == names
    assert len(load_scenes(coco / "images", file, cache=tmp_path, n_objects=3, size=(20, 30))) < 81
    assert len(found.stimulus_set()) == 81


def test_what_scenes_say_of_themselves(world):
    found = world.load()
    assert (len(found), found.n_objects, found.size, found.notes) == (4, 2, (24, 24), ())
    assert found.classes == SUPERCATEGORIES
    assert found.table["image_id"].tolist() == [10, 11, 12, 13]
    assert found.table["file_name"].tolist() == ["000.png", "001.png", "002.png", "003.png"]
    assert found.table[["image_height", "image_width"]].to_numpy().tolist() == [list(shape) for shape in SHAPES]
    assert found.table["annotation_id_0"].tolist() == [0, 100, 200, 300]
    assert found.table["annotation_id_1"].tolist() == [1, 101, 201, 301]
    assert found.table["category_0"].tolist() == ["car", "dog", "cat", "car"]
    assert found.table["area_0"].tolist() == [20 * 20, 40 * 10, 30 * 15, 21 * 20]
    animal, vehicle = SUPERCATEGORIES.index("animal"), SUPERCATEGORIES.index("vehicle")
    assert_array_equal(found.labels, [[vehicle, animal], [animal, animal], [animal, vehicle], [vehicle, animal]])
    assert found.labels.dtype == np.int64
    counts = class_counts(found.labels, found.classes)
    assert counts[counts > 0].to_dict() == {"animal": 5, "vehicle": 3}
    assert list(counts.index) == list(SUPERCATEGORIES)


def test_categories_as_labels(world):
    found = world.load(labels="category")
    assert found.classes == ("car", "cat", "dog")
    assert_array_equal(found.labels, [[0, 2], [2, 1], [1, 0], [0, 2]])
    assert_array_equal(found.images, world.load().images)


def test_supercategories_as_labels_where_there_are_none(world, monkeypatch):
    file = json.loads(world.annotations.read_text())
    del file["categories"][1]["supercategory"]
    world.annotations.write_text(json.dumps(file))
    assert world.load(labels="category").classes == ("car", "cat", "dog")
    monkeypatch.setattr(scenes, "read_photograph", never)
    with refused(
        "labels must be category for instances.json, a category of which has no supercategory, got 'supercategory'; "
        "take --labels category"
    ):
        world.load(size=(24, 25))


def test_three_objects(tmp_path):
    world = World(tmp_path / "world", n_objects=3)
    rule = Rule(least_area=0.01)
    found = world.load(n_objects=3, rule=rule)
    assert (found.n_objects, found.objects.shape, found.labels.shape) == (3, (4, 3, 3, 24, 24), (4, 3))
    for k, shape in enumerate(SHAPES):
        assert_plain(found, k, Image.open(world.images / f"{k:03}.png"), masks_of(shape, 3))
    two = world.load(rule=rule)  # the two largest of the three
    assert_array_equal(two.objects, found.objects[:, :2])
    assert two.identity != found.identity
    with pytest.raises(ValueError, match=r"^annotations must have an image with 3 objects"):
        world.load(n_objects=3)


def test_batches_are_fractions_of_255(world):
    white = np.full((*SHAPES[1], 3), 255, np.uint8)
    Image.fromarray(white).save(world.images / "001.png")
    found = world.load()
    chosen = np.array([3, 1, 1])
    for batch in (found.batch(chosen), found.batch(torch.from_numpy(chosen))):
        assert len(batch) == 3
        assert batch.images.dtype == batch.objects.dtype == torch.float32
        assert batch.labels.dtype == torch.int64
        for given_, values in ((found.images, batch.images), (found.objects, batch.objects)):
            assert_allclose(values.numpy(), given_[chosen].astype(np.float32) / np.float32(255), rtol=1.2e-7, atol=0)
            assert (values.min() >= 0, values.max().item()) == (True, 1.0)
        assert_array_equal(batch.labels.numpy(), found.labels[chosen])
    assert_array_equal(found.part(slice(1, 3)).images, found.batch(np.array([1, 2])).images)


@pytest.mark.parametrize(
    "chosen", [np.array([2, 0]), slice(1, None, 2), np.array([True, False, False, True]), np.array([], int)]
)
def test_some_of_the_scenes(world, chosen):
    found = world.load()
    part = found.select(chosen)
    numbers = np.arange(4)[chosen]
    assert len(part) == len(numbers)
    assert part.images is found.images
    assert part.table["image_id"].tolist() == (10 + numbers).tolist()
    assert list(part.table.index) == list(range(len(numbers)))
    assert_array_equal(part.labels, found.labels[numbers])
    if len(numbers):
        assert_array_equal(part.batch(np.arange(len(part))).objects, found.batch(numbers).objects)
        again = part.select(np.array([len(part) - 1]))
        assert again.table["image_id"].tolist() == [10 + numbers[-1]]


def test_scenes_as_stimuli(tmp_path):
    world = World(tmp_path / "world", n_objects=3)
    found = world.load(n_objects=3, rule=Rule(least_area=0.01)).select(np.array([2, 0]))
    stimuli = found.stimulus_set()
    batch = found.batch(np.arange(2))
    assert_array_equal(stimuli.images, batch.images)
    assert_array_equal(stimuli.objects, batch.objects)
    assert stimuli.n_objects == 3
    table = stimuli.table
    for k in range(3):
        assert_array_equal(table[f"label_{k}"], found.labels[:, k])
    # The largest is on the right; of the others, the third has its centre farther right than the second.
    assert table[["location_0", "location_1", "location_2"]].to_numpy().tolist() == [[2, 0, 1]] * 2
    assert table["image_id"].tolist() == [12, 10]
    assert not [name for name in table if name.startswith("counts")]


def test_locations_of_two_objects_are_those_of_their_boxes(world):
    shifted = json.loads(world.annotations.read_text())
    for annotation in shifted["annotations"]:
        if annotation["image_id"] == 11:  # mirror it: the largest comes to the left
            box = annotation["segmentation"][0]
            annotation["segmentation"] = [[20 - value if k % 2 == 0 else value for k, value in enumerate(box)]]
    world.annotations.write_text(json.dumps(shifted))
    table = world.load().stimulus_set().table
    assert table[["location_0", "location_1"]].to_numpy().tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]


@pytest.fixture
def damaged_world(tmp_path):
    """Three images are missing, another is cut, a fifth is of another size."""
    world = World(tmp_path / "world", SHAPES * 2)
    for k in (1, 5, 6):
        (world.images / f"00{k}.png").unlink()
    whole = (world.images / "002.png").read_bytes()
    (world.images / "002.png").write_bytes(whole[: len(whole) // 2])
    noise((21, 41)).save(world.images / "003.png")
    return world


def test_images_that_cannot_be_used_are_left_out_with_a_note_for_each_reason(damaged_world):
    world = damaged_world
    found = world.load()
    assert found.table["file_name"].tolist() == ["000.png", "004.png", "007.png"]
    notes = (
        "3 images left out: missing (the first is 001.png)",
        f"1 image left out: {DAMAGED} (the first is 002.png)",
        f"1 image left out: {OTHER_SIZE} (the first is 003.png)",
    )
    assert found.notes == notes
    assert_plain(found, 0, noise(SHAPES[0]), masks_of(SHAPES[0]))
    told = []
    tell_notes(found, told.append)
    assert told == [f"note: {note}" for note in notes]
    again = world.load()
    assert again.notes == found.notes
    assert_array_equal(again.rows, found.rows)


def test_scenes_after_one_that_is_left_out_keep_their_pictures(world):
    (world.images / "000.png").unlink()
    found = world.load()
    for k in (1, 2, 3):
        assert_plain(found, k - 1, noise(SHAPES[k], k), masks_of(SHAPES[k]))
    expected = plain(noise(SHAPES[1], 1), masks_of(SHAPES[1]), (24, 24))[0]
    batch = found.batch(np.array([0]))
    assert_allclose(batch.images[0].numpy().transpose(1, 2, 0), expected / np.float32(255), rtol=1.2e-7)


def test_notes_of_the_annotations_come_first(world):
    file = json.loads(world.annotations.read_text())
    file["annotations"][0] |= {"iscrowd": 1}
    file["annotations"][2] |= {"segmentation": []}
    world.annotations.write_text(json.dumps(file))
    (world.images / "003.png").unlink()
    for _ in range(2):  # made, and from the cache
        assert world.load().notes == (
            "1 left out: crowd regions (the first has id 0)",
            "1 left out: objects without a usable outline, as none is given (the first has id 100)",
            "1 image left out: missing (the first is 003.png)",
        )


def never(*_, **__):
    raise AssertionError("made again")


def test_everything_is_made_once(damaged_world, monkeypatch):
    world = damaged_world
    first = world.load()
    for name in ("scene", "read_annotations", "select_scenes"):
        monkeypatch.setattr(scenes, name, never)
    real = scenes.read_photograph

    def of_the_damaged(path, *size):  # they might be whole now
        assert path.name not in set(first.table["file_name"]), "made again"
        return real(path, *size)

    monkeypatch.setattr(scenes, "read_photograph", of_the_damaged)
    second = world.load()
    for name in ("images", "objects", "rows", "labels"):
        assert_array_equal(getattr(second, name), getattr(first, name))
    assert second.table.equals(first.table)
    assert (second.identity, second.notes, second.classes) == (first.identity, first.notes, first.classes)
    assert not second.images.flags.writeable
    assert isinstance(second.images, np.memmap)
    world.load(labels="category")  # of the same pictures
    with pytest.raises(AssertionError, match="made again"):
        world.load(size=(24, 25))


def test_an_index_is_made_once_for_a_rule(world, monkeypatch):
    first = load_index(world.annotations, world.cache)
    monkeypatch.setattr(scenes, "select_scenes", never)
    again = load_index(str(world.annotations), str(world.cache), Rule())
    assert again.objects.equals(first.objects)
    for rule in (Rule(n_objects=3), Rule(least_area=0.2), Rule(most_overlap=0.5)):
        with pytest.raises(AssertionError, match="made again"):
            load_index(world.annotations, world.cache, rule)
    world.annotations.write_text(world.annotations.read_text() + "\n")
    with pytest.raises(AssertionError, match="made again"):
        load_index(world.annotations, world.cache)


def test_the_users_cache_folder_is_the_default(world, monkeypatch, tmp_path):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "caches" / project)
    world.load(cache=None)
    assert len(list((tmp_path / "caches" / "neuroattn" / "scenes").glob("index-*.parquet"))) == 1
    assert not world.cache.exists()


@pytest.mark.parametrize("change", ["content", "time", "lost", "found"])
def test_a_changed_image_changes_the_pictures(world, change):
    path = world.images / "002.png"
    if change == "found":
        whole = path.read_bytes()
        path.unlink()
    before = world.load()
    first = np.array(before.images)
    if change == "content":
        noise(SHAPES[2], 99).save(path)
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "lost":
        path.unlink()
    else:
        path.write_bytes(whole)
    after = world.load()
    assert (after.identity != before.identity) == (change != "time")  # it is of the pixels
    assert len(after) - len(before) == {"lost": -1, "found": 1}.get(change, 0)
    assert_array_equal(before.images, first)  # those that are in use stay
    if change == "content":
        assert_plain(after, 2, noise(SHAPES[2], 99), masks_of(SHAPES[2]))


def contents(cache):
    """Return the bytes of all pictures of a cache, by name."""
    return {path.name: path.read_bytes() for path in cache.glob("pictures-*/*")}


@pytest.mark.parametrize("interrupted_at", [0, 1, 5, 10])
def test_making_goes_on_after_an_interrupt(tmp_path, monkeypatch, interrupted_at):
    monkeypatch.setattr(picture_cache, "BLOCK", 3)
    world = World(tmp_path / "world", SHAPES * 3)
    (world.images / "004.png").unlink()
    world.load(cache=tmp_path / "uninterrupted")
    whole = contents(tmp_path / "uninterrupted")
    assert len(whole) == 3
    real, read = scenes.read_photograph, []

    def interrupted(path, *size):
        if path.name == f"{interrupted_at:03}.png":
            raise KeyboardInterrupt
        return real(path, *size)

    def counted(path, *size):
        read.append(path.name)
        return real(path, *size)

    monkeypatch.setattr(scenes, "read_photograph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.load()
    monkeypatch.setattr(scenes, "read_photograph", counted)
    found = world.load()
    assert contents(world.cache) == whole
    assert len(found) == 11
    # What was whole before the interrupt is not made again.
    again = range(interrupted_at // 3 * 3, 12)
    assert sorted(read) == [f"{k:03}.png" for k in again if k != 4]


@pytest.mark.parametrize("anew", [False, True])
def test_making_goes_on_after_an_interrupt_before_the_first_picture(world, tmp_path, monkeypatch, anew):
    world.load(cache=tmp_path / "uninterrupted")
    if anew:
        world.load()
        spoil(next(world.cache.glob("pictures-*/images.npy")), "cut")
    real = np.lib.format.open_memmap

    def interrupted(path, mode, **options):  # the images are whole by then, and black
        if mode == "w+" and "objects" in Path(path).name:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt
        return real(path, mode, **options)

    monkeypatch.setattr("numpy.lib.format.open_memmap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.load()
    monkeypatch.undo()
    world.load()
    assert contents(world.cache) == contents(tmp_path / "uninterrupted")


def spoil(path, how):
    """Damage an array of the cache."""
    whole = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how in {"shape", "type"}:
        array = np.load(path)
        with path.open("wb") as file:
            np.save(file, array[:-1] if how == "shape" else array.astype(np.uint16))
    else:
        half, header = whole[: len(whole) // 2], whole.replace(b"'descr'", b"('descr'")
        path.write_bytes({"empty": b"", "cut": half, "other": b"PK\x03\x04", "header": header}[how])


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "other", "header", "shape", "type"])
@pytest.mark.parametrize("name", ["images", "objects", "state"])
@pytest.mark.parametrize("all_there", [True, False])
def test_damaged_pictures_are_made_anew(world, name, how, all_there):
    if not all_there:  # it is looked for again, with arrays that can be written
        (world.images / "001.png").unlink()
    notes, whole = world.load().notes, contents(world.cache)
    (path,) = world.cache.glob(f"pictures-*/{name}.npy")
    spoil(path, how)
    found = world.load()
    assert contents(world.cache) == whole
    assert found.notes == notes
    assert_plain(found, len(found) - 1, noise(SHAPES[3], 3), masks_of(SHAPES[3]))


def elsewhere(path, kind):
    """Put in place of a file of the cache what would have another one read or written."""
    victim = path.parent.parent / "victim"
    victim.write_bytes(path.read_bytes())
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(victim)
    return victim


@pytest.mark.parametrize("kind", ["pipe", "link"])
@pytest.mark.parametrize("name", ["images", "objects", "state"])
def test_a_poisoned_cache_is_made_anew(world, name, kind):
    (world.images / "001.png").unlink()  # what is missing has the arrays opened for writing
    world.load()
    whole = contents(world.cache)
    (path,) = world.cache.glob(f"pictures-*/{name}.npy")
    victim = elsewhere(path, kind)
    world.load()
    assert contents(world.cache) == whole
    assert not path.is_symlink()
    assert victim.read_bytes() == whole[path.name]


def test_making_anew_writes_through_no_link(world):
    world.load()
    (path,) = world.cache.glob("pictures-*/images.npy")
    (victim := world.cache / "victim").write_text("mine")
    path.with_suffix(".part").symlink_to(victim)
    spoil(path, "cut")
    world.load()
    assert victim.read_text() == "mine"


def test_pickles_in_the_cache_are_not_run(world):
    class Told:
        def __reduce__(self):
            return (Path.touch, (world.cache / "run",))

    world.load()
    for path in world.cache.glob("pictures-*/*.npy"):
        np.save(path, np.array([Told()] * 4, dtype=object), allow_pickle=True)
    (world.cache / "run").unlink(missing_ok=True)
    assert len(world.load()) == 4
    assert not (world.cache / "run").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [("counts", "0" * 900), ("counts", "o" * 900), ("image_height", 1 << 40), ("file_name", "../../instances.json")],
)
def test_a_poisoned_index_harms_nothing(world, column, value):
    index = load_index(world.annotations, world.cache)
    (path,) = world.cache.glob("index-*.parquet")
    index.objects.loc[index.objects["image_id"] == 11, column] = value
    write_index(index, path)
    if column == "counts":
        with pytest.raises(ValueError, match=r"^index must hold outlines of its images, got one where .*; remove"):
            world.load()
    else:
        assert world.load().table["image_id"].tolist() == [10, 12, 13]


@pytest.mark.process
def test_a_killed_process_leaves_the_cache_to_another(tmp_path):
    world = World(tmp_path / "world", SHAPES * 30)
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", TWO, str(world.images), str(world.annotations), str(world.cache)]
    process = subprocess.Popen([*command, str(killed), str(tmp_path)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while not list(world.cache.glob("pictures-*/state.npy")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert len(world.load()) == 120
    world.load(cache=tmp_path / "alone")
    assert contents(world.cache) == contents(tmp_path / "alone")


TWO = """
import hashlib, sys, time
from pathlib import Path
from neuroattn.stimuli.scenes import load_scenes
images, annotations, cache, start, other = sys.argv[1:]
Path(start).touch()
while not Path(other).exists():
    time.sleep(0.001)
found = load_scenes(images, annotations, size=(24, 24), cache=cache)
arrays = (found.images, found.objects)
print(len(found), found.identity, *(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays))
"""


@pytest.mark.process
def test_two_processes_at_once_make_one_right_cache(tmp_path):
    world = World(tmp_path / "world", SHAPES * 30)
    started = [str(tmp_path / name) for name in ("first", "second")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(world.images), str(world.annotations), str(world.cache), *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for files in (started, started[::-1])
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [err for _, err in answers] == ["", ""]
    alone = world.load(cache=tmp_path / "alone")
    arrays = (hashlib.sha256(part.tobytes()).hexdigest() for part in (alone.images, alone.objects))
    assert [out for out, _ in answers] == [" ".join(["120", alone.identity, *arrays]) + "\n"] * 2
    assert contents(world.cache) == contents(tmp_path / "alone")


def at_once(load):
    """Return what two threads get that load at the same time."""
    found, start = [], threading.Barrier(2)

    def run():
        start.wait(timeout=60)
        found.append(load())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    return found


def read_slowly(monkeypatch):
    """Let every photograph take its time; return the names of those that are read, as they are."""
    real, read = scenes.read_photograph, []

    def slow(path, *size):
        read.append(path.name)
        time.sleep(0.1)
        return real(path, *size)

    monkeypatch.setattr(scenes, "read_photograph", slow)
    return read


@pytest.mark.parametrize("damaged", [False, True])
def test_two_at_once_make_the_pictures_once(world, monkeypatch, damaged):
    load_index(world.annotations, world.cache)
    if damaged:
        world.load()
        spoil(next(world.cache.glob("pictures-*/images.npy")), "cut")
    read = read_slowly(monkeypatch)
    first, second = at_once(world.load)
    assert sorted(read) == ["000.png", "001.png", "002.png", "003.png"]
    assert_array_equal(first.images, second.images)
    assert_array_equal(first.objects, second.objects)
    for k, shape in enumerate(SHAPES):
        assert_plain(first, k, noise(shape, k), masks_of(shape))


def test_two_at_once_do_not_write_the_index_into_one_another(world, monkeypatch):
    chosen, within, most = threading.Barrier(2), [], []
    select, write = scenes.select_scenes, parquet.write_table

    def together(*args):
        index = select(*args)
        chosen.wait(timeout=60)
        return index

    def slow(table, where):
        within.append(where)
        most.append(len(within))
        time.sleep(0.1)
        write(table, where)
        within.remove(where)

    monkeypatch.setattr(scenes, "select_scenes", together)
    monkeypatch.setattr(parquet, "write_table", slow)
    found = at_once(lambda: load_index(world.annotations, world.cache))
    assert most == [1, 1]
    assert load_index(world.annotations, world.cache).objects.equals(found[0].objects)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels": "name"}, "labels must be one of supercategory, category, got 'name'"),
        ({"size": (0, 24)}, "size must be (y, x) px, each at least 1, got (0, 24)"),
        ({"size": (24,)}, "size must be (y, x) px, each at least 1, got (24,)"),
        ({"size": (24, 24, 3)}, "size must be (y, x) px, each at least 1, got (24, 24, 3)"),
        ({"n_objects": 1}, "n_objects must be at least 2, got 1"),
    ],
)
def test_arguments_that_are_refused(world, options, text):
    with refused(text):
        world.load(**options)
    assert not world.cache.exists()


def test_paths_that_are_refused(world, tmp_path):
    absent = tmp_path / "absent"
    with refused(f"images must be a folder, got {str(absent)!r}, which is none; name the folder of the images"):
        load_scenes(absent, world.annotations, cache=world.cache)
    with refused(f"annotations must be a file that can be read, got {str(absent)!r} (No such file or directory)"):
        load_scenes(world.images, absent, cache=world.cache)
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(ValueError, match=r"^cache must be a folder that can be written, got '.*taken.*' \(.+\)$"):
        load_scenes(world.images, world.annotations, cache=taken)
    with pytest.raises(ValueError, match=r"^cache must be a folder that can be written, got '.*inner' \(.+\)$"):
        load_scenes(world.images, world.annotations, cache=taken / "inner")


def test_a_damaged_index_in_the_cache_is_refused(world):
    world.load()
    (index,) = world.cache.glob("index-*.parquet")
    index.write_bytes(index.read_bytes()[:100])
    with refused(f"index must be a file of this package, got {str(index)!r}; remove it"):
        world.load()
    index.unlink()
    assert len(world.load()) == 4


def test_no_room_for_the_pictures(world, monkeypatch):
    load_index(world.annotations, world.cache)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(
        ValueError, match=r"^cache must have room for 0\.0 GiB of pictures, got '.*cache' with 0\.0 GiB"
    ):
        world.load()
    assert not contents(world.cache)
