"""A whole recording as one netCDF file, which other tools and languages read."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.recording.damage import require_complete
from neuroattn.recording.room import free_disk
from neuroattn.runs.local_path import local_path

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

CHUNK_BYTES = 4 * 2**20  # of what is read, compressed and written at once, where the recording has no chunks itself


def to_netcdf(recording: xr.DataTree, path: str | Path) -> None:
    """Write a recording into one netCDF-4 file, whole or not at all.

    `xarray.open_datatree(path, engine="h5netcdf")` reads it back: the same groups, values, coordinates and attributes.
    Arrays of more than one dim are compressed (gzip, level 1, which every HDF5 library reads); float16, which netCDF
    does not have, becomes float32. A recording that was opened from a store passes through memory chunk by chunk, so
    it may be larger than memory.

    Parameters
    ----------
    recording
        As `neuroattn.record` returns it or `neuroattn.recording.store.open_recording` opens it; also a part of one.
    path
        The new file. Folders above it are made. While it is written it is called ``<path>.part``.

    Raises
    ------
    ValueError
        If there is something at `path`, there is no room for it, presentations are missing, or netCDF cannot hold an
        attribute or a text.
    OSError
        If the disk cannot be written; nothing is left at `path`.

    Examples
    --------
    >>> import tempfile
    >>> import xarray as xr
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], steps=[4])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_netcdf(tree, f"{folder}/recording.nc")
    ...     with xr.open_datatree(f"{folder}/recording.nc", engine="h5netcdf") as again:
    ...         again["stage1/gate"]["activation"].shape
    (6, 1, 1176)
    """
    target = local_path("path", path)
    _require_free(target)
    groups: dict[str, xr.Dataset] = {}
    for node in recording.parents:
        require_complete(node)
    for node in recording.subtree:
        require_complete(node)
        below = node.relative_to(recording)
        group = "/" if below == "." else f"/{below}"
        groups[group] = node.to_dataset()
        _require_storable(groups[group], group)
    arrays = [array for dataset in groups.values() for array in dataset.variables.values()]
    # float16 becomes float32.
    _require_room(target, sum(array.nbytes * (2 if array.dtype == np.float16 else 1) for array in arrays))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    try:
        unfinished.unlink(missing_ok=True)  # what a killed process left, or a link, which is not followed
        _write(groups, unfinished)
        _require_free(target)
        unfinished.rename(target)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise OSError(f"path {str(target)!r} could not be written ({reason}); nothing is left of it") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write(groups: dict[str, xr.Dataset], path: Path) -> None:
    # In a thread of its own, where no interrupt can reach into the middle of HDF5.
    with Unfailing(path, "x+b") as file, ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(_fill, file, groups).result()
        except BaseException as failure:
            file.stop = failure  # ends the thread after the chunk that it is at, and the file as a valid one
            raise


def _fill(file: Unfailing, groups: dict[str, xr.Dataset]) -> None:
    import dask
    import xarray as xr

    chunked: dict[str, xr.Dataset] = {}
    encoding: dict[str, dict[Hashable, dict[str, Any]]] = {}
    for group, dataset in groups.items():
        chunked[group], encoding[group] = _in_chunks(dataset, file)
    # One chunk after the other: HDF5 writes one at a time anyway, and threads would hold more of them in memory.
    with dask.config.set(scheduler="synchronous"):
        xr.DataTree.from_dict(chunked).to_netcdf(file, engine="h5netcdf", encoding=encoding)
    file.check()


class Unfailing(io.FileIO):
    """A file that keeps a failure to itself until HDF5 is done: a full disk makes HDF5 crash the process."""

    failure: Exception | None = None
    stop: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`; after a failure, nothing."""
        view = memoryview(data).cast("B")
        written = 0
        while self.failure is None and written < len(view):
            try:
                written += super().write(view[written:])
            except (OSError, ValueError) as failure:  # a ValueError if it was closed by a second interrupt
                self.failure = failure
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size; after a failure, leave it."""
        try:
            return super().truncate(size) if self.failure is None else size or 0
        except (OSError, ValueError) as failure:
            self.failure = failure
            return size or 0

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if (reason := self.failure or self.stop) is not None:
            raise reason


def _require_free(target: Path) -> None:
    if target.exists():
        raise ValueError(f"path must not exist, got {str(target)!r}, which does; choose another path")


def _require_room(target: Path, needed: int) -> None:
    if needed > (free := free_disk(target)):
        raise ValueError(
            f"path {str(target)!r} needs up to {needed / 1e9:,.2f} GB, and {free / 1e9:,.2f} GB are free; choose "
            "another disk, or select variables, steps or presentations first"
        )


def _require_storable(dataset: xr.Dataset, group: str) -> None:
    """Raise before anything is written, where the error of the file's library would name neither group nor name."""
    above = group.rstrip("/")
    for where, attributes in (
        (group, dataset.attrs),
        *((f"{above}/{k}", v.attrs) for k, v in dataset.variables.items()),
    ):
        for name, value in attributes.items():
            kind = np.asarray(value).dtype.kind if isinstance(value, int | float | np.number | str) else "O"
            if kind not in "iufU" or (isinstance(value, str) and "\0" in value):
                raise ValueError(
                    f"attributes must be numbers or text without NUL for netCDF, got {name!r} of {where}, "
                    f"{_described(value)}; turn it into text with json.dumps"
                )
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OUT" and any("\0" in str(value) for value in variable.to_numpy().ravel()):
            raise ValueError(f"text must be without NUL for netCDF, got one in {above}/{name}; replace it")


def _described(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else f'{text[:60]}…'}"


class Slices:
    """An array that dask reads a slice at a time: of one in memory it would make a copy first."""

    def __init__(self, array: xr.DataArray, file: Unfailing) -> None:
        self._variable, self.file = array.variable, file
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.file.check()
        return np.asarray(self._variable[key].to_numpy())


def _in_chunks(dataset: xr.Dataset, file: Unfailing) -> tuple[xr.Dataset, dict[Hashable, dict[str, Any]]]:
    """Return a dataset whose large arrays are read a chunk at a time, and how to store them."""
    import dask.array

    encoding: dict[Hashable, dict[str, Any]] = {}
    chunked: dict[Hashable, xr.DataArray] = {}
    for name, array in dataset.data_vars.items():
        if array.ndim > 1 and array.size:
            shape = _chunk_shape(array)
            empty = np.empty((0,) * array.ndim, array.dtype)
            slices = Slices(array, file)
            from_array: Any = dask.array.from_array  # untyped
            chunked[name] = array.copy(data=from_array(slices, shape, name=False, asarray=False, meta=empty))
            encoding[name] = {"zlib": True, "complevel": 1, "shuffle": False, "chunksizes": shape}
            if array.dtype == np.float16:
                encoding[name]["dtype"] = "float32"  # a float16 makes netCDF's own library crash
    small = dataset.drop_vars(list(chunked)).compute()
    # How a store encodes its arrays says nothing about this file, and some of it contradicts what is asked for here.
    return small.assign(chunked).drop_encoding(), encoding


def _chunk_shape(array: xr.DataArray) -> tuple[int, ...]:
    """Return the chunks that the array lies in, to read each once, or else small ones of whole first entries."""
    stored = array.encoding.get("preferred_chunks", {})
    if all(dim in stored for dim in array.dims):
        return tuple(min(int(stored[dim]), size) for dim, size in array.sizes.items())
    first, *others = array.shape
    return (min(first, max(1, CHUNK_BYTES * first // array.nbytes)), *others)
