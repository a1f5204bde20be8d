"""What is to be recorded, settled before the first batch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from neuroattn.models.checkpoint import weights_hash
from neuroattn.recording.presentations import Batch, run_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.stimulus_set import StimulusSet

PRECISION = "float32"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recording that was checked and not yet made.

    Attributes
    ----------
    model, stimuli
        Who looks at what.
    variables, steps
        Names, and time steps from 0, to keep.
    design, phases
        ``free`` or ``cued``, and the phases of a trial.
    batch_size
        Stimuli that are run at once.
    """

    model: GatedNetwork
    stimuli: StimulusSet
    variables: tuple[str, ...]
    steps: tuple[int, ...]
    design: str
    phases: int
    batch_size: int

    @property
    def per_stimulus(self) -> int:
        """Presentations of a stimulus: the phases of a free trial, or one for each of the two cues."""
        return 2 if self.design == "cued" else self.phases

    @property
    def n_presentations(self) -> int:
        """Presentations of all stimuli."""
        return len(self.stimuli) * self.per_stimulus

    @property
    def starts(self) -> range:
        """The first stimulus of every batch."""
        return range(0, len(self.stimuli), self.batch_size)

    def rows(self, first: int) -> slice:
        """Return the presentations of the batch that starts at stimulus `first`."""
        last = min(first + self.batch_size, len(self.stimuli))
        return slice(first * self.per_stimulus, last * self.per_stimulus)

    @cached_property
    def rehearsal(self) -> Batch:
        """What the first stimuli leave: the shapes of all variables and the columns of a presentation.

        Two stimuli, because a control may need a neighbour; they take milliseconds.
        """
        few = self.stimuli.select(slice(0, 2))
        return run_batch(self.model, few, self.variables, self.steps, self.design, self.phases)

    def batches(self, starts: Iterable[int] | None = None) -> Iterator[tuple[int, Batch]]:
        """Run the batches that start at stimuli `starts` (None: all) and yield each with its first stimulus."""
        chosen = list(self.starts if starts is None else starts)
        total = sum(min(self.batch_size, len(self.stimuli) - first) for first in chosen)
        with tqdm(total=total, desc=f"recording {self.model.name}", unit="stimulus", leave=False, disable=None) as bar:
            for first in chosen:
                part = self.stimuli.select(slice(first, first + self.batch_size))
                yield first, run_batch(self.model, part, self.variables, self.steps, self.design, self.phases)
                bar.update(len(part))

    def made(self) -> dict[str, Any]:
        """Return how the recording is made, as JSON can hold it."""
        return {"design": self.design, "phases": self.phases, "steps": list(self.steps)}

    def identity(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Return what makes this recording this one, as JSON can hold it.

        Parameters
        ----------
        kept
            What is kept of it, where that is not everything.
        """
        return {
            "network": type(self.model).__name__,  # a control may have the same weights
            "weights": weights_hash(self.model),
            "model_config": json.loads(self.model.config.to_json()),
            "stimuli": self.stimuli.identity(),
            "variables": list(self.variables),
            **self.made(),
            **kept,
            "precision": PRECISION,
        }


def identity_hash(identity: dict[str, Any]) -> str:
    """Return the SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
