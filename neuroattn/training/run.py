"""The run of a training: its folder, with weights, metrics and what an interrupted one goes on from."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import tensorboardX
import torch

from neuroattn.models.checkpoint import (
    checkpoint_path,
    load_model,
    read_about,
    save_model,
    weights_hash,
)
from neuroattn.runs.folder import alone, is_free, occupied
from neuroattn.runs.output_file import refused_at, replacing
from neuroattn.runs.provenance import versions
from neuroattn.stimuli.cutouts import load_cutouts
from neuroattn.stimuli.mnist import load, without_embedded
from neuroattn.stimuli.scenes import load_scenes, tell_notes
from neuroattn.training.interrupt import interrupts
from neuroattn.training.launch import choose_precision, launched
from neuroattn.training.loop import train
from neuroattn.training.memory import require_room_for_weights
from neuroattn.training.resume import load_state, resume_file, save_state
from neuroattn.training.source import DigitsSource, ScenesSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lightning_fabric import Fabric

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.training.config import DigitsConfig, ScenesConfig, TrainingConfig
    from neuroattn.training.source import Source

    Tell = Callable[[str], None]

METRICS = "metrics.csv"


class Seen(NamedTuple):
    """What a training is on.

    Attributes
    ----------
    source
        Of the pictures.
    identity
        What two trainings on the same pictures share.
    about
        What the weights say of it.
    """

    source: Source
    identity: str
    about: dict[str, Any]


def train_digits(config: DigitsConfig, folder: Path, tell: Callable[[str], None]) -> None:
    """Train on MNIST without the embedded digits; see `run_training`."""

    def seen(tell: Tell) -> Seen:
        digits = load(config.data, "train")
        for note in digits.notes:
            tell(f"note: {note}")
        what = "training set" if digits.is_mnist else "training set, not MNIST's own,"
        digits = without_embedded(digits)
        # Whose folder the digits came from is nobody's business; which digits they were is.
        identity = digits.identity()
        about = {"what": f"{what} without the embedded digits", "n": len(digits), "sha256": identity}
        return Seen(DigitsSource(config, digits), identity, {"digits": about})

    run_training(config, seen, folder, tell)


def train_scenes(config: ScenesConfig, folder: Path, tell: Callable[[str], None]) -> None:
    """Train on scenes of COCO; see `run_training`."""
    run_training(config, lambda tell: see_scenes(config, tell), folder, tell)


def see_scenes(config: ScenesConfig, tell: Tell) -> Seen:
    """Return what a training on scenes sees.

    Parameters
    ----------
    config
        Which scenes, and composites of which objects.
    tell
        Told what is left out.

    Raises
    ------
    ValueError
        If they cannot be had.
    """
    size = (config.size[0], config.size[1])
    scenes = load_scenes(
        config.images,
        config.annotations,
        size=size,
        n_objects=config.n_objects,
        labels=config.labels,
        cache=config.cache,
    )
    tell_notes(scenes, tell)
    if len(scenes) < 2:
        raise ValueError(f"annotations must have at least 2 scenes, one to hold out, got {len(scenes)}")
    cutouts = None
    if config.composites:
        cutouts = load_cutouts(
            config.images,
            config.annotations,
            size=size,
            labels=config.labels,
            cache=config.cache,
            least_area=config.least_cutout,
        )
    about = {
        "what": f"{len(scenes):,} scenes of {Path(config.annotations).name}",
        "n": len(scenes),
        "sha256": scenes.identity,
    }
    identity = scenes.identity + (cutouts.identity if cutouts is not None else "")
    before = None if config.start is None else read_about(config.start).held_out_images or ()
    source = ScenesSource(config, scenes, cutouts, tell, new_images=before)
    return Seen(source, identity, {"scenes": about, "classes": list(scenes.classes)})


def run_training(config: TrainingConfig, see: Callable[[Tell], Seen], folder: Path, tell: Tell) -> None:
    """Train a network; write weights, metrics and TensorBoard's events into `folder`.

    A training of the same options that was interrupted there goes on.

    Parameters
    ----------
    config
        How.
    see
        Returns on what; asked once it is certain that the folder can be written. Told where to tell what it leaves out.
    folder
        Of the run; empty, or of the same training.
    tell
        Told a line after every epoch, and others on the way.

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
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            # Pictures may take a download; a run that cannot be kept must not wait for it.
            stack.enter_context(alone(folder))
            if not resume.is_file() and not is_free(folder):
                raise occupied(folder)
        begun = _start(config)
        seen = see(tell if fabric.is_global_zero else lambda _: None)  # one process speaks
        _require_alike(config, begun, seen)
        require_room_for_weights(seen.source.network_config, fabric.device)
        about = _about(config, seen, fabric)
        if begun is not None:
            about["start"] = {"name": begun.name, "weights_sha256": weights_hash(begun)}
        # Where it is computed does not make it another training, though then its bits may differ.
        of = {**about["options"], "pictures": seen.identity, "start": about.get("start")}
        del of["device"]
        # Other machines may not see the folder.
        state = fabric.broadcast(load_state(resume, of) if fabric.is_global_zero else None)
        epochs: list[dict[str, float]] = [] if state is None else state["epochs"]
        if state is not None and fabric.is_global_zero:
            tell(f"going on in epoch {state['place']['epoch']} after {state['place']['batch']} batches")
        stack.enter_context(_naming_last_good(weights, epochs))
        events: tensorboardX.SummaryWriter | None = None  # made with the first epoch: a run without one leaves nothing
        for network, metrics, split in train(
            config,
            seen.source,
            fabric,
            start=None if begun is None else begun.state_dict(),
            state=state,
            save=lambda now: save_state({**now, "of": of, "epochs": epochs}, resume),
            interrupted=stack.enter_context(interrupts()),
        ):
            epochs.append(metrics)
            if not fabric.is_global_zero:
                continue
            save_model(
                network,
                weights,
                training={**about, **split.about, "epochs": epochs},
                provenance=versions(),
            )
            with replacing(folder / METRICS) as file:
                pd.DataFrame(epochs).to_csv(file, index=False)
            if events is None:
                events = _event_writer(folder, int(metrics["epoch"]))
                stack.callback(_close, events)
            _add(events, metrics)
            tell(
                f"epoch {metrics['epoch']:3d}/{config.epochs}  validation accuracy "
                f"{metrics['validation_accuracy']:.4f}  training accuracy {metrics['training_accuracy']:.4f}  "
                f"{metrics['composites_per_second']:.0f} composites/s"
            )
            if metrics["validation_classes_decided"] == 1 and len(network.config.channels) > 2:
                tell(
                    "warning: every held-out picture is decided alike; if that lasts, a stage may have fallen silent: "
                    "lower learning_rate or phi, or begin with a network that was trained at one step (--start)"
                )
        if fabric.is_global_zero:
            resume.unlink(missing_ok=True)
            tell(f"weights in {weights}, metrics in {folder / METRICS}")


def _start(config: TrainingConfig) -> GatedNetwork | None:
    """Return the network to begin with, None if there is none."""
    return None if config.start is None else load_model(checkpoint_path(config.start, "start"))


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


def _about(config: TrainingConfig, seen: Seen, fabric: Fabric) -> dict[str, Any]:
    """Return what weights say of their training, but for its epochs."""
    return {
        "options": recipe(config),
        **seen.about,
        "device": str(fabric.device),
        "precision": choose_precision(config.precision, fabric.device),
        "processes": fabric.world_size,
        "threads": torch.get_num_threads(),
    }


def weights_file(folder: Path, name: str) -> Path:
    """Return where a run keeps its weights."""
    return folder / f"{name}.safetensors"


def kept(folder: Path, name: str) -> str:
    """Say after an interrupt what there is to go on from."""
    if resume_file(folder, name).is_file():
        return f"the training goes on from here with the same command and --out {folder}"
    return "no batch was complete, so nothing was kept"


def _event_writer(folder: Path, epoch: int) -> tensorboardX.SummaryWriter:
    """Return a writer of TensorBoard's events from an epoch on; what was written of it and later ones is void."""
    return tensorboardX.SummaryWriter(logdir=str(folder), purge_step=epoch, filename_suffix=f".{epoch}")


def _add(events: tensorboardX.SummaryWriter, metrics: dict[str, float]) -> None:
    with refused_at(Path(events.logdir)):
        for name, value in metrics.items():
            events.add_scalar(name, value, int(metrics["epoch"]))
        events.flush()


def _close(events: tensorboardX.SummaryWriter) -> None:
    with refused_at(Path(events.logdir)):  # what could not be written is written then
        events.close()


@contextlib.contextmanager
def _naming_last_good(weights: Path, epochs: list[dict[str, float]]) -> Iterator[None]:
    """Say with a training that broke down where its last good weights are."""
    try:
        yield
    except FloatingPointError as error:
        good = f"the weights of epoch {epochs[-1]['epoch']:.0f} are in {weights}" if epochs else "no epoch was complete"
        raise FloatingPointError(f"{error} ({good})") from error
