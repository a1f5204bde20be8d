"""What a streamed store holds, how complete it is, and whether it is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
import zarr
from tqdm import tqdm

from neuroattn import labels
from neuroattn.recording.layout import COMPLETE, DONE, array_at, read_trials, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


# Attributes that a summary shows.
PROVENANCE = (
    *("model", "weights_sha256", "stimuli_sha256", "protocol", "interventions", "seeds", "package_version"),
    *("git_commit", "device", "schema_version", "identity"),
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a store.

    Attributes
    ----------
    attributes
        Of the root: identity, provenance, schema version.
    variables
        Variable → shape of its activation (presentation, time_step, neuroid).
    done, presentations
        How many presentations are recorded, of how many.
    n_bytes
        On disk.
    """

    attributes: dict[str, object]
    variables: dict[str, tuple[int, ...]]
    done: int
    presentations: int
    n_bytes: int


def contents(store: Path) -> Contents:
    """Return what a store holds.

    Raises
    ------
    ValueError
        If there is no streamed recording at `store`.
    """
    root = _root(store)
    done = np.asarray(array_at(root, DONE)[:])
    return Contents(
        attributes=dict(root.attrs),
        variables={name: array_at(root, f"{name}/{labels.ACTIVATION}").shape for name in variables_of(root)},
        done=int(done.sum()),
        presentations=len(done),
        n_bytes=sum(path.stat().st_size for path in store.rglob("*") if path.is_file()),
    )


def problems(store: Path) -> list[str]:
    """Return what is wrong with a store, a line a fault: every chunk is read, and the flags are held against the data.

    A presentation that is flagged as done has a chunk in every variable, and coordinates; one that is not may hold
    anything.
    """
    root = _root(store)
    done = np.asarray(array_at(root, DONE)[:])
    found = [line for name in variables_of(root) for line in _chunk_problems(store, root, name, done)]
    try:
        if root.attrs.get(COMPLETE):
            found += [] if done.all() else ["the store says that it is complete, and flags are missing"]
        elif (known := len(read_trials(root))) < done.sum():
            found.append(f"{done.sum()} presentations are flagged as done, and {known} have coordinates")
        with xr.open_datatree(store, engine="zarr", consolidated=False) as tree:
            for leaf in tree.leaves:  # the coordinates only: the values were read above, and may outgrow memory
                leaf.to_dataset().drop_vars(labels.ACTIVATION).load()
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        found.append(f"the store cannot be read as a whole ({' '.join(str(error).split())})")
    return found


def _chunk_problems(store: Path, root: zarr.Group, name: str, done: NDArray[np.bool_]) -> Iterator[str]:
    array = array_at(root, f"{name}/{labels.ACTIVATION}")
    if array.shape[0] != len(done):
        yield f"{name}: {array.shape[0]} presentations, but {len(done)} flags"
        return
    step = array.chunks[0]
    starts = range(0, array.shape[0], step)
    for start in tqdm(starts, desc=name, unit="chunk", leave=False, disable=None):
        rows = slice(start, min(start + step, len(done)))
        which = f"{name}: presentations {start} to {rows.stop - 1}"
        file = store / name / labels.ACTIVATION / array.metadata.encode_chunk_key((start // step, 0, 0))
        if done[rows].any() and not file.exists():
            yield f"{which} are flagged as done and have no data"
            continue
        try:
            values = np.asarray(array[rows])
        except (ValueError, RuntimeError, OSError) as error:
            yield f"{which} cannot be read ({' '.join(str(error).split())})"
            continue
        holes = np.isnan(values).any(axis=(1, 2)) & done[rows]
        if holes.any():
            yield f"{name}: presentation {start + int(holes.argmax())} is not a number in places"


def summary(store: Path) -> str:
    """Return the contents of a store in words."""
    held = contents(store)
    share = f"{held.done:,} of {held.presentations:,} presentations recorded ({held.done / held.presentations:.1%})"
    lines = [f"{store}: {share}, {held.n_bytes / 1e6:,.1f} MB on disk"]
    lines += [
        f"  {name}: {' × '.join(f'{size:,}' for size in shape)} (presentation × time step × neuroid), "
        f"{held.attributes.get('precision')}"
        for name, shape in held.variables.items()
    ]
    for name in PROVENANCE:
        lines.append(f"  {name}: {held.attributes.get(name)}")
    return "\n".join(lines)


def _root(store: Path) -> zarr.Group:
    try:
        root = zarr.open_group(store, mode="r")
    except (FileNotFoundError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"store must be the path of a recording, got {str(store)!r}, which is none") from error
    if DONE not in root or "identity_of" not in root.attrs:
        raise ValueError(f"store must be a streamed recording, got {str(store)!r}; it has no flags of what is done")
    return root
