"""From the unit table of the tuning protocol to one row an estimate."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuroattn.dims import LAYER, PERIOD_DEGREES
from neuroattn.experiments.tuning.layout import REDUCTIONS
from neuroattn.experiments.tuning.units import CLASSES, NARROW_INCLUDED, SHAPE_MEASURES
from neuroattn.statistics.control_share import SHARE
from neuroattn.statistics.curves import KAPPA_MAXIMUM, KAPPA_MINIMUM
from neuroattn.statistics.nested_models import MODELS
from neuroattn.statistics.population import DESCRIBED, SIZED, TESTED, Measure, included
from neuroattn.statistics.summary import Draws, counts, exclusions, shares, summarise
from neuroattn.statistics.tuning_curve import half_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuroattn.statistics.population import Row

_WIDEST_CHANGE = float(half_width(KAPPA_MINIMUM) - half_width(KAPPA_MAXIMUM))  # of fitted curves


def driven(units: pd.DataFrame) -> pd.Series[bool]:
    """Return which units suffice for what needs no fitted curve."""
    return units["driven"] & ~units["distractor_in_field"]


def _of_shape(name: str, kind: str) -> Measure:
    largest = PERIOD_DEGREES / 2 if "shift" in name else _WIDEST_CHANGE
    return Measure(name, kind=kind, unit="degree", limits=(0.0 if name.startswith("absolute") else -largest, largest))


# Those of fitted curves first, which are of tuned units.
MEASURES = (
    Measure("gain", null=1.0, log=True),
    Measure("baseline_difference"),
    *(_of_shape(name, TESTED if name in {"shift", "bandwidth_change"} else SIZED) for name in SHAPE_MEASURES),
    *(_of_shape(f"{name}{NARROW_INCLUDED}", SIZED) for name in SHAPE_MEASURES),
    Measure("slope", kind=DESCRIBED, units=driven),
    Measure("intercept", kind=DESCRIBED, units=driven),
    Measure("correlation", kind=DESCRIBED, limits=(-1.0, 1.0), units=driven),
    Measure("response_ratio", null=1.0, log=True, units=driven),
    Measure("modulation_index", limits=(-1.0, 1.0), units=driven),
    Measure("peak_ratio", null=1.0, log=True, units=driven),
    Measure(SHARE, kind=DESCRIBED, units=driven),
)
_FITTED = {measure.name for measure in MEASURES if measure.units is included}
COLUMNS = [
    "what", "model", "layer", "reduction", "control", "unit", "estimate", "interval_low", "interval_high",
    "cluster_mean", "cluster_mean_low", "cluster_mean_high", "effect_size", "n_models", "n_channels", "n_units",
    "n_missing",
    "n_zero",
    "n_infinite",
    "n_stimuli", "n_stimuli_dropped", "scope", "test", "p", "p_adjusted", "p_within_network",
    "p_within_network_adjusted", "equivalence_low", "equivalence_high", "p_equivalence",
    "p_equivalence_within_network", "converged", "warnings",
]  # fmt: skip


def tuning_statistics(
    units: pd.DataFrame, bounds: Mapping[str, float], seed: int, n_resamples: int, control: str = ""
) -> pd.DataFrame:
    """Return an estimate for every measure, layer and reduction, with its tests, and shares and counts of units.

    `bounds` gives the half-widths of the equivalence regions of ``shift`` and ``bandwidth_change``, in degrees.
    Estimates are medians over units, shares are fractions of them. Without adjusted p values.
    """
    bounds = {**bounds, **{f"absolute_{name}": bound for name, bound in bounds.items()}}
    measures = [
        dataclasses.replace(measure, bounds=(-bounds[measure.name], bounds[measure.name]))
        if measure.name in bounds
        else measure
        for measure in MEASURES
    ]
    rows: list[Row] = []
    for layer, of_layer in units.groupby(LAYER, sort=False):
        tuned = of_layer[included(of_layer)]
        for reduction in REDUCTIONS:
            draws = Draws(seed, n_resamples, f"{control}/{layer}/{reduction}/")
            found = [
                *_with_convergence(summarise(of_layer, measures, draws, f"_{reduction}"), tuned, reduction),
                *_model_shares(tuned, reduction, draws),
                *_within(tuned, reduction, bounds, draws),
                *_classes(tuned, reduction),
            ]
            rows += [{**row, "layer": layer, "reduction": reduction} for row in found]
        rows += [{**row, "layer": layer} for row in exclusions(of_layer)]
    return pd.DataFrame(rows).assign(control=control).reindex(columns=COLUMNS)


def _with_convergence(rows: Iterator[Row], tuned: pd.DataFrame, reduction: str) -> Iterator[Row]:
    """Yield rows, those of fitted curves with the fraction of tuned units whose fits all converged."""
    for row in rows:
        yield row | ({"converged": _converged(tuned, reduction)} if row["what"] in _FITTED else {})


def _converged(tuned: pd.DataFrame, reduction: str) -> float:
    return float(tuned[f"converged_{reduction}"].eq(other=True).mean()) if len(tuned) else np.nan


def _model_shares(tuned: pd.DataFrame, reduction: str, draws: Draws) -> Iterator[Row]:
    """Yield the share of units that AICc gives to each nested model, of those with a curve in both states.

    Where one state is silent a gain of 0 or ∞ fits at once, which says nothing about the form of the effect.
    """
    if f"best_model_{reduction}" in tuned:
        fitted = tuned[tuned[f"unfitted_by_{reduction}"] == ""]
        for name in MODELS:
            for row in shares(f"share_best_model_{name}", fitted, fitted[f"best_model_{reduction}"] == name, draws):
                yield row | {"converged": _converged(fitted, reduction)}


def _within(tuned: pd.DataFrame, reduction: str, bounds: Mapping[str, float], draws: Draws) -> Iterator[Row]:
    """Yield the share of units whose shift, and whose change of bandwidth, lies within its bound."""
    for what in ("shift", "bandwidth_change"):
        for suffix in ("", NARROW_INCLUDED):
            column = f"absolute_{what}{suffix}_{reduction}"
            if column in tuned and what in bounds:
                known = tuned[tuned[column].notna()]
                yield from shares(f"share_within_{what}{suffix}", known, known[column] <= bounds[what], draws)


def _classes(tuned: pd.DataFrame, reduction: str) -> Iterator[Row]:
    """Yield how many tuned units there are, how many are in each class, and how many have no width."""
    if f"unfitted_by_{reduction}" not in tuned:
        return
    reasons = tuned[f"unfitted_by_{reduction}"]
    members = {name: tuned[reasons == name] for name in CLASSES}
    if sum(map(len, members.values())) != len(tuned):
        raise RuntimeError(f"every tuned unit must be in one of {CLASSES}, got {sorted(set(reasons))}")
    yield from counts("n_tuned_units", tuned)
    yield from counts("n_fitted_units", members.pop(""))
    for reason, left_out in members.items():
        if len(left_out):
            yield from counts(f"n_unfitted: {reason}", left_out)
    broad = tuned[(reasons == "") & ~tuned[f"width_known_{reduction}"].eq(other=True)]
    if len(broad):
        yield from counts("n_without_width: at the broad limit in both states", broad)
