"""From the unit table of activity scaling to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.labels import CHANNEL, LAYER, MODEL
from neuroattn.statistics.cluster_permutation import cluster_permutation
from neuroattn.statistics.mixed import mixed_model
from neuroattn.statistics.population import adjust, estimate
from neuroattn.statistics.sign_flip import sign_flip_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class _Measure(NamedTuple):
    """A column of the unit table: its unit, what no effect gives, and whether it is a ratio, tested on logarithms."""

    unit: str
    null: float = 0.0
    log: bool = False


MEASURES = {
    "modulation_index": _Measure("1"),
    "gain_ratio": _Measure("1", null=1.0, log=True),
    "difference": _Measure("response"),
    "d_prime": _Measure("1"),
    "roc_area": _Measure("1", null=0.5),
    "slope": _Measure("1", null=1.0),
    "intercept": _Measure("response"),
}
INDEX = "modulation_index"
# An effect this small may be the rounding of equal responses.
NOTHING = 1e-3
COLUMNS = [
    "what", "layer", "against", "time_step", "last_step", "strength", "control", "unit", "estimate", "interval_low",
    "interval_high", "cluster_mean", "cluster_mean_low", "cluster_mean_high", "effect_size", "n_models", "n_channels",
    "n_units", "n_missing", "n_stimuli", "n_stimuli_of_unit", "n_stimuli_selection", "n_stimuli_dropped", "scope",
    "test", "p", "p_adjusted", "p_within_network", "p_within_network_adjusted", "p_sign_flip", "smallest_p_sign_flip",
    "converged", "warnings",
]  # fmt: skip


def summarise(units: pd.DataFrame, generator: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    """Return an estimate for every measure and layer, the time course of the index, and the mixed model.

    Parameters
    ----------
    units
        `neuroattn.statistics.scaling_units.scaling_units` of one network or more, with the columns
        ``modulation_index_step_{t}``.
    generator, n_resamples
        Of the hierarchical bootstrap, and of permutations.

    Returns
    -------
    pandas.DataFrame
        Estimates are medians over driven units; ``cluster_mean`` is over networks, or over the feature channels of one.
        Rows ``onset`` give the first time step of the first cluster of steps whose index is not 0 (``time_step`` to
        ``last_step``). Without adjusted p values; see `adjusted`.
    """
    taking_part = units[units["excluded_by"] == ""]
    rows: list[dict[str, Any]] = []
    for layer, of_layer in taking_part.groupby(LAYER, sort=True):
        for what, measure in MEASURES.items():
            row = _estimate(of_layer, what, measure, generator, n_resamples)
            rows.append({"what": what, "layer": layer, **row})
        steps = [name for name in map(str, of_layer.columns) if name.startswith(f"{INDEX}_step_")]
        for step, column in enumerate(steps):
            row = _estimate(of_layer, column, MEASURES[INDEX], generator, n_resamples)
            rows.append({"what": INDEX, "layer": layer, "time_step": step, **row})
        rows += [{"layer": layer, **row} for row in _clusters(of_layer, steps, generator)]
    if len(set(taking_part[MODEL])) > 1:
        rows += _mixed(taking_part)
    for layer, of_layer in units.groupby(LAYER, sort=True):
        counts = {
            **{f"n_excluded: {why}": n for why, n in of_layer["excluded_by"].value_counts().items() if why},
            "n_silent: when the other object is attended": (of_layer["modulation_index"] == 1).sum(),
            "n_silent: when their own object is attended": (of_layer["modulation_index"] == -1).sum(),
        }
        rows += [{"what": what, "layer": layer, "unit": "1", "estimate": int(n)} for what, n in counts.items() if n]
    # The median over units: of stimuli in which they do not see their object alone they are not measured.
    of_unit = taking_part.groupby(LAYER)["n_stimuli"].median()
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return table.assign(n_stimuli_of_unit=table["layer"].map(of_unit))


def summarise_index(
    units: pd.DataFrame, about: dict[str, Any], generator: np.random.Generator, n_resamples: int
) -> pd.DataFrame:
    """Return the modulation index of each layer in a control, or at another strength; `about` names which."""
    taking_part = units[units["excluded_by"] == ""]
    rows = [
        {"what": INDEX, "layer": layer, **_estimate(of_layer, INDEX, MEASURES[INDEX], generator, n_resamples), **about}
        for layer, of_layer in taking_part.groupby(LAYER, sort=True)
    ]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def summarise_similarity(
    units: pd.DataFrame, found: Mapping[str, Sequence[tuple[float, NDArray[np.float64]]]]
) -> pd.DataFrame:
    """Return what attention to the preferred class elsewhere does, a row a layer, averaged over networks.

    Parameters
    ----------
    units
        As for `summarise`.
    found
        Layer → `neuroattn.statistics.feature_similarity.feature_similarity` of its driven units in each network, after
        the same permutations.

    Returns
    -------
    pandas.DataFrame
        The interval is the estimate less the middle 95 % of the null distribution; p is two-sided, over stimuli, and
        about these networks.
    """
    taking_part = units[units["excluded_by"] == ""]
    rows = []
    for layer in sorted(set(taking_part[LAYER])):
        known = [(estimate, null) for estimate, null in found[layer] if not np.isnan(estimate)]
        if not known:
            continue
        value = float(np.mean([estimate for estimate, _ in known]))
        null = np.mean([null for _, null in known], axis=0)
        low, high = np.quantile(null, [0.025, 0.975])
        rows.append(
            {
                "what": "feature_similarity",
                "layer": layer,
                "unit": "1",
                "estimate": value,
                "interval_low": value - high,
                "interval_high": value - low,
                "n_models": len(known),
                "n_units": int((taking_part[LAYER] == layer).sum()),
                "scope": "these networks, over stimuli",
                "test": f"permutation of the other objects' classes over stimuli, {len(null)} times",
                "p_within_network": (1 + np.sum(np.abs(null) >= abs(value))) / (1 + len(null)),
            }
        )
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values.

    A family is all measures, steps and layers of the network itself, or of one control; strengths are one more.
    """
    families = [
        statistics["control"].astype(object).where(statistics["control"].notna(), ""),
        statistics["strength"].notna(),
    ]
    grouped = statistics.groupby(families, sort=False)
    return statistics.assign(
        p_adjusted=grouped["p"].transform(adjust),
        p_within_network_adjusted=grouped["p_within_network"].transform(adjust),
    )[COLUMNS]


def _estimate(
    units: pd.DataFrame, column: str, measure: _Measure, generator: np.random.Generator, n_resamples: int
) -> dict[str, Any]:
    row = estimate(
        units, column, null=measure.null, bounds=None, generator=generator, n_resamples=n_resamples, log=measure.log
    )
    row["test"] = row.pop("difference_test")
    row["unit"] = measure.unit
    if row["n_models"] > 1:
        values = units[[MODEL, column]].replace([np.inf, -np.inf], np.nan).dropna()
        values = (
            values[values[column] > 0].assign(**{column: lambda kept: np.log(kept[column])}) if measure.log else values
        )
        null = float(np.log(measure.null)) if measure.log else measure.null
        flipped = sign_flip_test(values.groupby(MODEL)[column].mean() - null, generator)
        row |= {"p_sign_flip": flipped.p, "smallest_p_sign_flip": flipped.smallest_p}
        row["warnings"] = "; ".join(text for text in (row["warnings"], flipped.warning) if text)
    return row


def _clusters(units: pd.DataFrame, steps: list[str], generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return the clusters of steps of a layer's index, over networks or over the channels of one, and the onset."""
    n_models = len(set(units[MODEL]))
    several = n_models > 1
    key = MODEL if several else CHANNEL
    means = units.groupby(key)[steps].mean()
    # Of a step without a response in some network or channel nothing can be said; no difference is the cautious choice.
    values = means.fillna(0.0).to_numpy(np.float64)
    if len(values) < 2:
        return []
    clusters = cluster_permutation(values, generator)
    p = "p" if several else "p_within_network"
    over = f"{len(values)} network means" if several else f"{len(values)} channel means of one network"
    about = {"unit": "1", "test": f"cluster permutation over time steps, of {over}", "n_models": n_models}
    rows = [
        {
            "what": "cluster",
            "time_step": row["first_step"],
            "last_step": row["last_step"],
            "estimate": row["estimate"],
            p: row["p"],
            **about,
        }
        for row in clusters.to_dict("records")
    ]
    found = [row for row in rows if row[p] < 0.05 and abs(row["estimate"]) > NOTHING]
    return rows + [{**row, "what": "onset", "estimate": row["time_step"], p: np.nan} for row in found[:1]]


def _mixed(units: pd.DataFrame) -> list[dict[str, Any]]:
    try:
        table = mixed_model(units, INDEX)
    except ValueError as error:  # a network has no driven unit in a layer: the other statistics stand
        return [{"what": "mixed model: not fitted", "unit": "1", "warnings": str(error)}]
    kept = ["layer", "against", "estimate", "interval_low", "interval_high", "effect_size", "p", "n_models", "n_units",
            "n_missing", "converged", "warnings"]  # fmt: skip
    return [
        {
            "what": f"mixed model: {row['what']}",
            "unit": "1",
            "scope": f"{row['n_models']} networks",
            "test": f"linear mixed model, t on {row['df']} degrees of freedom",
            **{name: row[name] for name in kept},
        }
        for row in table.to_dict("records")
    ]
