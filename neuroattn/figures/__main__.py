"""``python -m neuroattn.figures training RUN...``: figures from what runs left."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn.command_line import read_options, run_command, stop
from neuroattn.options import check_options, option
from neuroattn.run_folder import unwritable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PROG = "python -m neuroattn.figures"
# Options by which figures tell trainings apart, and those that make no other training.
_TOLD_APART = ("phi", "learning_rate", "seed", "name", "device")
TRAINING = """Draw trainings: curves and final accuracies by penalty, and the gated image, gates and inhibition of each
phase of a trial of the first network. RUN is the folder of a training, or of a sweep."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What is drawn of trainings."""

    composite: int = option(0, "which composite of embedded digits the trial is of", low=0, high=4999)
    seed: int = option(0, "seed of the composites", low=0, high=2**32 - 1)
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    out: str = option("figures", "folder for the figures, made if it does not exist; none in it is overwritten")

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []):
        print(f"usage: {PROG} training RUN... [options]\n\n  training  {TRAINING}\n\nSee {PROG} training --help.")
        raise SystemExit(0 if argv else 2)
    if argv[0] != "training":
        stop(f"what to draw must be training, got {argv[0]!r}")
    runs = argv[1:]
    number = next((place for place, argument in enumerate(runs) if argument.startswith("-")), len(runs))
    config = read_options(TrainingConfig, runs[number:], prog=f"{PROG} training RUN...", description=TRAINING)
    if number == 0:
        stop(f"at least one run must be named, as in {PROG} training runs/training-digits")
    run_command(
        lambda: draw_training([Path(run) for run in runs[:number]], config),
        interrupted=lambda: f"figures that are done are in {config.out}",
    )


def draw_training(runs: list[Path], config: TrainingConfig) -> None:
    """Write the figures of trainings into the folder.

    Raises
    ------
    ValueError
        If a run is none, or a figure exists.
    """
    from neuroattn.figures.training import accuracy_figure, curves_figure

    folder = Path(config.out)
    names = ("curves", "accuracy", "phases")
    there = [
        folder / f"{name}.{kind}" for name in names for kind in ("png", "svg") if (folder / f"{name}.{kind}").exists()
    ]
    if there:
        raise ValueError(f"out must be a folder without these figures, got {config.out!r}, which holds {there[0].name}")
    table, weights = read_runs(runs)
    figures = {
        "curves": curves_figure(table),
        "accuracy": accuracy_figure(table),
        "phases": trial_figure(weights[0], config),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            figure.savefig(folder / f"{name}.{kind}", dpi=300)
    print(f"{len(table['network'].unique())} networks; {', '.join(names)} (.png, .svg) in {folder}")


def read_runs(runs: list[Path]) -> tuple[pd.DataFrame, list[Path]]:
    """Return the metrics of trainings, one row a network and epoch, and the files of their weights.

    Parameters
    ----------
    runs
        Folders of trainings, or of sweeps.

    Raises
    ------
    ValueError
        If one holds no training with at least one epoch, or a training that another one holds, too; or the trainings
        differ in more than penalty, learning rate and seed, so that their mean would be of no recipe.
    """
    import pandas as pd

    from neuroattn.models.checkpoint import read_metadata

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
            training = about.get("training", {})
            if not training.get("epochs") or not {"phi", "learning_rate"} <= set(training.get("options", {})):
                raise ValueError(f"run must hold weights that say how they were trained, got {str(file)!r}")
            if file.resolve() in seen:
                raise ValueError(
                    f"run must name each training once, got {str(file)!r} again; name its folder or the sweep's"
                )
            seen.add(file.resolve())
            options = {name: training["options"][name] for name in ("phi", "learning_rate")}
            digits = training.get("digits", {}).get("sha256")
            recipes[file] = {key: value for key, value in training["options"].items() if key not in _TOLD_APART}
            recipes[file]["digits"] = digits
            # Two runs may have given their networks the same name.
            parts.append(pd.DataFrame(training["epochs"]).assign(network=str(file), seed=about["seed"], **options))
        files += found
    _require_alike(recipes)
    return pd.concat(parts, ignore_index=True), files


def _require_alike(recipes: dict[Path, dict[str, Any]]) -> None:
    """Raise if trainings are of several recipes."""
    (first, recipe), *others = recipes.items()
    for file, other in others:
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


def trial_figure(weights: Path, config: TrainingConfig) -> Figure:
    """Return the figure of one trial of a network."""
    import torch

    from neuroattn.figures.training import PhasePicture, phases_figure
    from neuroattn.models.checkpoint import load_model
    from neuroattn.models.config import n_digits
    from neuroattn.models.trial import attend
    from neuroattn.stimuli.digits import sample_composites
    from neuroattn.stimuli.mnist import embedded

    network = load_model(weights)
    composites = sample_composites(
        embedded(),
        config.composite + 1,
        n_objects=n_digits(network.config, network.name),
        noise=config.noise,
        generator=torch.Generator().manual_seed(config.seed),
    )
    image, objects, labels = (part[-1:] for part in (composites.images, composites.objects, composites.labels))
    pictures, inhibition = [], network.no_inhibition(1)
    with torch.no_grad():
        for phase, choice in attend(network, image, objects):
            attended, named = int(labels[0, choice.attended[0]]), int(phase.logits.argmax())
            pictures.append(
                PhasePicture(
                    f"attends the {attended},\nnames a {named}",
                    phase.gated_image[0, 0].numpy(),
                    phase.gates[0][0, 0].numpy(),
                    inhibition[0][0, 0].numpy(),
                    phase.gates[1][0].numpy() if len(phase.gates) > 1 else None,
                )
            )
            inhibition = phase.inhibition
    return phases_figure(image[0, 0].numpy(), pictures, network.name)


if __name__ == "__main__":
    main(sys.argv[1:])
