"""How a streamed store is laid out: everything but the values, before the first batch.

At the root: ``done`` (presentation), the flags, and ``trials``, one JSON text a block with what is known of its
presentations. In a group a variable: ``activation`` (presentation, time_step, neuroid) in whole chunks, and every
coordinate that is known beforehand. A finished store has all coordinates in every group, and no ``trials``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from neuroattn import dims
from neuroattn.recording.columns import neuroids
from neuroattn.recording.constant import constant_variables
from neuroattn.recording.seal import CHECKED, seal
from neuroattn.runs.output_file import new_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from neuroattn.recording.plan import Plan
    from neuroattn.recording.run import Arrays

DONE, TRIALS, COMPLETE = "done", "trials", "complete"
# What is written at once, where a single batch is not larger already: bytes of values, stimuli (a kill loses them, and
# workers take turns by them), and bytes of stimuli (they are sent to a worker).
BLOCK_BYTES, BLOCK_STIMULI, BLOCK_STIMULUS_BYTES = 64 * 2**20, 512, 8 * 2**20
CHUNK_BYTES = 4 * 2**20  # a chunk's size at most, where a single presentation is not larger already
CHUNK_PRESENTATIONS = 2**16  # of a coordinate, about
# A chunk of nothing but the fill value is written too: whether a chunk is there tells whether data were.
EVERY_CHUNK = {"array.write_empty_chunks": True}
# In Rust: the same files in half the time, because several chunks are compressed and checked at once. It leaves out
# chunks of nothing but the fill value, whatever is asked (zarrs 0.2.3).
IN_RUST = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
CONSTANT = "constant_over_stimuli"  # in the attributes of an activation
DTYPES = "dtypes"  # of the columns of a trial, in the attributes of TRIALS


def block_size(plan: Plan) -> int:
    """Return how many stimuli are written at once: whole batches."""
    batch, stimuli = plan.work.batch_size, plan.stimuli
    of_batch = batch * plan.per_stimulus * sum(map(plan.work.bytes_of, plan.variables))
    shown = batch * sum(array[:1].nbytes for array in (stimuli.images, stimuli.objects) if array is not None)
    most = min(
        BLOCK_BYTES // of_batch, BLOCK_STIMULI // batch, BLOCK_STIMULUS_BYTES // shown, -(-len(stimuli) // batch)
    )
    return batch * max(1, most)


def lay_out(plan: Plan, store: Path, attributes: dict[str, Any]) -> None:
    """Make a store with everything but the values, whole or not at all."""
    unfinished = store.with_name(f"{store.name}.part")
    try:
        new_folder(unfinished)
        root = zarr.open_group(unfinished, mode="w", zarr_format=3)
        root.attrs.update(attributes)
        size = int(attributes["block_size"])
        rows = plan.rows(0, size).stop
        root.create_array(
            DONE,
            shape=(plan.n_presentations,),
            chunks=(rows,),
            dtype=bool,
            fill_value=False,
            compressors=CHECKED,
            dimension_names=(dims.PRESENTATION,),
        )
        n_blocks = -(-len(plan.stimuli) // size)
        trials = root.create_array(
            TRIALS, shape=(n_blocks,), chunks=(1,), dtype=str, compressors=CHECKED, dimension_names=("block",)
        )
        trials.attrs[DTYPES] = _dtypes(plan.rehearsal.presentations)
        for name in plan.variables:
            _lay_out_variable(root.require_group(name), name, plan, rows)
        known = plan.stimuli.table
        for column in known:
            values = np.repeat(known[column].to_numpy(), plan.per_stimulus)
            create_coordinate(group_at(root, plan.variables[0]), str(column), values, dims.PRESENTATION)
        _copy_to_others(unfinished, plan.variables, [str(column) for column in known])
        unfinished.rename(store)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _lay_out_variable(group: zarr.Group, name: str, plan: Plan, rows: int) -> None:
    n_steps, n_units = len(plan.work.steps[name]), plan.work.n_units(name)
    units = neuroids(plan.work.subject.name, name, plan.work.shapes[name], plan.work.index[name])
    known, trials = plan.stimuli.table, plan.rehearsal.presentations
    create_activation(
        group,
        (plan.n_presentations, n_steps, n_units),
        rows,
        np.dtype(plan.work.precision),
        {"units": "1", "coordinates": " ".join([*map(str, known), *map(str, trials), *map(str, units)])},
    )
    create_coordinate(group, dims.TIME_STEP, np.array(plan.work.steps[name]), dims.TIME_STEP)
    for column in units:
        create_coordinate(group, str(column), units[column].to_numpy(), dims.NEUROID)


def create_activation(
    group: zarr.Group, shape: tuple[int, int, int], rows: int, dtype: np.dtype[Any], attributes: dict[str, Any]
) -> None:
    """Make the array of a variable's values (presentation, time_step, neuroid), of which `rows` are written at once."""
    chunk = _whole_chunks(rows, dtype.itemsize * shape[1] * shape[2])
    group.create_array(
        dims.ACTIVATION,
        shape=shape,
        chunks=(chunk, *shape[1:]),
        dtype=dtype,
        fill_value=np.nan,
        # Half of the responses are zero: LZ4 without a shuffle keeps their runs, and is faster than most disks. The
        # checksum tells a damaged chunk from a whole one.
        compressors=[
            BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle", typesize=dtype.itemsize),
            Crc32cCodec(),
        ],
        dimension_names=(dims.PRESENTATION, dims.TIME_STEP, dims.NEUROID),
        attributes=attributes,
    )


def create_coordinate(group: zarr.Group, name: str, values: NDArray[Any], dim: str) -> None:
    """Write a coordinate: numbers as they are, and text with any length."""
    array = empty_coordinate(group, name, len(values), values.dtype, dim, CHUNK_PRESENTATIONS)
    array[:] = _storable(values)


def empty_coordinate(
    group: zarr.Group, name: str, size: int, dtype: np.dtype[Any], dim: str, chunk: int
) -> zarr.Array[Any]:
    """Return the array of a coordinate that is to be filled."""
    return group.create_array(
        name,
        shape=(size,),
        chunks=(min(size, chunk),),
        dtype=dtype if dtype.kind in "biuf" else str,
        compressors=CHECKED,
        config={"write_empty_chunks": True},
        dimension_names=(dim,),
        overwrite=True,
    )


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind in "biuf" else values.astype(object)


def write_block(root: zarr.Group, block: int, rows: slice, arrays: Arrays, trials: pd.DataFrame) -> None:
    """Fill the region of a block, and set its flags when its data are there."""
    for name, values in arrays.items():
        may_be_empty = bool(np.isnan(values[:, 0, 0]).any())
        with zarr.config.set(EVERY_CHUNK if may_be_empty else IN_RUST), _disk_errors():
            array_at(root, f"{name}/{dims.ACTIVATION}")[rows] = values
    array_at(root, TRIALS)[block : block + 1] = np.array([json.dumps(trials.to_dict("list"))], dtype=object)
    array_at(root, DONE)[rows] = True


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise what the disk refused as OSError: from Rust it comes as RuntimeError, with the number in its text."""
    try:
        yield
    except RuntimeError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read_trials(root: zarr.Group, blocks: slice = slice(None)) -> pd.DataFrame:
    """Return what the done blocks of an unfinished store say of their presentations, in order."""
    texts = array_at(root, TRIALS)
    dtypes: dict[str, str] = dict(texts.attrs[DTYPES])  # type: ignore[arg-type]
    parts = [pd.DataFrame(json.loads(str(text))) for text in np.asarray(texts[blocks]) if text]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(dtypes))
    return whole.astype(dtypes)


def is_finished(root: zarr.Group, store: Path) -> bool:
    """Return whether nothing is left to be done in a store."""
    return bool(root.attrs.get(COMPLETE)) and not (store / TRIALS).exists()


def finish(store: Path, per_stimulus: int, varying: set[str]) -> None:
    """Give every group its coordinates once all blocks are done, and note variables that are the same for all stimuli.

    Done again after a kill, it leaves the same bytes. `varying` are known not to be the same.
    """
    root = zarr.open_group(store, mode="r+")  # anew: another process may have finished it meanwhile
    names = variables_of(root)
    if not root.attrs.get(COMPLETE):
        _write_coordinates(root, store, names)
        arrays = {name: array_at(root, f"{name}/{dims.ACTIVATION}") for name in names if name not in varying}
        for name in constant_variables(arrays, per_stimulus):
            arrays[name].attrs[CONSTANT] = 1
        seal(store, {COMPLETE: 1}, without=TRIALS)
    shutil.rmtree(store / TRIALS, ignore_errors=True)
    for torn in store.rglob("*.partial"):  # zarr writes a chunk under this name first; a kill leaves it
        torn.unlink(missing_ok=True)


def _write_coordinates(root: zarr.Group, store: Path, names: list[str]) -> None:
    """Copy what the blocks say into every group, some blocks at a time: there may be very many presentations."""
    n, rows = array_at(root, DONE).shape[0], array_at(root, DONE).chunks[0]
    at_once = max(1, CHUNK_PRESENTATIONS // rows)
    dtypes = {column: np.dtype(dtype) for column, dtype in dict(array_at(root, TRIALS).attrs[DTYPES]).items()}  # type: ignore[arg-type]
    first_group = group_at(root, names[0])
    arrays = {
        column: empty_coordinate(first_group, column, n, dtype, dims.PRESENTATION, rows * at_once)
        for column, dtype in dtypes.items()
    }
    for block in range(0, -(-n // rows), at_once):
        trials = read_trials(root, slice(block, block + at_once))
        region = slice(block * rows, block * rows + len(trials))
        for column, array in arrays.items():
            array[region] = _storable(trials[column].to_numpy())
    _copy_to_others(store, names, list(dtypes))


def _copy_to_others(store: Path, names: list[str], columns: list[str]) -> None:
    """Copy coordinates of the first group, which are the same in all, as files: that takes a fraction of the time."""
    for name in names[1:]:
        for column in columns:
            shutil.rmtree(store / name / column, ignore_errors=True)
            shutil.copytree(store / names[0] / column, store / name / column)


def constant_ones(root: zarr.Group) -> list[str]:
    """Return the variables of a finished store that are the same for all stimuli."""
    return [n for n in variables_of(root) if array_at(root, f"{n}/{dims.ACTIVATION}").attrs.get(CONSTANT)]


def variables_of(root: zarr.Group) -> list[str]:
    """Return the names of the variables that a store holds."""
    return list(json.loads(str(root.attrs["identity_of"]))["variables"])


def group_at(group: zarr.Group, path: str) -> zarr.Group:
    """Return a group of a store, or raise ValueError if there is an array or nothing in its place."""
    found = group.get(path)
    if not isinstance(found, zarr.Group):
        there = "nothing" if found is None else "an array"
        raise ValueError(f"{path} must be a group of the store, got {there}; the store is damaged")
    return found


def array_at(group: zarr.Group, path: str) -> zarr.Array[Any]:
    """Return an array of a store, or raise ValueError if there is a group or nothing in its place."""
    array = group.get(path)
    if not isinstance(array, zarr.Array):
        found = "nothing" if array is None else "a group"
        raise ValueError(f"{path} must be an array of the store, got {found}; the store is damaged")
    return array


def _whole_chunks(rows: int, size: int) -> int:
    """Return how many presentations of `size` bytes make a chunk: a divisor of a block's, to align regions."""
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * size <= CHUNK_BYTES))


def _dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {
        str(name): dtype.str if (dtype := table[name].to_numpy().dtype).kind in "biuf" else "object" for name in table
    }
