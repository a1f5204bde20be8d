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
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr
from filelock import FileLock, Timeout

from neuroattn.recording.attributes import SCHEMA_VERSION, stored_identity
from neuroattn.recording.constant import constant_warning, varying
from neuroattn.recording.layout import (
    DONE,
    array_at,
    block_size,
    constant_ones,
    finish,
    is_finished,
    lay_out,
    write_block,
)
from neuroattn.recording.plan import run_part
from neuroattn.recording.room import require_block, require_disk
from neuroattn.recording.store import open_recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import xarray as xr
    from distributed import Client

    from neuroattn.recording.plan import Plan
    from neuroattn.recording.run import Arrays
    from neuroattn.stimuli.stimulus_set import StimulusSet

POLL_SECONDS = 0.2  # between two looks at blocks that other processes have begun


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
        with _said(store):
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
        from neuroattn.recording.cluster import fill_on_cluster

        fill_on_cluster(plan, blocks, client)
    with _said(blocks.store), _holding(blocks.store, "finish"):
        finish(blocks.store, plan.per_stimulus, blocks.varying)
    shutil.rmtree(_locks(blocks.store), ignore_errors=True)


def _begin(plan: Plan, store: Path, attributes: dict[str, Any]) -> None:
    """Lay a store out, once, however many processes begin it."""
    with _holding(store, "layout"):
        if store.exists():
            return
        try:
            require_disk(plan, store)
            lay_out(plan, store, attributes)
        except BaseException:
            # Held still: whoever waits for this lock notices that its file is gone, and makes a new one.
            shutil.rmtree(_locks(store), ignore_errors=True)
            raise


class Blocks:
    """The blocks of a store: which are left to be filled, and who fills which."""

    def __init__(self, plan: Plan, store: Path, root: zarr.Group) -> None:
        self.store, self.root, self.size = store, root, int(str(root.attrs["block_size"]))
        self._stimuli = plan.stimuli
        self._rows = [plan.rows(first, self.size) for first in range(0, len(plan.stimuli), self.size)]
        # Variables that this process saw vary over stimuli; of the others the store is asked in the end.
        self.varying: set[str] = set()
        flags = np.asarray(array_at(root, DONE)[:])
        self.pending = [number for number, rows in enumerate(self._rows) if not flags[rows].all()]

    def rows(self, number: int) -> slice:
        """Return the presentations of a block."""
        return self._rows[number]

    def part(self, number: int) -> tuple[int, StimulusSet]:
        """Return the stimuli of a block, and where the first of them stands in the whole set."""
        first = number * self.size
        return first, self._stimuli.select(slice(first, first + self.size))

    @property
    def n_stimuli_left(self) -> int:
        """How many stimuli the pending blocks hold."""
        return sum(min(self.size, len(self._stimuli) - number * self.size) for number in self.pending)

    def is_done(self, number: int) -> bool:
        """Return whether a block is filled, by whomever."""
        return bool(np.asarray(array_at(self.root, DONE)[self._rows[number]]).all())

    def begin(self, number: int) -> FileLock | None:
        """Lock a block for this process; None if another one has begun it, or it is done."""
        lock = claim(self.store, number)
        if lock is not None and self.is_done(number):
            lock.release()
            return None
        return lock

    def begun(self) -> Iterator[tuple[int, FileLock]]:
        """Yield blocks to fill, each locked, until all of them are done, by whomever."""
        while self.pending:
            progressed = False
            for number in list(self.pending):
                lock = self.begin(number)
                if lock is not None:
                    self.pending.remove(number)
                    progressed = True
                    yield number, lock
            # What others have begun they finish, or leave behind for us to take over.
            self.pending = [number for number in self.pending if not self.is_done(number)]
            if self.pending and not progressed:
                time.sleep(POLL_SECONDS)


def claim(store: Path, number: int) -> FileLock | None:
    """Lock a block of a store; None if another process has it."""
    with _said(store):
        try:
            return _locked(store, f"block-{number}", timeout=0)
        except Timeout:
            return None


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
                with _said(blocks.store):
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


@contextmanager
def _said(store: Path) -> Iterator[None]:
    """Say of a disk that cannot be written what became of the recording."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"store {str(store)!r} could not be written ({error.strerror or error}); what was written stays valid, and "
            "the same call goes on from there"
        ) from error


def _locks(store: Path) -> Path:
    # Beside the store, which holds nothing but Zarr.
    return store.with_name(f"{store.name}.locks")


@contextmanager
def _holding(store: Path, name: str) -> Iterator[None]:
    """Hold a lock of a store, waiting for it as long as it takes."""
    lock = _locked(store, name)
    try:
        yield
    finally:
        lock.release()


def _locked(store: Path, name: str, timeout: float = -1) -> FileLock:
    """Return a lock of a store once this process has it; raise Timeout if it takes longer than `timeout` seconds."""
    folder = _locks(store)
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / name)
        try:
            lock.acquire(timeout=timeout)
        except FileNotFoundError:  # another process is done, and has just cleared the folder away
            continue
        return lock
