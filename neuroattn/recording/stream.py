"""Recordings that go to disk while they are made, survive a kill, and say what they are.

A store is laid out whole before the first batch: shapes, chunks, every coordinate that is known already, and a flag
``done`` for each presentation. Each batch then fills one region of whole chunks, and its flags are set after its data.
So memory does not grow with the number of stimuli, and the same call continues a store that was interrupted at any
moment, with the same bytes as if it had not been. One process at a time may write into a store.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from neuroattn import labels
from neuroattn.recording.attributes import SCHEMA_VERSION
from neuroattn.recording.neuroids import neuroids
from neuroattn.recording.store import open_recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from neuroattn.recording.plan import Plan

DONE = "done"
CHUNK_BYTES = 4 * 2**20  # a chunk's size at most, where a single presentation is not larger already


def stream(plan: Plan, store: Path, attributes: dict[str, Any]) -> xr.DataTree:
    """Record a plan into a store, going on where an earlier call of the same plan was interrupted.

    Parameters
    ----------
    plan
        What to record.
    store
        Path of the Zarr store.
    attributes
        Of the root: provenance and identity.

    Returns
    -------
    xarray.DataTree
        The store, loaded when it is looked at; the root has ``done`` (presentation).

    Raises
    ------
    ValueError
        If the store holds another recording (naming what differs), is of a newer version, or there is no room for it.
    OSError
        If the disk is full or cannot be written; what was written stays valid, and the same call goes on.
    """
    attributes = {**attributes, "batch_size": plan.batch_size}
    try:
        if not store.exists():
            _require_room(plan, store)
            _lay_out(plan, store, attributes)
        root = zarr.open_group(store, mode="r+")
        require_same(store, dict(root.attrs), attributes)
        for torn in store.rglob("*.partial"):  # zarr writes a chunk under this name first; a kill leaves it
            torn.unlink()
        for first, batch in plan.batches(_pending(root, plan)):
            laid_out = batch.presentations.columns.isin(plan.stimuli.table.columns)
            _write(root, plan.rows(first), batch.activations, batch.presentations.loc[:, ~laid_out])
    except OSError as error:
        raise OSError(
            f"store {str(store)!r} could not be written ({error.strerror or error}); what was written stays valid, and "
            "the same call goes on from there"
        ) from error
    return open_recording(store)


def require_same(store: Path, there: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise unless the attributes of a store are those of the recording that is to go into it.

    Raises
    ------
    ValueError
        If it is no store of this package, of a newer version, or differs; the message names what differs.
    """
    version = there.get("schema_version")
    if version is None or "identity_of" not in there:
        raise ValueError(f"store {str(store)!r} is no recording of this package; choose another path")
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"store {str(store)!r} has schema version {version}, this package reads up to {SCHEMA_VERSION}; update it"
        )
    before, wanted = (json.loads(attributes["identity_of"]) for attributes in (there, now))
    before["batch_size"], wanted["batch_size"] = there.get("batch_size"), now["batch_size"]
    differing = [key for key in {**before, **wanted} if before.get(key) != wanted.get(key)]
    if differing:
        named = "; ".join(f"{key} ({before.get(key)} there, {wanted.get(key)} now)" for key in differing)
        raise ValueError(f"store {str(store)!r} holds another recording, which differs in {named}; choose another path")


def n_bytes(plan: Plan) -> dict[str, int]:
    """Return the uncompressed bytes that every variable of a plan takes on disk."""
    return {name: values[0].nbytes * plan.n_presentations for name, values in plan.rehearsal.activations.items()}


def _require_room(plan: Plan, store: Path) -> None:
    place = next(path for path in store.absolute().parents if path.exists())
    needed, free = n_bytes(plan), shutil.disk_usage(place).free
    if sum(needed.values()) > free:
        listed = ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in needed.items())
        raise ValueError(
            f"store {str(store)!r} needs up to {sum(needed.values()) / 1e9:.2f} GB ({listed}), and {free / 1e9:.2f} GB "
            "are free; record fewer steps, variables or stimuli, or reduce while recording"
        )


def _lay_out(plan: Plan, store: Path, attributes: dict[str, Any]) -> None:
    """Make a store with everything but the values, whole or not at all."""
    unfinished = store.with_name(f"{store.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    root = zarr.open_group(unfinished, mode="w", zarr_format=3)
    root.attrs.update(attributes)
    rows = plan.rows(0).stop  # of a whole batch
    _create(root, DONE, np.zeros(plan.n_presentations, bool), labels.PRESENTATION, rows)
    for name in plan.variables:
        _lay_out_variable(root.require_group(name), name, plan, rows)
    unfinished.rename(store)


def _lay_out_variable(group: zarr.Group, name: str, plan: Plan, rows: int) -> None:
    values = plan.rehearsal.activations[name]
    n_steps, n_units = values.shape[1], int(np.prod(values.shape[2:]))
    units = neuroids(plan.model.name, name, values)
    columns = plan.rehearsal.presentations
    group.create_array(
        labels.ACTIVATION,
        shape=(plan.n_presentations, n_steps, n_units),
        chunks=(_whole_chunks(rows, 4 * n_steps * n_units), n_steps, n_units),
        dtype="float32",
        fill_value=np.nan,
        # Half of the responses are zero: LZ4 without a shuffle keeps their runs, and is faster than most disks. The
        # checksum tells a damaged chunk from a whole one.
        compressors=[BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle", typesize=4), Crc32cCodec()],
        dimension_names=(labels.PRESENTATION, labels.TIME_STEP, labels.NEUROID),
        attributes={"units": "1", "coordinates": " ".join([*map(str, columns), *map(str, units)])},
    )
    _create(group, labels.TIME_STEP, np.array(plan.steps), labels.TIME_STEP, n_steps)
    for column in units:
        _create(group, str(column), units[column].to_numpy(), labels.NEUROID, n_units)
    known = plan.stimuli.table.iloc[np.repeat(np.arange(len(plan.stimuli)), plan.per_stimulus)]
    for column in columns:
        example = columns[column].to_numpy()
        full = known[column].to_numpy() if column in known else np.zeros(plan.n_presentations, example.dtype)
        _create(group, str(column), full, labels.PRESENTATION, rows)


def _whole_chunks(rows: int, size: int) -> int:
    """Return how many presentations of `size` bytes make a chunk: a divisor of a batch's, to align regions."""
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * size <= CHUNK_BYTES))


def _create(group: zarr.Group, name: str, values: NDArray[Any], dim: str, chunk: int) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(min(chunk, len(values)),),
        dtype=values.dtype if values.dtype.kind in "biuf" else str,
        dimension_names=(dim,),
    )
    array[:] = _storable(values)


def _pending(root: zarr.Group, plan: Plan) -> Iterator[int]:
    done = np.asarray(array_at(root, DONE)[:])
    return (first for first in plan.starts if not done[plan.rows(first)].all())


def _write(
    root: zarr.Group, rows: slice, activations: dict[str, NDArray[np.float32]], coordinates: pd.DataFrame
) -> None:
    """Fill the region of a batch, and set its flags when its data are there."""
    for name, values in activations.items():
        array_at(root, f"{name}/{labels.ACTIVATION}")[rows] = values.reshape(*values.shape[:2], -1)
        for column in coordinates:
            array_at(root, f"{name}/{column}")[rows] = _storable(coordinates[column].to_numpy())
    array_at(root, DONE)[rows] = True


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as they are and text as text; the zeros that hold the place of text become ""."""
    return values if values.dtype.kind in "biuf" else np.array([str(value or "") for value in values], dtype=object)


def array_at(group: zarr.Group, path: str) -> zarr.Array[Any]:
    """Return an array of a store, or raise ValueError if there is a group in its place."""
    array = group[path]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{path} must be an array of the store, got a group; the store is damaged")
    return array
