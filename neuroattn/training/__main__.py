"""``python -m neuroattn.training digits|scenes|gain|sweep``: train a network, or a grid of them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from neuroattn.command.actions import Action, Names, run_action
from neuroattn.command.line import tell
from neuroattn.runs.folder import run_folder
from neuroattn.runs.local_path import local_path
from neuroattn.training.config import DigitsConfig, ScenesConfig, SweepConfig
from neuroattn.training.gain_config import GainTrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from neuroattn.training.config import TrainingConfig


def _folder(config: TrainingConfig | GainTrainingConfig, _: list[str]) -> Path:
    return run_folder(config.out, f"training-{config.name}")


def _train(config: TrainingConfig, folder: Path) -> None:
    from neuroattn.training.run import train_network

    try:
        train_network(config, folder, tell)
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") != "0":
            raise SystemExit(130) from None  # the first of torchrun's processes keeps the state, and speaks for all
        raise


def _kept(config: TrainingConfig | GainTrainingConfig, folder: Path) -> str:
    from neuroattn.training.run import kept

    return kept(folder, config.name)


def _train_gain(config: GainTrainingConfig, folder: Path) -> None:
    from neuroattn.training.gain import train_gain_network

    train_gain_network(config, folder, tell)


def _places(config: SweepConfig, recipes: list[str]) -> tuple[Path, Path]:
    recipe = local_path("recipe", recipes[0])
    return recipe, local_path("out", config.out or f"runs/sweep-{recipe.stem}")


def _sweep(config: SweepConfig, places: tuple[Path, Path]) -> None:
    from neuroattn.compute.cluster import dask_client
    from neuroattn.training.grid import read_sweep
    from neuroattn.training.sweep import run_sweep

    recipe, folder = places
    sweep = read_sweep(recipe)
    with dask_client(config.workers, config.dask) as client:
        run_sweep(sweep, folder, client, config.data, tell)
    tell(f"table in {folder / 'table.csv'}, networks in {folder}")


ACTIONS = {
    "digits": Action(
        config=DigitsConfig,
        description=(
            "Train a gated network on composites of MNIST digits. The digits that travel with the package are left "
            "out, so that they are a clean test set. The folder of the run gets NAME.safetensors, metrics.csv and "
            "TensorBoard's events."
        ),
        prepare=_folder,
        run=_train,
        interrupted=_kept,
    ),
    "scenes": Action(
        config=ScenesConfig,
        description=(
            "Train a gated network on scenes of COCO, and on copy-paste composites of their annotations' objects. A "
            "fraction of the scenes is held out for validation, with every object in them. The folder of the run gets "
            "NAME.safetensors, metrics.csv and TensorBoard's events."
        ),
        usage="--images DIR --annotations FILE [options]",
        prepare=_folder,
        run=_train,
        interrupted=_kept,
    ),
    "gain": Action(
        config=GainTrainingConfig,
        description=(
            "Train a plain convolutional network on single digits or on composites, with a yes/no read-out for every "
            "class, and measure the tuning of its channels to the classes, which attention as a gain goes by. The "
            "folder of the run gets NAME.safetensors and metrics.csv."
        ),
        prepare=_folder,
        run=_train_gain,
        interrupted=_kept,
    ),
    "sweep": Action(
        config=SweepConfig,
        description=(
            "Train a network for every combination of the options that a recipe lists (RECIPE.yaml: base and grid), "
            "over a Dask cluster. What is done is skipped, what was begun goes on; the folder gets a run for each and "
            "one table.csv."
        ),
        usage="RECIPE.yaml [options]",
        prepare=_places,
        run=_sweep,
        interrupted=lambda _, places: f"the sweep goes on from here with the same command and --out {places[1]}",
        names=Names("RECIPE.yaml", "a recipe", "RECIPE.yaml"),
    ),
}


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    run_action("python -m neuroattn.training", "what to train", ACTIONS, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
