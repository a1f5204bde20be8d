"""``python -m neuroattn.training digits|scenes|sweep``: train a network, or a grid of them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from neuroattn.command.line import USER_ERRORS, read_options, run_command, stop, tell
from neuroattn.command.program import program
from neuroattn.runs.folder import run_folder
from neuroattn.runs.local_path import local_path
from neuroattn.training.config import DigitsConfig, ScenesConfig
from neuroattn.training.sweep import SweepConfig, read_sweep, run_sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuroattn.training.config import TrainingConfig

PROG = program("python -m neuroattn.training")
DIGITS = """Train a gated network on composites of MNIST digits. The digits that travel with the package are left
out, so that they are a clean test set. The folder of the run gets NAME.safetensors, metrics.csv and TensorBoard's
events."""
SCENES = """Train a gated network on scenes of COCO, and on copy-paste composites of their annotations' objects. A
fraction of the scenes is held out for validation, with every object in them. The folder of the run gets
NAME.safetensors, metrics.csv and TensorBoard's events."""
SWEEP = """Train a network for every combination of the options that a recipe lists (RECIPE.yaml: base and grid), over a
Dask cluster. What is done is skipped, what was begun goes on; the folder gets a run for each and one table.csv."""
USAGE = f"""usage: {PROG} digits [options]
       {PROG} scenes --images DIR --annotations FILE [options]
       {PROG} sweep RECIPE.yaml [options]

  digits  {DIGITS}
  scenes  {SCENES}
  sweep   {SWEEP}

Each has --help."""


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []):
        tell(USAGE)
        raise SystemExit(0 if argv else 2)
    if argv[0] == "digits":
        _digits(argv[1:])
    elif argv[0] == "scenes":
        _scenes(argv[1:])
    elif argv[0] == "sweep":
        _sweep(argv[1:])
    stop(f"what to train must be digits, scenes or sweep, got {argv[0]!r}")


def _digits(argv: list[str]) -> None:
    config = read_options(DigitsConfig, argv, prog=f"{PROG} digits", description=DIGITS)

    def train(folder: Path) -> None:
        from neuroattn.training.run import train_digits

        train_digits(config, folder, tell)

    _train(config, train)


def _scenes(argv: list[str]) -> None:
    config = read_options(ScenesConfig, argv, prog=f"{PROG} scenes", description=SCENES)

    def train(folder: Path) -> None:
        from neuroattn.training.run import train_scenes

        train_scenes(config, folder, tell)

    _train(config, train)


def _train(config: TrainingConfig, train: Callable[[Path], None]) -> NoReturn:
    folder = run_folder(config.out, f"training-{config.name}")

    def command() -> None:
        try:
            train(folder)
        except KeyboardInterrupt:
            if os.environ.get("RANK", "0") != "0":
                raise SystemExit(130) from None  # the first of torchrun's processes keeps the state, and speaks for all
            raise

    def interrupted() -> str:
        from neuroattn.training.run import kept

        return kept(folder, config.name)

    run_command(command, interrupted=interrupted)


def _sweep(argv: list[str]) -> None:
    if not argv or (argv[0].startswith("-") and argv[0] not in {"-h", "--help", "--print_config"}):
        stop(f"a recipe must be named, as in {PROG} sweep RECIPE.yaml")
    named = [] if argv[0].startswith("-") else argv[:1]
    config = read_options(SweepConfig, argv[len(named) :], prog=f"{PROG} sweep RECIPE.yaml", description=SWEEP)
    try:
        recipe = local_path("recipe", named[0])
        sweep = read_sweep(recipe)
    except USER_ERRORS as error:
        stop(str(error))
    folder = local_path("out", config.out or f"runs/sweep-{recipe.stem}")

    def command() -> None:
        from neuroattn.compute.cluster import dask_client

        with dask_client(config.workers, config.dask) as client:
            run_sweep(sweep, folder, client, config.data, tell)
        tell(f"table in {folder / 'table.csv'}, networks in {folder}")

    run_command(command, interrupted=lambda: f"the sweep goes on from here with the same command and --out {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
