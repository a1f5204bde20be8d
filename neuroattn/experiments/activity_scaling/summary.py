"""From the unit table of activity scaling to one row an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.dims import CHANNEL, LAYER, MODEL
from neuroattn.statistics.cluster_permutation import cluster_permutation
from neuroattn.statistics.estimates import with_texts
from neuroattn.statistics.mixed import mixed_model
from neuroattn.statistics.population import adjust, by_network, estimate
from neuroattn.statistics.resampling import named_generator
from neuroattn.statistics.sign_flip import sign_flip_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray


class _Measure(NamedTuple):
    """A column of the unit table.

    Attributes
    ----------
    unit
        Physical unit.
    null
        What no effect gives.
    log
        Whether it is a ratio, tested on logarithms.
    limits
        Between which it lies.
    """

    unit: str
    null: float = 0.0
    log: bool = False
    limits: tuple[float, float] | None = None


MEASURES = {
    "modulation_index": _Measure("1", limits=(-1.0, 1.0)),
    "gain_ratio": _Measure("1", null=1.0, log=True),
    "difference": _Measure("response"),
    "d_prime": _Measure("1"),
    "roc_area": _Measure("1", null=0.5, limits=(0.0, 1.0)),
    "slope": _Measure("1", null=1.0),
    "intercept": _Measure("response"),
    "offset_share": _Measure("1"),
    "slope_proportional": _Measure("1", null=1.0),
    "offset_share_proportional": _Measure("1"),
}
INDEX = "modulation_index"
SHARE = "share_of_shuffled_gates"
RECORDED, RESPONDING = "n_recorded", "n_responding in both states"
# An effect this small may be the rounding of equal responses.
NOTHING = 1e-3
COLUMNS = [
    "what", "layer", "model", "against", "time_step", "last_step", "strength", "control", "confirmed", "unit",
    "estimate", "interval_low", "interval_high", "cluster_mean", "cluster_mean_low", "cluster_mean_high",
    "effect_size", "n_models", "n_channels", "n_units", "n_missing", "n_stimuli", "n_stimuli_of_unit",
    "n_stimuli_selection", "n_stimuli_dropped", "scope", "test", "p", "p_adjusted", "p_within_network",
    "p_within_network_adjusted", "p_sign_flip", "smallest_p_sign_flip", "converged", "warnings",
]  # fmt: skip


def summarise(units: pd.DataFrame, seed: int, n_resamples: int) -> pd.DataFrame:
    """Return an estimate for every measure and layer, the time course of the index, and the mixed model.

    Parameters
    ----------
    units
        `neuroattn.experiments.activity_scaling.units.scaling_units` of one network or more, with the columns
        ``modulation_index_step_{t}``.
    seed, n_resamples
        Of the hierarchical bootstrap, and of permutations; every estimate has a generator of its own, by its name.

    Returns
    -------
    pandas.DataFrame
        Estimates are medians over driven units, over several networks their means; ``cluster_mean`` is over networks,
        or over the feature channels of one; ``model`` names the network of a row that is about one of several, and is
        "" otherwise. Rows ``n_…`` count units, each of which is in one of the classes. Rows ``cluster`` are runs of
        time steps whose index is not 0 (``time_step`` to ``last_step``). Without adjusted p values; see `adjusted`.
    """
    taking_part = units[units["excluded_by"] == ""]
    rows: list[dict[str, Any]] = []
    for layer, of_layer in taking_part.groupby(LAYER, sort=False):
        for what, measure in MEASURES.items():
            about = {"what": what, "layer": layer}
            rows.append({**about, **_estimate(of_layer, what, measure, seed, n_resamples)})
            rows += [
                {**about, "unit": measure.unit, "test": row.pop("difference_test"), **row}
                for row in by_network(of_layer, what, log=measure.log, limits=measure.limits)
            ]
        if SHARE in of_layer:
            rows += [{"what": SHARE, "layer": layer, **row} for row in _share(of_layer, seed, n_resamples)]
        steps = [name for name in map(str, of_layer.columns) if name.startswith(f"{INDEX}_step_")]
        for step, column in enumerate(steps):
            row = _estimate(of_layer, column, MEASURES[INDEX], seed, n_resamples)
            rows.append({"what": INDEX, "layer": layer, "time_step": step, **row})
        rows += [{"layer": layer, **row} for row in _clusters(of_layer, steps, seed)]
    if len(set(taking_part[MODEL])) > 1:
        rows += _mixed(taking_part)
    for layer, of_layer in units.groupby(LAYER, sort=False):
        rows += [{"layer": layer, **row} for row in _counts(of_layer)]
    # The median over units: of stimuli in which they do not see their object alone they are not measured.
    of_unit = taking_part.groupby(LAYER)["n_stimuli"].median()
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return table.assign(n_stimuli_of_unit=table["layer"].map(of_unit), model=table["model"].fillna(""))


def _share(units: pd.DataFrame, seed: int, n_resamples: int) -> Iterator[dict[str, Any]]:
    """Yield what gates of other stimuli leave of a unit's difference, of all networks and of each, without a test."""
    generator = named_generator(seed, units[LAYER].iloc[0], SHARE)
    whole = estimate(units, SHARE, null=1.0, bounds=None, generator=generator, n_resamples=n_resamples)
    untested = {"test": "none", "effect_size": np.nan, "p": np.nan, "p_within_network": np.nan, "unit": "1"}
    for row in (whole, *by_network(units, SHARE)):
        del row["difference_test"]
        yield row | untested


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


def summarise_index(units: pd.DataFrame, about: dict[str, Any], seed: int, n_resamples: int) -> pd.DataFrame:
    """Return the modulation index of each layer in a control, or at another strength; `about` names which.

    The column ``confirmed`` of the units, the share of presentations in which the intended object is attended, is
    averaged over networks; of ``n_stimuli`` and ``n_stimuli_selection`` the network with the fewest counts.
    """
    name = "/".join(f"{key}={value}" for key, value in about.items())
    rows = []
    for layer, of_layer in units[units["excluded_by"] == ""].groupby(LAYER, sort=False):
        confirmed = float(of_layer.groupby(MODEL)["confirmed"].first().mean())
        numbers: dict[str, Any] = {name: int(of_layer[name].min()) for name in ("n_stimuli", "n_stimuli_selection")}
        row = {"what": INDEX, "layer": layer, "model": "", "confirmed": confirmed, **numbers, **about}
        measure = MEASURES[INDEX]
        rows.append({**row, **_estimate(of_layer, INDEX, measure, seed, n_resamples, name)})
        for of_network in by_network(of_layer, INDEX, limits=measure.limits):
            share = float(of_layer.loc[of_layer[MODEL] == of_network["model"], "confirmed"].iloc[0])
            test = of_network.pop("difference_test")
            rows.append({**row, "unit": measure.unit, "test": test, **of_network, "confirmed": share})
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
        Layer → `feature_similarity` of its driven units in each network, after the same permutations.

    Returns
    -------
    pandas.DataFrame
        The interval is the estimate less the middle 95 % of the null distribution; p is two-sided, over stimuli, and
        about these networks.
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


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values.

    A family is all measures, steps and layers of the networks themselves, or of one control; strengths are one more,
    and the mixed model another, which stands beside the tests of layers.
    """
    table = with_texts(statistics)
    families = [table["control"], table["strength"].notna(), table["what"].str.startswith("mixed model")]
    grouped = table.groupby(families, sort=False)
    return table.assign(
        p_adjusted=grouped["p"].transform(adjust),
        p_within_network_adjusted=grouped["p_within_network"].transform(adjust),
    )[COLUMNS]


def _estimate(
    units: pd.DataFrame, column: str, measure: _Measure, seed: int, n_resamples: int, name: str = ""
) -> dict[str, Any]:
    """Return an estimate with its tests; `name` says of what control or strength it is."""
    generator = named_generator(seed, units[LAYER].iloc[0], column, name)
    row = estimate(
        units,
        column,
        null=measure.null,
        bounds=None,
        generator=generator,
        n_resamples=n_resamples,
        log=measure.log,
        limits=measure.limits,
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
