"""COCO annotation files: what is in them, and which images and objects of them make scenes.

Only the outlines of objects that may be chosen are decoded; those of the others stay the bytes they are, so that the
largest file of COCO takes little more memory than its size.

Source of the rule: Lei, Benjamin & Kording (2021), arXiv:2106.04540. Source of the format: Lin et al. (2014),
arXiv:1405.0312.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pandas as pd
from pycocotools import mask as outlines

from neuroattn.compute.progress import progress
from neuroattn.runs.output_file import replacing
from neuroattn.stimuli.outlines import OutlineError, decode_outline, usable_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuroattn.stimuli.outlines import Outline

SUPERCATEGORIES = (
    *("accessory", "animal", "appliance", "electronic", "food", "furniture"),
    *("indoor", "kitchen", "outdoor", "person", "sports", "vehicle"),
)
LABELS = {"supercategory": "supercategories", "category": "categories"}
"""What an object's class may be, in the singular and in the plural."""

_LONGEST_NAME = 200  # letters, of a category
_MADE_FROM = b"neuroattn"  # key of an index in the metadata of its Parquet file

# What tables and arrays can hold.
Id = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class _Image(msgspec.Struct):
    id: Id
    file_name: str
    width: int  # px
    height: int


class _Annotation(msgspec.Struct):
    id: Id
    image_id: Id
    category_id: Id
    area: float | None = None  # px²
    iscrowd: int | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class _Category(msgspec.Struct):
    id: Id
    name: str
    supercategory: str | None = None


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """What an annotation file holds.

    Attributes
    ----------
    images, categories
        By id.
    of_image
        The objects that can be chosen of each image, by the image's id, in the order of the file.
    left_out
        Reason → ids of annotations that cannot be chosen.
    sha256, name
        Of the file, without its folder.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> _, path = write_synthetic_scenes(mkdtemp(), 3, seed=0)
    >>> read_annotations(path).classes("category")
    ('cat', 'cup', 'motorcycle', 'person', 'pizza', 'sports ball', 'tv')
    """

    images: dict[int, _Image]
    of_image: dict[int, list[_Annotation]]
    categories: dict[int, _Category]
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

    Examples
    --------
    >>> Rule(least_area=0.05)
    Rule(least_area=0.05, most_overlap=0.01, n_objects=2)
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
    annotations, sha256
        Name and hash of the file.
    notes
        A line for each reason why annotations or images were left out, with counts.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> index = select_scenes(read_annotations(write_synthetic_scenes(mkdtemp(), 3, seed=0)[1]), Rule())
    >>> index.objects[["image_id", "rank", "category", "supercategory"]][:3]
       image_id  rank     category supercategory
    0         1     0  sports ball        sports
    1         1     1          cat        animal
    2         2     0       person        person
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
        If it is not COCO's instance annotations, an id occurs twice, or a category's name cannot be shown.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> annotations = read_annotations(write_synthetic_scenes(mkdtemp(), 3, seed=0)[1])
    >>> [annotation.area for annotation in annotations.of_image[1]]
    [9860.0, 10540.0]
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
    for category in file.categories:
        if not (category.name and _presentable(category.name) and _presentable(category.supercategory or "")):
            raise ValueError(
                f"annotations must have categories with names of 1 to {_LONGEST_NAME} printable characters, got "
                f"another for id {category.id} in {str(path)!r}"
            )
    of_image: dict[int, list[_Annotation]] = {}
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


def _presentable(name: str) -> bool:
    return name.isprintable() and len(name) <= _LONGEST_NAME


def unreadable(path: Path, error: OSError) -> ValueError:
    """Return the error that says an annotation file cannot be read, and why.

    >>> from pathlib import Path
    >>> unreadable(Path("a.json"), OSError(13, "Permission denied"))
    ValueError("annotations must be a file that can be read, got 'a.json' (Permission denied)")
    """
    return ValueError(f"annotations must be a file that can be read, got {str(path)!r} ({error.strerror})")


def _reason(annotation: _Annotation, images: dict[int, _Image], categories: dict[int, _Category]) -> str | None:
    """Return why an annotation cannot be chosen, None if it can."""
    image = images.get(annotation.image_id)
    if annotation.iscrowd:
        return "crowd regions"
    if image is None:
        return "annotations of images that the file does not list"
    if not usable_size(image.height, image.width):
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

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> annotations = read_annotations(write_synthetic_scenes(mkdtemp(), 7, seed=0)[1])
    >>> select_scenes(annotations, Rule(least_area=0.12, n_objects=1)).n_scenes
    5
    """
    choice = _Choice(annotations, rule)
    images = progress("choosing scenes", "image", annotations.of_image.items(), total=len(annotations.of_image))
    rows = [row for image_id, objects in images for row in choice.scene(annotations.images[image_id], objects)]
    if not rows:
        raise choice.no_scene()
    return SceneIndex(
        objects=pd.DataFrame(rows),
        classes={labels: annotations.classes(labels) for labels in LABELS},
        category_ids={category.name: category.id for category in annotations.categories.values()},
        rule=rule,
        annotations=annotations.name,
        sha256=annotations.sha256,
        notes=choice.notes(),
    )


class _Choice:
    """The rule at work: rows of the objects that it takes, and what is left out on the way."""

    def __init__(self, annotations: Annotations, rule: Rule) -> None:
        self._annotations, self._rule = annotations, rule
        self._left_out = {reason: list(ids) for reason, ids in annotations.left_out.items()}
        self._overlapping: list[int] = []  # ids of images with too few objects because of their overlap

    def scene(self, image: _Image, candidates: Sequence[_Annotation]) -> list[dict[str, Any]]:
        """Return the rows of an image's objects, none if there are too few."""
        large = self._large(image, candidates)
        if len(large) < self._rule.n_objects:
            return []
        accepted = self._accepted(image, large)
        if len(accepted) < self._rule.n_objects:
            return []
        return [self._row(image, rank, *chosen) for rank, chosen in enumerate(accepted)]

    def notes(self) -> tuple[str, ...]:
        """Return a line for each reason why annotations were left out."""
        return tuple(
            f"{len(ids):,} left out: {reason} (the first has id {ids[0]})" for reason, ids in self._left_out.items()
        )

    def no_scene(self) -> ValueError:
        """Return the error that says that the file has no scene, and why."""
        rule, notes, overlapping = self._rule, self.notes(), self._overlapping
        reasons = list(notes)
        if overlapping:
            reasons.append(
                f"{len(overlapping):,} {'image' if len(overlapping) == 1 else 'images'} left out: more than "
                f"{rule.most_overlap:.0%} covered twice (the first has id {overlapping[0]})"
            )
        because = f" ({'; '.join(reasons)})" if reasons else ""
        return ValueError(
            f"annotations must have an image with {rule.n_objects} objects, each larger than {rule.least_area:.0%} of "
            f"it, got none in {self._annotations.name}{because}; take fewer or smaller objects"
            f"{', or mend the file' if notes else ''}"
        )

    def _large(
        self, image: _Image, candidates: Sequence[_Annotation]
    ) -> list[tuple[float, _Annotation, Outline | None]]:
        """Return large enough objects with their areas, the largest first, and outlines if already known."""
        sized = []
        for annotation in candidates:
            outline, area = None, annotation.area
            if area is None or area <= 1:  # only the outline tells; of the latter, whether all are fractions
                outline = self._outline(annotation, image)
                if outline is None:
                    continue
                area = float(outlines.area(outline)) if area is None else area
            if area > self._rule.least_area * image.width * image.height:
                sized.append((area, annotation, outline))
        return sorted(sized, key=lambda entry: -entry[0])

    def _accepted(
        self, image: _Image, large: Sequence[tuple[float, _Annotation, Outline | None]]
    ) -> list[tuple[_Annotation, Outline]]:
        """Return the objects that the rule takes of the large ones with their outlines."""
        covered = twice = None
        accepted: list[tuple[_Annotation, Outline]] = []
        for _, annotation, known in large:
            outline = known or self._outline(annotation, image)
            if outline is None:
                continue
            if covered is not None and self._rule.most_overlap < 1:
                both = outlines.merge([covered, outline], intersect=True)
                twice = both if twice is None else outlines.merge([twice, both])
                if outlines.area(twice) > self._rule.most_overlap * image.width * image.height:
                    if len(accepted) < self._rule.n_objects:
                        self._overlapping.append(image.id)
                    break
                covered = outlines.merge([covered, outline])
            else:
                covered = outline
            accepted.append((annotation, outline))
        return accepted

    def _outline(self, annotation: _Annotation, image: _Image) -> Outline | None:
        """Return an object's outline; without a usable one, note why and return None."""
        try:
            return decode_outline(annotation.segmentation, image.height, image.width)
        except OutlineError as error:
            reason = f"objects without a usable outline, as {error}"
            self._left_out.setdefault(reason, []).append(annotation.id)
            return None

    def _row(self, image: _Image, rank: int, annotation: _Annotation, outline: Outline) -> dict[str, Any]:
        counts, category = outline["counts"], self._annotations.categories[annotation.category_id]
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


def write_index(index: SceneIndex, path: Path) -> None:
    """Write an index as one Parquet file, whole or not at all; its metadata say where it comes from.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> index = select_scenes(read_annotations(write_synthetic_scenes(mkdtemp(), 3, seed=0)[1]), Rule())
    >>> write_index(index, Path(mkdtemp(), "index.parquet"))
    """
    import pyarrow as pa
    from pyarrow import parquet

    made_from = {field.name: getattr(index, field.name) for field in fields(index) if field.name != "objects"}
    made_from["rule"] = asdict(index.rule)
    table = pa.Table.from_pandas(index.objects, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _MADE_FROM: json.dumps(made_from).encode()})
    with replacing(path) as file:
        parquet.write_table(table, file)


def read_index(path: Path) -> SceneIndex:
    """Read what `write_index` wrote.

    Raises
    ------
    ValueError
        If the file is something else.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> index = select_scenes(read_annotations(write_synthetic_scenes(mkdtemp(), 3, seed=0)[1]), Rule())
    >>> write_index(index, path := Path(mkdtemp(), "index.parquet"))
    >>> read_index(path).objects.equals(index.objects)
    True
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        made_from = json.loads(table.schema.metadata[_MADE_FROM])
        classes = {labels: tuple(names) for labels, names in made_from.pop("classes").items()}
        made_from["category_ids"] = dict(made_from["category_ids"])
        made_from |= {"rule": Rule(**made_from["rule"]), "notes": tuple(made_from["notes"])}
        return SceneIndex(objects=table.to_pandas(), classes=classes, **made_from)
    # Whatever is damaged or missing: the columns, what is said of them, or the text about the index.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"index must be a file of this package, got {str(path)!r}; remove it") from error
