"""The recipe of a sweep: one training for every combination of some options."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuroattn.command.yaml_file import read_yaml
from neuroattn.runs.plain_text import shown
from neuroattn.training.config import DigitsConfig, ScenesConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Config = DigitsConfig | ScenesConfig
MOST_TRAININGS = 10_000
_FIELD = re.compile(r"\{(\w+)\}")  # of a name; no format, attribute or index, by which a short one grows long


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A grid of trainings: options that all share, values of those that differ, and a configuration a network.

    The trainings are all combinations of the values, the last option running fastest.
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
