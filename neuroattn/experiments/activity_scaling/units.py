"""From responses in two states of attention to one row a unit: how attention scaled its activity."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.experiments.pairs import FEWEST_STIMULI
from neuroattn.statistics.errors_in_variables import deming, proportional_line
from neuroattn.statistics.modulation import modulation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.statistics.least_squares import BoolArray, FloatArray, IntArray


TOO_FEW = "too few stimuli with one object alone"
NOT_DRIVEN = "not driven by its object"
# In which of the states a unit that takes part does not respond at all.
SILENT_IN_BOTH, SILENT_ATTENDED, SILENT_UNATTENDED = (
    "in both states", "when its own object is attended", "when the other object is attended",
)  # fmt: skip
_MEASURES = [
    "mean_attended", "mean_unattended", "difference", "gain_ratio", "modulation_index", "d_prime", "roc_area", "slope",
    "intercept", "offset_share", "slope_proportional", "offset_share_proportional",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Responses of units to the same stimuli with their own object attended, and with the other one attended.

    Attributes
    ----------
    attended, unattended
        (step, stimulus, unit), in the model's units ("1").
    own, other
        (stimulus, unit) class of the object in the unit's receptive field, and of the other one.
    alone
        (stimulus, unit) whether the unit sees its own object and no other; what it does elsewhere does not count.
    half
        (stimulus,) 0: for the selection of units; 1: for measurement.
    """

    attended: FloatArray
    unattended: FloatArray
    own: IntArray
    other: IntArray
    alone: BoolArray
    half: IntArray

    def of(self, stimuli: BoolArray) -> Responses:
        """Return the responses to a part of the stimuli."""
        return Responses(
            attended=self.attended[:, stimuli],
            unattended=self.unattended[:, stimuli],
            own=self.own[stimuli],
            other=self.other[stimuli],
            alone=self.alone[stimuli],
            half=self.half[stimuli],
        )

    def last(self) -> Responses:
        """Return the responses at the last step alone."""
        return dataclasses.replace(self, attended=self.attended[-1:], unattended=self.unattended[-1:])

    def means(self, half: int) -> States:
        """Return mean responses (step, unit) over the stimuli of a half that count; NaN for a unit without one."""
        weight = (self.alone & (self.half == half)[:, None]).astype(np.float64)
        number = weight.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return States(*(np.einsum("tsu,su->tu", one, weight) / number for one in (self.attended, self.unattended)))


class States(NamedTuple):
    """Mean responses (..., unit) in both states."""

    attended: FloatArray
    unattended: FloatArray


def scaling_units(units: pd.DataFrame, responses: Responses, threshold: float) -> pd.DataFrame:
    """Select driven units on one half of the stimuli and measure attention at the last step on the other.

    Parameters
    ----------
    units
        One row a unit, in the order of the responses, with ``ungated_with_object`` and ``ungated_without_object``: mean
        responses before any gate acts, on the stimuli for selection (`neuroattn.recording.object_drive`).
    threshold
        A driven unit's first is larger than its second by more than this: neither looks at attention.

    Returns
    -------
    pandas.DataFrame
        `units` with ``driven``, ``excluded_by`` ("" for those that take part), ``silent`` (in which states a unit does
        not respond), the measures of `modulation`, ``slope``, ``intercept`` and ``slope_proportional`` over stimuli
        (`deming`, `proportional_line`), either line's ``offset_share`` (intercept over the mean unattended response)
        and ``modulation_index_step_{t}``; NaN for units that take no part.
    """
    table = units.reset_index(drop=True)
    excluded = _excluded(table, responses, threshold)
    table = table.assign(driven=excluded == "", excluded_by=excluded)
    # Units of one place see the same objects; only what they all see can be one array.
    measurement = responses.half == 1
    parts = []
    for group in _seeing_the_same(responses.alone[:, excluded == ""]):
        of_group = np.flatnonzero(excluded == "")[group]
        stimuli = responses.alone[:, of_group[0]] & measurement
        attended, unattended = (one[-1][stimuli][:, of_group].T for one in (responses.attended, responses.unattended))
        parts.append(_measured(attended, unattended).set_index(of_group))
    measures = (pd.concat(parts) if parts else pd.DataFrame(dtype=np.float64)).reindex(table.index, columns=_MEASURES)
    steps = {
        f"modulation_index_step_{step}": np.where(excluded == "", index, np.nan)
        for step, index in enumerate(modulation_index(responses.means(1)))
    }
    number = (responses.alone & measurement[:, None]).sum(0)
    return pd.concat([table.assign(silent=_silent(measures)), measures.assign(n_stimuli=number, **steps)], axis=1)


def _measured(attended: FloatArray, unattended: FloatArray) -> pd.DataFrame:
    """Return all measures but the time course of units (unit, stimulus)."""
    table, equal, proportional = (
        modulation(attended, unattended),
        deming(attended, unattended),
        proportional_line(attended, unattended),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return table.assign(
            slope=equal["slope"],
            intercept=equal["intercept"],
            offset_share=equal["intercept"] / table["mean_unattended"],
            slope_proportional=proportional["slope"],
            offset_share_proportional=proportional["intercept"] / table["mean_unattended"],
        )


def _silent(measures: pd.DataFrame) -> NDArray[np.object_]:
    """Return in which states each unit does not respond; "" also for those that take no part."""
    attended, unattended = measures["mean_attended"] == 0, measures["mean_unattended"] == 0
    kinds = [SILENT_IN_BOTH, SILENT_ATTENDED, SILENT_UNATTENDED]
    return np.select([attended & unattended, attended, unattended], kinds, default="").astype(object)


def scaling_index(units: pd.DataFrame, responses: Responses, threshold: float) -> pd.DataFrame:
    """Return of `scaling_units` the selection and the index alone, for a control or another gate strength.

    With ``difference`` and ``total`` of the mean responses in both states, from which the index is made.
    """
    excluded = _excluded(units, responses, threshold)
    means = responses.means(1)
    attended, unattended = (state[-1] for state in means)
    return units.reset_index(drop=True).assign(
        excluded_by=excluded,
        modulation_index=np.where(excluded == "", modulation_index(means)[-1], np.nan),
        difference=attended - unattended,
        total=attended + unattended,
    )


def _excluded(units: pd.DataFrame, responses: Responses, threshold: float) -> NDArray[np.str_]:
    """Return by what each unit is excluded, "" if it is not."""
    number = [(responses.alone & (responses.half == half)[:, None]).sum(0) for half in (0, 1)]
    drive = (units["ungated_with_object"] - units["ungated_without_object"]).to_numpy(np.float64)
    few = np.minimum(*number) < FEWEST_STIMULI
    return np.where(few, TOO_FEW, np.where(drive > threshold, "", NOT_DRIVEN))


def _seeing_the_same(alone: BoolArray) -> list[list[int]]:
    """Return the numbers of the units in groups that see their object alone in the same stimuli."""
    groups: dict[bytes, list[int]] = {}
    for unit in range(alone.shape[1]):
        groups.setdefault(alone[:, unit].tobytes(), []).append(unit)
    return list(groups.values())


def modulation_index(states: States) -> FloatArray:
    """Return (A − N)/(A + N) of mean responses, NaN where both are 0."""
    total = states.attended + states.unattended
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, (states.attended - states.unattended) / total, np.nan))
