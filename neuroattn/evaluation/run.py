"""One path for all networks and pictures: load, show the same digits or scenes to all, tell, write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from neuroattn.compute.device import choose_device
from neuroattn.evaluation.card import digits_card, require_described, scenes_card
from neuroattn.evaluation.config import DigitsConfig, ScenesCardConfig
from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.scenes import class_rows, evaluate_scenes
from neuroattn.evaluation.trials import evaluate
from neuroattn.models.checkpoint import (
    checkpoint_path,
    gated,
    is_gated,
    is_of_scenes,
    load_models,
    read_about,
    shipped_models,
)
from neuroattn.runs.output_file import replacing, require_folder, require_new, require_picture, write_csv
from neuroattn.runs.plain_text import printable
from neuroattn.stimuli.mnist import load
from neuroattn.stimuli.scenes import tell_notes
from neuroattn.stimuli.shown import (
    composites_for,
    held_out_scenes,
    n_digits,
    require_held_out,
    require_trained_on,
    scenes_for,
    trained_on_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuroattn.evaluation.config import CardConfig, ScenesConfig
    from neuroattn.evaluation.scenes import SceneEvaluation
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.scenes import Scenes

    Tell = Callable[[str], None]

COLUMNS = ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]


class Evaluated(NamedTuple):
    """What was found of networks: estimates of each, those of each that are about single classes, texts to tell.

    `of_mean` are the columns of the mean over networks that are told, and `alike` is whether there is such a mean;
    `head` is what is told before anything.
    """

    tables: list[pd.DataFrame]
    of_classes: list[pd.DataFrame]
    texts: list[str]
    of_mean: list[str]
    alike: bool
    head: str = ""


def evaluate_networks(config: DigitsConfig | ScenesConfig, tell: Tell) -> None:
    """Evaluate networks on digits or on scenes, tell the tables, and write the files that the user asked for.

    Raises
    ------
    ValueError
        If a network does not take such pictures, these cannot be had, or a file exists.
    """
    _require_files(config)
    found = _on_digits(config) if isinstance(config, DigitsConfig) else _on_scenes(config, tell)
    tables, texts = found.tables, found.texts
    if len(tables) > 1 and found.alike:
        over = over_networks(pd.concat(tables, ignore_index=True))
        texts.append(_text(f"mean of {len(tables)} networks", over[found.of_mean]))
        tables.append(over)
    if config.out is not None:
        write_csv(pd.concat([*tables, *found.of_classes], ignore_index=True), config.out)
    in_short = [_in_short(table) for table in tables]
    for text in filter(None, [found.head, "\n".join(in_short) + "\n", *texts]):  # now: a reader may leave
        tell(text)


def _in_short(table: pd.DataFrame) -> str:
    """Return what most readers look for, in a line; `table` is of one network, or of the mean of several."""
    rows = table.set_index("what")
    accuracy, attended, unattended = (rows.loc[name] for name in ("accuracy", "gate_attended", "gate_unattended"))
    low, high = accuracy["interval_low"], accuracy["interval_high"]
    return printable(
        f"{accuracy['model']}: accuracy {accuracy['estimate']:.3f} [{low:.3f}, {high:.3f}], gate over attended pixels "
        f"{attended['estimate']:.2f}, over the others {unattended['estimate']:.2f} (1 inhibits)"
    )


def _on_digits(config: DigitsConfig) -> Evaluated:
    digits = load(config.data, config.digits)
    models = _loaded(config.models, config.device, config.strength)
    for model in models:
        takes = n_digits(model)
        if config.n_objects not in {None, takes}:
            raise ValueError(
                f"n_objects must be {takes} for model {model.name!r}, got {config.n_objects}; its read-out has "
                f"{model.readout.in_features} inputs, one a unit of the last stage, which fixes the width of the images"
            )
    number = config.composites or len(digits)
    tables = _of_composites(models, digits, number, noise=config.noise, seed=config.seed)
    head = f"{number} composites of {digits.source}, noise {config.noise:g}, seed {config.seed}\n"
    texts = [_text(model.name, table[COLUMNS]) for model, table in zip(models, tables, strict=True)]
    return Evaluated(tables, [], texts, COLUMNS, len({model.config.size for model in models}) == 1, head)


def _loaded(names: Sequence[str], device: str, strength: float | None = None) -> list[GatedNetwork]:
    return [gated(network) for network in load_models(names, device=choose_device(device), strength=strength)]


def _of_composites(
    models: Sequence[GatedNetwork], digits: Digits, number: int, *, noise: float, seed: int
) -> list[pd.DataFrame]:
    """Return what each network does with composites, the same for all that take as many digits."""
    return [
        evaluate(model, composites_for(model, digits, number, noise=noise, seed=seed, device=model.device))
        for model in models
    ]


def _on_scenes(config: ScenesConfig, tell: Tell) -> Evaluated:
    told = None if config.held_out_of is None else read_about(checkpoint_path(config.held_out_of, "held_out_of"))
    if told is not None:
        require_held_out(told, str(config.held_out_of))  # before scenes are decoded
    models = _loaded(config.models, config.device, config.strength)
    found = Evaluated([], [], [], [name for name in COLUMNS if name != "sd"], alike=True)
    for model in models:
        scenes = scenes_for([model], config, n_objects=config.n_objects, labels=config.labels)
        if not found.tables:
            tell_notes(scenes, tell)
        if told is not None:
            scenes = held_out_scenes(scenes, told, str(config.held_out_of))
        if len(scenes) < 2:
            raise ValueError(f"annotations must have at least 2 scenes, got {len(scenes)}")
        if not found.tables:
            part = "" if told is None else f", those that {config.held_out_of} held out"
            tell(f"{len(scenes):,} scenes of {scenes.n_objects} objects{part} (of identity {scenes.identity[:12]})\n")
        if note := trained_on_note(scenes, model):
            found.texts.append(f"{note}\n")
        one = evaluate_scenes(model, scenes)
        found.tables.append(one.table)
        found.of_classes.append(class_rows(one))
        found.texts.append(_scenes_text(model.name, one))
        _export(config, one, scenes, model.name)
    return found


def _export(config: ScenesConfig, found: SceneEvaluation, scenes: Scenes, name: str) -> None:
    """Write the gates of a network as results in COCO's format, and draw its confusions, where that is asked for."""
    if config.export_coco is not None:
        with replacing(Path(config.export_coco)) as out:
            out.write_text(json.dumps(found.results.detections), encoding="utf-8")
    if config.figure is not None:
        from neuroattn.figures.scenes import confusion_figure
        from neuroattn.figures.style import save

        figure = confusion_figure(found.confusion, scenes.classes, f"{name}, {len(scenes):,} scenes")
        with replacing(Path(config.figure)) as unfinished:
            save(figure, unfinished)


def _text(name: str, table: pd.DataFrame) -> str:
    return f"{name}\n{table.to_string(index=False, na_rep='', float_format='{:.4f}'.format)}\n"


def _scenes_text(name: str, found: SceneEvaluation) -> str:
    of_classes = [
        part.to_string(index=False, na_rep="", float_format="{:.3f}".format)
        for part in (found.classes, found.supercategories)
        if len(part)
    ]
    return "\n\n".join([_text(name, found.table[COLUMNS]).rstrip("\n"), *of_classes]) + "\n"


def _require_files(config: DigitsConfig | ScenesConfig) -> None:
    """Raise, before the long evaluation, if a file that is asked for cannot be written."""
    files = {name: getattr(config, name, None) for name in ("out", "figure", "export_coco")}
    for name, file in files.items():
        require_new(name, file)
    given = [str(Path(file).resolve()) for file in files.values() if file is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"out, figure and export_coco must be different files, got {given[0]!r} more than once")
    require_picture("figure", files["figure"])


def write_card(config: CardConfig | ScenesCardConfig, tell: Tell) -> None:
    """Evaluate networks and write their model card.

    Raises
    ------
    ValueError
        If a file does not say how it was trained, the pictures cannot be had or are others than those that it was
        trained with, or the card's folder does not exist.
    """
    require_folder("out", config.out)
    if isinstance(config, ScenesCardConfig):
        text = _card_of_scenes(config, (lambda _: None) if config.out is None else tell)  # then the card alone is told
    else:
        text = _card_of_digits(config)
    if config.out is None:
        tell(printable(text))
    else:
        with replacing(Path(config.out)) as file:
            file.write_text(printable(text), encoding="utf-8")


def _card_of_digits(config: CardConfig) -> str:
    digits = load(config.data, "test")
    names = config.models or tuple(name for name in shipped_models() if is_gated(name) and not is_of_scenes(name))
    files = _files(names, _loaded(names, config.device))
    require_described(files, of_scenes=False)
    models = list(files.values())
    for model in models:
        n_digits(model)  # a network of scenes is refused before the others are evaluated
    named = "MNIST's official test digits" if digits.is_mnist else "test digits that are not MNIST's own"
    shown = f"{len(digits):,} composites of {named} (noise {config.noise:g}, seed {config.seed})"
    tables = _of_composites(models, digits, len(digits), noise=config.noise, seed=config.seed)
    return digits_card(files, pd.concat(tables, ignore_index=True), shown)


def _card_of_scenes(config: ScenesCardConfig, tell: Tell) -> str:
    names = config.models or tuple(name for name in shipped_models() if is_of_scenes(name))
    if not names:
        raise ValueError("models must name a network of scenes, got none, and none is shipped")
    if twice := sorted(set(names) & set(config.beside)):
        raise ValueError(f"beside must name other networks than models, got {', '.join(twice)}")
    for name in config.beside:
        checkpoint_path(name, "beside")
    models = _loaded([*names, *config.beside], config.device)
    files = _files(names, models[: len(names)])
    require_described(files, of_scenes=True)
    options = [network.about.options for network in files.values()]
    kinds = {(one["n_objects"], one["labels"], tuple(one["size"])) for one in options}
    if len(kinds) > 1 or len({model.config.size for model in models}) > 1:
        raise ValueError("models must name networks of as many objects, the same labels and one size; make a card each")
    [(n_objects, labels, _)] = kinds
    scenes = scenes_for(models, config, n_objects=n_objects, labels=labels)
    for file, network in files.items():
        require_trained_on(scenes, network.about, file)
    tell_notes(scenes, tell)
    return scenes_card(files, dict(zip(config.beside, models[len(names) :], strict=True)), scenes)


def _files(names: Sequence[str], models: Sequence[GatedNetwork]) -> dict[Path, GatedNetwork]:
    return {checkpoint_path(name): model for name, model in zip(names, models, strict=True)}
