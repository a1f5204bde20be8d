"""Scenes: photographs of several objects, as networks take them, from a COCO annotation file and a folder of images.

What is slow is done once and kept in a folder of one's own: the index (which images and objects), and the pictures
(decoded, padded, resized) as 8-bit arrays that are mapped, not read. Both say what they were made from, and another
annotation file, rule, size or folder of images has others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import PIL
from filelock import FileLock

from neuroattn.runs.folder import unwritable
from neuroattn.runs.local_path import local_path
from neuroattn.stimuli.coco import (
    LABELS,
    Rule,
    read_annotations,
    read_index,
    select_scenes,
    unreadable,
    write_index,
)
from neuroattn.stimuli.labelled import Labelled
from neuroattn.stimuli.outlines import stored_outline
from neuroattn.stimuli.picture_cache import (
    DAMAGED,
    DONE,
    FORMAT,
    IRREGULAR,
    MISSING,
    OTHER_SIZE,
    OUTSIDE,
    cached_pictures,
    files_digest,
    picture_path,
)
from neuroattn.stimuli.scene_pictures import UNREADABLE, OtherSizeError, read_photograph, scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from neuroattn.stimuli.coco import SceneIndex
    from neuroattn.stimuli.stimulus_set import StimulusSet

_REASONS = {
    MISSING: "missing",
    DAMAGED: "damaged, or not readable",
    OTHER_SIZE: "of another size than annotated",
    OUTSIDE: "with names that lead out of the folder",
    IRREGULAR: "not regular files",
}
_SHOWN = 80  # letters of a file's name


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scenes:
    """Scenes of an annotation file; their pictures are mapped from the cache, not in memory.

    Attributes
    ----------
    images
        (picture, 3, y, x) 8 bits.
    objects
        (picture, object, 3, y, x) 8 bits: each object alone on black, the largest first.
    rows
        (scene,) number of each scene's picture.
    labels, labels_are
        (scene, object) int64, numbers of classes, which are ``supercategory`` or ``category``.
    table
        One row a scene: ``image_id, file_name, image_width, image_height``, and ``annotation_id_k, category_k,
        supercategory_k, area_k, counts_k`` of object k.
    classes, category_ids
        Names of the classes, in the order of their numbers; name → id of every category of the annotation file.
    identity
        SHA-256 of what the scenes are: annotation file, rule, and every pixel.
    notes
        What was left out, a line for each reason.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> scenes = load_scenes(*write_synthetic_scenes(mkdtemp(), 5, seed=0), size=(60, 80), cache=mkdtemp())
    >>> scenes
    <Scenes: 5 of 3 × 60 × 80, 2 objects each, 6 of 12 supercategories>
    >>> scenes.batch([0, 3])
    <Labelled: 2 pictures of 3 × 60 × 80, 2 objects each, 3 classes, on cpu>
    """

    images: NDArray[np.uint8]
    objects: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    table: pd.DataFrame
    classes: tuple[str, ...]
    category_ids: dict[str, int]
    labels_are: str
    identity: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Count the scenes."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Return a line with sizes and numbers."""
        size, kinds = " × ".join(map(str, self.images.shape[1:])), LABELS[self.labels_are]
        shown = f"{np.unique(self.labels).size} of {len(self.classes)} {kinds}"
        return f"<Scenes: {len(self)} of {size}, {self.n_objects} objects each, {shown}>"

    @property
    def n_objects(self) -> int:
        """Objects of each scene."""
        return int(self.labels.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(y, x) px of the pictures."""
        return (self.images.shape[2], self.images.shape[3])

    def select(self, chosen: NDArray[Any] | slice) -> Scenes:
        """Return some of the scenes, of the same pictures."""
        return dataclasses.replace(
            self,
            rows=self.rows[chosen],
            labels=self.labels[chosen],
            table=self.table.iloc[np.arange(len(self))[chosen]].reset_index(drop=True),
        )

    def batch(self, chosen: NDArray[np.int64] | torch.Tensor, device: str | torch.device = "cpu") -> Labelled:
        """Return the scenes of these numbers as networks take them."""
        import torch

        number = np.asarray(chosen)
        rows = self.rows[number]
        images, objects = (
            torch.from_numpy(pictures[rows]).to(device) * (1 / 255) for pictures in (self.images, self.objects)
        )
        return Labelled(images=images, objects=objects, labels=torch.from_numpy(self.labels[number]).to(device))

    def part(self, rows: slice) -> Labelled:
        """Return some of the scenes as networks take them, on the CPU."""
        return self.batch(np.arange(len(self))[rows])

    def stimulus_set(self) -> StimulusSet:
        """Return the scenes as stimuli, in memory; ``location_k`` counts the objects' centres from the left."""
        from pycocotools import mask as outlines

        from neuroattn.stimuli.stimulus_set import StimulusSet

        pictures, centres, counts = self.part(slice(None)), [], [f"counts_{k}" for k in range(self.n_objects)]
        for name in counts:
            stored = zip(self.table["image_height"], self.table["image_width"], self.table[name], strict=True)
            boxes = [outlines.toBbox(stored_outline(*outline)) for outline in stored]
            centres.append([box[0] + box[2] / 2 for box in boxes])
        place = np.argsort(np.argsort(np.array(centres).T, axis=1, kind="stable"), axis=1)
        table = self.table.drop(columns=counts).assign(**pictures.table(place))
        return StimulusSet(pictures.images, pictures.objects, table)


def load_index(annotations: str | Path, cache: str | Path | None = None, rule: Rule | None = None) -> SceneIndex:
    """Return which scenes an annotation file has, from the cache if it has been asked before.

    Parameters
    ----------
    annotations
        COCO's instance annotations.
    cache
        Folder for what is kept; None: this package's in the user's cache folder.
    rule
        Which scenes; None: the paper's.

    Raises
    ------
    ValueError
        If the file is no annotation file or has no scene, or the cache cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> images, annotations = write_synthetic_scenes(mkdtemp(), 3, seed=0)
    >>> load_index(annotations, cache=mkdtemp()).n_scenes
    3
    """
    chosen, file = rule or Rule(), local_path("annotations", annotations)
    place = cache_folder(cache) / f"index-{_short(_sha256(file), dataclasses.asdict(chosen))}.parquet"
    if place.is_file():
        return read_index(place)
    index = select_scenes(read_annotations(file), chosen)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):  # two processes would write the same file beside the goal
            write_index(index, place)
    except OSError as error:
        raise unwritable(place.parent, error, "cache") from error
    return index


def load_scenes(
    images: str | Path,
    annotations: str | Path,
    *,
    size: tuple[int, int] = (100, 100),
    n_objects: int = 2,
    labels: str = "supercategory",
    cache: str | Path | None = None,
    rule: Rule | None = None,
) -> Scenes:
    """Return the scenes of a folder of images; what is not in the cache yet is made, with a progress bar.

    Making may be interrupted, and goes on; several processes may ask at once.

    Parameters
    ----------
    images, annotations
        Folder of the images, and COCO's instance annotations for them.
    size
        (y, x) px of the pictures.
    n_objects
        Objects a scene: its largest ones. Images with fewer accepted objects are left out.
    labels
        Whether an object's class is its ``supercategory`` or its ``category``.
    cache, rule
        As for `load_index`.

    Raises
    ------
    ValueError
        If an argument is out of range, the folder or the file does not exist, no scene is left, classes are to be
        supercategories and a category has none, or there is no room for the pictures.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> images, annotations = write_synthetic_scenes(mkdtemp(), 5, seed=0)
    >>> load_scenes(images, annotations, labels="category", cache=mkdtemp())
    <Scenes: 5 of 3 × 100 × 100, 2 objects each, 6 of 7 categories>
    """
    folder = image_folder(images)
    if labels not in LABELS:
        raise ValueError(f"labels must be one of {', '.join(LABELS)}, got {labels!r}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (y, x) px, each at least 1, got {size}")
    if n_objects < 2:
        raise ValueError(f"n_objects must be at least 2, got {n_objects}")
    index = load_index(annotations, cache, dataclasses.replace(rule or Rule(), n_objects=n_objects))
    names, table = index.class_names(labels), _by_scene(index, n_objects)
    made_by = {"sha256": index.sha256, "rule": dataclasses.asdict(index.rule), "size": size, "n_objects": n_objects}
    # Of the images in the folder, names, sizes and times; the pictures are another's if one changes.
    place = cache_folder(cache) / f"pictures-{_short(files_digest(folder, table['file_name']), made_by)}"

    def make(k: int) -> dict[str, NDArray[np.uint8]] | int:
        row = table.iloc[k]
        photograph = photograph_of(row, folder)
        if isinstance(photograph, int):
            return photograph
        shape = (row["image_height"], row["image_width"])
        outlines = [stored_outline(*shape, row[f"counts_{n}"]) for n in range(n_objects)]
        image, alone = scene(photograph, outlines, size)
        return {"images": image, "objects": alone}

    shapes = {"images": (3, *size), "objects": (n_objects, 3, *size)}
    arrays, state = cached_pictures(place, shapes, len(table), make, "scene")
    lost = lost_images(index, images, table["file_name"], state)
    rows = np.flatnonzero(state == DONE)
    number = {name: k for k, name in enumerate(names)}
    classes = [table[f"{labels}_{k}"].map(number).to_numpy(np.int64) for k in range(n_objects)]
    return Scenes(
        images=arrays["images"],
        objects=arrays["objects"],
        rows=rows,
        labels=np.stack(classes, 1)[rows].astype(np.int64),
        table=table.iloc[rows].reset_index(drop=True),
        classes=names,
        category_ids=index.category_ids,
        labels_are=labels,
        identity=_identity(arrays, rows, made_by),
        notes=(*index.notes, *lost),
    )


def image_folder(images: str | Path) -> Path:
    """Return the folder of images; raise ValueError if there is none.

    >>> image_folder(".")
    PosixPath('.')
    """
    folder = local_path("images", images)
    if not folder.is_dir():
        raise ValueError(f"images must be a folder, got {str(images)!r}, which is none; name the folder of the images")
    return folder


def photograph_of(row: pd.Series[Any], folder: Path) -> NDArray[np.uint8] | int:
    """Return the photograph (y, x, 3) of a row of an index, or why there is none.

    >>> row = pd.Series({"file_name": "absent.png", "image_width": 40, "image_height": 30})
    >>> photograph_of(row, Path(".")) == MISSING
    True
    """
    path = picture_path(folder, row["file_name"])
    if isinstance(path, int):
        return path
    try:
        return read_photograph(path, int(row["image_width"]), int(row["image_height"]))
    except FileNotFoundError:
        return MISSING
    except OtherSizeError:
        return OTHER_SIZE
    except UNREADABLE:
        return DAMAGED


def lost_images(
    index: SceneIndex, images: str | Path, file_names: pd.Series[str], state: NDArray[np.uint8]
) -> list[str]:
    """Return a line for each reason why images of an index were left out, from what has become of each.

    Raises
    ------
    ValueError
        If none could be read.

    Examples
    --------
    >>> lost_images(None, "images", pd.Series(["a.png", "b.png"]), np.array([DONE, MISSING]))
    ['1 image left out: missing (the first is b.png)']
    """
    lost = {reason: file_names[state == code].tolist() for code, reason in _REASONS.items()}
    notes = [
        f"{len(names):,} {'image' if len(names) == 1 else 'images'} left out: {why} (the first is {_shown(names[0])})"
        for why, names in lost.items()
        if names
    ]
    if not (state == DONE).any():
        raise ValueError(
            f"images must be a folder with the images of {index.annotations}, got {str(images)!r}, in which none of "
            f"{len(state):,} can be read ({'; '.join(notes)}); check the folder"
        )
    return notes


def _shown(name: str) -> str:
    """Return a file's name as a terminal may show it."""
    plain = name if name.isprintable() else ascii(name)
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]} …"


def _by_scene(index: SceneIndex, n_objects: int) -> pd.DataFrame:
    """Return one row a scene, with its largest objects side by side."""
    of_image = ["image_id", "file_name", "image_width", "image_height"]
    parts = [index.objects.loc[index.objects["rank"] == k].reset_index(drop=True) for k in range(n_objects)]
    of_object = ["annotation_id", "category_id", "category", "supercategory", "area", "counts"]
    columns = [part[of_object].add_suffix(f"_{k}") for k, part in enumerate(parts)]
    return pd.concat([parts[0][of_image], *columns], axis=1)


def _identity(arrays: dict[str, NDArray[np.uint8]], rows: NDArray[np.int64], made_by: dict[str, Any]) -> str:
    """Return the SHA-256 of scenes, the same wherever their files came from."""
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode())
    for row in rows:
        for name in sorted(arrays):
            digest.update(arrays[name][row].tobytes())
    return digest.hexdigest()


def cache_folder(cache: str | Path | None) -> Path:
    """Return the folder for what is kept: the given one, or this package's in the user's cache folder.

    >>> cache_folder("kept")
    PosixPath('kept')
    """
    import pooch

    return local_path("cache", pooch.os_cache("neuroattn") / "scenes" if cache is None else cache)


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file, error) from error


def _short(sha256: str, made_by: dict[str, Any]) -> str:
    """Return a name in the cache for what depends on a hash, on a rule, and on how it is made."""
    made_by = made_by | {"format": FORMAT, "pillow": PIL.__version__}
    return hashlib.sha256(f"{sha256}{json.dumps(made_by, sort_keys=True)}".encode()).hexdigest()[:16]


def class_counts(labels: NDArray[np.int64], classes: Sequence[str]) -> pd.Series[int]:
    """Return how many objects each class has, with the names of the classes as index.

    >>> class_counts(np.array([[0, 2], [2, 2]]), ["car", "cat", "dog"]).to_dict()
    {'car': 1, 'cat': 0, 'dog': 3}
    """
    return pd.Series(np.bincount(labels.ravel(), minlength=len(classes)), index=list(classes))


def require_classes(
    classes: Sequence[str], labels: str, known: Sequence[str], n_classes: int, name: str, annotations: str | Path
) -> None:
    """Raise unless scenes have the classes that a network names.

    Parameters
    ----------
    classes, labels
        Those of the scenes, in their order, and whether they are ``supercategory`` or ``category``.
    known, n_classes
        The network's classes, in their order, and how many it has outputs for.
    name, annotations
        Its name, and the file of the annotations, for the message.

    Examples
    --------
    >>> require_classes(("cat", "dog"), "category", ("cat", "dog"), 2, "mine", "instances.json")
    """
    if tuple(classes) != tuple(known) or len(known) != n_classes:
        few, few_known = (", ".join(names[:3]) + " …" * (len(names) > 3) for names in (classes, known))
        raise ValueError(
            f"labels must be the {n_classes} classes of model {name!r} ({few_known}), got the {len(classes)} "
            f"of {labels} in {Path(annotations).name} ({few}); take the annotations or the "
            "labels that it was trained with"
        )


def tell_notes(scenes: Scenes | SceneIndex, tell: Callable[[str], None]) -> None:
    """Tell what was left out of scenes, a line for each reason.

    >>> from types import SimpleNamespace
    >>> tell_notes(SimpleNamespace(notes=("1 left out: crowd regions (the first has id 7)",)), print)
    note: 1 left out: crowd regions (the first has id 7)
    """
    for note in scenes.notes:
        tell(f"note: {note}")
