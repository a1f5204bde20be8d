"""Digits or scenes: the pictures to show to a network, by what it takes and by what its file says of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from neuroattn.stimuli.digits import SHIFT, sample_composites
from neuroattn.stimuli.mnist import SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from neuroattn.command.groups import Photographs
    from neuroattn.stimuli.digits import Composites
    from neuroattn.stimuli.labelled import Labelled
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.scenes import Scenes


class Pictures(Protocol):
    """Pictures that can be had in parts."""

    def __len__(self) -> int:
        """Count the pictures."""

    def part(self, rows: slice) -> Labelled:
        """Return some of them."""


class Shape(Protocol):
    """Sizes of a network."""

    @property
    def size(self) -> tuple[int, int, int]:
        """(channel, y, x) of its pictures."""

    @property
    def classes(self) -> int:
        """Number of its classes."""


class Training(Protocol):
    """What a network's file says of its training; None where it does not tell."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes."""

    @property
    def scenes(self) -> str | None:
        """Identity of the scenes."""

    @property
    def held_out_images(self) -> tuple[int, ...] | None:
        """Ids of the images that were held out."""


class Network(Protocol):
    """A network, as far as its pictures are concerned."""

    name: str

    @property
    def config(self) -> Shape:
        """Its sizes."""

    @property
    def about(self) -> Training:
        """Its training."""


def n_digits(network: Network) -> int:
    """Return how many digits the pictures of a network hold.

    Raises
    ------
    ValueError
        If they are not composites of digits.
    """
    shape = network.config
    channels, height, width = shape.size
    n_objects, rest = divmod(width - SHIFT, SHIFT)
    if (channels, height) != (1, SIDE) or rest or n_objects < 2 or shape.classes != 10:
        raise ValueError(
            f"model {network.name!r} must take composites of digits, (1, 28, 28 + 14·(n - 1)) px and 10 classes, "
            f"got {shape.size} px and {shape.classes} classes"
        )
    return n_objects


def composites_for(
    network: Network, digits: Digits, number: int, *, noise: float, seed: int, device: str | torch.device = "cpu"
) -> Composites:
    """Return composites of as many digits as a network takes (`neuroattn.stimuli.digits.sample_composites`).

    The seed decides on digits, places and noise: all networks of as many digits see the same.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    return sample_composites(
        digits, number, n_objects=n_digits(network), noise=noise, generator=generator, device=device
    )


def scenes_for(
    networks: Sequence[Network],
    files: Photographs,
    *,
    n_objects: int,
    labels: str,
    size: Sequence[int] | None = None,
) -> Scenes:
    """Return scenes, once it is certain that networks take them and have their classes.

    `n_objects` and `labels` are those of `neuroattn.stimuli.scenes.load_scenes`, and so is `size`, (y, x) px, for which
    the networks' own is taken where none is given.

    Raises
    ------
    ValueError
        If a network does not take such scenes, or they cannot be had.
    """
    from neuroattn.stimuli.coco import SUPERCATEGORIES, Rule
    from neuroattn.stimuli.scenes import image_folder, load_index, load_scenes, require_classes

    images, annotations = str(files.images), str(files.annotations)
    for network in networks:
        channels, *of_network = network.config.size
        if channels != 3:
            raise ValueError(
                f"models must take colour images (3, y, x) for scenes, got {network.name} of {network.config.size}"
            )
        size = size or of_network
    if size is None:
        raise TypeError("scenes have a size")
    image_folder(images)
    if networks:  # before any photograph is decoded
        classes = load_index(annotations, files.cache, Rule(n_objects=n_objects)).class_names(labels)
        for network in networks:
            known = network.about.classes or SUPERCATEGORIES  # the paper's files do not tell theirs
            require_classes(classes, labels, known, network.config.classes, network.name, annotations)
    height, width = size
    return load_scenes(images, annotations, size=(height, width), n_objects=n_objects, labels=labels, cache=files.cache)


def require_trained_on(scenes: Scenes, training: Training, file: str | Path) -> None:
    """Raise unless scenes are those that the network of a file was trained with."""
    if training.scenes != scenes.identity:
        raise ValueError(
            f"annotations must be of the scenes that {str(file)!r} was trained with, got others (identity "
            f"{scenes.identity[:12]}, not {str(training.scenes)[:12]})"
        )


def require_held_out(training: Training, name: str) -> None:
    """Raise unless a network says that its training held two images out, or more."""
    images = training.held_out_images
    if images is None:
        raise ValueError(f"held_out_of must be a network that says which scenes it held out, got {name!r}")
    if len(images) < 2:
        raise ValueError(f"held_out_of must be a network that held out at least 2 scenes, got {name!r}: {len(images)}")


def held_out_scenes(scenes: Scenes, training: Training, name: str) -> Scenes:
    """Return the scenes that the training of a network held out; an error calls the network by `name`.

    Raises
    ------
    ValueError
        If its file does not tell which, they are not all there, or they are fewer than two.
    """
    require_held_out(training, name)
    images = training.held_out_images or ()
    chosen = np.isin(scenes.table["image_id"], images)
    if chosen.sum() < len(images):
        raise ValueError(
            f"annotations must have all {len(images):,} images that {name!r} held out, got {chosen.sum():,}; take "
            "those that it was trained with"
        )
    return scenes.select(np.flatnonzero(chosen))


def trained_on_note(scenes: Scenes, network: Network) -> str:
    """Return what must be said of a network that has seen some of these scenes, or perhaps has; "" if it has not."""
    identity, name = network.about.scenes, network.name
    if identity is None:
        return ""
    if identity != scenes.identity:
        return f"NOTE: {name} was trained on other scenes, or on these made otherwise: it may have seen some of them"
    seen = int((~np.isin(scenes.table["image_id"], network.about.held_out_images or ())).sum())
    return f"NOTE: {name} was trained on {seen:,} of these scenes: this is no test of it" if seen else ""
