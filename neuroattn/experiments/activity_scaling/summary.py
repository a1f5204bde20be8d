"""From the unit table of activity scaling to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuroattn.dims import CHANNEL, LAYER, MODEL
from neuroattn.statistics.cluster_permutation import cluster_permutation
from neuroattn.statistics.control_share import SHARE
from neuroattn.statistics.mixed import mixed_model
from neuroattn.statistics.population import SIZED, Measure, included
from neuroattn.statistics.resampling import named_generator
from neuroattn.statistics.summary import Draws, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from neuroattn.statistics.population import Row


MEASURES = (
    Measure("modulation_index", limits=(-1.0, 1.0), sign_flip=True),
    Measure("gain_ratio", null=1.0, log=True, sign_flip=True),
    Measure("difference", unit="response", sign_flip=True),
    Measure("d_prime", sign_flip=True),
    Measure("roc_area", null=0.5, limits=(0.0, 1.0), sign_flip=True),
    Measure("slope", null=1.0, sign_flip=True),
    Measure("intercept", unit="response", sign_flip=True),
    Measure("offset_share", sign_flip=True),
    Measure("slope_proportional", null=1.0, sign_flip=True),
    Measure("offset_share_proportional", sign_flip=True),
)
INDEX = "modulation_index"
RECORDED, RESPONDING = "n_recorded", "n_responding in both states"
# An effect this small may be the rounding of equal responses.
NOTHING = 1e-3
COLUMNS = [
    "what", "layer", "model", "against", "time_step", "last_step", "strength", "control", "confirmed", "unit",
    "estimate", "interval_low", "interval_high", "cluster_mean", "cluster_mean_low", "cluster_mean_high",
    "effect_size", "n_models", "n_channels", "n_units", "n_missing", "n_zero", "n_infinite", "n_stimuli",
    "n_stimuli_of_unit", "n_stimuli_selection", "n_stimuli_dropped", "scope", "test", "p", "p_adjusted",
    "p_within_network", "p_within_network_adjusted", "p_sign_flip", "smallest_p_sign_flip", "converged", "warnings",
]  # fmt: skip


def scaling_statistics(units: pd.DataFrame, seed: int, n_resamples: int) -> pd.DataFrame:
    """Return an estimate for every measure and layer, the time course of the index, and the mixed model.

    Estimates are medians over driven units. Rows ``n_…`` count units, each of which is in one class; rows ``cluster``
    are runs of time steps whose index is not 0 (``time_step`` to ``last_step``). Without adjusted p values.
    """
    taking_part = units[included(units)]
    rows: list[Row] = []
    for layer, of_layer in taking_part.groupby(LAYER, sort=False):
        steps = [name for name in map(str, of_layer.columns) if name.startswith(f"{INDEX}_step_")]
        found = [
            *summarise(of_layer, MEASURES, Draws(seed, n_resamples, f"{layer}/", "/")),
            *summarise(of_layer, [Measure(SHARE, kind=SIZED)], Draws(seed, n_resamples, f"{layer}/")),
        ]
        for step, column in enumerate(steps):
            draws = Draws(seed, n_resamples, f"{layer}/", f"{column.removeprefix(INDEX)}/")
            of_step = summarise(of_layer, MEASURES[:1], draws, column.removeprefix(INDEX))
            found.append({**next(of_step), "time_step": step})  # of all networks together alone
        found += _clusters(of_layer, steps, seed)
        rows += [{**row, "layer": layer} for row in found]
    if len(set(taking_part[MODEL])) > 1:
        rows += _mixed(taking_part)
    for layer, of_layer in units.groupby(LAYER, sort=False):
        rows += [{**row, "layer": layer} for row in _counts(of_layer)]
    # The median over units: of stimuli in which they do not see their object alone they are not measured.
    of_unit = taking_part.groupby(LAYER)["n_stimuli"].median()
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return table.assign(n_stimuli_of_unit=table["layer"].map(of_unit))


def _counts(units: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how many units of a layer are in each class, of all networks and of each one; a unit is in one."""
    reasons = units["excluded_by"].where(units["excluded_by"] == "", "n_excluded: " + units["excluded_by"])
    silent = units["silent"].where(units["silent"] == "", "n_silent: " + units["silent"])
    of_class = reasons.where(reasons != "", silent).replace("", RESPONDING)
    of_network = dict(tuple(of_class.groupby(units[MODEL], sort=False)))
    networks = {"": of_class} | (of_network if len(of_network) > 1 else {})
    rows = []
    for model, classes in networks.items():
        counts = classes.value_counts(sort=False)
        if counts.sum() != len(classes):
            raise AssertionError(f"classes must hold every unit once, got {counts.sum()} of {len(classes)}")
        rows.append({"what": RECORDED, "estimate": len(classes), "model": model, "unit": "1"})
        rows += [{"what": what, "estimate": int(n), "model": model, "unit": "1"} for what, n in counts.items()]
    return rows


def index_statistics(units: pd.DataFrame, about: dict[str, Any], seed: int, n_resamples: int) -> pd.DataFrame:
    """Return the modulation index of each layer in a control, or at another strength; `about` names which.

    ``confirmed``, the share of presentations in which the intended object is attended, is averaged over networks; of
    ``n_stimuli`` and ``n_stimuli_selection`` the network with the fewest counts.
    """
    name = "/".join(f"{key}={value}" for key, value in about.items())
    rows = []
    for layer, of_layer in units[included(units)].groupby(LAYER, sort=False):
        confirmed = of_layer.groupby(MODEL)["confirmed"].first()
        of_all = {"layer": layer, **about}
        of_all |= {column: int(of_layer[column].min()) for column in ("n_stimuli", "n_stimuli_selection")}
        for row in summarise(of_layer, MEASURES[:1], Draws(seed, n_resamples, f"{layer}/", f"/{name}")):
            share = confirmed[row["model"]] if row["model"] else confirmed.mean()
            rows.append({**row, **of_all, "confirmed": float(share)})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def similarity_statistics(
    units: pd.DataFrame, found: Mapping[str, Sequence[tuple[float, NDArray[np.float64]]]]
) -> pd.DataFrame:
    """Return what attention to the preferred class elsewhere does, a row a layer, averaged over networks.

    `found` is layer → `feature_similarity` of its driven units in each network, after the same permutations. The
    interval is the estimate less the middle 95 % of the null distribution; p is two-sided, over stimuli, and about
    these networks.
    """
    taking_part = units[units["excluded_by"] == ""]
    rows = []
    for layer in taking_part[LAYER].unique():
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
    return pd.DataFrame(rows).reindex(columns=COLUMNS).assign(model="")


def _clusters(units: pd.DataFrame, steps: list[str], seed: int) -> list[dict[str, Any]]:
    """Return the clusters of steps of a layer's index, over networks or over the channels of one."""
    n_models = len(set(units[MODEL]))
    several = n_models > 1
    key = MODEL if several else CHANNEL
    means = units.groupby(key)[steps].mean()
    # Of a step without a response in some network or channel nothing can be said; no difference is the cautious choice.
    values = means.fillna(0.0).to_numpy(np.float64)
    if len(values) < 2:
        return []
    clusters = cluster_permutation(values, named_generator(seed, units[LAYER].iloc[0], "clusters"))
    p = "p" if several else "p_within_network"
    over = f"{len(values)} network means" if several else f"{len(values)} channel means of one network"
    about = {"unit": "1", "test": f"cluster permutation over time steps, of {over}", "n_models": n_models}
    return [
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
