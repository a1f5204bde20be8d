"""``python -m neuroattn.recording make``: record a network into a store, here or on a cluster."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn.command.groups import Cluster, Compute, Digits, Models, Noise, Photographs, SceneKind, Seed
from neuroattn.command.line import tell
from neuroattn.command.option import MOST_AT_ONCE, option, varied
from neuroattn.compute.cluster import dask_client

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from distributed import Client
    from numpy.typing import NDArray

    from neuroattn.models.checkpoint import Network
    from neuroattn.recording.units import Units
    from neuroattn.stimuli.stimulus_set import StimulusSet


@dataclass(frozen=True, kw_only=True)
class MakeConfig(Compute, Seed, Cluster, SceneKind, Photographs, Noise, Digits, Models):
    """What is recorded; every field is an option of ``neuroattn.recording make``."""

    models: tuple[str, ...] = varied(
        Models,
        "models",
        description="the one network: a shipped name, or path of a .safetensors or published .pt file",
    )
    store: str | None = option(None, "path of the Zarr store; one that was interrupted goes on", path=True)
    variables: tuple[str, ...] = option(
        ("stage1/gate", "stage1/response", "stage2/gate", "stage2/response"), "variables to record"
    )
    steps: tuple[int, ...] | None = option(None, "time steps to keep (default: all)", low=0)
    design: str = option("free", "the network's free order, or both objects cued", choices=("free", "cued"))
    phases: int | None = option(None, "phases of a free trial (default: one an object)", low=1, high=100)
    channels: tuple[int, ...] | None = option(
        None, "feature channels to keep, which every variable of --variables must have (default: all)", low=0
    )
    y: tuple[int, ...] | None = option(None, "window of rows to keep: first, and the first not in it", low=0)
    x: tuple[int, ...] | None = option(None, "window of columns to keep: first, and the first not in it", low=0)
    sample: int | None = option(None, "so many units of each variable, at random (default: all)", low=1)
    precision: str = option("float32", "of what is written", choices=("float32", "float16"))
    composites: int = option(1000, "number of composites of digits, or of scenes at most", low=1)
    images: str | None = varied(
        Photographs,
        "images",
        description=".npy file of images (stimulus, channel, y, x) in [0, 1], or (with annotations) a folder of COCO "
        "images, in place of composites",
    )
    objects: str | None = option(None, ".npy file of their objects (stimulus, object, channel, y, x)", path=True)
    table: str | None = option(
        None,
        ".csv or .parquet file with one row a stimulus; a column of a .csv is of numbers only if each cell is written "
        "as its number is printed (7, 0.5), else of text as it stands (None, NA, 007 and empty cells, too)",
        path=True,
    )
    batch_size: int | None = option(
        None, "stimuli at once (default: chosen by size and memory)", low=1, high=MOST_AT_ONCE
    )
    seed: int = varied(Seed, "seed", description="seed of composites and sampled units")
    dry_run: bool = option(False, "say what it would take, and record nothing")

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if self.store is None and not self.dry_run:
            raise ValueError("store must be the path to record to, got none; give --store PATH, or --dry_run")
        if len(self.models) != 1:
            raise ValueError(f"models must name one network, got {len(self.models)}; make a recording of each")
        for name in ("y", "x"):
            window = getattr(self, name)
            if window is not None and len(window) != 2:
                raise ValueError(f"{name} must be two numbers, first and last, got {len(window)}")
        if self.workers and self.dask:
            raise ValueError("workers must be 0 where a scheduler is named by dask; give one of the two")
        if self.images is None and (self.objects or self.table):
            raise ValueError("images must be given with objects or table, got none; give --images FILE.npy")
        if self.images is None and self.annotations:
            raise ValueError("images must be given with annotations, got none; give --images DIR")
        if self.annotations and (self.objects or self.table):
            raise ValueError("objects and table must not be given with annotations, which tell of both")


def make(config: MakeConfig) -> str:
    """Record what a configuration asks for, and return in words what the store holds."""
    from neuroattn.compute.device import choose_device
    from neuroattn.models.checkpoint import load_model
    from neuroattn.recording.layout import block_size
    from neuroattn.recording.record import make_plan, record
    from neuroattn.recording.room import estimate

    model = load_model(config.models[0], device=choose_device(config.device))
    stimuli, source = _stimuli(config, model)
    asked: dict[str, Any] = {
        "design": config.design,
        "phases": config.phases,
        "units": _units(config),
        "precision": config.precision,
        "batch_size": config.batch_size,
    }
    plan = make_plan(model, stimuli, config.variables, config.steps, **asked)
    of_stimulus = sum(plan.n_bytes().values()) // len(stimuli)
    needed = estimate(plan, min(block_size(plan), len(stimuli)) * of_stimulus)
    if config.dry_run:
        return needed
    settings = {"seed": config.seed, "source": source}
    with _client(config) as client:
        tell(needed)
        tree = record(
            model,
            stimuli,
            config.variables,
            config.steps,
            store=config.store,
            client=client,
            configuration=settings,
            **asked,
        )
        tree.close()
    from neuroattn.recording.contents import summary

    return summary(Path(str(config.store)))


def _stimuli(config: MakeConfig, model: Network) -> tuple[StimulusSet, str]:
    """Return what is shown, and in words what it is."""
    if config.images is None:
        return _composites(config, model)
    if config.annotations is not None:
        return _scenes(config, model), f"scenes of {Path(config.annotations).name}"
    return _own(config, config.images), config.images


def _composites(config: MakeConfig, model: Network) -> tuple[StimulusSet, str]:
    from neuroattn.stimuli.digits import stimulus_set
    from neuroattn.stimuli.mnist import load
    from neuroattn.stimuli.shown import composites_for

    digits = load(config.data, config.digits)
    for note in digits.notes:
        tell(f"note: {note}")
    made = composites_for(model, digits, config.composites, noise=config.noise, seed=config.seed)
    kind = f"{config.digits} digits" if digits.is_mnist else f"{config.digits} digits (not MNIST's own)"
    return stimulus_set(made), f"{config.composites} composites of {kind}, noise {config.noise:g}"


def _own(config: MakeConfig, images: str) -> StimulusSet:
    """Return pictures in files of the user's own."""
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.stimuli.table_file import read_table

    objects = None if config.objects is None else _mapped("objects", config.objects)
    table = None
    if config.table is not None:
        try:
            table = read_table(Path(config.table))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"table must be a .csv or .parquet file, got {config.table!r} ({reason}); check it"
            ) from error
    return StimulusSet(_mapped("images", images), objects, table)


def _scenes(config: MakeConfig, model: Network) -> StimulusSet:
    """Return scenes at the size that the network takes."""
    from neuroattn.compute.memory import free_memory
    from neuroattn.stimuli.scenes import tell_notes
    from neuroattn.stimuli.shown import scenes_for

    scenes = scenes_for([model], config, n_objects=config.n_objects, labels=config.labels)
    tell_notes(scenes, tell)
    scenes = scenes.select(slice(config.composites))
    of_scene = (1 + scenes.n_objects) * math.prod(model.config.size) * 4
    needed, free = len(scenes) * of_scene, free_memory() // 2
    if needed > free:
        raise ValueError(
            f"composites must leave scenes that fit in memory, got {len(scenes):,} of {needed / 1e9:.1f} GB with their "
            f"objects, and {free / 1e9:.1f} GB are free for them; give fewer"
        )
    return scenes.stimulus_set()


def _mapped(name: str, path: str) -> NDArray[Any]:
    """Return a file's array without reading it: a set may be larger than memory."""
    import numpy as np

    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{name} must be a .npy file of numbers, got {path!r} ({error}); check it") from error
    return array


def _units(config: MakeConfig) -> Units | None:
    from neuroattn.recording.units import Units

    if all(part is None for part in (config.channels, config.y, config.x, config.sample)):
        return None
    y, x = (None if window is None else (window[0], window[1]) for window in (config.y, config.x))
    return Units(channels=config.channels, y=y, x=x, sample=config.sample, seed=config.seed)


def _client(config: MakeConfig) -> AbstractContextManager[Client | None]:
    """Return the connection to the cluster that was asked for, None if none was."""
    return dask_client(config.workers, config.dask) if config.workers or config.dask is not None else nullcontext()
