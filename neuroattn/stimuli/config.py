"""Options of the commands that make scenes ready."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Annotations, NamedPhotographs, Options, SceneKind, Seed, Size, require_named
from neuroattn.command.option import option, varied


@dataclass(frozen=True, kw_only=True)
class IndexConfig(Annotations):
    """Options of ``scenes index``."""

    annotations: str = varied(Annotations, "annotations", default="")
    least_area: float = option(0.1, "objects larger than this fraction of their image are taken", low=0, high=1)
    most_overlap: float = option(
        0.01, "until more than this fraction of the image is covered more than once", low=0, high=1
    )
    n_objects: int = varied(SceneKind, "n_objects", description="objects that an image must have")
    out: str | None = option(None, "CSV file for the table of chosen objects, which must not exist", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_named(annotations=self.annotations)


@dataclass(frozen=True, kw_only=True)
class CacheConfig(SceneKind, Size, NamedPhotographs):
    """Options of ``scenes cache``."""


@dataclass(frozen=True, kw_only=True)
class ShowConfig(Seed, CacheConfig):
    """Options of ``scenes show``."""

    number: int = option(12, "scenes on the sheet, drawn at random", low=1, high=200)
    out: str = option("scenes.png", "PNG, SVG or PDF file of the sheet, which must not exist", path=True)


@dataclass(frozen=True, kw_only=True)
class DownloadConfig(Options):
    """Options of ``scenes download``."""

    out: str = option(
        "coco", "folder for images and annotations; what is there already is not fetched again", path=True
    )
