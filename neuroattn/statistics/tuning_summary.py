"""From the unit table of the tuning protocol to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.labels import CHANNEL, LAYER, MODEL
from neuroattn.statistics.nested_models import MODELS
from neuroattn.statistics.population import adjust, estimate

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Measure(NamedTuple):
    """How a column of the unit table is summarised.

    Attributes
    ----------
    null
        What no effect gives, None where that is not a value to test against.
    log
        Whether it is a ratio, whose means and tests are taken on logarithms.
    fitted
        Whether it needs a fitted curve, and so a tuned unit; a driven one suffices for the others.
    unit
        Physical unit.
    """

    null: float | None
    log: bool
    fitted: bool
    unit: str


MEASURES = {
    "gain": _Measure(1, log=True, fitted=True, unit="1"),
    "baseline_difference": _Measure(0, log=False, fitted=True, unit="1"),
    "shift": _Measure(0, log=False, fitted=True, unit="degree"),
    "absolute_shift": _Measure(None, log=False, fitted=True, unit="degree"),
    "bandwidth_change": _Measure(0, log=False, fitted=True, unit="degree"),
    "absolute_bandwidth_change": _Measure(None, log=False, fitted=True, unit="degree"),
    "slope": _Measure(1, log=False, fitted=False, unit="1"),
    "intercept": _Measure(0, log=False, fitted=False, unit="1"),
    "correlation": _Measure(None, log=False, fitted=False, unit="1"),
    "response_ratio": _Measure(1, log=True, fitted=False, unit="1"),
    "modulation_index": _Measure(0, log=False, fitted=False, unit="1"),
    "peak_ratio": _Measure(1, log=True, fitted=False, unit="1"),
}
COLUMNS = [
    "what", "layer", "reduction", "control", "unit", "estimate", "interval_low", "interval_high", "cluster_mean",
    "cluster_mean_low", "cluster_mean_high", "effect_size", "n_models", "n_channels", "n_units", "n_missing",
    "n_stimuli", "n_stimuli_dropped", "scope", "test", "p", "p_adjusted", "p_within_network",
    "p_within_network_adjusted", "equivalence_low", "equivalence_high", "p_equivalence",
    "p_equivalence_within_network", "converged", "warnings",
]  # fmt: skip


def summarise(
    units: pd.DataFrame,
    reductions: tuple[str, ...],
    *,
    bounds: Mapping[str, float],
    generator: np.random.Generator,
    n_resamples: int,
    control: str = "",
) -> pd.DataFrame:
    """Return an estimate for every measure, layer and reduction, with its tests, and the shares of the nested models.

    Parameters
    ----------
    units
        What `neuroattn.statistics.tuning_units.tuning_units` returned, of one network or more.
    reductions
        Suffixes of its measures.
    bounds
        Measure → half-width of its equivalence region, in the measure's unit.
    generator, n_resamples
        Of the hierarchical bootstrap.
    control
        Name of the control that the units come from, "" for the network itself.

    Returns
    -------
    pandas.DataFrame
        Without adjusted p values; see `adjusted`. Estimates are medians over units, shares are fractions of them.
    """
    rows: list[dict[str, Any]] = []
    for layer, of_layer in units.groupby(LAYER, sort=True):
        driven = of_layer[of_layer["driven"] & ~of_layer["distractor_in_field"]]
        for reduction in reductions:
            about = {"layer": layer, "reduction": reduction, "control": control}
            for what, measure in MEASURES.items():
                column = f"{what}_{reduction}"
                if column in of_layer:
                    taking_part = driven[driven["excluded_by"] == ""] if measure.fitted else driven
                    row = _estimate(taking_part, column, measure, bounds.get(what), generator, n_resamples)
                    rows.append({"what": what, "unit": measure.unit, **about, **row})
            rows += [row | about for row in (*_model_shares(of_layer, reduction), *_unfitted(of_layer, reduction))]
        rows += [row | {"layer": layer, "control": control} for row in _exclusions(of_layer)]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values over all rows of a table: measures, layers, reductions and controls."""
    return statistics.assign(
        p_adjusted=adjust(statistics["p"]),
        p_within_network_adjusted=adjust(statistics["p_within_network"]),
    )[COLUMNS]


def _estimate(
    units: pd.DataFrame,
    column: str,
    measure: _Measure,
    bound: float | None,
    generator: np.random.Generator,
    n_resamples: int,
) -> dict[str, Any]:
    region = None if bound is None else (-bound, bound)
    row = estimate(
        units,
        column,
        null=1.0 if measure.log else 0.0 if measure.null is None else measure.null,
        bounds=region,
        generator=generator,
        n_resamples=n_resamples,
        log=measure.log,
    )
    row["test"] = row.pop("difference_test")
    if measure.null is None:
        # A distance from zero is never zero: to test it against zero would say nothing.
        row |= {"p": np.nan, "p_within_network": np.nan, "effect_size": np.nan, "test": "none"}
    if region:
        row["test"] += f"; two one-sided t tests against ±{bound:g}"
    return row


def _model_shares(units: pd.DataFrame, reduction: str) -> list[dict[str, Any]]:
    """Return the fraction of tuned units that AICc gives to each nested model, and of fits that converged."""
    if f"best_model_{reduction}" not in units:
        return []
    tuned = units[units["excluded_by"] == ""]
    best = tuned[f"best_model_{reduction}"]
    if best.empty:
        return []
    about = {**_numbers(tuned), "converged": float(tuned[f"converged_{reduction}"].astype(float).mean())}
    return [
        {"what": f"share_best_model_{name}", "unit": "1", "estimate": float((best == name).mean()), **about}
        for name in MODELS
    ]


def _unfitted(units: pd.DataFrame, reduction: str) -> list[dict[str, Any]]:
    """Return how many tuned units have no fit-based measures, by reason."""
    column = f"unfitted_by_{reduction}"
    if column not in units:
        return []
    groups = units[units[column] != ""].groupby(column)
    return [
        {"what": f"n_unfitted: {reason}", "unit": "1", "estimate": len(rows), **_numbers(rows)}
        for reason, rows in groups
    ]


def _exclusions(units: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how many units there are, and how many were left out by what."""
    rows = [{"what": "n_recorded_units", "unit": "1", "estimate": len(units), **_numbers(units)}]
    for reason, excluded in units[units["excluded_by"] != ""].groupby("excluded_by"):
        rows.append({"what": f"n_excluded: {reason}", "unit": "1", "estimate": len(excluded), **_numbers(excluded)})
    return rows


def _numbers(units: pd.DataFrame) -> dict[str, int]:
    return {
        "n_models": units[MODEL].nunique(),
        "n_channels": units.groupby([MODEL, CHANNEL]).ngroups,
        "n_units": len(units),
    }
