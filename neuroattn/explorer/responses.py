"""Responses of units as curves: over conditions, in every state of attention, at every recorded step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.recording.columns import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

    from neuroattn.explorer.view import View

OWN = "own"  # (presentation, neuroid) number of the object that a unit sees alone
_MOST_VALUES = 64  # of a coordinate that is the axis of a curve
_BYTES = 2**27  # of a recording that are read at once
_NO_AXIS = (dims.CONDITION, dims.STIMULUS_ID, "half", "count", "presented", "n_confirmed", "object", "bar")
SHOWN = 4  # pictures that drive a unit most, and as many that drive it least


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The axes of a layer's curves, and which rows of its recording are on them.

    Attributes
    ----------
    arrays
        Names: ``activation``, or ``maximum`` and ``mean`` over stimuli.
    states, keys
        Names of states, and what columns of fitted curves call them.
    x, steps
        Values along the curve (one, if there is no axis), time steps.
    x_name
        Of the coordinate, "" without.
    rows
        Whether a presentation or condition counts.
    cell
        (object, row) number of state and x, state-major, of a unit that sees this object; a single object without
        ``own``. −1: on no curve.
    """

    arrays: tuple[str, ...]
    states: tuple[str, ...]
    keys: tuple[str, ...]
    x: tuple[Any, ...]
    steps: tuple[int, ...]
    x_name: str
    rows: NDArray[np.bool_]
    cell: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(array, state, x, step) of one unit."""
        return len(self.arrays), len(self.states), len(self.x), len(self.steps)


def layout(dataset: xr.Dataset, view: View) -> Layout | None:
    """Return how a layer's recording is laid out as curves; None if it holds no responses of units."""
    arrays = [str(name) for name, array in dataset.data_vars.items() if _is_response(array)]
    if not arrays:
        return None
    first = dataset[arrays[0]].dims[0]
    coordinates = {str(name): _plain(c.values) for name, c in dataset.variables.items() if c.dims == (first,)}
    rows = np.ones(dataset.sizes[first], bool)
    for name, value in view.where.items():
        rows &= coordinates.get(name, value) == value
    attended = coordinates.get(dims.ATTENDED)
    own = OWN in dataset and attended is not None
    objects = range(int(dataset[OWN].values.max(initial=0)) + 1) if own else range(1)
    x_name, values = _axis(coordinates, view.x, len(objects) if own else 0)
    distinct = sorted(set(np.concatenate([one[rows] for one in values]).tolist())) if values else [""]
    codes = [np.searchsorted(distinct, one).clip(max=len(distinct) - 1) for one in values] or [0 * rows] * len(objects)
    if own:
        keys = tuple(view.states.get(k, name) for k, name in enumerate(("attended", "unattended")))
        states = tuple(f"{view.of or 'own object'} {key}" for key in keys)
        state = [np.where(attended == number, 0, 1) for number in objects]
    elif attended is not None:
        numbers = np.unique(attended[rows])
        keys = tuple(view.states.get(int(number), "") for number in numbers)
        states = tuple(view.label(int(number)) for number in numbers)
        state = [np.searchsorted(numbers, attended)]
    else:
        phases = coordinates.get(dims.PHASE, 0 * rows)
        numbers = np.unique(phases[rows])
        keys = ("",) * len(numbers)
        states = tuple(f"phase {number}" for number in numbers) if len(numbers) > 1 else ("responses",)
        state = [np.searchsorted(numbers, phases)]
    cells = [np.where(rows, s * len(distinct) + c, -1) for s, c in zip(state, codes, strict=True)]
    steps = tuple(map(int, np.atleast_1d(dataset[dims.TIME_STEP].values)))
    return Layout(
        arrays=tuple(sorted(arrays)), states=states, keys=keys, x=tuple(distinct), steps=steps, x_name=x_name,
        rows=rows, cell=np.array(cells),
    )  # fmt: skip


def _is_response(array: xr.DataArray) -> bool:
    return array.ndim == 3 and array.dims[1:] == (dims.TIME_STEP, dims.NEUROID)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind in "biuf" else values.astype(object)


def _axis(coordinates: dict[str, NDArray[Any]], wanted: str, n_objects: int) -> tuple[str, list[NDArray[Any]]]:
    """Return the coordinate along a curve, and its values for each object that a unit may see alone."""
    of_object = [coordinates.get(f"label_{number}") for number in range(n_objects)]
    labels = [one for one in of_object if one is not None]
    if n_objects and len(labels) == n_objects and wanted in {"", "label"}:
        return "class of the own object", labels
    candidates = [wanted] if wanted in coordinates else sorted(set(coordinates) - RESERVED - {*_NO_AXIS})
    number = {name: len(np.unique(coordinates[name].astype(str))) for name in candidates}
    usable = [name for name in candidates if 1 < number[name] <= _MOST_VALUES and coordinates[name].dtype != bool]
    usable = [name for name in usable if coordinates[name].dtype.kind != "f" or np.isfinite(coordinates[name]).all()]
    if not usable:
        return "", []
    name = max(usable, key=lambda one: (coordinates[one].dtype.kind in "fiu", number[one]))
    return name, [coordinates[name]] * max(n_objects, 1)


def curves(dataset: xr.Dataset, of: Layout, units: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """Yield parts of `units`, and their curves (unit, array, state, x, step), NaN where nothing was presented."""
    n_rows, n_steps = len(of.rows), len(of.steps)
    at_once = max(1, _BYTES // (4 * n_rows * n_steps * len(of.arrays)))
    count = dataset["count"].values if "count" in dataset else np.ones(n_rows)
    for first in range(0, len(units), at_once):
        part = units[first : first + at_once]
        of_part = dataset.isel({dims.NEUROID: part})
        own = of_part[OWN].values if len(of.cell) > 1 else np.zeros((n_rows, len(part)), np.int8)
        found = np.full((of.shape[0], of.shape[1] * of.shape[2], n_steps, len(part)), np.nan, np.float32)
        for number, name in enumerate(of.arrays):
            values = of_part[name].values
            weight = np.ones(n_rows) if name == "maximum" else count
            for cell in range(found.shape[1]):
                found[number, cell] = _in_cell(values, own, of.cell, cell, None if name == "maximum" else weight)
        yield part, found.reshape(*of.shape[:3], n_steps, len(part)).transpose(4, 0, 1, 2, 3)


def _in_cell(
    values: NDArray[np.float32],
    own: NDArray[np.int8],
    cells: NDArray[np.int64],
    cell: int,
    weight: NDArray[np.float64] | None,
) -> NDArray[np.floating[Any]]:
    """Return the mean over the rows of one cell, weighted, or without weights the maximum, as (step, unit)."""
    most = np.full(values.shape[1:], -np.inf)
    total, number = np.zeros(values.shape[1:]), np.zeros(values.shape[2])
    for which, of_object in enumerate(cells):
        rows = np.flatnonzero(of_object == cell)
        counts = (own[rows] == which) if len(cells) > 1 else np.ones((len(rows), values.shape[2]), bool)
        part = np.where(counts[:, None], values[rows], -np.inf if weight is None else 0)
        if weight is None:
            most = np.fmax(most, part.max(0, initial=-np.inf))
        else:
            # A condition that nothing was presented in has no mean.
            total += np.einsum("rtu,r->tu", np.nan_to_num(part), weight[rows])
            number += (counts * weight[rows][:, None]).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isfinite(most), most, np.nan) if weight is None else total / number


def extremes(dataset: xr.Dataset, of: Layout, units: NDArray[np.int64], pool: NDArray[Any]) -> tuple[Any, Any]:
    """Return which pictures of a pool drive units most and least: positions, and responses at the last step.

    Both are (unit, picture): the `SHOWN` of largest mean response over states, then as many of the smallest.
    """
    ids = dataset[dims.STIMULUS_ID].values
    position = {identity: number for number, identity in enumerate(pool.tolist())}
    rows = np.flatnonzero(of.rows & np.isin(ids, pool))
    places = np.array([position[identity] for identity in ids[rows].tolist()], np.int64)
    values = dataset[of.arrays[0]].isel({dims.PRESENTATION: rows, dims.TIME_STEP: -1, dims.NEUROID: units}).values
    total = np.zeros((len(pool), len(units)))
    np.add.at(total, places, values)
    number = np.bincount(places, minlength=len(pool))
    shown = np.flatnonzero(number)
    mean = total[shown] / number[shown, None]
    n = min(SHOWN, len(shown))
    order = np.argsort(-mean, axis=0, kind="stable")
    picked = np.concatenate([order[:n], order[::-1][:n]]).T
    return shown[picked], np.take_along_axis(mean.T, picked, 1)
