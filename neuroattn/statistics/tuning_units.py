"""From tuning curves in two states of attention to one row a unit: what attention did with its curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.statistics.curves import KAPPA_MAXIMUM, KAPPA_MINIMUM
from neuroattn.statistics.nested_models import compare_models
from neuroattn.statistics.tuning import axial_difference, fit_tuning, regress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


_FITTED = (
    "gain",
    "baseline_difference",
    "shift",
    "absolute_shift",
    "crossvalidated_shift",
    "bandwidth_change",
    "absolute_bandwidth_change",
    "crossvalidated_bandwidth_change",
)
_AT = 1e-6  # a fitted κ this near a limit, relatively, is at it


class Curves(NamedTuple):
    """Tuning curves of the same units in two states.

    Attributes
    ----------
    attended, unattended
        (unit, orientation) responses to the same stimuli, in the model's units ("1").
    """

    attended: NDArray[np.float64]
    unattended: NDArray[np.float64]

    def of(self, units: NDArray[np.bool_]) -> Curves:
        """Return the curves of a selection of units."""
        return Curves(self.attended[units], self.unattended[units])


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """When a unit takes part.

    The first three select units, on one half of the stimuli and on the average of the states, and so do not look at the
    contrast. The last judges, on the other half and in each state, whether a fit says anything; how many units it
    leaves out, and why, is part of every result.

    Attributes
    ----------
    driven
        A driven unit's curve, averaged over the states, peaks above this response.
    tuned
        A tuned unit's averaged curve has a von Mises fit of at least this R², on the stimuli for selection.
    modulation
        … and falls from its peak by at least this fraction of the peak.
    fitted
        Fit-based measures need at least this R² in both states, on the stimuli for measurement.
    """

    driven: float = 0.1
    tuned: float = 0.5
    modulation: float = 0.1
    fitted: float = 0.5


def tuning_units(
    units: pd.DataFrame,
    orientation: NDArray[np.float64],
    selection: Mapping[str, Curves],
    measured: Mapping[str, Curves],
    criteria: Criteria,
    *,
    fits: bool = True,
) -> pd.DataFrame:
    """Select units on one half of the stimuli and measure them on the other.

    Parameters
    ----------
    units
        One row a unit; a boolean column ``distractor_in_field`` excludes units that see the distractor.
    orientation
        (orientation,) degrees.
    selection
        Name of a reduction over stimuli (``maximum``, ``mean``) → curves from the stimuli that choose units; the first
        reduction chooses.
    measured
        The same from the other stimuli.
    criteria
        When a unit takes part.
    fits
        False leaves out everything that needs a fitted curve; driven units then suffice.

    Returns
    -------
    pandas.DataFrame
        `units` with ``peak, modulation, selection_r_squared, driven, tuned, excluded_by`` ("" for those that take
        part), and for every reduction, as suffix: regression of the attended on the unattended curve (``slope``,
        ``intercept``, ``correlation``), ``response_ratio`` (of the means over orientations), ``modulation_index``
        (A − N)/(A + N) of those means, ``peak_ratio``. With fits also ``gain`` (ratio of the fitted curves' amplitudes,
        peak minus trough; infinite or 0 for a unit that is silent in a state), ``baseline_difference`` (of their
        troughs), ``shift`` and ``bandwidth_change`` (half width at half height), both in degrees, and either's size in
        two forms: ``absolute_…``, which noise makes larger, and ``crossvalidated_…``, the value times the sign that it
        has on the other half of the stimuli, which noise makes smaller. ``best_model``, ``converged``, ``unfitted_by``
        (why a tuned unit has no shift: silent in a state, poor fit, too narrow to resolve), ``width_known`` (not where
        both states are at the family's broad limit; where one is, its width is at least that large, and so is the
        change), and the parameters of either state's curve.
    """
    choosing = next(iter(selection.values()))
    average = (choosing.attended + choosing.unattended) / 2
    table = units.reset_index(drop=True).copy()
    table["peak"] = average.max(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        table["modulation"] = np.where(table["peak"] > 0, np.ptp(average, axis=1) / average.max(1), 0.0)
    table["driven"] = table["peak"] > criteria.driven
    candidates = (table["driven"] & ~table["distractor_in_field"]).to_numpy()
    r_squared = np.full(len(table), np.nan)
    if fits and candidates.any():
        r_squared[candidates] = fit_tuning(orientation, average[candidates])["r_squared"]
    table["selection_r_squared"] = r_squared
    table["tuned"] = candidates & (r_squared >= criteria.tuned) & (table["modulation"] >= criteria.modulation)
    reasons = [table["distractor_in_field"], ~table["driven"], ~table["tuned"] & fits]
    names = ["distractor in receptive field", "not driven", "not tuned"]
    table["excluded_by"] = np.select(reasons, names, default="")
    for name, curves in measured.items():
        columns = [_compared(curves.of(candidates), candidates)]
        tuned = table["tuned"].to_numpy()
        if fits:
            columns.append(_fitted(orientation, selection[name].of(tuned), curves.of(tuned), tuned, criteria))
        table = table.join(pd.concat(columns, axis=1).add_suffix(f"_{name}"))
    return table


def _compared(curves: Curves, units: NDArray[np.bool_]) -> pd.DataFrame:
    """Return what can be said without a fit, NaN for units that take no part."""
    attended, unattended = curves.attended.mean(1), curves.unattended.mean(1)
    table = regress(curves.attended, curves.unattended) if len(attended) else pd.DataFrame(columns=["slope"])
    with np.errstate(invalid="ignore", divide="ignore"):
        table["response_ratio"] = attended / unattended
        table["modulation_index"] = (attended - unattended) / (attended + unattended)
        table["peak_ratio"] = curves.attended.max(1, initial=0) / curves.unattended.max(1, initial=0)
    return table.set_axis(np.flatnonzero(units)).reindex(range(len(units)))


def _fitted(
    orientation: NDArray[np.float64],
    selection: Curves,
    curves: Curves,
    units: NDArray[np.bool_],
    criteria: Criteria,
) -> pd.DataFrame:
    """Return what the fitted curves say; measures are NaN where a fit does not hold."""
    if not units.any():
        table = pd.DataFrame(np.nan, index=range(len(units)), columns=list(_FITTED))
        return table.assign(best_model=None, unfitted_by="", width_known=False)
    fits = [fit_tuning(orientation, state) for state in curves]
    attended, unattended = fits
    models = compare_models(orientation, *curves, attended_fit=attended, unattended_fit=unattended)
    silent = [states.max(1) <= 0 for states in curves]
    reason = _why_unfitted(silent, fits, criteria)
    broad = np.all([fit["kappa"] <= KAPPA_MINIMUM * (1 + _AT) for fit in fits], axis=0)
    shift, change = _shift_and_change(fits)
    other_shift, other_change = _shift_and_change([fit_tuning(orientation, state) for state in selection])
    (height_a, trough_a), (height_n, trough_n) = (_height_and_trough(fit) for fit in fits)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(reason == "", height_a / height_n, _gain_of_silent(silent, fits, criteria))
    change = np.where(broad, np.nan, change)
    measures = (
        trough_a - trough_n,
        shift,
        np.abs(shift),
        shift * np.sign(other_shift),
        change,
        np.abs(change),
        change * np.sign(other_change),
    )
    held = (np.where(reason == "", measure, np.nan) for measure in measures)
    table = pd.DataFrame(dict(zip(_FITTED, (gain, *held), strict=True)))
    table["best_model"] = models["best_model"]
    table["converged"] = attended["converged"] & unattended["converged"] & models["converged"]
    table["unfitted_by"], table["width_known"] = reason, (reason == "") & ~broad
    parameters = ["baseline", "amplitude", "kappa", "preferred", "half_width", "r_squared", "at_bound"]
    for state, fit in zip(("attended", "unattended"), fits, strict=True):
        table = table.join(fit[parameters].add_suffix(f"_{state}"))
    table = table.set_axis(np.flatnonzero(units)).reindex(range(len(units)))
    table["width_known"] = table["width_known"].eq(other=True)
    return table.fillna({"unfitted_by": ""})


def _shift_and_change(fits: list[pd.DataFrame]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shift and change of half width, attended less unattended, in degrees."""
    attended, unattended = fits
    shift = axial_difference(attended["preferred"], unattended["preferred"])
    return shift, (attended["half_width"] - unattended["half_width"]).to_numpy(np.float64)


def _gain_of_silent(
    silent: list[NDArray[np.bool_]], fits: list[pd.DataFrame], criteria: Criteria
) -> NDArray[np.float64]:
    """Return the gain of units that are silent in one state and well fitted in the other: ∞ or 0, else NaN."""
    holds = [(fit["r_squared"] >= criteria.fitted).to_numpy() for fit in fits]
    return np.select([silent[1] & holds[0], silent[0] & holds[1]], [np.inf, 0.0], default=np.nan)


def _height_and_trough(fit: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a fitted curve's peak minus its trough, and its trough.

    Where tuning is broad, the formula's amplitude and baseline trade off against each other and against κ without
    moving the curve; these two do not. With the same κ in both states their ratio is that of the amplitudes.
    """
    depth = fit["amplitude"].to_numpy(np.float64)
    floor = np.exp(-2 * fit["kappa"].to_numpy(np.float64))
    return depth * (1 - floor), fit["baseline"].to_numpy(np.float64) + depth * floor


def _why_unfitted(silent: list[NDArray[np.bool_]], fits: list[pd.DataFrame], criteria: Criteria) -> NDArray[np.object_]:
    """Return why a unit has no fit-based measures but the gain, "" where it has them; the first reason counts."""
    poor = np.any([~fit["converged"] | ~(fit["r_squared"] >= criteria.fitted) for fit in fits], axis=0)
    narrow = np.any([fit["kappa"] >= KAPPA_MAXIMUM * (1 - _AT) for fit in fits], axis=0)
    reasons = ["silent when attended", "silent when unattended", "poor fit", "too narrow to resolve"]
    return np.select([*silent, poor, narrow], reasons, default="").astype(object)
