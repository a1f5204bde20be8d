"""``python -m neuroattn.training digits``: train a network and keep its weights and its metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from typing import TYPE_CHECKING

from neuroattn.command_line import read_options, run_command, stop
from neuroattn.run_folder import is_free, run_folder, unwritable
from neuroattn.training.config import DigitsConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROG = "python -m neuroattn.training"
DESCRIPTION = """Train a gated network on composites of MNIST digits. The digits that travel with the package are left
out, so that they are a clean test set. The folder of the run gets NAME.safetensors and metrics.csv."""


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []):
        print(f"usage: {PROG} digits [options]\n\n  digits  {DESCRIPTION}\n\nSee {PROG} digits --help.")
        raise SystemExit(0 if argv else 2)
    if argv[0] != "digits":
        stop(f"what to train must be digits, got {argv[0]!r}")
    config = read_options(DigitsConfig, argv[1:], prog=f"{PROG} digits", description=DESCRIPTION)
    folder = run_folder(config.out, f"training-{config.name}")
    run_command(lambda: train_digits(config, folder), interrupted=lambda: _kept(folder, config.name))


def train_digits(config: DigitsConfig, folder: Path) -> None:
    """Train on MNIST without the embedded digits; write the weights and the metrics of every epoch into `folder`.

    A training of the same options that was interrupted there goes on.

    Raises
    ------
    ValueError
        If `folder` holds anything else or cannot be written, or the digits cannot be had. Nothing is left behind.
    """
    from neuroattn.models.checkpoint import save_model
    from neuroattn.provenance import versions
    from neuroattn.stimuli.mnist import load, without_embedded
    from neuroattn.training.interrupt import interrupts
    from neuroattn.training.launch import launched
    from neuroattn.training.loop import train
    from neuroattn.training.resume import load_state, resume_file, save_state

    fabric = launched(config.device, config.precision)
    folder = fabric.broadcast(folder)  # its name may hold the time
    resume = resume_file(folder, config.name)
    if not resume.is_file() and fabric.is_global_zero:
        _require_writable(folder)  # digits may take a download; a run that cannot be kept must not wait for it
    digits = without_embedded(load(config.data, "train"))
    options = {key: value for key, value in dataclasses.asdict(config).items() if key not in {"data", "out"}}
    # Whose folder the digits came from is nobody's business; which digits they were is.
    seen = {"what": "training set without the embedded digits", "n": len(digits), "sha256": digits.identity()}
    about = {"options": options, "digits": seen, "device": str(fabric.device), "processes": fabric.world_size}
    # Where it is computed does not make it another training, though then its bits may differ.
    of = {**{key: value for key, value in options.items() if key != "device"}, "digits": seen["sha256"]}
    state = load_state(resume, of)
    epochs: list[dict[str, float]] = [] if state is None else state["epochs"]
    if state is not None and fabric.is_global_zero:
        print(f"going on in epoch {state['place']['epoch']} after {state['place']['batch']} batches", flush=True)
    weights = folder / f"{config.name}.safetensors"
    _make(folder)
    with interrupts() as interrupted, _naming_last_good(weights, epochs):
        for network, metrics in train(
            config,
            digits,
            fabric,
            state=state,
            save=lambda now: save_state({**now, "of": of, "epochs": epochs}, resume),
            interrupted=interrupted,
        ):
            epochs.append(metrics)
            if not fabric.is_global_zero:
                continue
            save_model(network, weights, training={**about, "epochs": epochs}, provenance=versions())
            _write_metrics(epochs, folder / "metrics.csv")
            line = (
                f"epoch {metrics['epoch']:3d}/{config.epochs}  validation accuracy "
                f"{metrics['validation_accuracy']:.4f}  training accuracy {metrics['training_accuracy']:.4f}  "
                f"{metrics['composites_per_second']:.0f} composites/s"
            )
            print(line, flush=True)  # a log file shows it at once, too
    if fabric.is_global_zero:
        resume.unlink(missing_ok=True)
        print(f"weights in {weights}, metrics in {folder / 'metrics.csv'}")


@contextlib.contextmanager
def _naming_last_good(weights: Path, epochs: list[dict[str, float]]) -> Iterator[None]:
    """Say with a training that broke down where its last good weights are."""
    try:
        yield
    except FloatingPointError as error:
        good = f"the weights of epoch {epochs[-1]['epoch']:.0f} are in {weights}" if epochs else "no epoch was complete"
        raise FloatingPointError(f"{error} ({good})") from error


def _require_writable(folder: Path) -> None:
    """Raise unless a folder is empty or can be made, and can be written; leave everything as it was."""
    missing: list[Path] = []
    try:
        if not is_free(folder):
            raise ValueError(f"out must be a folder that is empty or does not exist, got {str(folder)!r}")
        missing += [path for path in (folder, *folder.parents) if not path.exists()]
        # Nothing short of writing says whether one may write: permissions are not all there is.
        _make(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it was not made, or something else has come into it
                path.rmdir()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _write_metrics(epochs: list[dict[str, float]], path: Path) -> None:
    import pandas as pd

    pd.DataFrame(epochs).to_csv(path, index=False)


def _kept(folder: Path, name: str) -> str:
    from neuroattn.training.resume import resume_file

    if resume_file(folder, name).is_file():
        return f"the training goes on from here with the same command and --out {folder}"
    return "no batch was complete, so nothing was kept"


if __name__ == "__main__":
    main(sys.argv[1:])
