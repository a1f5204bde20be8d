"""Outlines of every form against dense masks made without pycocotools; and those that must not reach it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pycocotools import mask as pycoco
from stimulus_files import compressed, run_lengths

from neuroattn.stimuli import outlines
from neuroattn.stimuli.outlines import OutlineError, decode_outline, dense_mask, stored_outline, usable_size

# Of pycocotools' own decoding, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BOX = [3, 2, 9, 2, 9, 7, 3, 7]
OTHER = [12, 1, 20, 1, 20, 3, 12, 3]
SIZE = {"size": [10, 20]}


def decoded(segmentation, height=10, width=20):
    outline = decode_outline(json.dumps(segmentation).encode(), height, width)
    assert_array_equal(dense_mask(outline), pycoco.decode(outline))
    assert stored_outline(height, width, outline["counts"].decode("ascii")) == outline
    return dense_mask(outline)


def unusable(text):
    return pytest.raises(OutlineError, match=f"^{text}$")


@pytest.fixture
def mask():
    both = np.zeros((10, 20), np.uint8)
    both[2:7, 3:9] = both[1:3, 12:20] = 1
    return both


@pytest.mark.parametrize("form", ["polygons", "points", "runs", "fractional", "compressed", "bytes"])
def test_the_forms_of_outlines(mask, form):
    packed = compressed(mask)
    segmentation = {
        "polygons": [BOX, OTHER],
        "points": [[BOX[k : k + 2] for k in range(0, 8, 2)], [OTHER[k : k + 2] for k in range(0, 8, 2)]],
        "runs": SIZE | {"counts": run_lengths(mask)},
        "fractional": SIZE | {"counts": [float(length) for length in run_lengths(mask)]},
        "compressed": SIZE | {"counts": packed},
        "bytes": SIZE | {"counts": str(packed.encode())},  # what a script writes that forgot to decode
    }[form]
    assert_array_equal(decoded(segmentation), mask)


@pytest.mark.parametrize("polygon", [BOX, [BOX[k : k + 2] for k in range(0, 8, 2)]], ids=["coordinates", "points"])
def test_a_polygon_alone(mask, polygon):
    mask[1:3, 12:20] = 0
    assert_array_equal(decoded(polygon), mask)


def test_bytes_as_python_shows_them_have_their_backslashes_doubled():
    place = np.arange(200).reshape(20, 10).T
    number, packed = next((n, text) for n in range(1, 200) if "\\" in (text := compressed(place < n)))
    assert "\\\\" in str(packed.encode())
    assert decoded(SIZE | {"counts": str(packed.encode())}).sum() == number


@pytest.mark.parametrize("splinter", [[], [3.0, 20.0], [0, 0, 9, 9]])
def test_a_splinter_drops_itself_alone(mask, splinter):
    assert_array_equal(decoded([splinter, BOX, splinter, OTHER]), mask)


def test_pixels_at_the_corner_are_no_fractions():
    assert decoded([[0, 0, 1, 0, 1, 1, 0, 1]]).sum() == 1


@given(st.lists(st.integers(1, 50_000), min_size=2, max_size=30), st.booleans())
def test_run_lengths_of_any_length(runs, object_first):
    runs = [0, *runs] if object_first else runs
    pixels = np.repeat(np.arange(len(runs)) % 2, runs)
    height, width = len(pixels) // 60_000 + 1, 60_000  # sides are bounded
    pixels = np.concatenate([pixels, np.zeros(height * width - len(pixels), int)])
    runs = run_lengths(pixels[:, None])
    assert_array_equal(decoded({"size": [height, width], "counts": runs}, height, width).T.ravel(), pixels)
    packed = pycoco.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"].decode("ascii")
    assert_array_equal(decoded({"size": [height, width], "counts": packed}, height, width).T.ravel(), pixels)


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.sampled_from([(3, 4), (1, 12), (12, 1), (2, 6)]))
def test_any_mask(pixels, shape):
    mask = np.array(pixels, np.uint8).reshape(shape)
    for counts in (run_lengths(mask), compressed(mask)):
        segmentation = {"size": list(shape), "counts": counts}
        if mask.any():
            assert_array_equal(decoded(segmentation, *shape), mask)
        else:
            with unusable("it covers no pixel"):
                decoded(segmentation, *shape)


def inside(corners, height, width):
    """Return where the middles of pixels are inside a polygon by the number of its edges to their right, and how far
    each is from the nearest edge."""
    y, x = np.mgrid[:height, :width] + 0.5
    within, nearest = np.zeros((height, width), bool), np.full((height, width), np.inf)
    for (x0, y0), (x1, y1) in itertools.pairwise([*corners, corners[0]]):
        across = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            within ^= across & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        along = np.clip(
            ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9), 0, 1
        )
        nearest = np.minimum(nearest, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    return within, nearest


CORNER = st.tuples(st.floats(-5, 25, width=32), st.floats(-5, 25, width=32))


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.lists(CORNER, min_size=3, max_size=6), min_size=1, max_size=40))
def test_polygons_cover_what_is_inside_one_of_them(polygons):
    expected, nearest = np.zeros((17, 19), bool), np.full((17, 19), np.inf)
    for corners in polygons:
        within, distance = inside(corners, 17, 19)
        expected |= within
        nearest = np.minimum(nearest, distance)
    try:
        found = decoded([[float(c) for corner in corners for c in corner] for corners in polygons], 17, 19) > 0
    except OutlineError:
        found = np.zeros((17, 19), bool)
    certain = nearest > 1  # drawn along a grid of fifths of a pixel
    assert_array_equal(found[certain], expected[certain])


LETTERS = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)


@settings(max_examples=300)
@given(
    st.one_of(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
            lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
        ),
        st.lists(st.lists(st.floats(-1e6, 1e6) | st.integers(-20, 40), max_size=10), max_size=3),
        st.lists(st.lists(st.lists(st.floats(-1e6, 1e6) | st.integers(-20, 40), max_size=3), max_size=5), max_size=3),
        st.builds(lambda counts: {"size": [10, 20], "counts": counts}, st.one_of(LETTERS, st.text(max_size=9))),
        st.builds(lambda counts: {"size": [10, 20], "counts": counts}, st.lists(st.integers(-9, 200), max_size=9)),
    )
)
def test_whatever_a_file_says_is_an_outline_or_none(segmentation):
    with contextlib.suppress(OutlineError):
        mask = decoded(segmentation)
        assert mask.shape == (10, 20)
        assert mask.any()


@given(st.integers(0, 40), st.characters(min_codepoint=48, max_codepoint=111))
def test_a_damaged_letter_of_compressed_run_lengths(place, letter):
    mask = np.zeros((10, 20), bool)
    mask[2:7, 3:9] = mask[1:3, 12:20] = True
    whole = compressed(mask)
    place %= len(whole)
    with contextlib.suppress(OutlineError):
        assert decoded(SIZE | {"counts": whole[:place] + letter + whole[place + 1 :]}).any()
    with pytest.raises(OutlineError, match=r"^its run lengths"):
        decoded(SIZE | {"counts": whole[:place]})


NOT_FILLING = "its run lengths do not fill the image"
DAMAGED = "its run lengths are damaged"
ZERO = "it has runs of length zero"


def counts(*given, **size):
    return [SIZE | size | {"counts": one} for one in given]


UNUSABLE = {
    "none is given": [None, [], [[]]],
    "it is in none of COCO's forms": [
        *("text", 5, {}, SIZE),
        [[0, 0, 9, 0, 9, None]],
        [["a", "b", "c", "d", "e", "f"]],
        [[True, 0, 9, 0, 9, 9]],
        [{"size": [10, 20], "counts": [0, 200]}],
        [[[3, 2, 1], [9, 2, 1], [9, 7, 1]]],
        {"counts": [0, 200]},
        *counts([0, 200], size=[10, 20, 1]),
        *counts([0, 200], size=200),
        *counts([[0], [200]], None, [0, 10**400]),
    ],
    "its polygons have fewer than three points": [[[0, 0, 9, 9]], [[0, 0], [9, 9]], [0, 0, 9, 9]],
    "a polygon ends within a point": [[[0, 0, 9, 0, 9, 9, 0]]],
    "its coordinates are fractions of the image, not px": [[[0.1, 0.1, 0.9, 0.1, 0.5, 1]]],
    "it covers no pixel": [[[3, 3, 3, 3, 3, 3]], [[-9, -9, -5, -9, -5, -5]], *counts([200])],  # the second is outside
    "it lies far outside the image": [[[0, 0, 1e5, 0, 5, 5]], [[0, 0, -1e5, 0, 5, 5]]],
    "its run lengths are of an image of another size": counts([0, 200], size=[20, 10]),
    NOT_FILLING: [
        *counts([0, 100], [0, 300], [], [0, -100, 300], [0.5, 199.5], [0, 10**30]),
        *counts("0X61"),  # all of the image, and a pixel of background beyond it
    ],
    ZERO: counts([0, 0, 200], [0, 200, 0], "00X6"),
    "it has more runs than pixels": counts([0] * 201 + [200]),
    DAMAGED: [
        *counts("", "ä", "0 "),
        *counts("0X6o"),  # ends within a number
        *counts("o" * 6 + "0"),  # a number of seven letters
        *counts("pX6"),  # a letter that there is not
    ],
}


@pytest.mark.parametrize(
    ("segmentation", "cause"),
    [(segmentation, cause) for cause, cases in UNUSABLE.items() for segmentation in cases],
    ids=lambda value: str(value)[:40],
)
def test_outlines_that_cannot_be_used(segmentation, cause):
    with unusable(cause):
        decode_outline(json.dumps(segmentation).encode(), 10, 20)


def test_compressed_run_lengths_by_hand():
    assert decoded(SIZE | {"counts": "0X6"}).all()  # 200 = 6 · 32 + 8, of which 8 comes first and says that 6 follows


@pytest.mark.parametrize(
    ("size", "usable"),
    [
        *[((1, 1), True), ((8192, 8192), True), ((1024, 65_535), True), ((65_535, 1024), True)],
        *[((0, 5), False), ((5, -1), False), ((8192, 8193), False), ((1, 65_536), False), ((2**70, 2**70), False)],
    ],
)
def test_sizes_of_images(size, usable):
    assert usable_size(*size) is usable


def zigzag(number, side):
    return [[value for k in range(number) for value in (side * (k % 2), side * k / number)]]


@pytest.mark.parametrize(
    ("segmentation", "size", "cause"),
    [
        (zigzag(20_000, 8191), (8192, 8192), "its polygons are too long"),
        ([BOX] * 100_000, (10, 20), "its polygons are too long"),
        ({"size": [8192, 8192], "counts": [1] * (1 << 20) + [1 << 25]}, (8192, 8192), "it has too many runs"),
        (SIZE | {"counts": "o" * 3_000_000 + "0"}, (10, 20), DAMAGED),
        ({"size": [8192, 8192], "counts": "o" * 3_000_000 + "0"}, (8192, 8192), DAMAGED),
        ({"size": [8192, 8192], "counts": "1" * 7_000_000}, (8192, 8192), DAMAGED),
    ],
    ids=["zigzag", "many polygons", "runs", "letters", "digits", "letters of a large image"],
)
def test_what_would_take_too_much_is_refused_at_once(segmentation, size, cause):
    given_ = json.dumps(segmentation).encode()
    start = time.process_time()
    with unusable(cause):
        decode_outline(given_, *size)
    assert time.process_time() - start < 3


def test_a_long_path_in_a_large_image_is_drawn():
    found = dense_mask(decode_outline(json.dumps(zigzag(60, 8191)).encode(), 8192, 8192))
    assert found.any()


def test_many_polygons_are_merged_as_few_are():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 90, (2000, 2))
    segmentation = [[x, y, x + 9, y, x + 9, y + 7, x, y + 7] for x, y in corners.tolist()]
    expected = np.zeros((100, 101), np.uint8)
    for x, y in corners:
        expected[y : y + 7, x : x + 9] = 1
    assert_array_equal(decoded(segmentation, 100, 101), expected)


NATIVE = """
import json, sys
from neuroattn.stimuli.outlines import OutlineError, decode_outline
height, width, segmentation = json.load(sys.stdin)
try:
    decode_outline(json.dumps(segmentation).encode(), height, width)
except OutlineError as error:
    print(error)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("height", "width", "segmentation", "cause"),
    [
        (10, 10, {"size": [10, 10], "counts": [0] * 200 + [45, 45, 10]}, "it has more runs than pixels"),
        (10, 10, {"size": [10, 10], "counts": [0] * 90 + [45, 45, 10]}, ZERO),
        (8192, 8192, zigzag(20_000, 8191), "its polygons are too long"),
        (10, 10, SIZE | {"size": [10, 10], "counts": "0" * 700}, "its run lengths are damaged"),
    ],
)
def test_the_process_lives(height, width, segmentation, cause):
    asked = json.dumps([height, width, segmentation])
    program = [sys.executable, "-c", NATIVE]
    answer = subprocess.run(program, input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr, answer.stdout) == (0, "", f"{cause}\n")


@pytest.mark.parametrize(
    ("size", "counts", "cause"),
    [
        ((10, 20), "0", NOT_FILLING),
        ((10, 20), "00X6", ZERO),
        ((10, 20), "0X6o", DAMAGED),
        ((20, 11), "0X6", NOT_FILLING),
        ((1 << 20, 1 << 20), "0X6", "it is of no image"),
    ],
)
def test_a_poisoned_index_does_not_reach_native_code(size, counts, cause):
    with unusable(f"index must hold outlines of its images, got one where {cause}; remove the index"):
        stored_outline(*size, counts)


def test_the_letters_of_a_run_are_bounded_by_the_size_of_images():
    # pycocotools leaves room for six letters a run; in the largest image, no four runs take all of it.
    assert outlines.MOST_PIXELS == 1 << 26
    assert 2 ** (5 * outlines.MOST_LETTERS - 1) > outlines.MOST_PIXELS
