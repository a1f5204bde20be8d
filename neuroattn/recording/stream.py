"""Recordings that go to disk while they are made, survive a kill, and say what they are.

A store is laid out whole before the first batch (`neuroattn.recording.layout`). Then blocks of stimuli are filled, each
one region of whole chunks, and a block's flags are set after its data. So memory does not grow with the number of
stimuli, and the same call continues a store that was interrupted at any moment, with the same bytes as if it had not
been. Any number of processes may make the same call at once: whoever begins a block locks it, and the kernel unlocks
what a killed process held.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import zarr

from neuroattn.recording.attributes import SCHEMA_VERSION, stored_identity
from neuroattn.recording.blocks import Blocks
from neuroattn.recording.cluster import fill_on_cluster
from neuroattn.recording.constant import constant_warning, varying
from neuroattn.recording.layout import (
    block_size,
    constant_ones,
    finish,
    is_finished,
    lay_out,
    write_block,
)
from neuroattn.recording.locks import holding, locks_of, said
from neuroattn.recording.plan import run_part
from neuroattn.recording.room import require_block, require_disk
from neuroattn.recording.store import open_recording

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from distributed import Client

    from neuroattn.recording.plan import Plan
    from neuroattn.recording.run import Arrays


def batch_size_there(store: Path) -> int | None:
    """Return the batch size of a recording that is there already; None where there is none."""
    try:
        size = zarr.open_group(store, mode="r").attrs.get("batch_size")
    except (FileNotFoundError, ValueError, KeyError, OSError):
        return None
    return size if isinstance(size, int) else None


def stream(
    plan: Plan,
    store: Path,
    attributes: dict[str, Any],
    client: Client | None = None,
    *,
    batch_size_asked: bool = False,
) -> xr.DataTree:
    """Record a plan into a store, going on where an earlier call of the same plan was interrupted; return the store.

    Parameters
    ----------
    plan, store
        What to record, and where.
    attributes
        Of the root: provenance and identity.
    client
        Of a Dask cluster that is to do the work; None: this process.
    batch_size_asked
        Whether the user chose the batch size of the plan; otherwise a store that is there keeps its own.

    Raises
    ------
    ValueError
        If the store holds another recording (naming what differs), is of a newer version, or there is no room for it.
    OSError
        If the disk is full or cannot be written; what was written stays valid, and the same call goes on.
    """
    if client is not None and not hasattr(client, "scatter"):
        raise ValueError(f"client must be a distributed.Client, got {client!r}; make one with Client(ADDRESS)")
    size = block_size(plan)
    require_block(plan, size)
    if not (store.exists() or store.is_symlink()):
        with said(store):
            _begin(plan, store, {**attributes, "batch_size": plan.work.batch_size, "block_size": size})
    root = _opened(store)
    there = dict(root.attrs)
    begun_with = there.get("batch_size")
    if not batch_size_asked and isinstance(begun_with, int):
        # Another process, which began at the same time, may have chosen another one.
        plan = replace(plan, work=replace(plan.work, batch_size=begun_with))
    require_same(store, there, {**attributes, "batch_size": plan.work.batch_size})
    if not is_finished(root, store):
        _fill_and_finish(plan, Blocks(plan, store, root), client)
    for name in constant_ones(zarr.open_group(store, mode="r")):
        warnings.warn(constant_warning(name, len(plan.stimuli)), UserWarning, stacklevel=3)
    return open_recording(store)


def _opened(store: Path) -> zarr.Group:
    try:
        return zarr.open_group(store, mode="r+")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"store must be a new path or a recording of this package, got {str(store)!r}; choose another path"
        ) from error


def _fill_and_finish(plan: Plan, blocks: Blocks, client: Client | None) -> None:
    if client is None:
        _fill(plan, blocks)
    else:
        fill_on_cluster(plan, blocks, client)
    with said(blocks.store), holding(blocks.store, "finish"):
        finish(blocks.store, plan.per_stimulus, blocks.varying)
    shutil.rmtree(locks_of(blocks.store), ignore_errors=True)


def _begin(plan: Plan, store: Path, attributes: dict[str, Any]) -> None:
    """Lay a store out, once, however many processes begin it."""
    with holding(store, "layout"):
        if store.exists():
            return
        try:
            require_disk(plan, store)
            lay_out(plan, store, attributes)
        except BaseException:
            # Held still: whoever waits for this lock notices that its file is gone, and makes a new one.
            shutil.rmtree(locks_of(store), ignore_errors=True)
            raise


def _fill(plan: Plan, blocks: Blocks) -> None:
    """Fill blocks in this process; what is computed leaves no processor idle that a thread could write with."""
    room: Arrays | None = None
    with plan.progress(blocks.n_stimuli_left) as progress:
        for number, lock in blocks.begun():
            try:
                first, part = blocks.part(number)
                room = room or plan.work.room(min(blocks.size, len(plan.stimuli)))
                arrays = {name: array[: len(part) * plan.per_stimulus] for name, array in room.items()}
                trials = pd.concat(run_part(plan.work, part, first, arrays, progress), ignore_index=True)
                blocks.varying |= varying(arrays, plan.per_stimulus)
                with said(blocks.store):
                    write_block(blocks.root, number, blocks.rows(number), arrays, trials)
            finally:
                lock.release()


def require_same(store: Path, there: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ValueError, naming what differs, unless a store has the attributes of the recording that is to go there."""
    version = there.get("schema_version")
    if version is None or "identity_of" not in there:
        raise ValueError(f"store {str(store)!r} is no recording of this package; choose another path")
    before = stored_identity(store, there)
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"store {str(store)!r} has schema version {version}, this package reads up to {SCHEMA_VERSION}; update it"
        )
    if version < SCHEMA_VERSION:
        raise ValueError(
            f"store {str(store)!r} has schema version {version}, this package continues only {SCHEMA_VERSION}; "
            "choose another path"
        )
    wanted = json.loads(now["identity_of"])
    before["batch_size"], wanted["batch_size"] = there.get("batch_size"), now["batch_size"]
    differing = [key for key in {**before, **wanted} if before.get(key) != wanted.get(key)]
    if differing:
        named = "; ".join(f"{key} ({before.get(key)} there, {wanted.get(key)} now)" for key in differing)
        raise ValueError(f"store {str(store)!r} holds another recording, which differs in {named}; choose another path")
