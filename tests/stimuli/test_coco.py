"""Which objects of a COCO file make scenes, against dense masks; and files that are not what they should be."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from pyarrow import parquet
from pycocotools import mask as pycoco
from stimulus_files import CATEGORIES, compressed, refused, run_lengths

from neuroattn.stimuli.coco import (
    SUPERCATEGORIES,
    Annotations,
    Rule,
    read_annotations,
    read_index,
    select_scenes,
    write_index,
)
from neuroattn.stimuli.outlines import decode_outline, dense_mask

# Of pycocotools' own decoding, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LEFT, RIGHT = [[0, 0, 8, 0, 8, 10, 0, 10]], [[12, 0, 20, 0, 20, 10, 12, 10]]  # of an image of 20 × 10
UNUSABLE = "objects without a usable outline"


def entry(number, segmentation, image=1, category=1, **other):
    given = {"id": number, "image_id": image, "category_id": category, "iscrowd": 0, "area": 80.0, "bbox": [0, 0, 9, 9]}
    return given | {"segmentation": segmentation} | other


def listed(number=1, width=20, height=10):
    return {"id": number, "file_name": f"{number}.png", "width": width, "height": height, "license": 3}


def written(folder, annotations, images=None, categories=None):
    path = folder / "instances.json"
    content = {"images": images or [listed()], "annotations": annotations, "categories": categories or CATEGORIES}
    path.write_text(json.dumps(content | {"info": {"year": 2017}}))
    return path


def scenes_of(path, rule=None):
    return select_scenes(read_annotations(path), rule or Rule())


def chosen_densely(shape, objects, rule):
    """Return the numbers of the objects that the rule takes, from their (area, mask)."""
    least, most = Fraction(str(rule.least_area)), Fraction(str(rule.most_overlap))
    pixels = shape[0] * shape[1]
    large = [k for k, (area, _) in enumerate(objects) if Fraction(area) > least * pixels]
    covered = np.zeros(shape, int)
    taken = []
    for k in sorted(large, key=lambda k: -objects[k][0]):
        covered += objects[k][1]
        if np.sum(covered > 1) > most * pixels:
            break
        taken.append(k)
    return taken if len(taken) >= rule.n_objects else []


@st.composite
def objects_in(draw, shape):
    """Draw an object as (area or None, mask, segmentation)."""
    height, width = shape
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(x + 1, width)), draw(st.integers(y + 1, height))
    mask = np.zeros(shape, int)
    mask[y:bottom, x:right] = 1
    form = draw(st.sampled_from(["rectangle", "polygons", "runs", "compressed"]))
    if form == "rectangle":
        segmentation = [[x, y, right, y, right, bottom, x, bottom]]
    elif form == "polygons":
        corner = st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32))
        segmentation = draw(
            st.lists(
                st.lists(corner, min_size=3, max_size=5).map(lambda p: [c for xy in p for c in xy]), min_size=1
            ).filter(lambda polygons: max(map(max, polygons)) > 1)  # else they are fractions of the image
        )
        mask = pycoco.decode(pycoco.frPyObjects(segmentation, height, width)).max(axis=2).astype(int)
    else:
        mask ^= draw(st.booleans())
        packed = run_lengths(mask) if form == "runs" else compressed(mask)
        segmentation = {"size": [height, width], "counts": packed}
    said = st.one_of(
        st.none(), st.just(int(mask.sum())), st.integers(1, height * width), st.floats(0.5, height * width)
    )
    area = draw(said) if mask.any() else None
    return area, mask, segmentation


@st.composite
def files(draw):
    """Draw images with objects as {image id: (shape, objects)}, and a rule."""
    shapes = draw(st.lists(st.sampled_from([(10, 10), (10, 20), (25, 8), (7, 13)]), min_size=1, max_size=3))
    images = {11 * k: (shape, draw(st.lists(objects_in(shape), max_size=6))) for k, shape in enumerate(shapes)}
    numbers = draw(st.sampled_from([(0.1, 0.01), (0.1, 0.0), (0.05, 0.1), (0.3, 0.4), (0.0, 1.0)]))
    return images, Rule(least_area=numbers[0], most_overlap=numbers[1], n_objects=draw(st.integers(1, 3)))


@pytest.mark.slow
@given(files())
def test_the_rule_is_that_of_dense_masks(tmp_path_factory, drawn):
    images, rule = drawn
    annotations, expected, empty = [], {}, 0
    for image_id, (shape, objects) in images.items():
        known = []
        for area, mask, segmentation in objects:
            annotations.append(entry(1000 + len(annotations), segmentation, image_id, area=area))
            if mask.any():
                known.append((mask.sum().item() if area is None else area, mask, annotations[-1]["id"]))
            else:
                empty += 1
        taken = chosen_densely(shape, [(area, mask) for area, mask, _ in known], rule)
        if taken:
            expected[image_id] = [(known[k][2], known[k][0], known[k][1]) for k in taken]
    listing = [listed(image_id, shape[1], shape[0]) for image_id, (shape, _) in images.items()]
    path = written(tmp_path_factory.mktemp("drawn"), annotations, listing)
    if not expected:
        with pytest.raises(ValueError, match=r"^annotations must have an image with"):
            scenes_of(path, rule)
        return
    index = scenes_of(path, rule)
    found = dict(list(index.objects.groupby("image_id")))
    assert {image_id: part["annotation_id"].tolist() for image_id, part in found.items()} == {
        image_id: [number for number, *_ in objects] for image_id, objects in expected.items()
    }
    assert index.n_scenes == len(expected)
    assert sum(int(note.split()[0]) for note in index.notes) == empty
    for image_id, part in found.items():
        assert part["rank"].tolist() == list(range(len(part)))
        assert part["area"].tolist() == [area for _, area, _ in expected[image_id]]
        for counts, (_, _, mask) in zip(part["counts"], expected[image_id], strict=True):
            assert_array_equal(pycoco.decode({"size": list(mask.shape), "counts": counts}), mask)


FEW = "annotations must have an image with 2 objects, each larger than 10% of it, got none in instances.json"
FEWER = "take fewer or smaller objects"


def box(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def over(edge):
    """Return an object that shares so many pixels with the left one, and what is left of the right one."""
    return entry(2, [*box(8, 0, 20, 8), *box(7, 0, 8, edge)], area=60), entry(3, box(12, 8, 20, 10), area=30)


TOUCHING = [
    entry(k, box(*place), area=90 - k) for k, place in enumerate([(0, 0, 6, 10), (5, 9, 12, 10), (11, 8, 18, 10)])
]


@pytest.mark.parametrize(
    ("annotations", "taken"),
    [
        ([entry(1, LEFT), entry(2, RIGHT, area=20.001)], [1, 2]),
        ([entry(1, LEFT), entry(2, RIGHT, area=20.0)], None),  # just a tenth of the image is too small
        ([entry(1, LEFT), *over(2)], [1, 2, 3]),
        ([entry(1, LEFT), *over(3)], None),  # more than a hundredth is covered twice; what comes after it falls, too
        (TOUCHING, [0, 1, 2]),
        ([*TOUCHING, entry(9, box(17, 7, 20, 10), area=50)], [0, 1, 2]),  # pixels that are covered twice add up
        ([entry(5, RIGHT), entry(2, LEFT)], [5, 2]),  # of equal area, the order of the file
        *(([entry(1, LEFT, iscrowd=no), entry(2, RIGHT, iscrowd=no)], [1, 2]) for no in (None, False, 0)),
        *(([entry(3, LEFT, iscrowd=yes), entry(1, LEFT), entry(2, RIGHT)], [1, 2]) for yes in (True, 1)),
        ([], None),
    ],
)
def test_which_objects_are_taken(tmp_path, annotations, taken):
    path = written(tmp_path, annotations)
    if taken is None:
        with pytest.raises(ValueError, match=f"^{re.escape(FEW)}.*; {FEWER}$"):
            scenes_of(path)
    else:
        assert scenes_of(path).objects["annotation_id"].tolist() == taken


def test_what_is_said_of_objects(tmp_path):
    path = written(tmp_path, [entry(5, RIGHT, category=7), entry(2, LEFT, category=3)])
    objects = scenes_of(path).objects
    columns = ["file_name", "image_width", "image_height", "category", "supercategory", "category_id"]
    assert objects[columns].to_numpy().tolist() == [
        ["1.png", 20, 10, "car", "vehicle", 7],
        ["1.png", 20, 10, "cat", "animal", 3],
    ]


def test_every_large_object_whatever_else_is_there(tmp_path):
    path = written(tmp_path, [entry(1, LEFT), entry(2, LEFT, area=100), entry(3, RIGHT, area=15)])
    rule = Rule(least_area=0.1, most_overlap=1, n_objects=1)
    assert scenes_of(path, rule).objects["annotation_id"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("least_area", -0.1, "in [0, 1], a fraction of the image"),
        ("most_overlap", 10, "in [0, 1], a fraction of the image"),
        ("least_area", float("nan"), "in [0, 1], a fraction of the image"),
        ("n_objects", 0, "at least 1"),
    ],
)
def test_rules_that_are_refused(name, value, allowed):
    with refused(f"{name} must be {allowed}, got {value}"):
        Rule(**{name: value})


@pytest.fixture(scope="module")
def real(reference):
    path = reference / "data" / "coco" / "annotations" / "instances.json"
    if not path.is_file():
        pytest.skip(f"no COCO annotations at {path}")
    return path


@pytest.fixture(scope="module")
def pycoco_file(real):
    from pycocotools.coco import COCO

    return COCO(str(real))


def test_the_scenes_of_the_real_file(real, pycoco_file):
    index = scenes_of(real)
    assert (index.n_scenes, len(index.objects)) == (81, 179)
    assert (index.annotations, index.sha256) == (real.name, hashlib.sha256(real.read_bytes()).hexdigest())
    crowds = [number for number, annotation in pycoco_file.anns.items() if annotation["iscrowd"]]
    assert index.notes == (f"{len(crowds)} left out: crowd regions (the first has id {crowds[0]})",)
    expected = {}
    for image_id, listed_objects in pycoco_file.imgToAnns.items():
        image = pycoco_file.imgs[image_id]
        shape = (image["height"], image["width"])
        large = [a for a in listed_objects if not a["iscrowd"] and a["area"] * 10 > shape[0] * shape[1]]
        masks = [(a["area"], pycoco_file.annToMask(a)) for a in large]
        if taken := chosen_densely(shape, masks, Rule()):
            expected[image_id] = [large[k]["id"] for k in taken]
    assert index.objects.groupby("image_id")["annotation_id"].agg(list).to_dict() == expected


def test_outlines_and_boxes_of_the_real_file_are_those_of_pycocotools(real, pycoco_file):
    annotations = read_annotations(real)
    for row in scenes_of(real).objects.to_dict("records"):
        outline = {"size": [row["image_height"], row["image_width"]], "counts": row["counts"].encode("ascii")}
        known = pycoco_file.anns[row["annotation_id"]]
        assert_array_equal(dense_mask(outline), pycoco_file.annToMask(known))
        assert_array_equal(pycoco.toBbox(outline), pycoco.toBbox(pycoco_file.annToRLE(known)))
        assert row["area"] == known["area"]
        assert row["category"] == pycoco_file.cats[known["category_id"]]["name"]
    crowds = [known for known in pycoco_file.anns.values() if known["iscrowd"]]
    for known in crowds:  # the real run lengths, which scenes have no use for
        image = annotations.images[known["image_id"]]
        outline = decode_outline(json.dumps(known["segmentation"]).encode(), image.height, image.width)
        assert_array_equal(dense_mask(outline), pycoco_file.annToMask(known))


@pytest.mark.parametrize("area", [80, 0.4, None])
@pytest.mark.parametrize(
    ("segmentation", "cause"),
    [
        (None, "none is given"),
        ("text", "it is in none of COCO's forms"),
        ([[0, 0, 9, 9]], "its polygons have fewer than three points"),
        ({"size": [10, 20], "counts": [0, 0, 200]}, "it has runs of length zero"),
        ([[0.1, 0.1, 0.9, 0.1, 0.5, 1]], "its coordinates are fractions of the image, not px"),
    ],
)
def test_objects_without_a_usable_outline_are_counted(tmp_path, segmentation, cause, area):
    good = [entry(1, LEFT), entry(2, RIGHT)]
    bad = [entry(3, LEFT, 2), entry(5, RIGHT, 2), entry(4, segmentation, 2, area=area), entry(6, LEFT, iscrowd=1)]
    index = scenes_of(written(tmp_path, good + bad, [listed(1), listed(2)]))
    assert index.objects["annotation_id"].tolist() == [1, 2, 3, 5]
    assert index.notes == (
        "1 left out: crowd regions (the first has id 6)",
        f"1 left out: {UNUSABLE}, as {cause} (the first has id 4)",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": []}, f"{UNUSABLE}, as none is given"),
        ({"area": 0}, "objects without an area"),
        ({"iscrowd": 1}, "crowd regions"),
        (
            {"area": 0.4, "segmentation": [[0, 0, 0.4, 0, 0.4, 1]]},
            f"{UNUSABLE}, as its coordinates are fractions of the image, not px",
        ),
        ({"image_id": 9}, "annotations of images that the file does not list"),
    ],
)
def test_what_everything_was_left_out_for_is_told(tmp_path, change, reason):
    path = written(tmp_path, [entry(1, LEFT) | change, entry(2, RIGHT) | change])
    with refused(f"{FEW} (2 left out: {reason} (the first has id 1)); {FEWER}, or mend the file"):
        scenes_of(path)


def test_images_without_a_scene_for_their_overlap_are_counted(tmp_path):
    annotations = [entry(k, LEFT, image) for k, image in enumerate((1, 1, 2, 2, 3))] + [entry(9, LEFT, 3, iscrowd=1)]
    crowds = "1 left out: crowd regions (the first has id 9)"
    overlaps = "2 images left out: more than 1% covered twice (the first has id 1)"
    with refused(f"{FEW} ({crowds}; {overlaps}); {FEWER}, or mend the file"):
        scenes_of(written(tmp_path, annotations, [listed(k) for k in (1, 2, 3)]))


@pytest.mark.parametrize("what", ["images", "annotations", "categories", "image_id", "category_id"])
@pytest.mark.parametrize("number", [1 << 63, 1 << 64, 10**100])
def test_ids_that_no_table_can_hold(tmp_path, what, number):
    path = written(tmp_path, [entry(1, LEFT), entry(2, RIGHT)])
    content = json.loads(path.read_text())
    what, key = (what, "id") if what in content else ("annotations", what)
    content[what][0][key] = number
    path.write_text(json.dumps(content))
    with refused(
        f"annotations must be COCO instance annotations (images, annotations, categories), got {str(path)!r} "
        f"(Expected `int` <= 9223372036854775807 - at `$.{what}[0].{key}`); take an instances_*.json"
    ):
        read_annotations(path)


@pytest.mark.parametrize("number", [(1 << 63) - 1, -(1 << 63)])
def test_the_largest_ids(tmp_path, number):
    annotations = [entry(number, LEFT, number, number), entry(2, RIGHT, number, number)]
    categories = [{"id": number, "name": "dog", "supercategory": "animal"}]
    index = scenes_of(written(tmp_path, annotations, [listed(number)], categories))
    write_index(index, tmp_path / "index.parquet")
    assert read_index(tmp_path / "index.parquet").objects["annotation_id"].tolist() == [number, 2]


@pytest.mark.parametrize(
    "change",
    [{"name": ""}]
    + [{key: name} for key in ("name", "supercategory") for name in ("\x1b[31mdog", "dog\n", "\x9bdog", "d" * 201)],
    ids=repr,
)
def test_names_of_categories_that_cannot_be_shown(tmp_path, change):
    path = written(tmp_path, [entry(1, LEFT)], categories=[{"id": 1, "name": "dog"} | change])
    with refused(
        "annotations must have categories with names of 1 to 200 printable characters, got another for id 1 in "
        f"{str(path)!r}"
    ):
        read_annotations(path)


def test_an_object_without_an_outline_does_not_keep_others_from_their_scene(tmp_path):
    index = scenes_of(written(tmp_path, [entry(3, [], area=150), entry(1, LEFT), entry(2, RIGHT), entry(4, None)]))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.objects["rank"].tolist() == [0, 1]
    assert index.notes == (f"2 left out: {UNUSABLE}, as none is given (the first has id 3)",)


def test_a_missing_area_is_that_of_the_outline(tmp_path):
    without = entry(1, LEFT)
    del without["area"]
    small = entry(3, [[9, 0, 11, 0, 11, 10, 9, 10]], area=None)  # 20 of 200 pixels
    index = scenes_of(written(tmp_path, [without, entry(2, RIGHT, area=79), small]))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.objects["area"].tolist() == [80, 79]
    assert index.notes == ()


def test_what_cannot_be_chosen_is_counted_with_its_reason(tmp_path):
    annotations = [
        entry(1, LEFT),
        entry(2, RIGHT),
        entry(10, {"size": [10, 20], "counts": [0, 200]}, iscrowd=1),
        entry(11, LEFT, area=0),
        entry(12, LEFT, area=-5.0),
        entry(13, LEFT, image=99),
        entry(14, LEFT, category=99),
        entry(15, LEFT, image=2),
        entry(16, LEFT, image=3),
        entry(17, LEFT, iscrowd=1, image=99),
    ]
    images = [listed(1), listed(2, width=0), listed(3, width=10**6, height=10**6)]
    index = scenes_of(written(tmp_path, annotations, images))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.notes == (
        "2 left out: crowd regions (the first has id 10)",
        "2 left out: objects without an area (the first has id 11)",
        "1 left out: annotations of images that the file does not list (the first has id 13)",
        "1 left out: annotations of categories that the file does not list (the first has id 14)",
        "2 left out: annotations of images without a usable size (the first has id 15)",
    )


def test_classes(tmp_path):
    annotations = [entry(1, LEFT), entry(2, RIGHT)]
    index = scenes_of(written(tmp_path, annotations))
    assert index.classes == {"supercategory": SUPERCATEGORIES, "category": ("car", "cat", "dog")}
    assert len(SUPERCATEGORIES) == 12
    assert sorted(SUPERCATEGORIES) == list(SUPERCATEGORIES)
    own = [*CATEGORIES, {"id": 9, "name": "oak", "supercategory": "plant"}]
    index = scenes_of(written(tmp_path, annotations, categories=own))
    assert index.classes == {"supercategory": ("animal", "plant", "vehicle"), "category": ("car", "cat", "dog", "oak")}
    for labels in ("supercategory", "category"):
        assert index.class_names(labels) == index.classes[labels]


@pytest.mark.parametrize("bare", [{}, {"supercategory": None}, {"supercategory": ""}], ids=str)
@pytest.mark.parametrize("others", [[], CATEGORIES[1:]], ids=["alone", "among others"])
def test_categories_without_a_supercategory(tmp_path, bare, others):
    path = written(tmp_path, [entry(1, LEFT), entry(2, RIGHT)], categories=[{"id": 1, "name": "dog"} | bare, *others])
    write_index(scenes_of(path), tmp_path / "index.parquet")
    for index in (scenes_of(path), read_index(tmp_path / "index.parquet")):
        assert index.objects["category"].tolist() == ["dog", "dog"]
        assert index.class_names("category") == tuple(sorted(["dog", *(one["name"] for one in others)]))
        with refused(
            "labels must be category for instances.json, a category of which has no supercategory, got "
            "'supercategory'; take --labels category"
        ):
            index.class_names("supercategory")


def test_the_real_supercategories_are_the_twelve(real):
    annotations = read_annotations(real)
    assert {category.supercategory for category in annotations.categories.values()} == set(SUPERCATEGORIES)
    assert len(annotations.classes("category")) == 80


def file_of(images=b"[]", annotations=b"[]", categories=b"[]"):
    return b'{"images": %b, "annotations": %b, "categories": %b}' % (images, annotations, categories)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"\x89PNG"),
        *(file_of().replace(name, b"other") for name in (b"images", b"annotations", b"categories")),
        file_of(images=b"{}"),
        file_of(images=b'[{"id": 1}]'),
        file_of(images=b'[{"id": 1, "file_name": "\xff", "width": 1, "height": 1}]'),
        file_of(annotations=b'[{"id": 1, "image_id": 1}]'),
        file_of(annotations=b'[{"id": 1, "image_id": 1, "category_id": "x"}]'),
        file_of(annotations=b'[{"id": 1, "image_id": 1, "category_id": 1, "area": NaN}]'),
        file_of(categories=b'[{"id": 1}]'),
        file_of(categories=b'[{"id": null, "name": "dog"}]'),
        file_of()[:-1] + b', "info": ' + b"[" * 100_000,
    ],
    ids=range(18),
)
def test_files_that_are_no_annotations(tmp_path, content):
    path = tmp_path / "instances.json"
    path.write_bytes(content)
    text = f"annotations must be COCO instance annotations (images, annotations, categories), got {str(path)!r} ("
    with pytest.raises(ValueError, match=f"^{re.escape(text)}.+; take an instances_\\*.json$") as error:
        read_annotations(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "reason"), [("absent.json", "No such file or directory"), (".", "Is a directory")])
def test_files_that_cannot_be_read(tmp_path, name, reason):
    path = tmp_path / name
    with refused(f"annotations must be a file that can be read, got {str(path)!r} ({reason})"):
        read_annotations(path)


@pytest.mark.parametrize("what", ["image", "category", "annotation"])
def test_an_id_that_occurs_twice(tmp_path, what):
    images = [listed(1), listed(2)] + [listed(1)] * (what == "image")
    categories = CATEGORIES + CATEGORIES[:1] * (what == "category")
    annotations = [entry(1, LEFT), entry(2, RIGHT)] + [entry(2, LEFT)] * (what == "annotation")
    path = written(tmp_path, annotations, images, categories)
    with refused(f"annotations must have different {what} ids, got {str(path)!r} with one twice"):
        read_annotations(path)


@pytest.fixture
def index(tmp_path):
    annotations = [entry(1, LEFT), entry(2, RIGHT, category=7), entry(3, LEFT, iscrowd=1)]
    rule = Rule(least_area=0.2, most_overlap=0.02, n_objects=1)
    return scenes_of(written(tmp_path, annotations), rule)


def test_an_index_is_read_as_it_was_written(tmp_path, index):
    path = tmp_path / "index.parquet"
    write_index(index, path)
    again = read_index(path)
    assert_frame_equal(again.objects, index.objects)
    assert again.classes == index.classes
    assert again.rule == index.rule == Rule(least_area=0.2, most_overlap=0.02, n_objects=1)
    assert (again.annotations, again.sha256, again.notes) == (index.annotations, index.sha256, index.notes)
    assert again.notes == ("1 left out: crowd regions (the first has id 3)",)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["index.parquet", "instances.json"]


def test_an_index_is_written_through_no_link(tmp_path, index):
    (victim := tmp_path / "victim").write_text("mine")
    (tmp_path / "index.parquet.part").symlink_to(victim)
    write_index(index, tmp_path / "index.parquet")
    assert victim.read_text() == "mine"


def test_an_index_that_was_not_written_to_its_end_is_none(tmp_path, index, monkeypatch):
    def interrupted(table, where):
        Path(where).write_bytes(b"PAR1")
        raise KeyboardInterrupt

    monkeypatch.setattr("pyarrow.parquet.write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_index(index, tmp_path / "index.parquet")
    assert not (tmp_path / "index.parquet").exists()
    monkeypatch.undo()
    write_index(index, tmp_path / "index.parquet")
    assert_frame_equal(read_index(tmp_path / "index.parquet").objects, index.objects)


@pytest.mark.parametrize(
    "damage",
    [
        *("text", "empty", "cut", "foreign", "absent"),
        (b"notes", b"nodes"),
        (b"least_area", b"area"),
        (b'"least_area": 0.2', b'"least_area": 2'),
        (b'"classes": {', b'"classes": [{'),
        (b"vehicle", b"\xff"),
        (b"index_columns", b"columns"),
    ],
    ids=str,
)
def test_files_that_are_no_index(tmp_path, index, damage):
    path = tmp_path / "index.parquet"
    write_index(index, path)
    whole = path.read_bytes()
    if damage == "text":
        path.write_text("index")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    elif damage == "absent":
        path.unlink()
    else:
        table = parquet.read_table(path)
        metadata = {key: value.replace(*damage) for key, value in table.schema.metadata.items()}
        parquet.write_table(table.replace_schema_metadata(metadata), path)
    with refused(f"index must be a file of this package, got {str(path)!r}; remove it"):
        read_index(path)


def test_annotations_hold_what_the_file_says(tmp_path):
    path = written(tmp_path, [entry(1, LEFT), entry(2, RIGHT), entry(3, LEFT, iscrowd=1)])
    annotations = read_annotations(path)
    assert isinstance(annotations, Annotations)
    assert annotations.left_out == {"crowd regions": [3]}
    assert [annotation.id for annotation in annotations.of_image[1]] == [1, 2]
    image = annotations.images[1]
    assert (image.id, image.file_name, image.width, image.height) == (1, "1.png", 20, 10)
    assert annotations.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    # What was left out when reading is not counted again by a second choice.
    first, second = (select_scenes(annotations, replace(Rule(), n_objects=n)) for n in (1, 2))
    assert first.notes == second.notes == ("1 left out: crowd regions (the first has id 3)",)
