"""The blocks of a store, of which any number of processes may fill some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from neuroattn.recording.layout import DONE, array_at
from neuroattn.recording.locks import claim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zarr
    from filelock import FileLock

    from neuroattn.recording.plan import Plan
    from neuroattn.stimuli.stimulus_set import StimulusSet

POLL_SECONDS = 0.2  # between two looks at blocks that other processes have begun


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
