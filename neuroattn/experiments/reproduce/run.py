"""Every published number, recomputed on the published weights and on our networks.

``python -m neuroattn.experiments.reproduce``. The numbers, where they come from, and how far one may be off are in
``experiments/published.yaml``; the penalty sweep is read from a table of ``python -m neuroattn.training sweep``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn import dims
from neuroattn.command.line import read_options, run_command, tell
from neuroattn.command.option import check_options, option
from neuroattn.experiments.protocol import CommandConfig
from neuroattn.runs.folder import alone, is_free, occupied, run_folder
from neuroattn.runs.output_file import replacing, write_csv
from neuroattn.runs.plain_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.stimulus_set import StimulusSet

PROG = "python -m neuroattn.experiments.reproduce"
DESCRIPTION = """Recompute every published number on the published weights, if their file is named, and on our networks,
with an interval over them; and say of each whether it is reproduced, differs (and why), or was not run (and why)."""
BAR, DIGIT = 0, 1  # the objects of a tuning stimulus
# Columns of units that see the bar on the left, of each layer.
COLUMNS = {"stage1/response": 11, "stage2/response": 3}
N_SCENES = ("n_scenes", "estimate")
_PACKAGE = Path(__file__).resolve().parents[2]
_RECIPES = next(place for place in (_PACKAGE / "recipes", _PACKAGE.parent / "experiments") if place.is_dir())


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Options of the command."""

    models: tuple[str, ...] = option(
        tuple(f"digits-{seed}" for seed in range(10)),
        "our networks: shipped names, or paths of .safetensors files",
        path=True,
    )
    published: str | None = option(
        None, "the weights published with the paper (a .pt file); none: ours alone", path=True
    )
    data: str | None = option(
        None,
        "folder with MNIST's test files, or 'download', for the official test digits; none: the embedded digits",
        path=True,
    )
    composites: int = option(10_000, "composites of the evaluation", low=2)
    n_bars: int = option(11, "places of the tuning protocol's bar along each axis", low=2, high=11)
    tuning_networks: int = option(3, "how many of our networks go through the tuning protocol", low=0)
    published_scenes: str | None = option(
        None, "the scenes weights published with the paper (a .pt file); none: ours alone", path=True
    )
    scenes_models: tuple[str, ...] = option(
        (), "our networks of scenes: shipped names, or paths (none: all that are shipped)", path=True
    )
    images: str | None = option(
        None, "folder of COCO images, for the numbers of scenes; none: they are not run", path=True
    )
    annotations: str | None = option(None, "COCO's instance annotations for them, a JSON file", path=True)
    cache: str | None = option(
        None, "folder for what is kept of the scenes (default: in the user's cache folder)", path=True
    )
    sweep: str | None = option(
        None, "table of a penalty sweep (none: the one that travels with the package)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        for name in ("published", "published_scenes"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise ValueError(f"{name} must be a file that exists, got {shown(file)}; check the path")
        if self.published and not self.data:
            raise ValueError(
                "data must be named with published: those weights were trained on digits that are embedded here, and "
                "their numbers are of test digits"
            )
        if (self.images is None) != (self.annotations is None):
            there, missing = ("images", "annotations") if self.annotations is None else ("annotations", "images")
            raise ValueError(f"{missing} must be named with --{there}, got none; name both, or neither")
        if len(set(self.scenes_models)) < len(self.scenes_models):
            raise ValueError(f"scenes_models must name different networks, got {', '.join(self.scenes_models)}")
        if self.published_scenes and not self.images:
            raise ValueError("images must be named with published_scenes, got none; name the folder of COCO's images")


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


def _recomputed(config: Config, tell: Callable[[str], None]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table, and how it came about."""
    import yaml

    from neuroattn.compute.device import choose_device
    from neuroattn.experiments.reproduce.comparison import compare
    from neuroattn.models.checkpoint import load_models, weights_hash
    from neuroattn.runs.provenance import versions
    from neuroattn.stimuli.mnist import load

    numbers = yaml.safe_load((_RECIPES / "published.yaml").read_text(encoding="utf-8"))
    sweep = _sweep(config)
    digits = load(config.data, "test") if config.data else load(None, "embedded")
    device = choose_device(config.device)
    ours = load_models(config.models, device=device)
    published = load_models((config.published,), device=device)[0] if config.published else None
    if published is not None and published.name in config.models:
        raise ValueError(f"published must have another name than models, got {published.name!r}; rename the file")
    models = [*([] if published is None else [published]), *ours]
    to_tune = models[: config.tuning_networks + len(models) - len(ours)]
    _require_fitting(config, models, to_tune)
    scenes_networks = _scenes_networks(config) if config.images else []
    scenes_models = dict(zip(scenes_networks, load_models(scenes_networks, device=device), strict=True))
    notes = list(digits.notes)
    of_scenes = {name: _on_scenes(config, name, model, notes) for name, model in scenes_models.items()}
    for note in notes:
        tell(f"note: {note}")
    tuned = {}
    if to_tune:
        stimuli = _bars(config)
        for model in to_tune:
            tell(f"tuning of {model.name}")
            tuned[model.name] = _curves(model, stimuli)
    found = _Recomputed(
        composites=config.composites,
        published_scenes=config.published_scenes,
        evaluated={
            model.name: _evaluations(config, digits, model, numbers, own=model is not published) for model in models
        },
        tuned=tuned,
        of_scenes=of_scenes,
        sweep=sweep,
    )
    names = [model.name for model in ours] + [name for name in scenes_networks if name != config.published_scenes]
    of_theirs = ("" if published is None else published.name, config.published_scenes or "")
    theirs = [found.number(entry, of_theirs[entry["of"] == "scenes"]) for entry in numbers]
    own = [found.ours(entry, names) for entry in numbers]
    reasons = {
        "evaluation": "the number depends on that of composites (--composites 10000)",
        "tuning": "no network was asked for (--tuning_networks)",
        "scenes": "the photographs were not named (--images DIR --annotations FILE), or there is no network of scenes",
        "sweep": "the table of the sweep has no such training (python -m neuroattn.training sweep)",
    }
    table = compare([{**entry, "fraction": _is_fraction(entry)} for entry in numbers], theirs, own, reasons)
    about = {
        "configuration": {key: value for key, value in asdict(config).items() if key != "out"},
        "weights_sha256": {model.name: weights_hash(model) for model in models},
        "scenes_weights_sha256": {name: weights_hash(model) for name, model in scenes_models.items()},
        "notes": notes,
        "versions": versions(),
    }
    return table, about


@dataclass(frozen=True, kw_only=True)
class _Recomputed:
    """Everything that numbers are read from.

    `evaluated` and `of_scenes` are network → what the evaluation on composites, or on scenes, says of it; `tuned`
    network → layer → curves; `sweep` the last epoch of every training of the sweep.
    """

    composites: int
    published_scenes: str | None
    evaluated: Mapping[str, Mapping[tuple[str, str, float], float]]
    of_scenes: Mapping[str, Mapping[tuple[str, str], float]]
    tuned: Mapping[str, Mapping[str, tuple[Any, ...]]]
    sweep: pd.DataFrame

    def number(self, entry: Mapping[str, Any], network: str) -> float | None:
        """Return the number of one network; None where it was not computed."""
        column = entry.get("column", "estimate")
        if entry["of"] == "scenes":
            found = self.of_scenes.get(network, {})
            # A number of the published weights is about certain scenes, of which at least the count must be the same.
            other = network == self.published_scenes and found.get(N_SCENES) != entry.get("scenes", found.get(N_SCENES))
            return None if other else found.get((entry["what"], column))
        if entry["of"] == "tuning":
            return _tuning(entry, self.tuned[network]) if network in self.tuned else None
        if entry["of"] == "evaluation" and entry.get("composites", self.composites) == self.composites:
            return self.evaluated.get(network, {}).get((entry["what"], column, entry.get("noise", 0.3)))
        return None

    def ours(self, entry: Mapping[str, Any], networks: Sequence[str]) -> list[float]:
        """Return the number of each of our networks that it was computed of."""
        if entry["of"] == "sweep":
            return _of_sweep(entry, self.sweep)
        found = [] if entry.get("networks") == "published" else [self.number(entry, name) for name in networks]
        return [value for value in found if value is not None]


def _is_fraction(entry: Mapping[str, Any]) -> bool:
    from neuroattn.evaluation.networks import is_fraction

    evaluated = entry["of"] in {"evaluation", "scenes"} and entry.get("column", "estimate") == "estimate"
    return entry["of"] == "sweep" or (evaluated and is_fraction(entry["what"]))


def _require_fitting(config: Config, models: Sequence[GatedNetwork], to_tune: Sequence[GatedNetwork]) -> None:
    """Raise, before the long work, unless networks take the composites, memory holds these, and bars can be shown."""
    from neuroattn.models.config import digits_config, n_digits
    from neuroattn.stimuli.digits import require_room_for

    for model in models:
        require_room_for(config.composites, n_digits(model.config, model.name))
    for model in to_tune:
        if model.config.size != digits_config().size:
            raise ValueError(
                f"tuning_networks must leave out networks of more than two digits, got {config.tuning_networks}, "
                f"{model.name} among them; name such networks last"
            )


def _evaluations(
    config: Config, digits: Digits, model: GatedNetwork, numbers: Sequence[Mapping[str, Any]], *, own: bool
) -> dict[tuple[str, str, float], float]:
    """Return (what, column, noise) → number of one network, at every noise that a number of it is at."""
    import torch

    from neuroattn.evaluation.digits import evaluate
    from neuroattn.models.config import n_digits
    from neuroattn.stimuli.digits import sample_composites

    wanted = [entry for entry in numbers if entry["of"] == "evaluation"]
    noises = {entry.get("noise", 0.3) for entry in wanted if not (own and entry.get("networks") == "published")}
    found: dict[tuple[str, str, float], float] = {}
    for noise in sorted(noises):
        generator = torch.Generator().manual_seed(config.seed)
        shown = sample_composites(
            digits,
            config.composites,
            n_objects=n_digits(model.config, model.name),
            noise=noise,
            generator=generator,
            device=model.device,
        )
        for row in evaluate(model, shown).to_dict("records"):
            found |= {(row["what"], column, noise): float(row[column]) for column in ("estimate", "sd")}
    return found


def _scenes_networks(config: Config) -> list[str]:
    """Return the networks that the numbers of scenes are computed of."""
    from neuroattn.models.checkpoint import checkpoint_path, is_of_scenes, shipped_models

    for name in config.scenes_models:
        checkpoint_path(name, "scenes_models")
    ours = config.scenes_models or [name for name in shipped_models() if is_of_scenes(name)]
    return [*([config.published_scenes] if config.published_scenes else []), *ours]


def _on_scenes(config: Config, name: str, model: GatedNetwork, notes: list[str]) -> dict[tuple[str, str], float]:
    """Return (what, column) → number of one network, on the scenes that it held out where its file tells of any.

    What was left out of the scenes is added to the notes.
    """
    from neuroattn.evaluation.network_scenes import held_out_scenes, scenes_for
    from neuroattn.evaluation.scenes import evaluate_scenes

    if config.images is None or config.annotations is None:
        raise TypeError("scenes must be named")
    scenes = scenes_for(model, config.images, config.annotations, cache=config.cache)
    notes += [note for note in scenes.notes if note not in notes]
    if model.about.scenes is not None:  # on what it was trained on, it would do better than it can
        scenes = held_out_scenes(name, scenes)
    rows = evaluate_scenes(model, scenes).table.to_dict("records")
    numbers = {(row["what"], column): float(row[column]) for row in rows for column in ("estimate", "sd")}
    return numbers | {N_SCENES: float(len(scenes))}


def _bars(config: Config) -> StimulusSet:
    """Return the paper's bars beside its digit, without noise."""
    import torch

    from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
    from neuroattn.stimuli.mnist import embedded

    digits = embedded()
    grid = tuning_grid(20, 6, config.n_bars, config.n_bars)
    digit = digits.images[digits.labels == 7][0]
    return bar_and_digit(grid, digit, 7, noise=0.0, generator=torch.Generator().manual_seed(config.seed))


def _curves(model: GatedNetwork, stimuli: StimulusSet) -> dict[str, tuple[Any, ...]]:
    """Return layer → orientations, y and x of units, and (unit, orientation) maxima over bars in both states."""
    import numpy as np

    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction

    sink = Reduction(["orientation", dims.ATTENDED], what=("maximum",))
    tree = record(model, stimuli, list(COLUMNS), [model.config.steps - 1], design="free", sink=sink, batch_size=128)
    curves = {}
    for layer in COLUMNS:
        dataset = tree[layer].to_dataset().isel({dims.TIME_STEP: 0})
        values = dataset["maximum"].transpose(dims.CONDITION, dims.NEUROID).values.astype(np.float64)
        states = []
        for state in (BAR, DIGIT):
            rows = (dataset[dims.ATTENDED] == state).values
            order = np.argsort(dataset["orientation"].values[rows])
            states.append((dataset["orientation"].values[rows][order], values[rows][order].T))
        # Orientations at which a free network never attends the bar, or never the digit, have no curve.
        both = np.intersect1d(states[0][0], states[1][0])
        kept = [curve[:, np.isin(orientation, both)] for orientation, curve in states]
        curves[layer] = (both, dataset[dims.CHANNEL_Y].values, dataset[dims.CHANNEL_X].values, *kept)
    return curves


def _tuning(entry: Mapping[str, Any], curves: Mapping[str, tuple[Any, ...]]) -> float | None:
    from neuroattn.experiments.reproduce.comparison import paper_tuning

    orientation, y, x, attended, unattended = curves[entry["layer"]]
    units = (y == entry["y"]) & (x == entry["x"]) if "x" in entry else x < COLUMNS[entry["layer"]]
    if len(orientation) < 2:
        return None
    return paper_tuning(orientation, attended[units], unattended[units])[entry["what"]]


def _sweep(config: Config) -> pd.DataFrame:
    import pandas as pd

    path = Path(config.sweep) if config.sweep else _RECIPES / "results" / "penalty-sweep-short.csv"
    if not path.is_file():
        raise ValueError(f"sweep must be a table that exists, got {str(path)!r}; check the path")
    # A network may be named 'None', or '007'.
    table = pd.read_csv(path, dtype={"network": str}, keep_default_na=False, na_values=[""])
    if not {"network", "learning_rate", "phi", "epoch", "validation_accuracy"} <= set(table):
        raise ValueError(f"sweep must be a table of neuroattn.training sweep, got {str(path)!r}; check the path")
    last: pd.DataFrame = table.loc[table.groupby("network")["epoch"].idxmax()]
    return last


def _of_sweep(entry: Mapping[str, Any], last: pd.DataFrame) -> list[float]:
    import numpy as np

    rows = last[np.isclose(last["learning_rate"], entry["learning_rate"]) & (last["phi"] == entry["phi"])]
    return list(rows["validation_accuracy"].astype(float))
