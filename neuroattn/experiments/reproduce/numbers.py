"""What published numbers are recomputed from: evaluations, tuning curves, the sweep's table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn import dims

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from neuroattn.experiments.reproduce.options import Config
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.stimulus_set import StimulusSet

BAR, DIGIT = 0, 1  # the objects of a tuning stimulus
# Columns of units that see the bar on the left, of each layer.
COLUMNS = {"stage1/response": 11, "stage2/response": 3}
N_SCENES = ("n_scenes", "estimate")
_PACKAGE = Path(__file__).resolve().parents[2]
RECIPES = next(place for place in (_PACKAGE / "recipes", _PACKAGE.parent / "experiments") if place.is_dir())


@dataclass(frozen=True, kw_only=True)
class Recomputed:
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
            return of_sweep(entry, self.sweep)
        found = [] if entry.get("networks") == "published" else [self.number(entry, name) for name in networks]
        return [value for value in found if value is not None]


def is_fraction(entry: Mapping[str, Any]) -> bool:
    """Return whether a published number, and its interval, lies between 0 and 1."""
    from neuroattn.evaluation.networks import is_fraction as holds_fractions

    evaluated = entry["of"] in {"evaluation", "scenes"} and entry.get("column", "estimate") == "estimate"
    return entry["of"] == "sweep" or (evaluated and holds_fractions(entry["what"]))


def evaluations(
    config: Config, digits: Digits, model: GatedNetwork, numbers: Sequence[Mapping[str, Any]], *, own: bool
) -> dict[tuple[str, str, float], float]:
    """Return (what, column, noise) → number of one network, at every noise that a number of it is at."""
    from neuroattn.evaluation.trials import evaluate
    from neuroattn.stimuli.shown import composites_for

    wanted = [entry for entry in numbers if entry["of"] == "evaluation"]
    noises = {entry.get("noise", 0.3) for entry in wanted if not (own and entry.get("networks") == "published")}
    found: dict[tuple[str, str, float], float] = {}
    for noise in sorted(noises):
        shown = composites_for(model, digits, config.composites, noise=noise, seed=config.seed, device=model.device)
        for row in evaluate(model, shown).to_dict("records"):
            found |= {(row["what"], column, noise): float(row[column]) for column in ("estimate", "sd")}
    return found


def scene_numbers(config: Config, name: str, model: GatedNetwork, notes: list[str]) -> dict[tuple[str, str], float]:
    """Return (what, column) → number of one network, on the scenes that it held out where its file tells of any.

    What was left out of the scenes is added to the notes.
    """
    from neuroattn.evaluation.scenes import evaluate_scenes
    from neuroattn.stimuli.shown import held_out_scenes, scenes_for

    scenes = scenes_for([model], config, n_objects=2, labels="supercategory")
    notes += [note for note in scenes.notes if note not in notes]
    if model.about.scenes is not None:  # on what it was trained on, it would do better than it can
        scenes = held_out_scenes(scenes, model.about, name)
    rows = evaluate_scenes(model, scenes).table.to_dict("records")
    numbers = {(row["what"], column): float(row[column]) for row in rows for column in ("estimate", "sd")}
    return numbers | {N_SCENES: float(len(scenes))}


def paper_bars(config: Config) -> StimulusSet:
    """Return the paper's bars beside its digit, without noise."""
    import torch

    from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
    from neuroattn.stimuli.mnist import embedded

    digits = embedded()
    grid = tuning_grid(20, 6, config.n_bars, config.n_bars)
    digit = digits.images[digits.labels == 7][0]
    return bar_and_digit(grid, digit, 7, noise=0.0, generator=torch.Generator().manual_seed(config.seed))


def bar_curves(model: GatedNetwork, stimuli: StimulusSet) -> dict[str, tuple[Any, ...]]:
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


def last_epochs(config: Config) -> pd.DataFrame:
    """Return the last epoch of every training of the penalty sweep."""
    import pandas as pd

    path = Path(config.sweep) if config.sweep else RECIPES / "results" / "penalty-sweep-short.csv"
    if not path.is_file():
        raise ValueError(f"sweep must be a table that exists, got {str(path)!r}; check the path")
    # A network may be named 'None', or '007'.
    table = pd.read_csv(path, dtype={"network": str}, keep_default_na=False, na_values=[""])
    if not {"network", "learning_rate", "phi", "epoch", "validation_accuracy"} <= set(table):
        raise ValueError(f"sweep must be a table of neuroattn.training sweep, got {str(path)!r}; check the path")
    last: pd.DataFrame = table.loc[table.groupby("network")["epoch"].idxmax()]
    return last


def of_sweep(entry: Mapping[str, Any], last: pd.DataFrame) -> list[float]:
    """Return a published number of every training of its penalty and learning rate."""
    import numpy as np

    rows = last[np.isclose(last["learning_rate"], entry["learning_rate"]) & (last["phi"] == entry["phi"])]
    return list(rows["validation_accuracy"].astype(float))
