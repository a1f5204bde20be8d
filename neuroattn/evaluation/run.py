"""One path for all networks, shipped, own and published: load, show the same composites, tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from neuroattn.compute.device import choose_device
from neuroattn.evaluation.card import NEEDED, card
from neuroattn.evaluation.digits import evaluate
from neuroattn.evaluation.networks import over_networks
from neuroattn.models.checkpoint import checkpoint_path, is_of_scenes, load_models, read_metadata, shipped_models
from neuroattn.models.config import n_digits
from neuroattn.models.metadata import says
from neuroattn.runs.output_file import replacing, require_folder, require_new, write_csv
from neuroattn.runs.plain_text import printable
from neuroattn.stimuli.digits import sample_composites
from neuroattn.stimuli.mnist import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuroattn.evaluation.config import CardConfig, DigitsConfig
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.mnist import Digits


def evaluate_digits(config: DigitsConfig, tell: Callable[[str], None]) -> None:
    """Evaluate the networks, tell the table, and write it where the user asked for a file.

    Raises
    ------
    ValueError
        If a network does not take such composites, the digits cannot be had, or the file exists.
    """
    require_new("out", config.out)
    digits = load(config.data, config.digits)
    models = load_models(config.models, device=choose_device(config.device), strength=config.strength)
    _require_number(models, config.n_objects)
    number = config.composites or len(digits)
    table = _evaluated(models, digits, number, config.noise, config.seed)
    if config.out is not None:
        write_csv(table, config.out)
    tell(f"{number} composites of {digits.source}, noise {config.noise:g}, seed {config.seed}\n")
    for name, rows in table.groupby("model", sort=False):
        columns = ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
        tell(f"{name}\n{rows[columns].to_string(index=False, na_rep='', float_format='{:.4f}'.format)}\n")


def write_card(config: CardConfig, tell: Callable[[str], None]) -> None:
    """Evaluate networks on MNIST's official test set and write their model card.

    Raises
    ------
    ValueError
        If a file does not say how it was trained, the digits cannot be had, or the card's folder does not exist.
    """
    require_folder("out", config.out)
    names = config.models or tuple(name for name in shipped_models() if not is_of_scenes(name))
    files = [checkpoint_path(name) for name in names]
    about = [read_metadata(file) for file in files]
    for file, one in zip(files, about, strict=True):
        if not says(one, *NEEDED, "training.digits.what", "training.digits.n"):
            raise ValueError(f"models must say how they were trained, got {str(file)!r}, whose metadata does not")
    digits = load(config.data, "test")
    models = load_models(names, device=choose_device(config.device), strength=None)
    for model in models:
        n_digits(model.config, model.name)  # a network of scenes is refused before the others are evaluated
    table = _evaluated(models, digits, len(digits), config.noise, config.seed)
    named = "MNIST's official test digits" if digits.is_mnist else "test digits that are not MNIST's own"
    shown = f"{len(digits):,} composites of {named} (noise {config.noise:g}, seed {config.seed})"
    text = printable(card(files, about, table, shown))
    if config.out is None:
        tell(text)
    else:
        with replacing(Path(config.out)) as file:
            file.write_text(text, encoding="utf-8")


def _evaluated(models: Sequence[GatedNetwork], digits: Digits, number: int, noise: float, seed: int) -> pd.DataFrame:
    tables = []
    for model in models:
        generator = torch.Generator().manual_seed(seed)  # anew for every network: the same composites for all
        n_objects = n_digits(model.config, model.name)
        shown = sample_composites(
            digits, number, n_objects=n_objects, noise=noise, generator=generator, device=model.device
        )
        tables.append(evaluate(model, shown))
    table = pd.concat(tables, ignore_index=True)
    alike = len({model.config.size for model in models}) == 1
    return pd.concat([table, over_networks(table)], ignore_index=True) if len(models) > 1 and alike else table


def _require_number(models: Sequence[GatedNetwork], n_objects: int | None) -> None:
    for model in models:
        takes = n_digits(model.config, model.name)
        if n_objects is not None and n_objects != takes:
            raise ValueError(
                f"n_objects must be {takes} for model {model.name!r}, got {n_objects}; its read-out has "
                f"{model.readout.in_features} inputs, one a unit of the last stage, which fixes the width of the images"
            )
