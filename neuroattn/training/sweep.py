"""A sweep: one training for every combination of some options, over the workers of a Dask cluster."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from neuroattn.runs.output_file import replacing, write_csv
from neuroattn.training.config import ScenesConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from distributed import Client

    from neuroattn.training.grid import Config, Sweep

RECIPE, TABLE = "recipe.yaml", "table.csv"
# Options that decide what a training on scenes sees.
PICTURES = (
    *("images", "annotations", "cache", "size", "n_objects", "labels"),
    *("composites", "least_cutout", "start"),
)


def run_sweep(
    sweep: Sweep, folder: Path, client: Client, data: str | None, tell: Callable[[str], None]
) -> pd.DataFrame:
    """Run the trainings of a sweep that are not done; write the table again after each.

    A training whose worker dies goes on with another from what it kept. One that breaks down stays in the table, with
    the reason, and so does one that fails otherwise; none keeps the others from being run. The folder, which the
    cluster's workers see, gets a folder for every network, ``recipe.yaml``, and ``table.csv`` (`sweep_table`).

    Raises
    ------
    ValueError
        If the folder holds something else, networks of another recipe among it, or the pictures cannot be had; and,
        when all are over, if one failed for another reason than its own numbers.
    """
    from neuroattn.runs.folder import alone

    folder = folder.absolute()  # workers may be started elsewhere
    with alone(folder):
        pictures = _require_pictures(sweep, data, tell)  # what is wrong with them is said before anything is made
        _claim(sweep, folder)
        done = {name for name in sweep.trainings if is_done(folder / name, sweep.trainings[name], pictures.get(name))}
        if done:
            tell(f"{len(done)} of {len(sweep.trainings)} trainings are done")
        table, failures = _run(sweep, folder, client, data, tell, done)
    if failures:
        name, error = next(iter(failures.items()))
        raise ValueError(
            f"{len(failures)} of {len(sweep.trainings)} trainings failed, the first of them {name} ({error}); the same "
            "command goes on with them"
        )
    return table


def _run(
    sweep: Sweep, folder: Path, client: Client, data: str | None, tell: Callable[[str], None], done: set[str]
) -> tuple[pd.DataFrame, dict[str, BaseException]]:
    """Run the trainings that are not done; return the table, and why those failed that others may not know of."""
    from distributed import as_completed

    outcomes = dict.fromkeys(done, "done")
    submit: Any = client.submit
    futures = {
        submit(_train, _anywhere(config, data), folder / name, pure=False): name
        for name, config in sweep.trainings.items()
        if name not in done
    }
    failures = {}
    completed: Any = as_completed
    for future in completed(futures, loop=client.loop):
        name = futures[future]
        outcome = _outcome(future)
        outcomes[name] = str(outcome)
        if not isinstance(outcome, str | FloatingPointError):
            failures[name] = outcome
        write_csv(sweep_table(sweep, folder, outcomes), folder / TABLE)
        tell(f"{len(outcomes)}/{len(sweep.trainings)}  {name}: {outcome}")
    table = sweep_table(sweep, folder, outcomes)
    write_csv(table, folder / TABLE)
    return table, failures


def sweep_table(sweep: Sweep, folder: Path, outcomes: Mapping[str, str]) -> pd.DataFrame:
    """Return the metrics of every training that is over, one row an epoch.

    Columns are network, the options of the grid, epoch, metrics, and ``outcome``: ``done``, or why the training broke
    down. One that broke down before its first epoch has one row, without metrics.
    """
    import pandas as pd

    from neuroattn.training.run import METRICS

    parts = []
    for name, config in sweep.trainings.items():
        if name not in outcomes:
            continue
        file = folder / name / METRICS
        rows = pd.read_csv(file) if file.is_file() else pd.DataFrame({"epoch": [float("nan")]})
        about = {"network": name, **{option: getattr(config, option) for option in sweep.grid}}
        for column, (key, value) in enumerate(about.items()):
            rows.insert(column, key, [value] * len(rows))
        parts.append(rows.assign(outcome=outcomes[name]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _require_pictures(sweep: Sweep, data: str | None, tell: Callable[[str], None]) -> dict[str, str]:
    """Raise if a training's pictures cannot be had; tell what is left out of scenes, and return which are whose."""
    from neuroattn.models.checkpoint import read_about
    from neuroattn.stimuli.mnist import load
    from neuroattn.training.source import see

    of_scenes = {name: config for name, config in sweep.trainings.items() if isinstance(config, ScenesConfig)}
    if not of_scenes:
        for note in load(data, "train").notes:
            tell(f"note: {note}")
    elif data is not None:
        raise ValueError(
            f"data must be left out of a sweep of scenes, got {data!r}; its recipe names images and annotations"
        )
    told: dict[str, None] = {}  # in their order, each once
    identities: dict[tuple[Any, ...], str] = {}  # most trainings of a grid see the same, which is looked at once
    found = {}
    for name, config in of_scenes.items():
        key = tuple(getattr(config, option) for option in PICTURES)
        if key not in identities:
            start = None if config.start is None else read_about(config.start)
            seen = see(config, lambda line: told.update({line: None}), start)
            identities[key] = seen.about["scenes"]["sha256"]
        found[name] = identities[key]
    for line in told:
        tell(line)
    return found


def _anywhere(config: Config, data: str | None) -> Config:
    """Return a training for a worker that was started elsewhere, and without the user's environment."""
    from neuroattn.stimuli.mnist import VARIABLE

    if config.start is not None and Path(config.start).is_file():  # no shipped name
        config = dataclasses.replace(config, start=str(Path(config.start).absolute()))
    if isinstance(config, ScenesConfig):
        return dataclasses.replace(
            config,
            images=str(Path(config.images).absolute()),
            annotations=str(Path(config.annotations).absolute()),
            cache=None if config.cache is None else str(Path(config.cache).absolute()),
        )
    data = data or os.environ[VARIABLE]
    return dataclasses.replace(config, data=str(Path(data).absolute()) if Path(data).is_dir() else data)


def _train(config: Config, folder: Path) -> str | Exception:
    """Train one network on a worker and return ``done``, or what went wrong."""
    from neuroattn.training.run import train_network

    try:
        # The scheduler may run a task again whose answer it lost.
        if is_done(folder, config, None):
            return "done"
        train_network(config, folder, tell=lambda _: None)
    except (FloatingPointError, ValueError, OSError, RuntimeError, MemoryError) as error:
        return error  # raised here, the worker would also log it at length
    return "done"


def _outcome(future: Any) -> str | BaseException:
    """Return what `_train` did, or what became of it."""
    from distributed import CancelledError, KilledWorker

    if future.cancelled():
        return CancelledError("the cluster's scheduler is gone")
    error: BaseException | None = future.exception()
    if isinstance(error, KilledWorker):
        return RuntimeError(f"{error.allowed_failures + 1} workers in turn died with it; did they run out of memory?")
    if error is not None:
        return error
    outcome: str | Exception = future.result()
    return outcome


def is_done(folder: Path, config: Config, scenes: str | None) -> bool:
    """Return whether a network is trained; raise if it is of another recipe, or on other scenes than those."""
    from neuroattn.models.checkpoint import read_metadata
    from neuroattn.training.resume import resume_file
    from neuroattn.training.run import recipe, weights_file

    weights = weights_file(folder, config.name)
    if resume_file(folder, config.name).is_file() or not weights.is_file():
        return False
    training = read_metadata(weights)["training"]
    there = training.get("options", {})
    wanted = {key: list(value) if isinstance(value, tuple) else value for key, value in recipe(config).items()}
    if {**there, "device": wanted["device"]} != wanted:
        differing = ", ".join(key for key in wanted if there.get(key) != wanted[key])
        raise ValueError(f"out must hold networks of this recipe, got {str(weights)!r}, which differs in {differing}")
    if scenes is not None and training.get("scenes", {}).get("sha256") != scenes:
        raise ValueError(f"out must hold networks of these scenes, got {str(weights)!r}, trained on others")
    return True


def _claim(sweep: Sweep, folder: Path) -> None:
    """Note in the folder which sweep it is of, unless it is of another one."""
    from neuroattn.runs.folder import is_free, occupied

    text = yaml.safe_dump({"base": dict(sweep.base), "grid": dict(sweep.grid)}, sort_keys=False)
    if not (folder / RECIPE).is_file():
        if not is_free(folder):
            raise occupied(folder)
        with replacing(folder / RECIPE) as file:
            file.write_text(text, encoding="utf-8")
    elif (folder / RECIPE).read_text(encoding="utf-8", errors="replace") != text:
        raise ValueError(
            f"out must be a folder of the same recipe, got {str(folder)!r}, whose {RECIPE} differs; choose another "
            "folder, or the same recipe"
        )
