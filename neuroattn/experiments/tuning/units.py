"""From tuning curves in two states of attention to one row a unit: what attention did with its curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.statistics.curves import KAPPA_MAXIMUM, KAPPA_MINIMUM
from neuroattn.statistics.nested_models import compare_models
from neuroattn.statistics.tuning_curve import axial_difference, fit_tuning, regress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


# Either's size is given in two forms beside the signed value.
_FORMS = ("", "absolute_", "crossvalidated_")
SHAPE_MEASURES = tuple(f"{form}{name}" for name in ("shift", "bandwidth_change") for form in _FORMS)
NARROW_INCLUDED = "_narrow_included"  # suffix of the same measures, with units that are too narrow at their limit
TOO_NARROW = "too narrow to resolve"
# Why a tuned unit has no shape to compare, the first reason that holds; "" of those that have one.
CLASSES = ("", "silent in both states", "silent when attended", "silent when unattended", "poor fit", TOO_NARROW)
_AT = 1e-6  # a fitted κ this near a limit, relatively, is at it


class Curves(NamedTuple):
    """Tuning curves (unit, orientation) of the same units in two states, to the same stimuli."""

    attended: NDArray[np.float64]
    unattended: NDArray[np.float64]

    def of(self, units: NDArray[np.bool_]) -> Curves:
        """Return the curves of a selection of units."""
        return Curves(self.attended[units], self.unattended[units])


class Ungated(NamedTuple):
    """Responses before any feedback: (unit, orientation) to stimuli for selection, (unit,) to them without the bar."""

    curves: NDArray[np.float64]
    without: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """When a unit takes part.

    The first three select units, by their responses before any feedback to one half of the stimuli, and so cannot look
    at the contrast. The last judges, on the other half and in each state, whether a fit says anything.

    Attributes
    ----------
    driven
        A driven unit's ungated curve peaks by more than this above its response to the picture without the bar.
    tuned, modulation
        A tuned unit's has a von Mises fit of at least this R², and falls from its peak by at least this fraction of it.
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
    ungated: Ungated,
    selection: Mapping[str, Curves],
    measured: Mapping[str, Curves],
    criteria: Criteria,
    *,
    fits: bool = True,
) -> pd.DataFrame:
    """Select units by what the bar does to them without feedback, and measure them on the other half of the stimuli.

    Parameters
    ----------
    units
        One row a unit; a boolean column ``distractor_in_field`` excludes units that see the distractor.
    orientation
        (orientation,) degrees.
    ungated
        Responses that choose units.
    selection, measured
        Name of a reduction over stimuli (``maximum``, ``mean``) → curves from the stimuli for selection, which
        cross-validate, and from the others.
    criteria
        When a unit takes part.
    fits
        False leaves out everything that needs a fitted curve; driven units then suffice.

    Returns
    -------
    pandas.DataFrame
        `units` with ``peak``, ``without_bar`` and ``modulation`` of the ungated response, ``selection_r_squared,
        driven, tuned, excluded_by`` ("" for those that take part), and for every reduction, as suffix: ``difference``
        and ``total`` of the means over orientations, A − N and A + N; regression of the attended on the unattended
        curve (``slope``, ``intercept``, ``correlation``), ``response_ratio`` of those means, ``modulation_index``
        (A − N)/(A + N), ``peak_ratio``.
        With fits also ``gain`` (ratio of the fitted curves' amplitudes, peak minus trough; infinite or 0 for a unit
        that is silent in a state), ``baseline_difference`` (of their troughs), ``shift`` and ``bandwidth_change`` (half
        width at half height) in degrees, and either's size in two forms: ``absolute_…``, which noise makes larger, and
        ``crossvalidated_…``, the value times the sign that it has on the other half of the stimuli, which noise makes
        smaller; each also as ``…_narrow_included``, with units too narrow to resolve at the narrowest width, because
        which units those are depends on the outcome; ``best_model``, ``converged``, ``unfitted_by`` (one of `CLASSES`),
        ``width_known`` (not where both states are at the family's broad limit), and the parameters of either's curve.
    """
    table = units.reset_index(drop=True).copy()
    table["peak"], table["without_bar"] = ungated.curves.max(1), ungated.without
    with np.errstate(invalid="ignore", divide="ignore"):
        table["modulation"] = np.where(table["peak"] > 0, np.ptp(ungated.curves, axis=1) / table["peak"], 0.0)
    table["driven"] = table["peak"] - table["without_bar"] > criteria.driven
    candidates = (table["driven"] & ~table["distractor_in_field"]).to_numpy()
    r_squared = np.full(len(table), np.nan)
    if fits and candidates.any():
        r_squared[candidates] = fit_tuning(orientation, ungated.curves[candidates])["r_squared"]
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
    table["difference"], table["total"] = attended - unattended, attended + unattended
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
        columns = [
            "gain",
            "baseline_difference",
            *SHAPE_MEASURES,
            *(f"{name}{NARROW_INCLUDED}" for name in SHAPE_MEASURES),
        ]
        table = pd.DataFrame(np.nan, index=range(len(units)), columns=columns)
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
    shape = (shift, np.abs(shift), shift * np.sign(other_shift), change, np.abs(change), change * np.sign(other_change))
    resolved, known = reason == "", np.isin(reason, ["", TOO_NARROW])
    offset = np.where(resolved, trough_a - trough_n, np.nan)
    table = pd.DataFrame({"gain": gain, "baseline_difference": offset})
    for name, value in zip(SHAPE_MEASURES, shape, strict=True):
        table[name], table[f"{name}{NARROW_INCLUDED}"] = (np.where(held, value, np.nan) for held in (resolved, known))
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
    """Return which of `CLASSES` a unit is in: why it has no fit-based measures but the gain, "" where it has them."""
    poor = np.any([~fit["converged"] | ~(fit["r_squared"] >= criteria.fitted) for fit in fits], axis=0)
    narrow = np.any([fit["kappa"] >= KAPPA_MAXIMUM * (1 - _AT) for fit in fits], axis=0)
    attended, unattended = silent
    reasons = [attended & unattended, attended, unattended, poor, narrow]
    return np.select(reasons, CLASSES[1:], default="").astype(object)
