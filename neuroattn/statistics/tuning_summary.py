"""From the unit table of the tuning protocol to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.labels import CHANNEL, LAYER, MODEL
from neuroattn.statistics.nested_models import MODELS
from neuroattn.statistics.population import adjust, estimate
from neuroattn.statistics.resampling import hierarchical_bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Measure(NamedTuple):
    """How a column of the unit table is summarised.

    Attributes
    ----------
    kind
        ``tested``: against what no effect gives; ``sized``: a distance from no effect, which can only be compared with
        bounds; ``described``: no test, because noise in the unattended curve biases it, or because there is no null.
    fitted
        Whether it needs a fitted curve, and so a tuned unit; a driven one suffices for the others.
    unit
        Physical unit.
    null
        What no effect gives.
    log
        Whether it is a ratio, whose means and tests are taken on logarithms.
    """

    kind: str
    fitted: bool
    unit: str
    null: float = 0.0
    log: bool = False


MEASURES = {
    "gain": _Measure("tested", fitted=True, unit="1", null=1.0, log=True),
    "baseline_difference": _Measure("tested", fitted=True, unit="1"),
    "shift": _Measure("tested", fitted=True, unit="degree"),
    "absolute_shift": _Measure("sized", fitted=True, unit="degree"),
    "crossvalidated_shift": _Measure("sized", fitted=True, unit="degree"),
    "bandwidth_change": _Measure("tested", fitted=True, unit="degree"),
    "absolute_bandwidth_change": _Measure("sized", fitted=True, unit="degree"),
    "crossvalidated_bandwidth_change": _Measure("sized", fitted=True, unit="degree"),
    "slope": _Measure("described", fitted=False, unit="1"),
    "intercept": _Measure("described", fitted=False, unit="1"),
    "correlation": _Measure("described", fitted=False, unit="1"),
    "response_ratio": _Measure("tested", fitted=False, unit="1", null=1.0, log=True),
    "modulation_index": _Measure("tested", fitted=False, unit="1"),
    "peak_ratio": _Measure("tested", fitted=False, unit="1", null=1.0, log=True),
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
        tuned = of_layer[of_layer["excluded_by"] == ""]
        for reduction in reductions:
            about = {"layer": layer, "reduction": reduction, "control": control}
            for what, measure in MEASURES.items():
                column = f"{what}_{reduction}"
                if column in of_layer:
                    taking_part = tuned if measure.fitted else driven
                    row = _estimate(taking_part, column, measure, bounds.get(what), generator, n_resamples)
                    converged = {"converged": _share_converged(tuned, reduction)} if measure.fitted else {}
                    rows.append({"what": what, "unit": measure.unit, **about, **row, **converged})
            shares = _model_shares(tuned, reduction, generator, n_resamples)
            rows += [row | about for row in (*shares, *_unfitted(tuned, reduction))]
        rows += [row | {"layer": layer, "control": control} for row in _exclusions(of_layer)]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values of the difference tests.

    A family is all measures, layers and reductions of one control, or of the network itself. Equivalence is claimed
    only where shift and bandwidth change both pass, which needs no adjustment.
    """
    families = statistics.groupby("control", sort=False)
    return statistics.assign(
        p_adjusted=families["p"].transform(adjust),
        p_within_network_adjusted=families["p_within_network"].transform(adjust),
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
        null=measure.null,
        bounds=region,
        generator=generator,
        n_resamples=n_resamples,
        log=measure.log,
    )
    row["test"] = row.pop("difference_test")
    if measure.kind != "tested":
        row |= {"p": np.nan, "p_within_network": np.nan, "effect_size": np.nan, "test": "none"}
    if measure.kind == "described":
        row |= {"cluster_mean": np.nan, "cluster_mean_low": np.nan, "cluster_mean_high": np.nan}
    if region:
        row["test"] += f"; two one-sided t tests against ±{bound:g}"
    return row


def _share_converged(tuned: pd.DataFrame, reduction: str) -> float:
    """Return the fraction of tuned units whose fits all converged, NaN without any."""
    return float(tuned[f"converged_{reduction}"].eq(other=True).mean()) if len(tuned) else np.nan


def _model_shares(
    tuned: pd.DataFrame, reduction: str, generator: np.random.Generator, n_resamples: int
) -> list[dict[str, Any]]:
    """Return the fraction of tuned units that AICc gives to each nested model, with a hierarchical bootstrap."""
    if f"best_model_{reduction}" not in tuned or tuned.empty:
        return []
    converged = _share_converged(tuned, reduction)
    clusters = [tuned[MODEL].to_numpy(), tuned[CHANNEL].to_numpy()]
    rows = []
    for name in MODELS:
        chosen = (tuned[f"best_model_{reduction}"] == name).to_numpy(dtype=np.float64)
        low, high = hierarchical_bootstrap(chosen, clusters, "mean", n_resamples, generator)
        about = {"unit": "1", "interval_low": low, "interval_high": high, "converged": converged, **_numbers(tuned)}
        rows.append({"what": f"share_best_model_{name}", "estimate": chosen.mean(), **about})
    return rows


def _unfitted(tuned: pd.DataFrame, reduction: str) -> list[dict[str, Any]]:
    """Return how many tuned units have no fit-based measures, or no width, by reason."""
    if f"unfitted_by_{reduction}" not in tuned:
        return []
    reasons = tuned[f"unfitted_by_{reduction}"]
    rows = [_count(f"n_unfitted: {reason}", left_out) for reason, left_out in tuned[reasons != ""].groupby(reasons)]
    broad = tuned[(reasons == "") & ~tuned[f"width_known_{reduction}"].eq(other=True)]
    if len(broad):
        rows.append(_count("n_without_width: at the broad limit in both states", broad))
    return rows


def _exclusions(units: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how many units there are, and how many were left out by what."""
    excluded = units[units["excluded_by"] != ""].groupby("excluded_by")
    return [_count("n_recorded_units", units), *(_count(f"n_excluded: {reason}", rows) for reason, rows in excluded)]


def _count(what: str, units: pd.DataFrame) -> dict[str, Any]:
    """Return the row that counts units."""
    return {"what": what, "unit": "1", "estimate": len(units), **_numbers(units)}


def _numbers(units: pd.DataFrame) -> dict[str, int]:
    return {
        "n_models": units[MODEL].nunique(),
        "n_channels": units.groupby([MODEL, CHANNEL]).ngroups,
        "n_units": len(units),
    }
