"""COCO annotation files: what is in them, and which images and objects of them make scenes.

Only the outlines of objects that may be chosen are decoded, by pycocotools; those of the others stay the bytes they
are, so that the largest file of COCO takes little more memory than its size.

Source of the rule: Lei, Benjamin & Kording (2021), arXiv:2106.04540. Source of the format: Lin et al. (2014),
arXiv:1405.0312.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
from pycocotools import mask as outlines
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Outline = dict[str, Any]  # run lengths, as pycocotools takes them

SUPERCATEGORIES = (
    *("accessory", "animal", "appliance", "electronic", "food", "furniture"),
    *("indoor", "kitchen", "outdoor", "person", "sports", "vehicle"),
)
LABELS = ("supercategory", "category")

_FEWEST_COORDINATES = 6  # of a polygon: three corners
_MOST_PIXELS = 1 << 28  # of an image; pycocotools takes four bytes for each, and ends the process where there are none
_NO_OUTLINE = "objects without a usable outline"
_ABOUT = b"neuroattn"  # key of an index in the metadata of its Parquet file


class Image(msgspec.Struct):
    """An image of the file; lengths in px."""

    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct):
    """An object of the file; area in px²."""

    id: int
    image_id: int
    category_id: int
    area: float | None = None
    iscrowd: int | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class Category(msgspec.Struct):
    """A category of the file."""

    id: int
    name: str
    supercategory: str | None = None


class _File(msgspec.Struct):
    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """What an annotation file holds.

    Attributes
    ----------
    images
        By id.
    of_image
        The objects that can be chosen of each image, by the image's id, in the order of the file.
    categories
        By id.
    left_out
        Reason → ids of annotations that cannot be chosen.
    sha256
        Of the file.
    name
        Of the file, without its folder.
    """

    images: dict[int, Image]
    of_image: dict[int, list[Annotation]]
    categories: dict[int, Category]
    left_out: dict[str, list[int]]
    sha256: str
    name: str

    def classes(self, labels: str) -> tuple[str, ...]:
        """Return the names of the classes, in alphabetical order.

        A file whose supercategories are all COCO's has COCO's twelve, whether all occur in it or not, so that the
        numbers of classes are those of every network for COCO.
        """
        if labels == "category":
            return tuple(sorted({category.name for category in self.categories.values()}))
        found = {category.supercategory or "" for category in self.categories.values()}
        return SUPERCATEGORIES if found <= set(SUPERCATEGORIES) else tuple(sorted(found))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which objects and images make scenes.

    Attributes
    ----------
    least_area
        Objects larger than this fraction of their image are taken, the largest first,
    most_overlap
        until more than this fraction of the image is covered more than once.
    n_objects
        Images with at least so many accepted objects are kept.
    """

    least_area: float = 0.1
    most_overlap: float = 0.01
    n_objects: int = 2

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("least_area", "most_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], a fraction of the image, got {getattr(self, name)}")
        if self.n_objects < 1:
            raise ValueError(f"n_objects must be at least 1, got {self.n_objects}")


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneIndex:
    """The objects of the scenes of an annotation file.

    Attributes
    ----------
    objects
        One row an object, those of a scene together, the largest first: ``image_id, file_name, image_width,
        image_height`` (px), ``rank`` (0 for the largest), ``annotation_id, category, supercategory, area`` (px², as
        the file says), ``counts`` (the outline as compressed run lengths).
    classes
        Label → names of the classes, in the order of their numbers; a category without a supercategory has ``""``.
    category_ids
        Name → id of every category of the file.
    rule
        That chose them.
    annotations
        Name of the file.
    sha256
        Of the file.
    notes
        A line for each reason why annotations or images were left out, with counts.
    """

    objects: pd.DataFrame
    classes: dict[str, tuple[str, ...]]
    category_ids: dict[str, int]
    rule: Rule
    annotations: str
    sha256: str
    notes: tuple[str, ...]

    @property
    def n_scenes(self) -> int:
        """How many images there are."""
        return int(self.objects["image_id"].nunique())

    def class_names(self, labels: str) -> tuple[str, ...]:
        """Return the names of the classes, in the order of their numbers.

        Raises
        ------
        ValueError
            If they are supercategories, and a category has none.
        """
        if labels == "supercategory" and "" in self.classes[labels]:
            raise ValueError(
                f"labels must be category for {self.annotations}, a category of which has no supercategory, got "
                f"{labels!r}; take --labels category"
            )
        return self.classes[labels]


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file.

    Raises
    ------
    ValueError
        If it is not COCO's instance annotations, or an id occurs twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"annotations must be COCO instance annotations (images, annotations, categories), got {str(path)!r} "
            f"({error}); take an instances_*.json"
        ) from error
    images = {image.id: image for image in file.images}
    categories = {category.id: category for category in file.categories}
    annotation_ids = {annotation.id for annotation in file.annotations}
    for what, ids, every in (
        ("image", images, file.images),
        ("category", categories, file.categories),
        ("annotation", annotation_ids, file.annotations),
    ):
        if len(ids) < len(every):
            raise ValueError(f"annotations must have different {what} ids, got {str(path)!r} with one twice")
    of_image: dict[int, list[Annotation]] = {}
    left_out: dict[str, list[int]] = {}
    for annotation in file.annotations:
        reason = _reason(annotation, images, categories)
        if reason is None:
            of_image.setdefault(annotation.image_id, []).append(annotation)
        else:
            left_out.setdefault(reason, []).append(annotation.id)
    return Annotations(
        images=images,
        of_image=of_image,
        categories=categories,
        left_out=left_out,
        sha256=hashlib.sha256(content).hexdigest(),
        name=path.name,
    )


def unreadable(path: Path, error: OSError) -> ValueError:
    """Return the error that says an annotation file cannot be read, and why."""
    return ValueError(f"annotations must be a file that can be read, got {str(path)!r} ({error.strerror})")


def _reason(annotation: Annotation, images: dict[int, Image], categories: dict[int, Category]) -> str | None:
    """Return why an annotation cannot be chosen, None if it can."""
    image = images.get(annotation.image_id)
    if annotation.iscrowd:
        return "crowd regions"
    if image is None:
        return "annotations of images that the file does not list"
    if min(image.width, image.height) < 1 or image.width * image.height > _MOST_PIXELS:
        return "annotations of images without a usable size"
    if annotation.category_id not in categories:
        return "annotations of categories that the file does not list"
    if annotation.area is not None and not annotation.area > 0:
        return "objects without an area"
    return None


def select_scenes(annotations: Annotations, rule: Rule) -> SceneIndex:
    """Return the scenes of an annotation file, by the paper's rule; shows its progress.

    Raises
    ------
    ValueError
        If no image has enough objects.
    """
    rows: list[dict[str, Any]] = []
    left_out = {reason: list(ids) for reason, ids in annotations.left_out.items()}
    progress = tqdm(annotations.of_image.items(), desc="choosing scenes", unit="image", leave=False, disable=None)
    for image_id, candidates in progress:
        image = annotations.images[image_id]
        chosen = list(_accepted(image, candidates, rule, left_out))
        if len(chosen) >= rule.n_objects:
            rows += [
                _row(image, annotation, outline, annotations.categories, rank)
                for rank, (annotation, outline) in enumerate(chosen)
            ]
    if not rows:
        raise ValueError(
            f"annotations must have an image with {rule.n_objects} objects, each larger than {rule.least_area:.0%} of "
            f"it, got none in {annotations.name}; take fewer or smaller objects"
        )
    objects = pd.DataFrame(rows)
    return SceneIndex(
        objects=objects,
        classes={labels: annotations.classes(labels) for labels in LABELS},
        category_ids={category.name: category.id for category in annotations.categories.values()},
        rule=rule,
        annotations=annotations.name,
        sha256=annotations.sha256,
        notes=tuple(_note(reason, ids) for reason, ids in left_out.items()),
    )


def _accepted(
    image: Image, candidates: Sequence[Annotation], rule: Rule, left_out: dict[str, list[int]]
) -> Iterator[tuple[Annotation, Outline]]:
    """Yield the objects that the rule takes, the largest first, with their outlines."""
    pixels = image.width * image.height
    sized = []
    for annotation in candidates:
        outline = None
        area = annotation.area
        if area is None:  # only the outline tells
            outline = decode_outline(annotation, image)
            if outline is None:
                left_out.setdefault(_NO_OUTLINE, []).append(annotation.id)
                continue
            area = float(outlines.area(outline))
        if area > rule.least_area * pixels:
            sized.append((area, annotation, outline))
    if len(sized) < rule.n_objects:
        return
    covered = twice = None
    for _, annotation, known in sorted(sized, key=lambda entry: -entry[0]):
        outline = known or decode_outline(annotation, image)
        if outline is None:
            left_out.setdefault(_NO_OUTLINE, []).append(annotation.id)
            continue
        if covered is not None and rule.most_overlap < 1:
            both = outlines.merge([covered, outline], intersect=True)
            twice = both if twice is None else outlines.merge([twice, both])
            if outlines.area(twice) > rule.most_overlap * pixels:
                return
            covered = outlines.merge([covered, outline])
        else:
            covered = outline
        yield annotation, outline


def decode_outline(annotation: Annotation, image: Image) -> Outline | None:
    """Return an object's outline as compressed run lengths, whatever form the file gives it; None if it has none."""
    try:
        given = msgspec.json.decode(annotation.segmentation)
        if isinstance(given, list):
            if not given or any(len(part) < _FEWEST_COORDINATES or len(part) % 2 for part in given):
                return None
            # pycocotools takes memory for every pixel along the lines, inside the image or not.
            if max(abs(coordinate) for part in given for coordinate in part) > 2 * (image.width + image.height):
                return None
            outline = outlines.merge(outlines.frPyObjects(given, image.height, image.width))
        elif isinstance(given, dict) and list(given["size"]) == [image.height, image.width]:
            counts = given["counts"] if isinstance(given["counts"], list) else _run_lengths(given["counts"])
            if sum(map(int, counts)) != image.height * image.width:
                return None
            outline = outlines.frPyObjects({"size": given["size"], "counts": counts}, image.height, image.width)
        else:
            return None
        x, y, width, height = outlines.toBbox(outline)
        inside = min(x, y) >= 0 and x + width <= image.width and y + height <= image.height
        return outline if inside and 0 < outlines.area(outline) <= image.width * image.height else None
    # What other things than outlines end in.
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError):
        return None


def stored_outline(height: int, width: int, counts: str) -> Outline:
    """Return the outline of an image of that size (px) whose run lengths an index has."""
    return {"size": [int(height), int(width)], "counts": counts.encode("ascii")}


def dense_mask(outline: Outline) -> NDArray[np.uint8]:
    """Return an outline as zeros and ones (y, x); that of pycocotools warns with NumPy 2."""
    height, width = outline["size"]
    lengths = _run_lengths(outline["counts"].decode("ascii"))
    return np.repeat(np.arange(len(lengths), dtype=np.uint8) % 2, lengths).reshape(width, height).T


def _run_lengths(packed: str) -> list[int]:
    """Return the run lengths of a compressed outline; pycocotools itself would read past the end of a damaged one."""
    lengths: list[int] = []
    value = shift = 0
    for letter in packed.encode("ascii"):
        bits = letter - 48
        if not 0 <= bits < 64:
            raise ValueError("no letter of a compressed outline")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:  # the number's last letter, with its sign
            value -= (bits & 16) << (shift - 4)
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("a compressed outline that ends within a number")
    return lengths


def _row(
    image: Image, annotation: Annotation, outline: Outline, categories: dict[int, Category], rank: int
) -> dict[str, Any]:
    counts, category = outline["counts"], categories[annotation.category_id]
    return {
        "image_id": image.id,
        "file_name": image.file_name,
        "image_width": image.width,
        "image_height": image.height,
        "rank": rank,
        "annotation_id": annotation.id,
        "category_id": category.id,
        "category": category.name,
        "supercategory": category.supercategory or "",
        "area": annotation.area if annotation.area is not None else float(outlines.area(outline)),
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }


def _note(reason: str, ids: Sequence[int]) -> str:
    return f"{len(ids):,} left out: {reason} (the first has id {ids[0]})"


def write_index(index: SceneIndex, path: Path) -> None:
    """Write an index as one Parquet file, whole or not at all; its metadata say where it comes from."""
    import pyarrow as pa
    from pyarrow import parquet

    about = {
        "classes": index.classes,
        "category_ids": index.category_ids,
        "rule": asdict(index.rule),
        "annotations": index.annotations,
        "sha256": index.sha256,
        "notes": index.notes,
    }
    table = pa.Table.from_pandas(index.objects, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _ABOUT: json.dumps(about).encode()})
    part = path.with_name(f"{path.name}.part")
    parquet.write_table(table, part)
    part.replace(path)


def read_index(path: Path) -> SceneIndex:
    """Read what `write_index` wrote.

    Raises
    ------
    ValueError
        If the file is something else.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        about = json.loads(table.schema.metadata[_ABOUT])
        return SceneIndex(
            objects=table.to_pandas(),
            classes={labels: tuple(names) for labels, names in about["classes"].items()},
            category_ids=dict(about["category_ids"]),
            rule=Rule(**about["rule"]),
            annotations=about["annotations"],
            sha256=about["sha256"],
            notes=tuple(about["notes"]),
        )
    # Whatever is damaged or missing: the columns, what is said of them, or the text about the index.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"index must be a file of this package, got {str(path)!r}; remove it") from error
