"""The run of a training: its folder, with weights, metrics and what an interrupted one goes on from."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from neuroattn.models.checkpoint import (
    checkpoint_path,
    gated,
    load_model,
    save_model,
    weights_hash,
)
from neuroattn.runs.folder import alone, is_free, occupied
from neuroattn.runs.output_file import replacing
from neuroattn.runs.provenance import versions
from neuroattn.training.events import Events
from neuroattn.training.interrupt import interrupts
from neuroattn.training.launch import choose_precision, launched
from neuroattn.training.loop import train
from neuroattn.training.memory import require_room_for_weights
from neuroattn.training.resume import load_state, resume_file, save_state
from neuroattn.training.source import see

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning_fabric import Fabric

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.training.config import TrainingConfig
    from neuroattn.training.loop import Epoch
    from neuroattn.training.source import Seen

    Tell = Callable[[str], None]

METRICS = "metrics.csv"


def train_network(config: TrainingConfig, folder: Path, tell: Tell) -> None:
    """Train a network on digits or scenes; write weights, metrics and TensorBoard's events into `folder`.

    A training of the same options that was interrupted there goes on; otherwise the folder must be free.

    Raises
    ------
    ValueError
        If `folder` holds anything else or cannot be written, or the pictures cannot be had. Nothing is left behind.
    FloatingPointError
        If the training broke down; says where its last good weights are.
    """
    fabric = launched(config.device, config.precision)
    folder = fabric.broadcast(folder)  # its name may hold the time
    resume, weights = resume_file(folder, config.name), weights_file(folder, config.name)
    if not fabric.is_global_zero:  # one process speaks
        tell = _silence
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            # Pictures may take a download; a run that cannot be kept must not wait for it.
            stack.enter_context(alone(folder))
            if not resume.is_file() and not is_free(folder):
                raise occupied(folder)
        begun = _start(config)
        seen = see(config, tell, None if begun is None else begun.about)
        _require_alike(config, begun, seen)
        require_room_for_weights(seen.source.network_config, fabric.device)
        about = _about(config, seen, begun, fabric)
        # Where it is computed does not make it another training, though then its bits may differ.
        of = {**about["options"], "pictures": seen.identity, "start": about.get("start")}
        del of["device"]
        # Other machines may not see the folder.
        state = fabric.broadcast(load_state(resume, of) if fabric.is_global_zero else None)
        epochs: list[dict[str, float]] = [] if state is None else state["epochs"]
        if state is not None:
            tell(f"going on in epoch {state['place']['epoch']} after {state['place']['batch']} batches")
        stack.enter_context(_naming_last_good(weights, epochs))
        events = Events(folder)
        stack.callback(events.close)
        for epoch in train(
            config,
            seen.source,
            fabric,
            start=None if begun is None else begun.state_dict(),
            state=state,
            save=lambda now: save_state({**now, "of": of, "epochs": epochs}, resume),
            interrupted=stack.enter_context(interrupts()),
        ):
            epochs.append(epoch.metrics)
            if fabric.is_global_zero:
                training = {**about, **epoch.split.about, "epochs": epochs}
                save_model(epoch.network, weights, training=training, provenance=versions())
                with replacing(folder / METRICS) as file:
                    pd.DataFrame(epochs).to_csv(file, index=False)
                events.add(epoch.metrics)
                _tell_epoch(epoch, config.epochs, tell)
        if fabric.is_global_zero:
            resume.unlink(missing_ok=True)
            tell(f"weights in {weights}, metrics in {folder / METRICS}")


def _silence(_: str) -> None:
    """Say nothing."""


def _tell_epoch(epoch: Epoch, n_epochs: int, tell: Tell) -> None:
    metrics = epoch.metrics
    tell(
        f"epoch {metrics['epoch']:3d}/{n_epochs}  validation accuracy {metrics['validation_accuracy']:.4f}  training "
        f"accuracy {metrics['training_accuracy']:.4f}  {metrics['composites_per_second']:.0f} composites/s"
    )
    if metrics["validation_classes_decided"] == 1 and len(epoch.network.config.channels) > 2:
        tell(
            "warning: every held-out picture is decided alike; if that lasts, a stage may have fallen silent: lower "
            "learning_rate or phi, or begin with a network that was trained at one step (--start)"
        )


def _start(config: TrainingConfig) -> GatedNetwork | None:
    """Return the network to begin with, None if there is none."""
    return None if config.start is None else gated(load_model(checkpoint_path(config.start, "start")))


def _require_alike(config: TrainingConfig, begun: GatedNetwork | None, seen: Seen) -> None:
    """Raise unless the weights of the network to begin with fit."""
    if begun is None or config.start is None:
        return
    wanted, known, here = seen.source.network_config, begun.about.classes, seen.about.get("classes")
    if known is not None and here is not None and list(known) != here:
        raise ValueError(f"start must be a network of the same classes, got {config.start!r} of {', '.join(known)}")
    for name in ("size", "channels", "kernel", "classes", "resize"):
        there, asked = getattr(begun.config, name), getattr(wanted, name)
        if there != asked:
            raise ValueError(
                f"start must be a network of the same sizes, got {config.start!r} with {name} {there}, here {asked}"
            )


def recipe(config: TrainingConfig) -> dict[str, Any]:
    """Return the options that make a training what it is."""
    places = {"data", "images", "annotations", "cache", "start", "out"}
    return {key: value for key, value in dataclasses.asdict(config).items() if key not in places}


def _about(config: TrainingConfig, seen: Seen, begun: GatedNetwork | None, fabric: Fabric) -> dict[str, Any]:
    """Return what weights say of their training, but for its epochs."""
    start = {} if begun is None else {"start": {"name": begun.name, "weights_sha256": weights_hash(begun)}}
    return {
        "options": recipe(config),
        **seen.about,
        "device": str(fabric.device),
        "precision": choose_precision(config.precision, fabric.device),
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
        **start,
    }


def weights_file(folder: Path, name: str) -> Path:
    """Return where a run keeps its weights."""
    return folder / f"{name}.safetensors"


def kept(folder: Path, name: str) -> str:
    """Say after an interrupt what there is to go on from."""
    if resume_file(folder, name).is_file():
        return f"the training goes on from here with the same command and --out {folder}"
    return "no batch was complete, so nothing was kept"


@contextlib.contextmanager
def _naming_last_good(weights: Path, epochs: list[dict[str, float]]) -> Iterator[None]:
    """Say with a training that broke down where its last good weights are."""
    try:
        yield
    except FloatingPointError as error:
        good = f"the weights of epoch {epochs[-1]['epoch']:.0f} are in {weights}" if epochs else "no epoch was complete"
        raise FloatingPointError(f"{error} ({good})") from error
