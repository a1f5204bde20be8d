"""The command that evaluates networks on scenes: load, show the same scenes to all, tell, write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neuroattn.compute.device import choose_device
from neuroattn.evaluation.card import NEEDED
from neuroattn.evaluation.network_scenes import held_out_scenes, scenes_for, told_images, trained_on_note
from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.scenes import class_rows, evaluate_scenes
from neuroattn.evaluation.scenes_card import scenes_card
from neuroattn.models.checkpoint import (
    checkpoint_path,
    is_of_scenes,
    load_models,
    read_metadata,
    shipped_models,
)
from neuroattn.models.metadata import says
from neuroattn.runs.output_file import replacing, require_folder, require_new, require_picture, write_csv
from neuroattn.runs.plain_text import printable
from neuroattn.stimuli.scenes import tell_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from neuroattn.evaluation.config import ScenesCardConfig, ScenesConfig
    from neuroattn.evaluation.scenes import SceneEvaluation
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes

SCENES_OPTIONS = ("n_objects", "labels", "size")


def evaluate_on_scenes(config: ScenesConfig, tell: Callable[[str], None]) -> None:
    """Evaluate the networks, tell the tables, and write the files that the user asked for.

    Raises
    ------
    ValueError
        If a network does not take such scenes, the scenes cannot be had, or a file exists.
    """
    _require_files(config)
    if config.held_out_of is not None:
        told_images(config.held_out_of)  # before scenes are decoded
    models = load_models(config.models, device=choose_device(config.device), strength=config.strength)
    tables: list[pd.DataFrame] = []
    by_class: list[pd.DataFrame] = []
    texts: list[str] = []
    for model in models:
        scenes = _scenes_of(config, model)
        if not tables:
            tell_notes(scenes, tell)
            part = "" if config.held_out_of is None else f", those that {config.held_out_of} held out"
            tell(f"{len(scenes):,} scenes of {scenes.n_objects} objects{part} (of identity {scenes.identity[:12]})\n")
        if note := trained_on_note(model, scenes):
            texts.append(f"{note}\n")
        found = evaluate_scenes(model, scenes)
        texts.append(_text(model.name, found))
        tables.append(found.table)
        by_class.append(class_rows(found))
        if config.export_coco is not None:
            with replacing(Path(config.export_coco)) as out:
                out.write_text(json.dumps(found.results.detections), encoding="utf-8")
        if config.figure is not None:
            _draw(found.confusion, scenes, model.name, config.figure)
    table = pd.concat(tables, ignore_index=True)
    if len(models) > 1:
        over = over_networks(table)
        columns = ["what", "estimate", "interval_low", "interval_high", "n", "note"]
        rows = over[columns].to_string(index=False, na_rep="", float_format="{:.4f}".format)
        texts.append(f"mean of {len(models)} networks\n{rows}\n")
        table = pd.concat([table, over], ignore_index=True)
    if config.out is not None:
        write_csv(pd.concat([table, *by_class], ignore_index=True), config.out)
    for text in texts:  # once the files are written: a reader may leave
        tell(text)


def _scenes_of(config: ScenesConfig, model: GatedNetwork) -> Scenes:
    """Return the scenes that a network is evaluated on, at least two."""
    scenes = scenes_for(
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
    return scenes


def _text(name: str, found: SceneEvaluation) -> str:
    """Return the tables of a network for a terminal."""
    columns = ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
    rows = found.table[columns].to_string(index=False, na_rep="", float_format="{:.4f}".format)
    of_classes = [
        part.to_string(index=False, na_rep="", float_format="{:.3f}".format)
        for part in (found.classes, found.supercategories)
        if len(part)
    ]
    return "\n\n".join([f"{name}\n{rows}", *of_classes]) + "\n"


def write_scenes_card(config: ScenesCardConfig, tell: Callable[[str], None]) -> None:
    """Evaluate networks on the scenes that they held out, and write their model card.

    Raises
    ------
    ValueError
        If a file does not say how it was trained, the scenes cannot be had or are others than those that it was trained
        with, or the card's folder does not exist.
    """
    require_folder("out", config.out)
    names = config.models or tuple(name for name in shipped_models() if is_of_scenes(name))
    if not names:
        raise ValueError("models must name a network of scenes, got none, and none is shipped")
    if twice := sorted(set(names) & set(config.beside)):
        raise ValueError(f"beside must name other networks than models, got {', '.join(twice)}")
    files = [checkpoint_path(name) for name in names]
    for name in config.beside:
        checkpoint_path(name, "beside")
    about = [_described(file) for file in files]
    models = load_models([*names, *config.beside], device=choose_device(config.device))
    options = [one["training"]["options"] for one in about]
    kinds = {(one["n_objects"], one["labels"], tuple(one["size"])) for one in options}
    if len(kinds) > 1 or len({model.config.size for model in models}) > 1:
        raise ValueError("models must name networks of as many objects, the same labels and one size; make a card each")
    [(n_objects, labels, _)] = kinds
    for model in models:
        scenes = scenes_for(
            model, config.images, config.annotations, n_objects=n_objects, labels=labels, cache=config.cache
        )
    for file, one in zip(files, about, strict=True):
        if one["training"]["scenes"]["sha256"] != scenes.identity:
            raise ValueError(
                f"annotations must be of the scenes that {str(file)!r} was trained with, got others (identity "
                f"{scenes.identity[:12]}, not {one['training']['scenes']['sha256'][:12]})"
            )
    if config.out is not None:  # otherwise the card alone is told
        tell_notes(scenes, tell)
    others = dict(zip(config.beside, models[len(names) :], strict=True))
    text = printable(scenes_card(files, about, models[: len(names)], others, scenes))
    if config.out is None:
        tell(text)
    else:
        with replacing(Path(config.out)) as file:
            file.write_text(text, encoding="utf-8")


def _described(file: Path) -> dict[str, Any]:
    """Return what a network says of itself, once it is certain that it says how it was trained on scenes."""
    about = read_metadata(file)
    of_scenes = ("scenes.what", "held_out_images", "n_cutouts", *(f"options.{name}" for name in SCENES_OPTIONS))
    if not says(about, *NEEDED, *(f"training.{name}" for name in of_scenes)):
        raise ValueError(f"models must say how they were trained on scenes, got {str(file)!r}, whose metadata does not")
    return about


def _require_files(config: ScenesConfig) -> None:
    """Raise, before the long evaluation, if a file that is asked for cannot be written."""
    files = {name: getattr(config, name) for name in ("out", "figure", "export_coco")}
    for name, file in files.items():
        require_new(name, file)
    given = [str(Path(file).resolve()) for file in files.values() if file is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"out, figure and export_coco must be different files, got {given[0]!r} more than once")
    require_picture("figure", config.figure)


def _draw(confusion: NDArray[np.int64], scenes: Scenes, name: str, file: str) -> None:
    from neuroattn.figures.scenes import confusion_figure

    figure = confusion_figure(confusion, scenes.classes, f"{name}, {len(scenes):,} scenes")
    with replacing(Path(file)) as unfinished:
        figure.savefig(unfinished, dpi=300)
