"""Scenes for a network: at its size, with its classes, and which of them it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn.models.checkpoint import checkpoint_path, read_about
from neuroattn.stimuli.coco import SUPERCATEGORIES
from neuroattn.stimuli.scenes import load_scenes, require_classes

if TYPE_CHECKING:
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes


def scenes_for(
    model: GatedNetwork,
    images: str,
    annotations: str,
    *,
    n_objects: int = 2,
    labels: str = "supercategory",
    cache: str | None = None,
) -> Scenes:
    """Return scenes at the size that a network takes, once it is certain that their classes are its own.

    Parameters
    ----------
    model
        The network.
    images, annotations, n_objects, labels, cache
        As for `neuroattn.stimuli.scenes.load_scenes`.

    Raises
    ------
    ValueError
        If the network does not take such scenes, or they cannot be had.
    """
    channels, height, width = model.config.size
    if channels != 3:
        raise ValueError(f"model {model.name!r} must take colour images (3, y, x), got {model.config.size}")
    scenes = load_scenes(
        images,
        annotations,
        size=(height, width),
        n_objects=n_objects,
        labels=labels,
        cache=cache,
    )
    known = model.about.classes or SUPERCATEGORIES  # the paper's files do not tell theirs
    require_classes(scenes.classes, labels, known, model.config.classes, model.name, annotations)
    return scenes


def told_images(name: str) -> tuple[int, ...]:
    """Return the images that a network says its training held out, two or more; see `held_out_scenes`."""
    images = read_about(checkpoint_path(name, "held_out_of")).held_out_images
    if images is None:
        raise ValueError(f"held_out_of must be a network that says which scenes it held out, got {name!r}")
    if len(images) < 2:
        raise ValueError(f"held_out_of must be a network that held out at least 2 scenes, got {name!r}: {len(images)}")
    return images


def held_out_scenes(name: str, scenes: Scenes) -> Scenes:
    """Return the scenes that the training of a network held out.

    Raises
    ------
    ValueError
        If its file does not tell which, they are not all there, or they are fewer than two.
    """
    images = told_images(name)
    chosen = np.isin(scenes.table["image_id"], images)
    if chosen.sum() < len(images):
        raise ValueError(
            f"annotations must have all {len(images):,} images that {name!r} held out, got {chosen.sum():,}; take "
            "those that it was trained with"
        )
    return scenes.select(np.flatnonzero(chosen))


def trained_on_note(model: GatedNetwork, scenes: Scenes) -> str:
    """Return what must be said of a network that has seen some of these scenes, or perhaps has; "" if it has not."""
    identity, name = model.about.scenes, model.name
    if identity is None:
        return ""
    if identity != scenes.identity:
        return f"NOTE: {name} was trained on other scenes, or on these made otherwise: it may have seen some of them"
    seen = int((~np.isin(scenes.table["image_id"], model.about.held_out_images or ())).sum())
    return f"NOTE: {name} was trained on {seen:,} of these scenes: this is no test of it" if seen else ""
