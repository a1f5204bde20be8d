"""What is to be recorded, settled before the first batch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.compute.progress import progress
from neuroattn.recording.run import Batch, run_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd
    from tqdm import tqdm

    from neuroattn.recording.run import Arrays, Rehearsal, Work
    from neuroattn.recording.units import Units
    from neuroattn.stimuli.stimulus_set import StimulusSet


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recording that was checked and rehearsed, and not yet made.

    Attributes
    ----------
    work
        What is done with any stimuli.
    stimuli
        Who is shown.
    units
        Variable → which of its units are kept; those without an entry are kept whole.
    rehearsal
        What the first stimuli told.
    """

    work: Work
    stimuli: StimulusSet
    units: Mapping[str, Units]
    rehearsal: Rehearsal

    @property
    def variables(self) -> list[str]:
        """Names of what is recorded."""
        return list(self.work.steps)

    @property
    def per_stimulus(self) -> int:
        """Presentations of a stimulus: the phases of a trial, or one for each of two cues."""
        return len(self.work.phases)

    @property
    def n_presentations(self) -> int:
        """Presentations of all stimuli."""
        return len(self.stimuli) * self.per_stimulus

    def rows(self, first: int, n_stimuli: int) -> slice:
        """Return the presentations of `n_stimuli` from stimulus `first` on, or of as many as there are."""
        last = min(first + n_stimuli, len(self.stimuli))
        return slice(first * self.per_stimulus, last * self.per_stimulus)

    def n_bytes(self) -> dict[str, int]:
        """Return the uncompressed bytes of each variable's values, of all presentations."""
        return {name: self.work.bytes_of(name) * self.n_presentations for name in self.variables}

    def fill(self, into: Arrays) -> pd.DataFrame:
        """Run all stimuli into arrays (presentation, time_step, neuroid); return the coordinates of presentations."""
        import pandas as pd

        with self.progress(len(self.stimuli)) as bar:
            trials = list(run_part(self.work, self.stimuli, 0, into, bar))
        return self.with_stimuli(pd.concat(trials, ignore_index=True), 0)

    def batches(self) -> Iterator[Batch]:
        """Run all stimuli and yield batch by batch; the arrays of a batch hold until the next one is asked for."""
        size = self.work.batch_size
        room = self.work.room(min(size, len(self.stimuli)))
        with self.progress(len(self.stimuli)) as bar:
            for first in range(0, len(self.stimuli), size):
                part = self.stimuli.select(slice(first, first + size))
                arrays = {name: array[: len(part) * self.per_stimulus] for name, array in room.items()}
                trials = run_batch(self.work, part, np.arange(first, first + len(part)), arrays)
                yield Batch(self.with_stimuli(trials, first), arrays)
                bar.update(len(part))

    def with_stimuli(self, trials: pd.DataFrame, first: int) -> pd.DataFrame:
        """Return the table of presentations of the stimuli from `first` on, with the stimulus table's own columns."""
        import pandas as pd

        rows = first + np.repeat(np.arange(len(trials) // self.per_stimulus), self.per_stimulus)
        return pd.concat([self.stimuli.table.iloc[rows].reset_index(drop=True), trials], axis=1)

    def progress(self, n_stimuli: int) -> tqdm[Any]:
        """Return a bar for so many stimuli."""
        return progress(f"recording {self.work.subject.name}", "stimulus", total=n_stimuli)

    def steps(self) -> list[int] | dict[str, list[int]]:
        """Return the time steps that are kept: a list where they are the same for all variables."""
        of_all = [list(steps) for steps in self.work.steps.values()]
        if all(steps == of_all[0] for steps in of_all):
            return of_all[0]
        return {name: list(steps) for name, steps in self.work.steps.items()}

    def identity(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Return what makes this recording this one, as JSON can hold it.

        Parameters
        ----------
        kept
            What is kept of it, where that is not everything.
        """
        units = {name: chosen.describe() for name, chosen in self.units.items()}
        interventions = [intervention.describe() for intervention in self.work.interventions]
        return {
            "phases": list(self.work.phases),
            **self.work.subject.identity(),
            "stimuli": self.stimuli.identity(),
            "variables": self.variables,
            "steps": self.steps(),
            **({"units": units} if units else {}),
            **({"interventions": interventions} if interventions else {}),
            # Who is shuffled with whom depends on the batch.
            **({"batch_size": self.work.batch_size} if any(i.shuffles for i in self.work.interventions) else {}),
            **kept,
            "precision": self.work.precision,
        }


def run_part(
    work: Work, stimuli: StimulusSet, first: int, into: Arrays, bar: tqdm[Any] | None = None
) -> Iterable[pd.DataFrame]:
    """Run stimuli batch by batch into arrays of just their presentations; yield what is known of these.

    Parameters
    ----------
    work
        What is kept.
    stimuli
        A part of the whole set, whose first stands at `first` in it.
    into
        Variable → (presentation, time_step, neuroid).
    bar
        Told of every batch.
    """
    per = len(work.phases)
    for start in range(0, len(stimuli), work.batch_size):
        batch = stimuli.select(slice(start, start + work.batch_size))
        rows = slice(start * per, (start + len(batch)) * per)
        positions = first + np.arange(start, start + len(batch))
        yield run_batch(work, batch, positions, {name: array[rows] for name, array in into.items()})
        if bar is not None:
            bar.update(len(batch))


def identity_hash(identity: dict[str, Any]) -> str:
    """Return the SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
