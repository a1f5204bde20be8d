"""The options of the package's commands, in groups, each written once.

A command's configuration inherits from the groups that it takes. Of several bases the last one's options come first.
"""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.option import MOST_PIXELS, check_options, option, varied


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that are checked when they are made."""

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Models(Options):
    """The networks."""

    models: tuple[str, ...] = option(
        ("digits-0",),
        "networks: shipped names, or paths of .safetensors or published .pt files",
        path=True,
        former="model",
    )


@dataclass(frozen=True, kw_only=True)
class Compute(Options):
    """Where to compute."""

    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class Cluster(Options):
    """A Dask cluster: one of this machine, or one that runs already."""

    workers: int = option(0, "processes of a local Dask cluster; 0 uses this process", low=0, high=1000)
    dask: str | None = option(None, "address of a Dask scheduler (tls://HOST:PORT) whose workers see the same files")


@dataclass(frozen=True, kw_only=True)
class Seed(Options):
    """The seed."""

    seed: int = option(0, "seed of everything that is drawn", low=0, high=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Mnist(Options):
    """Where MNIST comes from."""

    data: str | None = option(
        None, "folder with MNIST's IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )


@dataclass(frozen=True, kw_only=True)
class Digits(Mnist):
    """Digits that no network was trained on."""

    digits: str = option(
        "embedded",
        "the 5,000 digits that travel with the package, or MNIST's official test set",
        choices=("embedded", "test"),
    )


@dataclass(frozen=True, kw_only=True)
class Noise(Options):
    """The background of composites of digits."""

    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Annotations(Options):
    """An annotation file of COCO."""

    annotations: str | None = option(None, "COCO's instance annotations, a JSON file", path=True)
    cache: str | None = option(
        None, "folder for what is kept of scenes (default: in the user's cache folder)", path=True
    )


@dataclass(frozen=True, kw_only=True)
class Images(Options):
    """Images of COCO."""

    images: str | None = option(None, "folder of COCO images", path=True)


@dataclass(frozen=True, kw_only=True)
class Photographs(Annotations, Images):
    """Photographs of COCO, which a command can do without."""


@dataclass(frozen=True, kw_only=True)
class NamedPhotographs(Photographs):
    """Photographs of COCO, which must be named."""

    annotations: str = varied(Annotations, "annotations", default="")
    images: str = varied(Photographs, "images", default="")

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_named(images=self.images, annotations=self.annotations)


@dataclass(frozen=True, kw_only=True)
class Labels(Options):
    """What scenes are labelled with."""

    labels: str = option("supercategory", "what an object's class is in scenes", choices=("supercategory", "category"))


@dataclass(frozen=True, kw_only=True)
class SceneKind(Labels):
    """Which objects of a photograph make a scene."""

    n_objects: int = option(2, "objects of a scene: the largest ones", low=2)


@dataclass(frozen=True, kw_only=True)
class Size(Options):
    """The size of scenes."""

    size: tuple[int, ...] = option((100, 100), "height and width of scenes", unit="px", low=1, high=MOST_PIXELS)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if len(self.size) != 2:
            raise ValueError(f"size must be two numbers, height and width, got {len(self.size)}")


def require_named(**paths: str | None) -> None:
    """Raise unless every path is named."""
    for name, path in paths.items():
        if not path:
            raise ValueError(
                f"{name} must be named, as in --{name} PATH; `python -m neuroattn.stimuli scenes download val2017` "
                "fetches COCO's"
            )


def require_both(config: Photographs) -> None:
    """Raise if images are named without annotations, or the other way round."""
    if (config.images is None) != (config.annotations is None):
        there, missing = ("images", "annotations") if config.annotations is None else ("annotations", "images")
        raise ValueError(f"{missing} must be named with --{there}, got none; name both, or neither")
