"""Attention to a class elsewhere, and whether it favours the units that prefer that class."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from neuroattn.experiments.activity_scaling.units import Responses
    from neuroattn.statistics.least_squares import BoolArray, FloatArray, IntArray


def feature_similarity(
    responses: Responses, units: BoolArray, seed: int, n_permutations: int
) -> tuple[float, FloatArray]:
    """Return what attention to their preferred class, away from their receptive field, does to units, and its null.

    The preferred class is that of a unit's own object with the largest mean response over both states, on the stimuli
    for selection. On those for measurement let D be the response with the other object attended less that with the own
    one attended, minus the mean of D over stimuli whose own object is of the same class (so that chance pairings of
    classes do not count). A unit's measure is::

        [mean of D where the other object is of the preferred class] - [mean of D where it is not]

    over its mean response to all. What the other object does by being there, attended or not, is the same in both
    states and drops out. All units and networks see the same few stimuli of a class, so that the null is over stimuli:
    the classes of the other objects are exchanged among stimuli whose own object is of the same class, alike in every
    network that saw the same stimuli.

    Parameters
    ----------
    responses
        Of units that see their own object alone in every stimulus; those at the last step count.
    units
        (unit,) those that take part.

    Returns
    -------
    estimate : float
        Mean over units, in fractions of their mean response; NaN without one.
    null : ndarray (n_permutations,)
        The same after each permutation.

    References
    ----------
    Treue & Martínez-Trujillo 1999, Nature 399:575.
    """
    selection, measurement = responses.half == 0, responses.half == 1
    attended, unattended = responses.attended[-1], responses.unattended[-1]
    classes = np.unique(np.concatenate([responses.own.ravel(), responses.other.ravel()]))
    values, weights = [], []
    # Units on either side see another object each.
    for own, other, of_side in _sides(responses, units):
        average = (attended + unattended)[selection][:, of_side] / 2
        preferred = _means(average, own[selection], classes).argmax(axis=0)
        level = (attended + unattended)[measurement][:, of_side].mean(axis=0) / 2
        difference = (unattended - attended)[measurement][:, of_side]
        own_class = np.searchsorted(classes, own[measurement])
        difference = difference - _means(difference, own[measurement], classes)[own_class]
        # A class that no other object has, or all have, tells nothing of the units that prefer it.
        number = (other[measurement] == classes[:, None]).sum(axis=1)
        heard = (level > 0) & ((number > 0) & (number < measurement.sum()))[preferred]
        if not heard.any():
            continue
        scaled, preferred = difference[:, heard] / level[heard], preferred[heard]
        # The stimuli of a side alone set its permutations, whichever units of it take part.
        generator = np.random.default_rng([seed, zlib.crc32(own.tobytes())])
        labels = [other[measurement], *_exchanged(other[measurement], own_class, generator, n_permutations)]
        # One row a permutation and class: with what weight a stimulus counts for units that prefer that class.
        present = np.unique(preferred)
        match = np.array(labels)[:, None, :] == classes[present][:, None]
        number = match.sum(axis=2, keepdims=True)
        weight = match / number - ~match / (match.shape[2] - number)
        sums = np.stack([scaled[:, preferred == index].sum(axis=1) for index in present])
        values.append(np.einsum("pcs,cs->p", weight, sums))
        weights.append(heard.sum())
    total = sum(weights)
    if not total:
        return np.nan, np.full(n_permutations, np.nan)
    means = np.sum(values, axis=0) / total
    return float(means[0]), means[1:]


def _sides(responses: Responses, units: BoolArray) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Return (stimulus,) own and other classes, and the units, of each side."""
    sides: dict[bytes, list[int]] = {}
    for unit in np.flatnonzero(units):
        sides.setdefault(responses.own[:, unit].tobytes(), []).append(int(unit))
    return [
        (responses.own[:, of_side[0]], responses.other[:, of_side[0]], np.array(of_side)) for of_side in sides.values()
    ]


def _means(values: FloatArray, label: IntArray, classes: IntArray) -> FloatArray:
    """Return (class, unit) means over stimuli, −∞ for a class without one."""
    rows = [values[label == one].mean(axis=0) if (label == one).any() else -np.inf for one in classes]
    return np.stack([np.broadcast_to(row, values.shape[1:]) for row in rows])


def _exchanged(
    other: IntArray, own_class: IntArray, generator: np.random.Generator, n_permutations: int
) -> list[IntArray]:
    """Return the other objects' classes, exchanged among stimuli of one own class."""
    groups = [np.flatnonzero(own_class == index) for index in np.unique(own_class)]
    exchanged = []
    for _ in range(n_permutations):
        labels = other.copy()
        for group in groups:
            labels[group] = other[generator.permutation(group)]
        exchanged.append(labels)
    return exchanged
