"""What stimuli are to a network, without a recording: which object each presentation attends, and if it was meant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neuroattn.recording.record import make_plan
from neuroattn.recording.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject


def presentations(
    subject: Subject, stimuli: StimulusSet, order: NDArray[np.int64], design: str, batch_size: int
) -> Iterator[pd.DataFrame]:
    """Show stimuli batch by batch, and yield what `neuroattn.recording.record.record` would say of each presentation.

    Batches that nobody asks for are not run: whether some stimuli will do is known after a few.

    Parameters
    ----------
    subject, stimuli
        The subject, and stimuli with objects.
    order
        Places of the stimuli, in the order in which they are shown.
    design, batch_size
        As for `record`.
    """
    for first in range(0, len(order), batch_size):
        shown = stimuli.select(order[first : first + batch_size])
        # Something has to be recorded, and little is enough.
        least = min(subject.layers, key=lambda name: math.prod(subject.layers[name]))
        one, last = Units(numbers=[0]), [subject.steps[-1]]
        plan = make_plan(subject, shown, [least], last, design=design, units=one, batch_size=batch_size)
        for batch in plan.batches():
            yield batch.presentations
