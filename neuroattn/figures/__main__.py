"""``python -m neuroattn.figures training RUN...``: figures from what runs left."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn.command.actions import Action, Names, run_action
from neuroattn.command.groups import Noise, Photographs, Seed, require_both
from neuroattn.command.line import tell
from neuroattn.command.option import option, varied
from neuroattn.runs.folder import unwritable
from neuroattn.runs.local_path import local_path
from neuroattn.runs.output_file import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    import torch
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.labelled import Labelled

# Options by which figures tell trainings apart, and those that make no other training.
_TOLD_APART = ("phi", "learning_rate", "seed", "name", "device")
# What figures need of what weights say of their training.
_DRAWN = (
    *("options.phi", "options.learning_rate", "epochs.epoch", "epochs.validation_accuracy"),
    *("epochs.training_classification_loss", "epochs.training_attention_loss"),
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Photographs, Noise, Seed):
    """What is drawn of trainings."""

    composite: int = option(
        0,
        "which composite of embedded digits, or which scene that the first network held out, the trial is of",
        low=0,
        high=4999,
    )
    images: str | None = varied(
        Photographs, "images", description="folder of COCO images, for a trial of a training on scenes"
    )
    annotations: str | None = varied(
        Photographs,
        "annotations",
        description="COCO's instance annotations for them, those that it was trained with",
    )
    out: str = option(
        "figures", "folder for the figures, made if it does not exist; none in it is overwritten", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_both(self)


def draw_training(runs: list[Path], config: TrainingConfig) -> None:
    """Write the figures of trainings into the folder.

    Raises
    ------
    ValueError
        If a run is none, a figure exists, or the scenes of a trial cannot be had.
    """
    from neuroattn.figures.style import save
    from neuroattn.figures.training import accuracy_figure, curves_figure
    from neuroattn.models.checkpoint import gated, load_model

    folder = Path(config.out)
    files = [folder / f"{name}.{kind}" for name in ("curves", "accuracy", "phases") for kind in ("png", "svg")]
    if there := [file for file in files if file.exists()]:
        raise ValueError(f"out must be a folder without these figures, got {config.out!r}, which holds {there[0].name}")
    table, weights = read_runs(runs)
    network = gated(load_model(weights[0]))
    of_scenes = network.about.scenes is not None
    if config.images is not None and not of_scenes:
        raise ValueError(f"images must be left out for trainings on digits, got {config.images!r}")
    figures = {"curves": curves_figure(table), "accuracy": accuracy_figure(table)}
    missing = "; phases need --images DIR --annotations FILE" if of_scenes and config.images is None else ""
    if not missing:
        figures["phases"] = trial_figure(network, weights[0], config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            with replacing(folder / f"{name}.{kind}") as file:
                save(figure, file)
    number = f"{len(weights)} network{'s' if len(weights) > 1 else ''}"
    tell(f"{number}; {', '.join(figures)} (.png, .svg) in {folder}{missing}")


def read_runs(runs: list[Path]) -> tuple[pd.DataFrame, list[Path]]:
    """Return the metrics of trainings, one row a network and epoch, and the files of their weights.

    Parameters
    ----------
    runs
        Folders of trainings, or of sweeps.

    Raises
    ------
    ValueError
        If one holds no training with at least one epoch, or a training that another one holds, too; or some trainings
        are on digits and some on scenes; or they differ in more than penalty, learning rate and seed, so that their
        mean would be of no recipe.
    """
    import pandas as pd

    from neuroattn.models.checkpoint import read_metadata
    from neuroattn.models.metadata import says

    parts, files = [], []
    recipes: dict[Path, dict[str, Any]] = {}
    seen: set[Path] = set()
    for run in runs:
        found = sorted([*run.glob("*.safetensors"), *run.glob("*/*.safetensors")])
        if not found:
            raise ValueError(
                f"run must be the folder of a training or of a sweep, with weights in it, got {str(run)!r}"
            )
        for file in found:
            about = read_metadata(file)
            training = about["training"]
            if not says(training, *_DRAWN):
                raise ValueError(f"run must hold weights that say how they were trained, got {str(file)!r}")
            if file.resolve() in seen:
                raise ValueError(
                    f"run must name each training once, got {str(file)!r} again; name its folder or the sweep's"
                )
            seen.add(file.resolve())
            options = {name: training["options"][name] for name in ("phi", "learning_rate")}
            recipes[file] = {key: value for key, value in training["options"].items() if key not in _TOLD_APART}
            recipes[file] |= {name: training.get(name, {}).get("sha256") for name in ("digits", "scenes")}
            # Two runs may have given their networks the same name.
            parts.append(pd.DataFrame(training["epochs"]).assign(network=str(file), seed=about["seed"], **options))
        files += found
    _require_alike(recipes)
    return pd.concat(parts, ignore_index=True), files


def _require_alike(recipes: dict[Path, dict[str, Any]]) -> None:
    """Raise if trainings are of several recipes."""
    (first, recipe), *others = recipes.items()
    for file, other in others:
        on = ["digits" if one["scenes"] is None else "scenes" for one in (recipe, other)]
        if on[0] != on[1]:
            raise ValueError(
                f"run must hold trainings on digits or on scenes, got {str(first)!r} on {on[0]} and {str(file)!r} on "
                f"{on[1]}; draw them apart"
            )
        differing = [
            f"{name} ({recipe.get(name)}, {other.get(name)})"
            for name in {**recipe, **other}
            if recipe.get(name) != other.get(name)
        ]
        if differing:
            raise ValueError(
                f"run must hold trainings that differ in penalty, learning rate and seed alone, got {str(first)!r} and "
                f"{str(file)!r}, which differ in {', '.join(differing)}; draw them apart"
            )


def trial_figure(network: GatedNetwork, weights: Path, config: TrainingConfig) -> Figure:
    """Return the figure of one trial of the network of a file.

    Raises
    ------
    ValueError
        If the network does not take composites of digits, or the scenes are not those that it was trained with.
    """
    import torch

    from neuroattn.figures.training import PhasePicture, phases_figure
    from neuroattn.models.trial import attend

    shown, names = _shown(network, weights, config)
    pictures, inhibition = [], network.no_inhibition(1)
    with torch.no_grad():
        for phase, choice in attend(network, shown.images, shown.objects):
            attended, named = names[int(shown.labels[0, choice.attended[0]])], names[int(phase.logits.argmax())]
            pictures.append(
                PhasePicture(
                    f"attends {attended},\nnames {named}",
                    _picture(phase.gated_image[0]),
                    phase.gates[0][0].mean(0).numpy(),
                    inhibition[0][0].float().mean(0).numpy(),
                    phase.gates[1][0].numpy() if len(phase.gates) > 1 else None,
                )
            )
            inhibition = phase.inhibition
    return phases_figure(_picture(shown.images[0]), pictures, network.name)


def _shown(network: GatedNetwork, weights: Path, config: TrainingConfig) -> tuple[Labelled, Sequence[str]]:
    """Return the picture of the trial, and the names of its classes: a composite, or a scene that was held out."""
    import numpy as np

    from neuroattn.models.metadata import says
    from neuroattn.stimuli.mnist import embedded
    from neuroattn.stimuli.shown import composites_for, require_trained_on, scenes_for

    if config.images is None:
        number = config.composite + 1
        composites = composites_for(network, embedded(), number, noise=config.noise, seed=config.seed)
        return composites.part(slice(config.composite, None)), "0123456789"
    about = network.about
    if not says(about.training, "options.n_objects", "options.labels", "scenes.sha256", "held_out_images"):
        raise ValueError(f"run must hold weights that say which scenes they held out, got {str(weights)!r}")
    scenes = scenes_for([network], config, n_objects=about.options["n_objects"], labels=about.options["labels"])
    require_trained_on(scenes, about, weights)
    held_out = np.flatnonzero(np.isin(scenes.table["image_id"], about.held_out_images or ()))
    if config.composite >= len(held_out):
        raise ValueError(
            f"composite must be below {len(held_out)}, the scenes that {network.name!r} held out, got "
            f"{config.composite}"
        )
    return scenes.batch(held_out[[config.composite]]), scenes.classes


def _picture(values: torch.Tensor) -> NDArray[np.float32]:
    """Return a picture (channel, y, x) as it is drawn: (y, x), or (y, x, colour) in [0, 1]."""
    drawn = values[0] if len(values) == 1 else values.permute(1, 2, 0).clip(0, 1)
    return drawn.numpy()


ACTIONS = {
    "training": Action(
        config=TrainingConfig,
        description=(
            "Draw trainings: curves and final accuracies by penalty, and the gated image, gates and inhibition of each "
            "phase of a trial of the first network; for trainings on scenes these need --images DIR --annotations "
            "FILE. RUN is the folder of a training, or of a sweep."
        ),
        usage="RUN... [options]",
        run=lambda config, runs: draw_training([local_path("run", run) for run in runs], config),
        interrupted=lambda config, _: f"figures that are done are in {config.out}",
        names=Names("RUN...", "at least one run", "runs/training-digits"),
    ),
}


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    run_action("python -m neuroattn.figures", "what to draw", ACTIONS, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
