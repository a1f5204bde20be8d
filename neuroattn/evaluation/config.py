"""Options of evaluation on digits, and of a model card."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.option import check_options, option


@dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    """What networks are evaluated on; every field is an option of ``neuroattn.evaluation digits``."""

    models: tuple[str, ...] = option(
        ("digits-0",),
        "networks: shipped names, or paths of .safetensors or published .pt files",
        path=True,
        former="model",
    )
    digits: str = option(
        "embedded",
        "the 5,000 digits that travel with the package, or MNIST's official test set",
        choices=("embedded", "test"),
    )
    data: str | None = option(
        None, "folder with MNIST's IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )
    n_objects: int | None = option(
        None, "digits of a composite, which must be what the networks take (default: that)", low=2, high=10
    )
    composites: int | None = option(None, "number of composites (default: one for every digit)", low=2)
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    strength: float | None = option(None, "gate strength s in place of the checkpoint's", low=0, high=1)
    seed: int = option(0, "seed of the composites", low=0, high=2**32 - 1)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    out: str | None = option(None, "CSV file for the table, which must not exist", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        _check_models(self.models)


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """Which networks are evaluated on which scenes."""

    models: tuple[str, ...] = option(
        (), "networks: shipped names, or paths of .safetensors or published .pt files", path=True, former="model"
    )
    images: str = option("", "folder of COCO images", path=True)
    annotations: str = option("", "COCO's instance annotations for them, a JSON file", path=True)
    n_objects: int = option(2, "objects of a scene, and phases of a trial", low=2)
    labels: str = option("supercategory", "what an object's class is", choices=("supercategory", "category"))
    held_out_of: str | None = option(
        None, "a network: only the scenes that its training held out, for all networks (default: all scenes)", path=True
    )
    cache: str | None = option(
        None, "folder for what is kept of the scenes (default: in the user's cache folder)", path=True
    )
    strength: float | None = option(None, "gate strength s in place of the checkpoint's", low=0, high=1)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    out: str | None = option(None, "CSV file for the table, which must not exist", path=True)
    figure: str | None = option(
        None, "PNG or SVG file for the confusion matrix of one network, which must not exist", path=True
    )
    export_coco: str | None = option(
        None, "JSON file for the gates of one network as results in COCO's format, which must not exist", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        _check_models(self.models)
        for name in ("images", "annotations"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be named, as in --{name} PATH")
        for name in ("figure", "export_coco"):
            if getattr(self, name) is not None and len(self.models) > 1:
                raise ValueError(f"{name} must be for one network, got {len(self.models)}; name one with --models")


@dataclass(frozen=True, kw_only=True)
class CardConfig:
    """Which networks a model card is about, and what they are evaluated on."""

    models: tuple[str, ...] = option(
        (), "networks: shipped names or .safetensors files (default: all that are shipped)", path=True, former="model"
    )
    data: str | None = option(
        None, "folder with MNIST's IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    seed: int = option(0, "seed of the composites", low=0, high=2**32 - 1)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    out: str | None = option(None, "Markdown file, written anew (default: standard output)", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class ScenesCardConfig:
    """Which networks of scenes a model card is about, and the scenes that they were trained with."""

    models: tuple[str, ...] = option(
        (),
        "networks: shipped names or .safetensors files (default: all of scenes that are shipped)",
        path=True,
        former="model",
    )
    beside: tuple[str, ...] = option(
        (),
        "networks to stand beside, on the same scenes: shipped names, .safetensors or published .pt files",
        path=True,
    )
    images: str = option("", "folder of COCO images", path=True)
    annotations: str = option("", "COCO's instance annotations for them, a JSON file", path=True)
    cache: str | None = option(
        None, "folder for what is kept of the scenes (default: in the user's cache folder)", path=True
    )
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    out: str | None = option(None, "Markdown file, written anew (default: standard output)", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        for name in ("images", "annotations"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be named, as in --{name} PATH")


def _check_models(names: tuple[str, ...]) -> None:
    """Raise unless there are networks, and different ones."""
    if not names:
        raise ValueError("models must name at least one network, got none")
    if len(set(names)) < len(names):
        raise ValueError(f"models must name different networks, got {', '.join(names)}")
