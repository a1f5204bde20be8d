"""What is wrong with a store: quickly, whenever one is opened, and thoroughly, when someone asks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from neuroattn import dims
from neuroattn.compute.progress import progress
from neuroattn.recording.contents import holds_networks, is_network, named_networks, streamed_root
from neuroattn.recording.layout import COMPLETE, DONE, DTYPES, TRIALS, array_at, read_trials, variables_of
from neuroattn.recording.seal import (
    DESCRIPTION,
    altered,
    description,
    has_checksums,
    is_sealed,
    missing,
    sealed_folders,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def require_whole(store: Path) -> None:
    """Raise ValueError if a file of a finished recording is gone: Zarr would read the fill value in its place.

    Files are looked for, and none is read but the descriptions of the arrays. A store, of a streamed recording or a
    protocol, that is not finished may lack anything; of one that an earlier version finished, only chunks of
    activations are known to have been written.
    """
    try:
        lost = next(_lost(store), None)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(store, _reason(error)) from error
    if lost is not None:
        raise _damaged(store, f"{lost} is missing")


def require_complete(recording: xr.DataTree) -> None:
    """Raise unless every presentation of a recording was recorded, and has its coordinates and all files of its store.

    A root without flags is of a recording that was kept in memory, which is complete.
    """
    if (store := Path(recording.encoding.get("source") or "")).is_dir():
        require_whole(store)
    if DONE not in recording.data_vars:
        return
    done = recording[DONE].to_numpy()
    missing = int((~done).sum())
    if missing or TRIALS in recording.data_vars:
        what = f"{missing:,} of {len(done):,} presentations" if missing else "the coordinates of its presentations"
        raise ValueError(
            f"recording must be complete, got one without {what}; make the same call of record again to complete it"
        )


def _damaged(store: Path, what: str) -> ValueError:
    return ValueError(
        f"store must be whole, got {str(store)!r}, which is damaged: {what}; take a copy, or delete it and record again"
    )


def _lost(store: Path) -> Iterator[str]:
    if not (store / DESCRIPTION).is_file():
        if any(is_network(file.parent) for file in store.glob(f"*/{DESCRIPTION}")):
            yield DESCRIPTION
        return  # no store of ours: whoever opens it says so
    if is_sealed(store):
        yield from missing(store, sealed_folders(store))
    elif description(store)["attributes"].get(COMPLETE):
        root = zarr.open_group(store, mode="r")
        yield from missing(store, [f"{name}/{dims.ACTIVATION}" for name in variables_of(root)])
        yield from missing(store, _coordinates(store, root))
    else:  # a protocol's store that is not finished, or that an earlier version finished
        yield from _lost_networks(store)
        for group in _sealed(store):
            yield from (f"{group.name}/{file}" for file in missing(group, sealed_folders(group)))


def _lost_networks(store: Path) -> Iterator[str]:
    about = description(store)
    if about["node_type"] != "group" or "identity_of" in about["attributes"]:
        return
    # No network's name begins with a dot; folders of file managers and editors do.
    there = {path.name for path in store.iterdir() if path.is_dir() and not path.name.startswith(".")}
    for name in sorted(there.union(named_networks(about["attributes"]))):
        if not (store / name / DESCRIPTION).is_file():
            yield f"{name}/{DESCRIPTION}"


def _sealed(store: Path) -> list[Path]:
    """Return the groups of a protocol's store that have a seal of their own: its root, once it is complete, has all."""
    if not (store / DESCRIPTION).is_file():
        return []
    groups = sorted(file.parent for file in store.glob(f"*/{DESCRIPTION}"))
    return [store] if is_sealed(store) else [group for group in groups if is_sealed(group)]


def faults(store: Path) -> Iterator[str]:
    """Yield what is wrong with a protocol's store as far as it shows without reading a chunk, a line a fault."""
    try:
        for group in _sealed(store):
            within = "" if group == store else f"{group.name}/"
            yield from (f"{within}{line}" for line in altered(group))
        yield from (f"{file} is missing" for file in _lost(store))
    except (ValueError, KeyError, TypeError) as error:
        yield _reason(error)


def unchecked(store: Path) -> str:
    """Return in words what of a store cannot be verified, "" if there is nothing."""
    if is_sealed(store):
        plain = not all(has_checksums(store / folder) for folder in sealed_folders(store))
        return "coordinates that an earlier version wrote without checksums" if plain else ""
    if holds_networks(store):
        finished = named_networks(description(store)["attributes"])
        groups = {file.parent.name for file in store.glob(f"*/{DESCRIPTION}")}
        former = sorted(groups.difference(group.name for group in _sealed(store)))
        if not finished:
            return ", ".join(["the root's zarr.json, which is sealed when the run is complete", *former])
        return f"{', '.join(['zarr.json of the root', *former])}, which an earlier version wrote without a seal"
    if description(store)["attributes"].get(COMPLETE):
        return "coordinates and descriptions (zarr.json), which an earlier version wrote without checksums"
    return "descriptions (zarr.json), which are sealed when the recording is complete"


def problems(store: Path) -> list[str]:
    """Return what is wrong with a store, a line a fault.

    Every chunk is looked for and read, descriptions are compared with their digests, and the flags with the data: a
    presentation that is flagged as done has a chunk in every variable, and coordinates; one that is not may hold
    anything. A protocol's store has no flags: all that is in it is whole.
    """
    with warnings.catch_warnings(action="ignore", category=ZarrUserWarning):  # of what is said here in words
        return _networks_problems(store) if holds_networks(store) else _streamed_problems(store)


def _networks_problems(store: Path) -> list[str]:
    found = list(faults(store))
    try:
        root = zarr.open_group(store, mode="r")
        for group in _sealed(store):
            folders = [(group / folder).relative_to(store).as_posix() for folder in sealed_folders(group)]
            found += _unreadable(root, folders)
    except Exception as error:  # noqa: BLE001 -- of damaged files Zarr raises anything
        found.append(f"the store cannot be read as a whole ({_reason(error)})")
    return found


def _streamed_problems(store: Path) -> list[str]:
    root = streamed_root(store)
    found: list[str] = []
    try:
        found += altered(store, without=TRIALS) if is_sealed(store) else []
        coordinates = _coordinates(store, root)
        found += [f"{file} is missing" for file in missing(store, coordinates)]
        found += _unreadable(root, coordinates)
        done = np.asarray(array_at(root, DONE)[:])
        for name in variables_of(root):
            found += _chunk_problems(store, root, name, done)
        if root.attrs.get(COMPLETE):
            found += [] if done.all() else ["the store says that it is complete, and flags are missing"]
        elif (known := len(read_trials(root))) < done.sum():
            found.append(f"{done.sum()} presentations are flagged as done, and {known} have coordinates")
        with xr.open_datatree(store, engine="zarr", consolidated=False) as tree:
            for leaf in tree.leaves:  # the coordinates only: the values were read above, and may outgrow memory
                leaf.to_dataset().drop_vars(dims.ACTIVATION).load()
    except Exception as error:  # noqa: BLE001 -- of damaged files Zarr and xarray raise anything
        found.append(f"the store cannot be read as a whole ({_reason(error)})")
    return found


def _coordinates(store: Path, root: zarr.Group) -> list[str]:
    """Return the folders of everything in a store but the activations."""
    if is_sealed(store):
        return [folder for folder in sealed_folders(store) if not folder.endswith(f"/{dims.ACTIVATION}")]
    going_on = TRIALS in root
    waiting: Any = array_at(root, TRIALS).attrs[DTYPES] if going_on else ()  # columns that finishing adds
    found = [] if going_on else [DONE]
    for name in variables_of(root):
        listed = str(array_at(root, f"{name}/{dims.ACTIVATION}").attrs["coordinates"]).split()
        found += [f"{name}/{column}" for column in (dims.TIME_STEP, *listed) if column not in waiting]
    return found


def _unreadable(root: zarr.Group, folders: list[str]) -> Iterator[str]:
    for folder in folders:
        try:
            found = root[folder]
            if isinstance(found, zarr.Array):
                found[:]
        except KeyError:
            continue  # missing
        except Exception as error:  # noqa: BLE001 -- of damaged files Zarr raises anything
            yield f"{folder} cannot be read ({_reason(error)})"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def _chunk_problems(store: Path, root: zarr.Group, name: str, done: NDArray[np.bool_]) -> Iterator[str]:
    array = array_at(root, f"{name}/{dims.ACTIVATION}")
    if array.shape[0] != len(done):
        yield f"{name}: {array.shape[0]} presentations, but {len(done)} flags"
        return
    step = array.chunks[0]
    starts = range(0, array.shape[0], step)
    for start in progress(name, "chunk", starts):
        rows = slice(start, min(start + step, len(done)))
        which = f"{name}: presentations {start} to {rows.stop - 1}"
        file = store / name / dims.ACTIVATION / array.metadata.encode_chunk_key((start // step, 0, 0))
        if not done[rows].any():
            continue  # a full disk may have cut it; it is written again
        if not file.exists():
            yield f"{which} are flagged as done and have no data"
            continue
        try:
            values = np.asarray(array[rows])
        except Exception as error:  # noqa: BLE001 -- of damaged files Zarr raises anything
            yield f"{which} cannot be read ({_reason(error)})"
            continue
        holes = np.isnan(values).any(axis=(1, 2)) & done[rows]
        if holes.any():
            yield f"{name}: presentation {start + int(holes.argmax())} is not a number in places"
