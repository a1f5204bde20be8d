"""Which objects of a COCO file make scenes, against dense masks; and files that are not what they should be."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from pyarrow import parquet
from pycocotools import mask as pycoco

from neuroattn.stimuli.coco import (
    SUPERCATEGORIES,
    Annotation,
    Annotations,
    Image,
    Rule,
    decode_outline,
    dense_mask,
    read_annotations,
    read_index,
    select_scenes,
    write_index,
)

# Of pycocotools' own decoding, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CATEGORIES = [
    {"id": 1, "name": "dog", "supercategory": "animal"},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
    {"id": 3, "name": "cat", "supercategory": "animal"},
]
LEFT, RIGHT = [[0, 0, 8, 0, 8, 10, 0, 10]], [[12, 0, 20, 0, 20, 10, 12, 10]]  # of an image of 20 × 10
UNUSABLE = "objects without a usable outline"


def entry(number, segmentation, image=1, category=1, **other):
    given = {"id": number, "image_id": image, "category_id": category, "iscrowd": 0, "area": 80.0, "bbox": [0, 0, 9, 9]}
    return given | {"segmentation": segmentation} | other


def listed(number=1, width=20, height=10):
    return {"id": number, "file_name": f"{number}.png", "width": width, "height": height, "license": 3}


def written(folder, annotations, images=None, categories=None):
    content = {
        "info": {"year": 2017},
        "images": [listed()] if images is None else images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def scenes_of(path, rule=None):
    return select_scenes(read_annotations(path), rule or Rule())


def refused(text):
    return pytest.raises(ValueError, match=f"^{re.escape(text)}$")


def run_lengths(mask):
    """Return a mask as COCO's uncompressed run lengths: down the columns, the background first."""
    flat = np.concatenate([[0], mask.T.ravel(), [2]])
    ends = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], ends])).tolist()


def compressed(mask):
    return pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii")


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
            st.lists(st.lists(corner, min_size=3, max_size=5).map(lambda p: [c for xy in p for c in xy]), min_size=1)
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


@pytest.mark.parametrize(("area", "taken"), [(20.0, False), (20.001, True)])
def test_an_object_of_just_a_tenth_of_the_image_is_too_small(tmp_path, area, taken):
    path = written(tmp_path, [entry(1, LEFT), entry(2, RIGHT, area=area)])
    if taken:
        assert scenes_of(path).objects["annotation_id"].tolist() == [1, 2]
    else:
        with refused(
            "annotations must have an image with 2 objects, each larger than 10% of it, got none in instances.json; "
            "take fewer or smaller objects"
        ):
            scenes_of(path)


@pytest.mark.parametrize(("edge", "taken"), [(2, True), (3, False)])
def test_a_hundredth_of_the_image_may_be_covered_twice_and_no_pixel_more(tmp_path, edge, taken):
    over = [[8, 0, 20, 0, 20, 8, 8, 8], [7, 0, 8, 0, 8, edge, 7, edge]]  # so many pixels of the left object
    third = [[12, 8, 20, 8, 20, 10, 12, 10]]
    path = written(tmp_path, [entry(1, LEFT), entry(2, over, area=60), entry(3, third, area=30)])
    if taken:
        assert scenes_of(path).objects["annotation_id"].tolist() == [1, 2, 3]
    else:  # what comes after the object that is too much is not taken either
        with pytest.raises(ValueError, match=r"^annotations must have an image with 2 objects"):
            scenes_of(path)


def test_pixels_covered_twice_add_up_over_the_objects(tmp_path):
    ones = [[[0, 0, 6, 0, 6, 10, 0, 10]], [[5, 9, 12, 9, 12, 10, 5, 10]], [[11, 8, 18, 8, 18, 10, 11, 10]]]
    annotations = [entry(k, outline, area=90 - k) for k, outline in enumerate(ones)]
    assert scenes_of(written(tmp_path, annotations)).objects["annotation_id"].tolist() == [0, 1, 2]
    again = entry(9, [[17, 7, 20, 7, 20, 10, 17, 10]], area=50)  # two pixels more, each of them in one object alone
    assert scenes_of(written(tmp_path, [*annotations, again])).objects["annotation_id"].tolist() == [0, 1, 2]


def test_objects_of_equal_area_keep_the_order_of_the_file(tmp_path):
    path = written(tmp_path, [entry(5, RIGHT, category=7), entry(2, LEFT, category=3)])
    objects = scenes_of(path).objects
    assert objects["annotation_id"].tolist() == [5, 2]
    assert objects["category"].tolist() == ["car", "cat"]
    assert objects["supercategory"].tolist() == ["vehicle", "animal"]
    assert objects["category_id"].tolist() == [7, 3]
    assert objects[["file_name", "image_width", "image_height"]].to_numpy().tolist() == [["1.png", 20, 10]] * 2


def test_every_large_object_whatever_else_is_there(tmp_path):
    path = written(tmp_path, [entry(1, LEFT), entry(2, LEFT, area=100), entry(3, RIGHT, area=15)])
    assert scenes_of(path, Rule(least_area=0.1, most_overlap=1, n_objects=1)).objects["annotation_id"].tolist() == [
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"least_area": -0.1}, "least_area must be in [0, 1], a fraction of the image, got -0.1"),
        ({"most_overlap": 10}, "most_overlap must be in [0, 1], a fraction of the image, got 10"),
        ({"least_area": float("nan")}, "least_area must be in [0, 1], a fraction of the image, got nan"),
        ({"n_objects": 0}, "n_objects must be at least 1, got 0"),
    ],
)
def test_rules_that_are_refused(change, text):
    with refused(text):
        Rule(**change)


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
        raw = msgspec.Raw(json.dumps(known["segmentation"]).encode())
        outline = decode_outline(Annotation(id=1, image_id=1, category_id=1, segmentation=raw), image)
        assert_array_equal(dense_mask(outline), pycoco_file.annToMask(known))


def decoded(segmentation, height=10, width=20):
    raw = msgspec.Raw(json.dumps(segmentation).encode())
    annotation = Annotation(id=1, image_id=1, category_id=1, segmentation=raw)
    outline = decode_outline(annotation, Image(id=1, file_name="1.png", width=width, height=height))
    if outline is None:
        return None
    assert_array_equal(dense_mask(outline), pycoco.decode(outline))
    return dense_mask(outline)


@pytest.mark.parametrize("form", ["polygons", "runs", "compressed"])
def test_the_three_forms_of_outlines(form):
    mask = np.zeros((10, 20), np.uint8)
    mask[2:7, 3:9] = mask[1:3, 12:20] = 1
    segmentation = {
        "polygons": [[3, 2, 9, 2, 9, 7, 3, 7], [12, 1, 20, 1, 20, 3, 12, 3]],
        "runs": {"size": [10, 20], "counts": run_lengths(mask)},
        "compressed": {"size": [10, 20], "counts": compressed(mask)},
    }[form]
    assert_array_equal(decoded(segmentation), mask)


@given(st.lists(st.integers(1, 50_000), min_size=2, max_size=30), st.booleans())
def test_compressed_run_lengths_of_any_length(runs, object_first):
    runs = [0, *runs] if object_first else runs
    packed = pycoco.frPyObjects({"size": [1, sum(runs)], "counts": runs}, 1, sum(runs))["counts"].decode("ascii")
    mask = np.repeat(np.arange(len(runs)) % 2, runs)
    assert_array_equal(decoded({"size": [1, sum(runs)], "counts": packed}, 1, sum(runs))[0], mask)


LETTERS = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)


@settings(max_examples=300)
@given(
    st.one_of(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
            lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
        ),
        st.lists(st.lists(st.floats(-1e6, 1e6) | st.integers(-20, 40), max_size=10), max_size=3),
        st.builds(lambda counts: {"size": [10, 20], "counts": counts}, st.one_of(LETTERS, st.text(max_size=9))),
        st.builds(lambda counts: {"size": [10, 20], "counts": counts}, st.lists(st.integers(-9, 200), max_size=9)),
    )
)
def test_whatever_a_file_says_is_an_outline_or_none(segmentation):
    mask = decoded(segmentation)
    assert mask is None or (mask.shape == (10, 20) and mask.any())


@given(st.integers(0, 40), st.characters(min_codepoint=48, max_codepoint=111))
def test_a_damaged_letter_of_compressed_run_lengths(place, letter):
    mask = np.zeros((10, 20), bool)
    mask[2:7, 3:9] = mask[1:3, 12:20] = True
    whole = compressed(mask)
    damaged = whole[: place % len(whole)] + letter + whole[place % len(whole) + 1 :]
    found = decoded({"size": [10, 20], "counts": damaged})
    assert found is None or found.any()
    assert decoded({"size": [10, 20], "counts": whole[: place % len(whole)]}) is None


TWENTY = {"size": [10, 20]}


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        "text",
        5,
        [],
        {},
        [[]],
        [[0, 0, 9, 9]],  # too short
        [LEFT[0], [0, 0, 9, 9]],
        [[0, 0, 9, 0, 9, 9, 0]],  # odd
        [[3, 3, 3, 3, 3, 3]],  # nothing inside
        [[-9, -9, -5, -9, -5, -5]],  # outside
        [[0, 0, 1e5, 0, 5, 5]],  # far outside: pycocotools takes memory for every pixel of the line
        [[0, 0, -1e5, 0, 5, 5]],
        [[0, 0, 9, 0, 9, None]],
        [["a", "b", "c", "d", "e", "f"]],
        [{"size": [10, 20], "counts": [0, 200]}],
        TWENTY,
        {"counts": [0, 200]},
        {"size": [20, 10], "counts": [0, 200]},  # size of another image
        {"size": [10, 20, 1], "counts": [0, 200]},
        {"size": 200, "counts": [0, 200]},
        TWENTY | {"counts": [0, 100]},  # too few pixels
        TWENTY | {"counts": [0, 300]},  # too many
        TWENTY | {"counts": [200]},  # background alone
        TWENTY | {"counts": []},
        TWENTY | {"counts": [0, -100, 300]},
        TWENTY | {"counts": [0.5, 199.5]},
        TWENTY | {"counts": [[0], [200]]},
        TWENTY | {"counts": None},
        TWENTY | {"counts": ""},
        TWENTY | {"counts": "ä"},
        TWENTY | {"counts": "0 "},
        TWENTY | {"counts": "pX6"},  # letters that none of these outlines has
        TWENTY | {"counts": "0X6o"},  # ends within a number
        TWENTY | {"counts": "0X61"},  # all of the image, and a pixel of background beyond it
    ],
)
@pytest.mark.parametrize("area", [80, None])
def test_objects_without_a_usable_outline_are_counted(tmp_path, segmentation, area):
    good = [entry(1, LEFT), entry(2, RIGHT)]
    bad = [entry(3, LEFT, 2), entry(4, segmentation, 2, area=area)]
    index = scenes_of(written(tmp_path, good + bad, [listed(1), listed(2)]))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.notes == (f"1 left out: {UNUSABLE} (the first has id 4)",)


def test_compressed_run_lengths_by_hand():
    assert decoded(TWENTY | {"counts": "0X6"}).all()  # 200 = 6 · 32 + 8, of which 8 comes first and says that 6 follows


def test_an_object_without_an_outline_does_not_keep_others_from_their_scene(tmp_path):
    index = scenes_of(written(tmp_path, [entry(3, [], area=150), entry(1, LEFT), entry(2, RIGHT), entry(4, None)]))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.objects["rank"].tolist() == [0, 1]
    assert index.notes == (f"2 left out: {UNUSABLE} (the first has id 3)",)


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


@pytest.mark.parametrize("no", [None, False, 0])
def test_ways_to_say_that_an_object_is_no_crowd(tmp_path, no):
    annotations = [entry(1, LEFT, iscrowd=no), entry(2, RIGHT, iscrowd=no), entry(3, LEFT, iscrowd=True)]
    index = scenes_of(written(tmp_path, annotations))
    assert index.objects["annotation_id"].tolist() == [1, 2]
    assert index.notes == ("1 left out: crowd regions (the first has id 3)",)


def test_the_real_supercategories_are_the_twelve(real):
    annotations = read_annotations(real)
    assert {category.supercategory for category in annotations.categories.values()} == set(SUPERCATEGORIES)
    assert len(annotations.classes("category")) == 80


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\x89PNG",
        b'{"images": [], "annotations": []}',
        b'{"images": [], "categories": []}',
        b'{"annotations": [], "categories": []}',
        b'{"images": {}, "annotations": [], "categories": []}',
        b'{"images": [{"id": 1}], "annotations": [], "categories": []}',
        b'{"images": [], "annotations": [{"id": 1, "image_id": 1}], "categories": []}',
        b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "category_id": "x"}], "categories": []}',
        b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "area": NaN}], "categories": []}',
        b'{"images": [], "annotations": [], "categories": [{"id": 1}]}',
        b'{"images": [], "annotations": [], "categories": [{"id": null, "name": "dog"}]}',
        b'{"images": [], "categories": [], "annotations": [], "info": ' + b"[" * 100_000,
        b'{"images": [{"id": 1, "file_name": "\xff", "width": 1, "height": 1}], "annotations": [], "categories": []}',
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


def test_a_file_without_objects(tmp_path):
    with pytest.raises(ValueError, match=r"^annotations must have an image with 2 objects"):
        scenes_of(written(tmp_path, []))


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
    assert annotations.images[1] == Image(id=1, file_name="1.png", width=20, height=10)
    assert annotations.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    # What was left out when reading is not counted again by a second choice.
    first, second = (select_scenes(annotations, replace(Rule(), n_objects=n)) for n in (1, 2))
    assert first.notes == second.notes == ("1 left out: crowd regions (the first has id 3)",)
