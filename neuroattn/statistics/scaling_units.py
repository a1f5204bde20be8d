"""From responses in two states of attention to one row a unit: how attention scaled its activity."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.statistics.errors_in_variables import deming
from neuroattn.statistics.modulation import driven, modulation

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Responses of units to the same stimuli with their own object attended, and with the other one attended.

    Attributes
    ----------
    attended, unattended
        (stimulus, unit), in the model's units ("1").
    own, other
        (stimulus, unit) class of the object in the unit's receptive field, and of the other one.
    half
        (stimulus,) 0: for the selection of units; 1: for measurement.
    """

    attended: FloatArray
    unattended: FloatArray
    own: IntArray
    other: IntArray
    half: IntArray

    def of(self, stimuli: BoolArray) -> Responses:
        """Return the responses to a part of the stimuli."""
        return Responses(**{field.name: getattr(self, field.name)[stimuli] for field in dataclasses.fields(self)})


class States(NamedTuple):
    """Mean responses (..., unit) in both states."""

    attended: FloatArray
    unattended: FloatArray


def scaling_units(units: pd.DataFrame, responses: Responses, threshold: float) -> pd.DataFrame:
    """Select driven units on one half of the stimuli and measure attention on the other.

    Parameters
    ----------
    units
        One row a unit, in the order of the responses.
    responses
        Of these units.
    threshold
        A driven unit's mean response over stimuli and both states, on the stimuli for selection, is above it.

    Returns
    -------
    pandas.DataFrame
        `units` with ``driven``, ``excluded_by`` ("" for those that take part), the measures of
        `neuroattn.statistics.modulation.modulation` and ``slope`` and ``intercept`` of
        `neuroattn.statistics.errors_in_variables.deming` over stimuli; NaN for units that are not driven.
    """
    selection, measurement = responses.half == 0, responses.half == 1
    attended, unattended = responses.attended[measurement].T, responses.unattended[measurement].T
    table = units.reset_index(drop=True)
    chosen = driven(responses.attended[selection].T, responses.unattended[selection].T, threshold)
    table = table.assign(driven=chosen, excluded_by=np.where(chosen, "", "not driven"))
    lines = deming(attended, unattended)[["slope", "intercept"]]
    measures = pd.concat([modulation(attended, unattended), lines], axis=1)
    measures = measures.where(pd.Series(chosen), np.nan)
    return pd.concat([table, measures.assign(n_stimuli=attended.shape[1])], axis=1)


def modulation_index(states: States) -> FloatArray:
    """Return (A − N)/(A + N) of mean responses, NaN where both are 0."""
    total = states.attended + states.unattended
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, (states.attended - states.unattended) / total, np.nan))
