"""Every published number, recomputed on the published weights and on our networks.

``python -m neuroattn.experiments.reproduce``. The numbers, where they come from, and how far one may be off are in
``experiments/published.yaml``; the penalty sweep is read from a table of ``python -m neuroattn.training sweep``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from neuroattn.command.line import read_options, run_command, tell
from neuroattn.experiments.reproduce.numbers import (
    RECIPES,
    Recomputed,
    bar_curves,
    evaluations,
    is_fraction,
    last_epochs,
    paper_bars,
    scene_numbers,
)
from neuroattn.experiments.reproduce.options import Config
from neuroattn.runs.folder import alone, is_free, occupied, run_folder
from neuroattn.runs.output_file import replacing, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from neuroattn.models.gated import GatedNetwork

PROG = "python -m neuroattn.experiments.reproduce"
DESCRIPTION = """Recompute every published number on the published weights, if their file is named, and on our networks,
with an interval over them; and say of each whether it is reproduced, differs (and why), or was not run (and why)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status."""
    config = read_options(Config, argv, prog=PROG, description=DESCRIPTION)
    folder = run_folder(config.out, "reproduce")

    def command() -> None:
        table = reproduce(config, folder, tell)
        counts = table["verdict"].value_counts()
        shown = table.drop(columns=["source", "explanation"]).round(4)
        tell(shown.to_string(index=False, na_rep="–", max_colwidth=70))
        tell("")
        for explanation, rows in table[table["explanation"] != ""].groupby("explanation", sort=False):
            tell(f"{'; '.join(rows['name'])}\n    {explanation}")
        tell("")
        tell(", ".join(f"{number} {verdict}" for verdict, number in counts.items()) + f"; results in {folder}")

    run_command(command, interrupted=lambda: "nothing was kept")


def reproduce(config: Config, folder: Path, tell: Callable[[str], None]) -> pd.DataFrame:
    """Recompute the published numbers and write ``reproduction.csv`` and ``run.json`` into a folder.

    Raises
    ------
    ValueError
        If the folder is not free, or a network, the digits or the sweep's table cannot be had.
    """
    with alone(folder):
        if not is_free(folder):
            raise occupied(folder)
        table, about = _recomputed(config, tell)
        write_csv(table, folder / "reproduction.csv")
        with replacing(folder / "run.json") as file:
            file.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return table


_REASONS = {
    "evaluation": "the number depends on that of composites (--composites 10000)",
    "tuning": "no network was asked for (--tuning_networks)",
    "scenes": "the photographs were not named (--images DIR --annotations FILE), or there is no network of scenes",
    "sweep": "the table of the sweep has no such training (python -m neuroattn.training sweep)",
}


def _recomputed(config: Config, tell: Callable[[str], None]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table, and how it came about."""
    import yaml

    from neuroattn.compute.device import choose_device
    from neuroattn.experiments.reproduce.comparison import compare
    from neuroattn.models.checkpoint import gated, load_models, weights_hash
    from neuroattn.runs.provenance import versions
    from neuroattn.stimuli.mnist import load

    numbers = yaml.safe_load((RECIPES / "published.yaml").read_text(encoding="utf-8"))
    sweep = last_epochs(config)
    digits = load(config.data, "test") if config.data else load(None, "embedded")
    device = choose_device(config.device)
    ours = [gated(network) for network in load_models(config.models, device=device)]
    published = [gated(one) for one in load_models((config.published,) if config.published else (), device=device)]
    if published and published[0].name in config.models:
        raise ValueError(f"published must have another name than models, got {published[0].name!r}; rename the file")
    models = [*published, *ours]
    to_tune = models[: config.tuning_networks + len(published)]
    _require_fitting(config, models, to_tune)
    scenes_networks = _scenes_networks(config) if config.images else []
    of_them = [gated(network) for network in load_models(scenes_networks, device=device)]
    scenes_models = dict(zip(scenes_networks, of_them, strict=True))
    notes = list(digits.notes)
    of_scenes = {name: scene_numbers(config, name, model, notes) for name, model in scenes_models.items()}
    for note in notes:
        tell(f"note: {note}")
    tuned = {}
    for model in to_tune:
        tell(f"tuning of {model.name}")
        tuned[model.name] = bar_curves(model, paper_bars(config))
    evaluated = {model.name: evaluations(config, digits, model, numbers, own=model in ours) for model in models}
    found = Recomputed(
        composites=config.composites,
        published_scenes=config.published_scenes,
        evaluated=evaluated,
        tuned=tuned,
        of_scenes=of_scenes,
        sweep=sweep,
    )
    names = [model.name for model in ours] + [name for name in scenes_networks if name != config.published_scenes]
    of_theirs = (published[0].name if published else "", config.published_scenes or "")
    table = compare(
        [{**entry, "fraction": is_fraction(entry)} for entry in numbers],
        [found.number(entry, of_theirs[entry["of"] == "scenes"]) for entry in numbers],
        [found.ours(entry, names) for entry in numbers],
        _REASONS,
    )
    about = {
        "configuration": {key: value for key, value in asdict(config).items() if key != "out"},
        "weights_sha256": {model.name: weights_hash(model) for model in models},
        "scenes_weights_sha256": {name: weights_hash(model) for name, model in scenes_models.items()},
        "notes": notes,
        "versions": versions(),
    }
    return table, about


def _require_fitting(config: Config, models: Sequence[GatedNetwork], to_tune: Sequence[GatedNetwork]) -> None:
    """Raise, before the long work, unless networks take the composites, memory holds these, and bars can be shown."""
    from neuroattn.models.config import digits_config
    from neuroattn.stimuli.digits import require_room_for
    from neuroattn.stimuli.shown import n_digits

    for model in models:
        require_room_for(config.composites, n_digits(model))
    for model in to_tune:
        if model.config.size != digits_config().size:
            raise ValueError(
                f"tuning_networks must leave out networks of more than two digits, got {config.tuning_networks}, "
                f"{model.name} among them; name such networks last"
            )


def _scenes_networks(config: Config) -> list[str]:
    """Return the networks that the numbers of scenes are computed of."""
    from neuroattn.models.checkpoint import checkpoint_path, is_of_scenes, shipped_models

    for name in config.scenes_models:
        checkpoint_path(name, "scenes_models")
    ours = config.scenes_models or [name for name in shipped_models() if is_of_scenes(name)]
    return [*([config.published_scenes] if config.published_scenes else []), *ours]
