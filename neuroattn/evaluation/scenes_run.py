"""The command that evaluates networks on scenes: load, show the same scenes to all, tell, write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuroattn.device import choose_device
from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.output_file import require_folder, require_new
from neuroattn.evaluation.scenes import evaluate_scenes
from neuroattn.models.checkpoint import (
    checkpoint_path,
    class_names,
    held_out_images,
    is_of_scenes,
    load_models,
    read_metadata,
    shipped_models,
    trained_on,
)
from neuroattn.stimuli.coco import SUPERCATEGORIES
from neuroattn.stimuli.scenes import load_scenes, require_classes, tell_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from neuroattn.evaluation.config import ScenesCardConfig, ScenesConfig
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes


def evaluate_on_scenes(config: ScenesConfig, tell: Callable[[str], None]) -> None:
    """Evaluate the networks, tell the tables, and write the files that the user asked for.

    Raises
    ------
    ValueError
        If a network does not take such scenes, the scenes cannot be had, or a file exists.
    """
    _require_files(config)
    models = load_models(config.model, device=choose_device(config.device), strength=config.strength)
    tables: list[pd.DataFrame] = []
    for given, model in zip(config.model, models, strict=True):
        scenes = scenes_for(
            given,
            model,
            config.images,
            config.annotations,
            n_objects=config.n_objects,
            labels=config.labels,
            cache=config.cache,
        )
        if config.held_out_of is not None:
            scenes = held_out_scenes(config.held_out_of, scenes)
        if len(scenes) < 2:
            raise ValueError(f"annotations must have at least 2 scenes, got {len(scenes)}")
        if not tables:
            tell_notes(scenes, tell)
            part = "" if config.held_out_of is None else f", those that {config.held_out_of} held out"
            tell(f"{len(scenes):,} scenes of {scenes.n_objects} objects{part} (of identity {scenes.identity[:12]})\n")
        if note := trained_on_note(given, model.name, scenes):
            tell(f"{note}\n")
        found = evaluate_scenes(model, scenes)
        columns = ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
        rows = found.table[columns].to_string(index=False, na_rep="", float_format="{:.4f}".format)
        classes = found.classes.to_string(index=False, na_rep="", float_format="{:.3f}".format)
        tell(f"{model.name}\n{rows}\n\n{classes}\n")
        tables.append(found.table)
        if config.export_coco is not None:
            Path(config.export_coco).write_text(json.dumps(found.results.detections), encoding="utf-8")
        if config.figure is not None:
            _draw(found.confusion, scenes, model.name, config.figure)
    table = pd.concat(tables, ignore_index=True)
    if len(models) > 1:
        over = over_networks(table)
        columns = ["what", "estimate", "interval_low", "interval_high", "n", "note"]
        rows = over[columns].to_string(index=False, na_rep="", float_format="{:.4f}".format)
        tell(f"mean of {len(models)} networks\n{rows}\n")
        table = pd.concat([table, over], ignore_index=True)
    if config.out is not None:
        table.to_csv(config.out, index=False)


def write_scenes_card(config: ScenesCardConfig, tell: Callable[[str], None]) -> None:
    """Evaluate networks on the scenes that they held out, and write their model card.

    Raises
    ------
    ValueError
        If a file does not say how it was trained, the scenes cannot be had or are others than those that it was trained
        with, or the card's folder does not exist.
    """
    from neuroattn.evaluation.scenes_card import scenes_card

    require_folder("out", config.out)
    names = config.model or tuple(name for name in shipped_models() if is_of_scenes(name))
    if not names:
        raise ValueError("model must name a network of scenes, got none, and none is shipped")
    if twice := sorted(set(names) & set(config.beside)):
        raise ValueError(f"beside must name other networks than model, got {', '.join(twice)}")
    files = [checkpoint_path(name) for name in names]
    about = [read_metadata(file) for file in files]
    for file, one in zip(files, about, strict=True):
        if not {"options", "epochs", "scenes", "held_out_images"} <= set(one["training"]):
            raise ValueError(f"model must say how it was trained on scenes, got {str(file)!r}, whose metadata does not")
    models = load_models([*names, *config.beside], device=choose_device(config.device))
    options = [one["training"]["options"] for one in about]
    kinds = {(one["n_objects"], one["labels"], tuple(one["size"])) for one in options}
    if len(kinds) > 1 or len({model.config.size for model in models}) > 1:
        raise ValueError("model must name networks of as many objects, the same labels and one size; make a card each")
    [(n_objects, labels, _)] = kinds
    for given, model in zip([*names, *config.beside], models, strict=True):
        scenes = scenes_for(
            given, model, config.images, config.annotations, n_objects=n_objects, labels=labels, cache=config.cache
        )
    for file, one in zip(files, about, strict=True):
        if one["training"]["scenes"]["sha256"] != scenes.identity:
            raise ValueError(
                f"annotations must be of the scenes that {str(file)!r} was trained with, got others (identity "
                f"{scenes.identity[:12]}, not {one['training']['scenes']['sha256'][:12]})"
            )
    tell_notes(scenes, tell)
    others = dict(zip(config.beside, models[len(names) :], strict=True))
    text = scenes_card(files, about, models[: len(names)], others, scenes)
    if config.out is None:
        tell(text)
    else:
        Path(config.out).write_text(text, encoding="utf-8")


def scenes_for(
    given: str,
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
    given
        Name or file of the network.
    model
        The network itself.
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
    known = class_names(given) or SUPERCATEGORIES  # the paper's files do not tell theirs
    require_classes(scenes, known, model.config.classes, model.name, annotations)
    return scenes


def held_out_scenes(name: str, scenes: Scenes) -> Scenes:
    """Return the scenes that the training of a network held out.

    Raises
    ------
    ValueError
        If its file does not tell which, they are not all there, or they are fewer than two.
    """
    images = held_out_images(name)
    if images is None:
        raise ValueError(f"held_out_of must be a network that says which scenes it held out, got {name!r}")
    if len(images) < 2:
        raise ValueError(f"held_out_of must be a network that held out at least 2 scenes, got {name!r}: {len(images)}")
    chosen = np.isin(scenes.table["image_id"], images)
    if chosen.sum() < len(images):
        raise ValueError(
            f"annotations must have all {len(images):,} images that {name!r} held out, got {chosen.sum():,}; take "
            "those that it was trained with"
        )
    return scenes.select(np.flatnonzero(chosen))


def trained_on_note(given: str, name: str, scenes: Scenes) -> str:
    """Return what must be said of a network that has seen some of these scenes, or perhaps has; "" if it has not."""
    identity = trained_on(given)
    if identity is None:
        return ""
    if identity != scenes.identity:
        return f"NOTE: {name} was trained on other scenes, or on these made otherwise: it may have seen some of them"
    seen = int((~np.isin(scenes.table["image_id"], held_out_images(given) or ())).sum())
    return f"NOTE: {name} was trained on {seen:,} of these scenes: this is no test of it" if seen else ""


def _require_files(config: ScenesConfig) -> None:
    """Raise, before the long evaluation, if a file that is asked for cannot be written."""
    files = {name: getattr(config, name) for name in ("out", "figure", "export_coco")}
    for name, file in files.items():
        require_new(name, file)
    given = [str(Path(file).resolve()) for file in files.values() if file is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"out, figure and export_coco must be different files, got {given[0]!r} more than once")
    if config.figure is not None and Path(config.figure).suffix not in {".png", ".svg", ".pdf"}:
        raise ValueError(f"figure must end in .png, .svg or .pdf, got {config.figure!r}")


def _draw(confusion: NDArray[np.int64], scenes: Scenes, name: str, file: str) -> None:
    from neuroattn.figures.scenes import confusion_figure

    confusion_figure(confusion, scenes.classes, f"{name}, {len(scenes):,} scenes").savefig(file, dpi=300)
