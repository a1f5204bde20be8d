"""``python -m neuroattn.recording make``: record a network into a store, here or on a cluster."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn.command.line import tell
from neuroattn.command.option import MOST_AT_ONCE, check_options, option
from neuroattn.compute.cluster import dask_client

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from distributed import Client
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.recording.units import Units
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.stimulus_set import StimulusSet


@dataclass(frozen=True, kw_only=True)
class MakeConfig:
    """What is recorded; every field is an option of ``neuroattn.recording make``."""

    store: str | None = option(None, "path of the Zarr store; one that was interrupted goes on", path=True)
    models: tuple[str, ...] = option(
        ("digits-0",),
        "the one network: a shipped name, or path of a .safetensors or published .pt file",
        path=True,
        former="model",
    )
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
    digits: str = option(
        "embedded",
        "the 5,000 digits that travel with the package, or MNIST's official test set",
        choices=("embedded", "test"),
    )
    data: str | None = option(
        None, "folder with MNIST's IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    images: str | None = option(
        None,
        ".npy file of images (stimulus, channel, y, x) in [0, 1], or (with annotations) a folder of COCO images, in "
        "place of composites",
        path=True,
    )
    annotations: str | None = option(None, "COCO's instance annotations for a folder of images, a JSON file", path=True)
    n_objects: int = option(2, "objects of each scene", low=2, high=10)
    labels: str = option("supercategory", "what an object's class is in scenes", choices=("supercategory", "category"))
    cache: str | None = option(
        None, "folder for what is kept of scenes (default: in the user's cache folder)", path=True
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
    workers: int = option(0, "processes of a local Dask cluster; 0 records in this process", low=0, high=1000)
    dask: str | None = option(None, "address of a Dask scheduler (tls://HOST:PORT) whose workers see the store")
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    seed: int = option(0, "seed of composites and sampled units", low=0, high=2**32 - 1)
    dry_run: bool = option(False, "say what it would take, and record nothing")

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
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
    stimuli = _stimuli(config, model)
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
    settings = {"seed": config.seed, "source": _source(config)}
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


def _source(config: MakeConfig) -> str:
    if config.annotations is not None:
        return f"scenes of {Path(config.annotations).name}"
    if config.images is not None:
        return config.images
    digits = f"{config.digits} digits"
    if not _digits(config).is_mnist:
        digits += " (not MNIST's own)"
    return f"{config.composites} composites of {digits}, noise {config.noise:g}"


def _digits(config: MakeConfig) -> Digits:
    from neuroattn.stimuli.mnist import load

    return load(config.data, config.digits)


def _stimuli(config: MakeConfig, model: GatedNetwork) -> StimulusSet:
    import torch

    from neuroattn.models.config import n_digits
    from neuroattn.stimuli.digits import sample_composites, stimulus_set
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.stimuli.table_file import read_table

    if config.images is None:
        digits = _digits(config)
        for note in digits.notes:
            print(f"note: {note}", flush=True)  # noqa: T201 -- a command speaks to its user
        made = sample_composites(
            digits,
            config.composites,
            n_objects=n_digits(model.config, model.name),
            noise=config.noise,
            generator=torch.Generator().manual_seed(config.seed),
        )
        return stimulus_set(made)
    if config.annotations is not None:
        return _scenes(config, model, config.images, config.annotations)
    images = _mapped("images", config.images)
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
    return StimulusSet(images, objects, table)


def _scenes(config: MakeConfig, model: GatedNetwork, images: str, annotations: str) -> StimulusSet:
    """Return scenes at the size that the network takes."""
    from neuroattn.compute.memory import free_memory
    from neuroattn.stimuli.coco import SUPERCATEGORIES
    from neuroattn.stimuli.scenes import load_scenes, require_classes, tell_notes

    channels, height, width = model.config.size
    if channels != 3:
        raise ValueError(
            f"models must take colour images (3, y, x) for scenes, got {model.name} of {model.config.size}"
        )
    scenes = load_scenes(
        images, annotations, size=(height, width), n_objects=config.n_objects, labels=config.labels, cache=config.cache
    )
    known = model.about.classes or SUPERCATEGORIES  # the paper's files do not tell theirs
    require_classes(scenes.classes, config.labels, known, model.config.classes, model.name, annotations)
    tell_notes(scenes, tell)
    scenes = scenes.select(slice(config.composites))
    needed, free = len(scenes) * (1 + scenes.n_objects) * channels * height * width * 4, free_memory() // 2
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
