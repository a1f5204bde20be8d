"""Options of the commands that make scenes ready."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.option import MOST_PIXELS, check_options, option
from neuroattn.stimuli.coco_download import SETS

_CACHE = "folder for what is kept (default: in the user's cache folder)"


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Options of ``scenes index``."""

    annotations: str = option("", "COCO's instance annotations, a JSON file", path=True)
    least_area: float = option(0.1, "objects larger than this fraction of their image are taken", low=0, high=1)
    most_overlap: float = option(
        0.01, "until more than this fraction of the image is covered more than once", low=0, high=1
    )
    n_objects: int = option(2, "objects that an image must have", low=2)
    cache: str | None = option(None, _CACHE, path=True)
    out: str | None = option(None, "CSV file for the table of chosen objects, which must not exist", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        _require_named(annotations=self.annotations)


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Options of ``scenes cache``."""

    images: str = option("", "folder of the images", path=True)
    annotations: str = option("", "COCO's instance annotations for them, a JSON file", path=True)
    size: tuple[int, ...] = option((100, 100), "height and width of the pictures", unit="px", low=1, high=MOST_PIXELS)
    n_objects: int = option(2, "objects of a scene: the largest ones", low=2)
    labels: str = option("supercategory", "what an object's class is", choices=("supercategory", "category"))
    cache: str | None = option(None, _CACHE, path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        _require_named(images=self.images, annotations=self.annotations)
        if len(self.size) != 2:
            raise ValueError(f"size must be two numbers, height and width, got {len(self.size)}")


@dataclass(frozen=True, kw_only=True)
class ShowConfig(CacheConfig):
    """Options of ``scenes show``."""

    number: int = option(12, "scenes on the sheet, drawn at random", low=1, high=200)
    seed: int = option(0, "seed of the choice", low=0, high=2**32 - 1)
    out: str = option("scenes.png", "PNG, SVG or PDF file of the sheet, which must not exist", path=True)


@dataclass(frozen=True, kw_only=True)
class DownloadConfig:
    """Options of ``scenes download``."""

    out: str = option(
        "coco", "folder for images and annotations; what is there already is not fetched again", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)


def _require_named(**paths: str) -> None:
    for name, path in paths.items():
        if not path:
            raise ValueError(f"{name} must be named, as in --{name} PATH; `scenes download {SETS[0]}` fetches COCO's")
