"""A sweep: one training for every combination of some options, over the workers of a Dask cluster."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from neuroattn.command.option import check_options, option
from neuroattn.command.yaml_file import read_yaml
from neuroattn.runs.output_file import replacing, write_csv
from neuroattn.runs.plain_text import shown
from neuroattn.training.config import DigitsConfig, ScenesConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from distributed import Client

    Config = DigitsConfig | ScenesConfig

RECIPE, TABLE = "recipe.yaml", "table.csv"
MOST_TRAININGS = 10_000
_FIELD = re.compile(r"\{(\w+)\}")  # of a name; no format, attribute or index, by which a short one grows long
# Options that decide what a training on scenes sees.
PICTURES = (
    *("images", "annotations", "cache", "size", "n_objects", "labels"),
    *("composites", "least_cutout", "start"),
)


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Where a sweep runs; what it runs is its recipe's business."""

    workers: int = option(1, "processes of a local Dask cluster, of one thread each", low=1, high=1000)
    dask: str | None = option(None, "address of a Dask scheduler (tls://HOST:PORT) whose workers see the folder")
    data: str | None = option(
        None, "folder with MNIST's four IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )
    out: str | None = option(
        None, "folder of the sweep; the same recipe goes on in it (default: runs/sweep-NAME)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A grid of trainings.

    Attributes
    ----------
    base
        Options that all have in common.
    grid
        Values of the options that differ, by option. The trainings are all combinations, the last option running
        fastest.
    trainings
        Their configurations, by the name of the network.
    """

    base: Mapping[str, Any]
    grid: Mapping[str, list[Any]]
    trainings: Mapping[str, Config]


def read_sweep(path: Path) -> Sweep:
    """Return the sweep of a recipe, checked.

    The recipe is a YAML file with ``base`` (options of ``neuroattn.training digits``, or of ``scenes`` where the recipe
    names images and annotations) and ``grid`` (lists of values). The option ``name`` of ``base`` names the
    networks and may hold options in braces (``digits-{seed}``); without it the options of the grid and their values do.

    Raises
    ------
    ValueError
        If the file is no such recipe, an option is not one of a training, a value is not allowed, or two trainings
        have the same name.
    """
    try:
        text = read_yaml(path)
    except OSError as error:
        raise ValueError(
            f"recipe must be a YAML file that can be read, got {str(path)!r} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise ValueError(f"recipe must be a YAML file that can be read, got {str(path)!r}{error}") from error
    if not isinstance(text, dict) or not {"grid"} <= set(text) <= {"base", "grid"}:
        raise ValueError(f"recipe must hold grid, and may hold base, got {str(path)!r}; put options under these two")
    base, grid = text.get("base") or {}, text["grid"]
    if not isinstance(base, dict) or not isinstance(grid, dict) or not grid:
        raise ValueError(f"recipe must map options to values under base and grid, got {str(path)!r}")
    of_scenes = bool({"images", "annotations"} & {*base, *grid})
    kind, what = (ScenesConfig, "scenes") if of_scenes else (DigitsConfig, "digits")
    known = {field.name for field in dataclasses.fields(kind)} - {"data", "out"}
    for name in (*base, *grid):
        if name not in known:
            raise ValueError(
                f"recipe must hold options of a training on {what}, got {shown(name)}; choose from "
                f"{', '.join(sorted(known))}" + ("" if of_scenes else "; one on scenes names images and annotations")
            )
        if name in base and name in grid:
            raise ValueError(f"recipe must hold each option once, got {name} under base and under grid; remove one")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"recipe must list at least one value for each option of grid, got {name}: {shown(values)}"
            )
    return Sweep(base=base, grid=grid, trainings=_trainings(kind, base, grid))


def _trainings(kind: type[Config], base: Mapping[str, Any], grid: Mapping[str, list[Any]]) -> dict[str, Config]:
    if (number := math.prod(map(len, grid.values()))) > MOST_TRAININGS:
        raise ValueError(f"grid must make at most {MOST_TRAININGS:,} trainings, got {number:,}; list fewer values")
    template = str(base.get("name", "_".join(f"{name}-{{{name}}}" for name in grid)))
    trainings: dict[str, Config] = {}
    for values in itertools.product(*grid.values()):
        given = {**base, **dict(zip(grid, values, strict=True))}
        options = {name: _typed(kind, name, value) for name, value in given.items()}
        name = _named(template, options)
        if name in trainings:
            raise ValueError(
                f"name must tell trainings apart, got {shown(name)} twice; put the options of grid in braces"
            )
        trainings[name] = kind(**{**options, "name": name})
    return trainings


def _named(template: str, options: Mapping[str, Any]) -> str:
    """Return the name of a training: a template with the values of options in place of ``{option}``."""
    in_name = {name: _in_name(value) for name, value in options.items()}
    name = _FIELD.sub(lambda field: in_name.get(field[1], field[0]), template)
    if "{" in name or "}" in name:
        raise ValueError(f"name must hold options of the recipe in its braces, got {shown(template)}")
    return name


def _in_name(value: Any) -> str:
    """Return a value as it stands in a name."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:g}".replace("+", "") if isinstance(value, float) else str(value)


def _typed(kind: type[Config], name: str, value: Any) -> Any:
    """Return an option's value in the type that a configuration has it in."""
    hint = typing.get_type_hints(kind)[name]
    if typing.get_origin(hint) is tuple:
        if isinstance(value, list) and all(type(item) is int for item in value):
            return tuple(value)
        raise ValueError(f"{name} must be a list of whole numbers, got {shown(value)}")
    kinds = typing.get_args(hint) or (hint,)
    if type(value) in kinds:
        return value
    if float in kinds and type(value) in {int, str}:
        try:
            return float(value)  # YAML takes 1e-3 for a text
        except (ValueError, OverflowError):
            pass
    if kinds == (str,) and type(value) in {int, float}:
        return str(value)
    raise ValueError(f"{name} must be of the kind {' or '.join(kind.__name__ for kind in kinds)}, got {shown(value)}")


def run_sweep(
    sweep: Sweep, folder: Path, client: Client, data: str | None, tell: Callable[[str], None]
) -> pd.DataFrame:
    """Run the trainings of a sweep that are not done; write the table again after each.

    A training whose worker dies goes on with another from what it kept. One that breaks down stays in the table, with
    the reason, and so does one that fails otherwise; none keeps the others from being run.

    Parameters
    ----------
    sweep
        What to train.
    folder
        Gets a folder for every network, ``recipe.yaml`` and ``table.csv``.
    client
        Of a Dask cluster whose workers see the folder.
    data
        Where the digits come from, as for a training; None for scenes.
    tell
        Told a line after every training.

    Returns
    -------
    pandas.DataFrame
        `sweep_table`.

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
        done = {name for name in sweep.trainings if _is_done(folder / name, sweep.trainings[name], pictures.get(name))}
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
    """Return the metrics of every training and epoch.

    Parameters
    ----------
    sweep, folder
        As for `run_sweep`.
    outcomes
        Of the trainings that are over, by the name of the network.

    Returns
    -------
    pandas.DataFrame
        One row a training and epoch: network, the options of the grid, epoch and metrics; and ``outcome``, which is
        ``done`` or why the training broke down. One that broke down before its first epoch has one row, without
        metrics.
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
    from neuroattn.stimuli.mnist import load
    from neuroattn.training.run import see_scenes

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
            seen = see_scenes(config, lambda line: told.update({line: None}))
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
    from neuroattn.training.run import train_digits, train_scenes

    try:
        # The scheduler may run a task again whose answer it lost.
        if _is_done(folder, config, None):
            return "done"
        if isinstance(config, ScenesConfig):
            train_scenes(config, folder, tell=lambda _: None)
        else:
            train_digits(config, folder, tell=lambda _: None)
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


def _is_done(folder: Path, config: Config, scenes: str | None) -> bool:
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
