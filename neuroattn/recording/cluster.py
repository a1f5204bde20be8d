"""Blocks of a recording on the workers of a Dask cluster.

The model is sent to every worker once, the stimuli block by block; workers write into the store themselves. The store's
own flags say what is done, so a worker that dies takes nothing with it: what it had begun is given out again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import pandas as pd
import zarr

from neuroattn.recording.blocks import POLL_SECONDS
from neuroattn.recording.intervene import active_on, intervene
from neuroattn.recording.layout import DONE, array_at, write_block
from neuroattn.recording.locks import claim
from neuroattn.recording.plan import run_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from distributed import Client, Future

    from neuroattn.recording.blocks import Blocks
    from neuroattn.recording.plan import Plan
    from neuroattn.recording.run import Work
    from neuroattn.stimuli.stimulus_set import StimulusSet

AT_ONCE = 2  # blocks a worker: one that it fills, one that waits
# Hooks are on the model itself: threads of one process that share it must take turns.
_TURN = threading.Lock()
IDLE_ROUNDS = 5  # rounds without a single new block, after which something other than chance is wrong


def fill_on_cluster(plan: Plan, blocks: Blocks, client: Client) -> None:
    """Fill the blocks that are left on a cluster whose workers reach the store under the same path; wait for all.

    Raises OSError if workers keep dying without filling a block.
    """
    active = active_on(plan.work.subject.module)
    if active is not None:
        active.detach()  # hooks cannot be sent; each worker makes its own
    try:
        packed = cloudpickle.dumps(plan.work)
    finally:
        if active is not None:
            active.attach()
    idle = 0
    with plan.progress(blocks.n_stimuli_left) as progress:
        while blocks.pending:
            before = len(blocks.pending)
            # As bytes: workers hand it on to each other, and must not hand on the hooks of what they are at.
            work = client.scatter(packed, broadcast=True, hash=False)  # type: ignore[no-untyped-call]
            busy = give_out(blocks, client, work, progress.update)
            blocks.pending = [number for number in blocks.pending if not blocks.is_done(number)]
            if busy == before:  # others are at every block that is left: they finish it, or leave it to us
                time.sleep(POLL_SECONDS)
                continue
            idle = 0 if len(blocks.pending) < before else idle + 1
            if idle == IDLE_ROUNDS:
                raise OSError(
                    f"the workers of the cluster died {IDLE_ROUNDS} times in a row without recording anything; what "
                    "was written stays valid, look at their logs (memory?) and make the same call again"
                )


def give_out(blocks: Blocks, client: Client, work: Future[bytes], progressed: Callable[[int], object]) -> int:
    """Give every pending block out once, a few at a time; return how many another process has begun."""
    from distributed import CancelledError, as_completed
    from distributed.scheduler import KilledWorker

    waiting, busy = iter(blocks.pending), 0

    def submit(number: int) -> Future[int | None]:
        first, part = blocks.part(number)
        rows = blocks.rows(number)
        return client.submit(
            fill_block, work, part, first, str(blocks.store.absolute()), number, (rows.start, rows.stop), pure=False
        )

    n_workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    begun = [submit(n) for _, n in zip(range(AT_ONCE * n_workers), waiting, strict=False)]
    running = as_completed(begun, loop=client.loop)  # type: ignore[no-untyped-call]
    for future in running:
        try:
            filled = future.result()
            busy += filled is None
            progressed(filled or 0)
        except (KilledWorker, CancelledError, asyncio.CancelledError):
            pass  # the next round gives it out again
        if (number := next(waiting, None)) is not None:
            running.add(submit(number))  # type: ignore[no-untyped-call]
    return busy


def fill_block(
    packed: bytes, part: StimulusSet, first: int, store: str, number: int, rows: tuple[int, int]
) -> int | None:
    """Fill a block of a store, on a worker; return how many stimuli were run, None if another process is at it.

    `packed` is a pickled `Work`; the first stimulus of `part` stands at `first` of the whole set.
    """
    lock = claim(Path(store), number)
    if lock is None:
        return None
    try:
        root, region = zarr.open_group(store, mode="r+"), slice(*rows)
        if array_at(root, DONE)[region].all():  # type: ignore[union-attr]
            return 0
        with _TURN:
            work = _unpacked(packed)
            arrays = work.room(len(part))
            with _interventions(work):
                trials = pd.concat(run_part(work, part, first, arrays), ignore_index=True)
        write_block(root, number, region, arrays, trials)
    finally:
        lock.release()
    return len(part)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Work:
    """Return this process's own copy of what is kept, made once."""
    work: Work = cloudpickle.loads(packed)  # from our own client, as all that a worker runs
    return work


def _interventions(work: Work) -> AbstractContextManager[object]:
    """Return the interventions as a context."""
    if not work.interventions:
        return nullcontext()
    # Names of variables may be the subject's own.
    subject = work.subject
    return intervene(subject, *work.interventions)
