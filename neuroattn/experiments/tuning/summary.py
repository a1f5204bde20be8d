"""From the unit table of the tuning protocol to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.dims import LAYER, MODEL, PERIOD_DEGREES
from neuroattn.experiments.tuning.units import CLASSES, NARROW_INCLUDED, SHAPE_MEASURES
from neuroattn.statistics.curves import KAPPA_MAXIMUM, KAPPA_MINIMUM
from neuroattn.statistics.estimates import with_texts
from neuroattn.statistics.intervals import fraction_interval
from neuroattn.statistics.nested_models import MODELS
from neuroattn.statistics.population import adjust, by_network, estimate
from neuroattn.statistics.shares import numbers, share, shares_by_network
from neuroattn.statistics.tuning_curve import half_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray


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
    limits
        Between which it lies.
    """

    kind: str
    fitted: bool
    unit: str
    null: float = 0.0
    log: bool = False
    limits: tuple[float, float] | None = None


_WIDEST_CHANGE = float(half_width(KAPPA_MINIMUM) - half_width(KAPPA_MAXIMUM))  # of fitted curves


def _of_shape(what: str, kind: str) -> _Measure:
    largest = PERIOD_DEGREES / 2 if what.endswith("shift") else _WIDEST_CHANGE
    limits = (0.0 if what.startswith("absolute") else -largest, largest)
    return _Measure(kind, fitted=True, unit="degree", limits=limits)


MEASURES = {
    "gain": _Measure("tested", fitted=True, unit="1", null=1.0, log=True),
    "baseline_difference": _Measure("tested", fitted=True, unit="1"),
    **{
        what: _of_shape(what, "tested" if what in {"shift", "bandwidth_change"} else "sized") for what in SHAPE_MEASURES
    },
    **{f"{what}{NARROW_INCLUDED}": _of_shape(what, "sized") for what in SHAPE_MEASURES},
    "slope": _Measure("described", fitted=False, unit="1"),
    "intercept": _Measure("described", fitted=False, unit="1"),
    "correlation": _Measure("described", fitted=False, unit="1", limits=(-1.0, 1.0)),
    "response_ratio": _Measure("tested", fitted=False, unit="1", null=1.0, log=True),
    "modulation_index": _Measure("tested", fitted=False, unit="1", limits=(-1.0, 1.0)),
    "peak_ratio": _Measure("tested", fitted=False, unit="1", null=1.0, log=True),
    "share_of_shuffled_gates": _Measure("described", fitted=False, unit="1"),
}
COLUMNS = [
    "what", "model", "layer", "reduction", "control", "unit", "estimate", "interval_low", "interval_high",
    "cluster_mean", "cluster_mean_low", "cluster_mean_high", "effect_size", "n_models", "n_channels", "n_units",
    "n_missing",
    "n_stimuli", "n_stimuli_dropped", "scope", "test", "p", "p_adjusted", "p_within_network",
    "p_within_network_adjusted", "equivalence_low", "equivalence_high", "p_equivalence",
    "p_equivalence_within_network", "converged", "warnings",
]  # fmt: skip


def summarise(
    units: pd.DataFrame,
    reductions: tuple[str, ...],
    *,
    bounds: Mapping[str, float],
    seed: int,
    n_resamples: int,
    control: str = "",
) -> pd.DataFrame:
    """Return an estimate for every measure, layer and reduction, with its tests, and shares and counts of units.

    Parameters
    ----------
    units
        What `neuroattn.experiments.tuning.units.tuning_units` returned, of one network or more; its layers keep their
        order.
    reductions
        Suffixes of its measures.
    bounds
        Measure → half-width of its equivalence region, in the measure's unit.
    seed, n_resamples
        Of the hierarchical bootstrap; each row draws from a stream of its own.
    control
        Name of the control that the units come from, "" for the network itself.

    Returns
    -------
    pandas.DataFrame
        Without adjusted p values; see `adjusted`. Estimates are medians over units, shares are fractions of them. Of
        several networks each has a row of its own beside that of all, whose ``model`` is "".
    """
    rows: list[dict[str, Any]] = []
    for layer, of_layer in units.groupby(LAYER, sort=False):
        driven = of_layer[of_layer["driven"] & ~of_layer["distractor_in_field"]]
        tuned = of_layer[of_layer["excluded_by"] == ""]
        for reduction in reductions:
            about = {"layer": layer, "reduction": reduction, "control": control}
            bootstrap = _Bootstrap(seed, f"{control}/{layer}/{reduction}", n_resamples)
            for what, measure in MEASURES.items():
                column = f"{what}_{reduction}"
                if column in of_layer:
                    taking_part = tuned if measure.fitted else driven
                    found = _estimates(taking_part, what, column, bounds.get(what), bootstrap)
                    converged = {"converged": _share_converged(tuned, reduction)} if measure.fitted else {}
                    rows += [{"what": what, "unit": measure.unit, **about, **row, **converged} for row in found]
            shares = (*_model_shares(tuned, reduction, bootstrap), *_within(tuned, reduction, bounds, bootstrap))
            rows += [row | about for row in (*shares, *_classes(tuned, reduction))]
        rows += [row | {"layer": layer, "control": control} for row in _exclusions(of_layer)]
    return pd.DataFrame([{"model": ""} | row for row in rows]).reindex(columns=COLUMNS)


def share_confirmed(shares: Mapping[str, float], control: str) -> pd.DataFrame:
    """Return the rows that say in which share of presentations attention was confirmed.

    Parameters
    ----------
    shares
        Network → share of stimuli whose gated image confirms the intended object in both states.
    control
        As for `summarise`.
    """
    interval = fraction_interval(list(shares.values()))
    whole = {"estimate": interval.mean, "interval_low": interval.low, "interval_high": interval.high}
    rows = [{"model": "", "n_models": len(shares), **whole}]
    rows += [{"model": name, "n_models": 1, "estimate": one} for name, one in shares.items() if len(shares) > 1]
    return pd.DataFrame(rows).assign(what="share_confirmed", unit="1", control=control).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values of the difference tests.

    A family is all measures, layers and reductions of one control, or of the network itself. Equivalence is claimed
    only where shift and bandwidth change both pass, which needs no adjustment.
    """
    table = with_texts(statistics)
    families = table.groupby("control", sort=False)
    return table.assign(
        p_adjusted=families["p"].transform(adjust),
        p_within_network_adjusted=families["p_within_network"].transform(adjust),
    )[COLUMNS]


class _Bootstrap(NamedTuple):
    """Streams of random numbers, one for each name: no row's numbers depend on which others there are."""

    seed: int
    where: str
    n_resamples: int

    def stream(self, what: str) -> np.random.Generator:
        """Return the generator of one row."""
        return np.random.default_rng([self.seed, *f"{self.where}/{what}".encode()])


def _estimates(
    units: pd.DataFrame, what: str, column: str, bound: float | None, bootstrap: _Bootstrap
) -> list[dict[str, Any]]:
    """Return a measure of all networks together, then of each by itself."""
    measure, region = MEASURES[what], None if bound is None else (-bound, bound)
    row = estimate(
        units,
        column,
        null=measure.null,
        bounds=region,
        generator=bootstrap.stream(what),
        n_resamples=bootstrap.n_resamples,
        log=measure.log,
        limits=measure.limits,
    )
    if measure.kind != "tested":
        row |= {"p": np.nan, "p_within_network": np.nan, "effect_size": np.nan, "difference_test": "none"}
    if region:
        row["difference_test"] += f"; two one-sided t tests against ±{bound:g}"
    rows = [row, *by_network(units, column, log=measure.log, limits=measure.limits)]
    if measure.kind == "described":
        rows = [one | dict.fromkeys(("cluster_mean", "cluster_mean_low", "cluster_mean_high"), np.nan) for one in rows]
    return [one | {"test": one.pop("difference_test")} for one in rows]


def _share_converged(tuned: pd.DataFrame, reduction: str) -> float:
    """Return the fraction of tuned units whose fits all converged, NaN without any."""
    return float(tuned[f"converged_{reduction}"].eq(other=True).mean()) if len(tuned) else np.nan


def _model_shares(tuned: pd.DataFrame, reduction: str, bootstrap: _Bootstrap) -> Iterator[dict[str, Any]]:
    """Yield the share of units that AICc gives to each nested model, of those with a curve in both states.

    Where one state is silent a gain of 0 or ∞ fits at once, which says nothing about the form of the effect.
    """
    if f"best_model_{reduction}" not in tuned:
        return
    fitted = tuned[tuned[f"unfitted_by_{reduction}"] == ""]
    converged = {"converged": _share_converged(fitted, reduction)}
    for name in MODELS:
        chosen = (fitted[f"best_model_{reduction}"] == name).to_numpy(np.bool_)
        yield from (row | converged for row in _shares(f"share_best_model_{name}", fitted, chosen, bootstrap))


def _within(
    tuned: pd.DataFrame, reduction: str, bounds: Mapping[str, float], bootstrap: _Bootstrap
) -> Iterator[dict[str, Any]]:
    """Yield the share of units whose shift, and whose change of bandwidth, lies within its bound."""
    for what in ("shift", "bandwidth_change"):
        for suffix in ("", NARROW_INCLUDED):
            column = f"absolute_{what}{suffix}_{reduction}"
            if column in tuned and f"absolute_{what}" in bounds:
                known = tuned[tuned[column].notna()]
                inside = (known[column] <= bounds[f"absolute_{what}"]).to_numpy(np.bool_)
                yield from _shares(f"share_within_{what}{suffix}", known, inside, bootstrap)


def _shares(
    what: str, units: pd.DataFrame, holds: NDArray[np.bool_], bootstrap: _Bootstrap
) -> Iterator[dict[str, Any]]:
    if units.empty:
        return
    whole = share(units, holds, bootstrap.stream(what), bootstrap.n_resamples)
    yield from ({"what": what, "unit": "1", **row} for row in (whole, *shares_by_network(units, holds)))


def _classes(tuned: pd.DataFrame, reduction: str) -> Iterator[dict[str, Any]]:
    """Yield how many tuned units there are, how many are in each class, and how many have no width."""
    if f"unfitted_by_{reduction}" not in tuned:
        return
    reasons = tuned[f"unfitted_by_{reduction}"]
    members = {name: tuned[reasons == name] for name in CLASSES}
    if sum(map(len, members.values())) != len(tuned):
        raise RuntimeError(f"every tuned unit must be in one of {CLASSES}, got {sorted(set(reasons))}")
    yield from _counts("n_tuned_units", tuned)
    yield from _counts("n_fitted_units", members.pop(""))
    for reason, left_out in members.items():
        if len(left_out):
            yield from _counts(f"n_unfitted: {reason}", left_out)
    broad = tuned[(reasons == "") & ~tuned[f"width_known_{reduction}"].eq(other=True)]
    if len(broad):
        yield from _counts("n_without_width: at the broad limit in both states", broad)


def _exclusions(units: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield how many units there are, and how many were left out by what."""
    yield from _counts("n_recorded_units", units)
    for reason, left_out in units[units["excluded_by"] != ""].groupby("excluded_by"):
        yield from _counts(f"n_excluded: {reason}", left_out)


def _counts(what: str, units: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the row that counts units, and where there are several networks one for each."""
    yield {"what": what, "unit": "1", "estimate": len(units), **numbers(units)}
    networks = units.groupby(MODEL, sort=False, observed=True)
    for name, of_network in networks if networks.ngroups > 1 else ():
        yield {"what": what, "model": name, "unit": "1", "estimate": len(of_network), **numbers(of_network)}
