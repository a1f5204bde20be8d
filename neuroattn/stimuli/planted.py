"""Stimuli for a planted subject: a bar's orientation, as a luminance, beside a distractor of full luminance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neuroattn.stimuli.stimulus_set import StimulusSet


def coded_bars(n_orientations: int, n_repeats: int) -> StimulusSet:
    """Return pictures of 2 × 2 px that a `neuroattn.subjects.planted.tuned.TunedUnits` understands.

    Parameters
    ----------
    n_orientations
        Equally spaced on [0°, 180°).
    n_repeats
        Presentations of an orientation in each half.

    Returns
    -------
    StimulusSet
        The left column of an image is 1/2 + θ/360°; the right one, from 1 down to 1/2, is of another luminance in every
        picture. They are objects 0 and 1. The last picture has no bar: its left column is 0. The table has the columns
        ``orientation`` (degrees), ``half`` (0, 1), ``bar`` and ``for_controls``: every picture with a bar.

    Examples
    --------
    >>> shown = coded_bars(n_orientations=2, n_repeats=1)
    >>> shown.images[:, 0, 0, 0].tolist()
    [0.5, 0.5, 0.75, 0.75, 0.0]
    """
    orientation, half, _ = (index.ravel() for index in np.indices((n_orientations, 2, n_repeats)))
    degrees = orientation * (180 / n_orientations)
    objects = np.zeros((len(degrees), 2, 1, 2, 2), dtype=np.float32)
    objects[:, 0, 0, :, 0] = (0.5 + degrees / 360)[:, None]
    objects[:, 1, 0, :, 1] = np.linspace(1, 0.5, len(degrees))[:, None]
    objects = np.concatenate([objects, objects[:1]])
    objects[-1, 0] = 0
    table = pd.DataFrame({"orientation": degrees, "half": half, "bar": True, "for_controls": True})
    table.loc[len(table)] = [0.0, 0, False, False]
    return StimulusSet(objects.sum(1), objects, table)
