"""What drives a unit, before any gate acts: its response with its own object in the picture, and with it taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuroattn import dims
from neuroattn.recording.record import record
from neuroattn.stimuli.erase import without_object
from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from neuroattn.recording.units import Units
    from neuroattn.subjects.subject import Subject


class Drive(NamedTuple):
    """Mean ungated responses (unit,), over the stimuli in which the unit sees its own object alone; NaN without one."""

    with_object: NDArray[np.float64]
    without_object: NDArray[np.float64]


def object_drive(
    subject: Subject,
    stimuli: StimulusSet,
    own: Mapping[str, NDArray[np.integer]],
    units: Mapping[str, Units],
    *,
    noise: float | None,
    seed: int,
    batch_size: int,
) -> dict[str, Drive]:
    """Record responses that no attention has reached, with each object there and with each one taken away.

    What a unit owes to its bias, to the background or to the other object is the same in both.

    Parameters
    ----------
    subject
        The subject, to whom no attention is directed.
    stimuli
        Those that select units.
    own
        Variable → (stimulus, y, x) which object a unit sees alone, −1 where there is none.
    units
        Variable → which units.
    noise, seed
        Of the background that fills the gap; see `neuroattn.stimuli.erase.without_object`.
    batch_size
        Stimuli at once.
    """
    generator = np.random.default_rng([seed, *b"without an object"])
    shown = [StimulusSet(stimuli.images, None, stimuli.table)]
    shown += [
        without_object(stimuli, number, noise=noise, generator=generator) for number in range(stimuli.n_objects or 0)
    ]
    trees = [
        record(subject, one, list(units), **subject.ungated, units=dict(units), batch_size=batch_size) for one in shown
    ]
    drives = {}
    for variable in units:
        datasets = [tree[variable].to_dataset() for tree in trees]
        y, x = (datasets[0][name].values for name in (dims.CHANNEL_Y, dims.CHANNEL_X))
        of_unit = own[variable][:, y, x]
        there, *gone = (one[dims.ACTIVATION].values[:, 0].astype(np.float64) for one in datasets)
        erased = np.take_along_axis(np.stack(gone), of_unit.clip(0)[None], axis=0)[0]
        alone = of_unit >= 0
        with np.errstate(invalid="ignore"):
            drives[variable] = Drive(*((one * alone).sum(0) / alone.sum(0) for one in (there, erased)))
    return drives
