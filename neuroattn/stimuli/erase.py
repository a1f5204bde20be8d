"""Pictures from which one object is taken away: what shows whether a unit answers to that object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from numpy.typing import NDArray


def without_object(
    stimuli: StimulusSet, number: int, *, noise: float | None, generator: np.random.Generator
) -> StimulusSet:
    """Return the pictures with the pixels of one object filled by what could have been behind it.

    Parameters
    ----------
    stimuli
        Pictures with their objects.
    number
        Of the object to take away.
    noise
        Upper bound of the uniform background noise of composites, which fills the gap beside other objects; None, for
        photographs, fills it with the mean colour of the pixels without any object.
    generator
        Draws the noise.

    Returns
    -------
    StimulusSet
        Of the same ids and table, without objects.

    Raises
    ------
    ValueError
        If the stimuli have no such object.

    Examples
    --------
    >>> objects = np.zeros((1, 2, 1, 1, 4))
    >>> objects[0, 0, ..., :2] = objects[0, 1, ..., 1:3] = 0.5
    >>> stimuli = StimulusSet(objects.sum(axis=1) + [0, 0, 0, 0.25], objects)
    >>> without_object(stimuli, 0, noise=None, generator=np.random.default_rng(0)).images
    array([[[[0.25, 0.5 , 0.5 , 0.25]]]], dtype=float32)
    """
    if stimuli.objects is None or not 0 <= number < (stimuli.n_objects or 0):
        raise ValueError(
            f"number must be that of an object of the stimuli, of {stimuli.n_objects or 0}, got {number}; give objects"
        )
    objects = np.asarray(stimuli.objects)
    ink: NDArray[np.bool_] = np.any(objects > 0, axis=2, keepdims=True)
    gap = ink[:, number]
    others = np.delete(objects, number, axis=1).sum(axis=1).clip(max=1)
    behind: NDArray[np.bool_] = np.any(np.delete(ink, number, axis=1), axis=1)
    filling = (
        _mean_background(stimuli.images, np.logical_not(np.any(ink, axis=1)))
        if noise is None
        else (noise * generator.random(stimuli.images.shape, dtype=np.float32))
    )
    pictures = np.where(gap, np.where(behind, others, filling), stimuli.images)
    return StimulusSet(pictures.astype(np.float32), None, stimuli.table, stimuli.notes)


def _mean_background(images: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (stimulus, channel, 1, 1) mean colours of the pixels without an object, mid-grey where there is none."""
    number = where.sum(axis=(2, 3), keepdims=True)
    total = (images * where).sum(axis=(2, 3), keepdims=True)
    return np.where(number > 0, total / np.maximum(number, 1), 0.5).astype(np.float32)
