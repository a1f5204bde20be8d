"""Summary of a unit table: estimate, interval, effect size and n at each level, and only then p.

Networks are the animals. Units of a feature channel share their weights, and channels of one network share its
training, so that neither is a replicate of the experiment: a population p value needs several networks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import stdtr
from scipy.stats import false_discovery_control

from neuroattn.dims import CHANNEL, MODEL
from neuroattn.statistics.curves import is_constant
from neuroattn.statistics.equivalence import EquivalenceResult, equivalence_test
from neuroattn.statistics.intervals import MeanInterval, limited_interval, t_interval
from neuroattn.statistics.resampling import hierarchical_bootstrap, median

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuroattn.statistics.least_squares import FloatArray

# Numbers, counts and texts, one row of a table.
Summary: TypeAlias = dict[str, Any]

NAN = float("nan")
# Rows of one network stand beside those of all: nothing is tested in them, and no family of tests holds them.
# What is said of an estimate that is a median over networks, with its confidence.
INTERVAL_OF_MEDIANS = re.compile(r"smallest and the largest, an interval of ([\d.]+) %")
_P_VALUES = ("p", "p_within_network", "p_equivalence", "p_equivalence_within_network")


@dataclass(frozen=True, kw_only=True)
class _DifferenceTest:
    effect_size: float
    p: float
    warning: str


def estimate(
    units: pd.DataFrame,
    value: str,
    *,
    null: float,
    bounds: tuple[float, float] | None,
    generator: np.random.Generator | None,
    n_resamples: int = 2000,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Summary:
    """Summarise one column of one layer's unit table, and test it against a null value and equivalence bounds.

    The clusters are the networks where there are at least two. With one network they are its feature channels; the
    tests then say something about that network alone, and the population p values are NaN. A cluster's value is the
    mean over its units. Tests are one-sample t tests over cluster values (for the difference two-sided, for
    equivalence two one-sided ones), which assumes that cluster means are independent and about normal.

    Parameters
    ----------
    units : DataFrame
        One row a unit, with the columns ``model``, ``channel`` and `value`. NaN values are dropped and counted. A
        median needs no finite values, so infinite ones (a ratio to nothing) stay in the estimate and its interval; they
        have no place in a mean, and a warning counts them.
    value : str
    null : float
        What no effect would give: 0 for a difference, 1 for a ratio.
    bounds : (float, float) or None
        Equivalence bounds, in units of the value; None for no equivalence test.
    generator : numpy.random.Generator or None
        Of the hierarchical bootstrap of one network; None leaves the interval of its median out (NaN).
    n_resamples : int
        Of that bootstrap.
    log : bool
        Take cluster means, their test and the effect size on logarithms, as ratios need. Values ≤ 0 then count in the
        median but not in the cluster means, with a warning.
    limits : (float, float), optional
        Between which the value lies, such as −1 and 1 for an index; intervals over networks then lie there too.

    Returns
    -------
    dict
        ``estimate`` with its 95 % interval ``interval_low``, ``interval_high``: of one network the median over units
        with a hierarchical bootstrap of channels and units; of several the mean over networks of each one's median
        (geometric if `log`) with a t interval over networks, because percentiles of resamples are too narrow for few of
        them. Where a network's median is infinite, or has no logarithm, it is the median over networks between the
        smallest and the largest of them, and a warning says how sure that is;
        ``cluster_mean`` (mean over clusters; geometric if `log`) with its 95 % t interval ``cluster_mean_low``,
        ``cluster_mean_high``; ``effect_size`` (dz: cluster mean minus null over the sd of the cluster means, on the
        log scale if `log`); ``n_models``, ``n_channels``, ``n_units``, ``n_missing``; ``scope``; ``difference_test``
        (what was tested over what); ``p`` and ``p_within_network``, of which at most one is a number;
        ``equivalence_low``, ``equivalence_high``, ``p_equivalence``, ``p_equivalence_within_network``; ``warnings``.

    Raises
    ------
    ValueError
        If a column is missing, bounds are out of order, or null or bounds have no logarithm.
    """
    _require(units, value, null, bounds, log)
    numbers = units[value].to_numpy(np.float64, na_value=np.nan)
    known = ~np.isnan(numbers)
    kept, numbers = units.loc[known], numbers[known]
    finite, warnings = np.isfinite(numbers), []
    if not finite.all():
        warnings.append(f"{int((~finite).sum())} infinite values are in the median and not in the cluster means")
    n_models = int(kept[MODEL].nunique())
    means = _cluster_means(kept[finite], numbers[finite], [MODEL] if n_models > 1 else [MODEL, CHANNEL], log=log)
    if log and (numbers <= 0).any():
        warnings.append(f"{int((numbers <= 0).sum())} values <= 0 have no logarithm and are not in the cluster means")
    difference = _test_difference(means, float(np.log(null)) if log else null)
    equivalence = _test_equivalence(means, bounds, log=log)
    warnings += [text for text in (difference.warning, equivalence.warning if equivalence else "") if text]
    mean = _mean(means, limits, log=log)
    if n_models > 1:
        middle, warning = _over_networks(kept[MODEL], numbers, limits, log=log)
        warnings += [warning] if warning else []
    else:
        middle = _of_one_network(kept, numbers, generator, n_resamples)
    return {
        "estimate": middle.mean,
        "interval_low": middle.low,
        "interval_high": middle.high,
        "cluster_mean": mean.mean,
        "cluster_mean_low": mean.low,
        "cluster_mean_high": mean.high,
        "effect_size": difference.effect_size,
        "n_models": n_models,
        "n_channels": int(kept.groupby([MODEL, CHANNEL], observed=True).ngroups),
        "n_units": len(kept),
        "n_missing": len(units) - len(kept),
        **_p_values(difference, equivalence, n_models, len(means), f"{null:g}" + (" on the log scale" if log else "")),
        "equivalence_low": bounds[0] if bounds else NAN,
        "equivalence_high": bounds[1] if bounds else NAN,
        "warnings": "; ".join(warnings),
    }


def by_network(
    units: pd.DataFrame, value: str, *, log: bool = False, limits: tuple[float, float] | None = None
) -> Iterator[Summary]:
    """Yield `estimate` of every network by itself, with its name under ``model``.

    There is no interval of the median and no p; ``cluster_mean`` with its t interval is over the feature channels of
    that network. Nothing is yielded for a single network, whose estimate is that of the table.
    """
    networks = units.groupby(MODEL, sort=False, observed=True)
    for name, of_network in networks if networks.ngroups > 1 else ():
        null = 1.0 if log else 0.0
        row = estimate(of_network, value, null=null, bounds=None, generator=None, log=log, limits=limits)
        yield {"model": name, **row, "difference_test": "none", "effect_size": NAN, **dict.fromkeys(_P_VALUES, NAN)}


def adjust(p: pd.Series[float]) -> pd.Series[float]:
    """Return Benjamini–Hochberg adjusted p values; NaN stays NaN and does not count as a test.

    Controls the false discovery rate of independent or positively dependent tests.

    Raises
    ------
    ValueError
        If a p value is outside [0, 1].

    References
    ----------
    Benjamini & Hochberg 1995, J. R. Statist. Soc. B 57:289.
    """
    values = p.to_numpy(np.float64, na_value=np.nan, copy=True)
    outside = values[(values < 0) | (values > 1)]
    if outside.size:
        raise ValueError(f"p must be in [0, 1] or NaN, got {outside[0]}; pass p values, not test statistics")
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = false_discovery_control(values[tested])
    return pd.Series(values, index=p.index, name=p.name)


def _p_values(
    difference: _DifferenceTest, equivalence: EquivalenceResult | None, n_models: int, n_clusters: int, null: str
) -> Summary:
    """Return the p values under the keys that say what they generalise to."""
    p_equivalence = equivalence.p if equivalence else NAN
    several = n_models > 1
    what = f"{n_clusters} network means" if several else f"{n_clusters} channel means of one network"
    return {
        "scope": f"{n_models} networks" if several else "units of one network" if n_models else "no units",
        "difference_test": f"two-sided one-sample t test of {what} against {null}",
        "p": difference.p if several else NAN,
        "p_within_network": NAN if several else difference.p,
        "p_equivalence": p_equivalence if several else NAN,
        "p_equivalence_within_network": NAN if several else p_equivalence,
    }


def _cluster_means(units: pd.DataFrame, numbers: FloatArray, keys: list[str], *, log: bool) -> FloatArray:
    """Return the mean of `numbers` (or of their logarithms) over the units of every cluster, (cluster,)."""
    usable = numbers > 0 if log else np.ones(len(numbers), dtype=bool)
    scaled = np.log(numbers[usable]) if log else numbers
    code = units.loc[usable, keys].groupby(keys, observed=True).ngroup().to_numpy()
    return np.asarray(np.bincount(code, weights=scaled) / np.bincount(code))


def _mean(means: FloatArray, limits: tuple[float, float] | None, *, log: bool) -> MeanInterval:
    """Return the mean over clusters with its interval, on the scale of the value."""
    if limits is not None and not log:
        return limited_interval(np.clip(means, *limits), limits)  # rounding alone leads beyond
    interval = t_interval(means)
    return MeanInterval(*(float(np.exp(one)) for one in interval)) if log else interval


def _of_one_network(
    units: pd.DataFrame, numbers: FloatArray, generator: np.random.Generator | None, n_resamples: int
) -> MeanInterval:
    """Return the median over units of one network, with its bootstrap interval."""
    if not len(numbers) or generator is None:
        return MeanInterval(median(numbers) if len(numbers) else NAN, NAN, NAN)
    labels = [units[MODEL].to_numpy(), units[CHANNEL].to_numpy()]
    low, high = hierarchical_bootstrap(numbers, labels, "median", n_resamples, generator)
    return MeanInterval(median(numbers), low, high)


def _over_networks(
    network: pd.Series[str], numbers: FloatArray, limits: tuple[float, float] | None, *, log: bool
) -> tuple[MeanInterval, str]:
    """Return the mean of the networks' medians with its interval, and a warning where that must be another."""
    code, _ = pd.factorize(network)
    medians = np.array([median(numbers[code == one]) for one in range(code.max() + 1)])
    if np.isfinite(medians).all() and not (log and (medians <= 0).any()):
        return _mean(np.log(medians) if log else medians, limits, log=log), ""
    n = len(medians)
    return MeanInterval(median(medians), float(medians.min()), float(medians.max())), (
        f"networks have medians of which no mean can be taken: the estimate is the median of {n} networks between the "
        f"smallest and the largest, an interval of {100 * (1 - 2.0 ** (1 - n)):.4g} %"
    )


def _test_difference(means: FloatArray, null: float) -> _DifferenceTest:
    n = len(means)
    if n < 2:
        warning = f"{n} cluster(s): a difference test needs at least 2"
        return _DifferenceTest(effect_size=NAN, p=NAN, warning=warning)
    if is_constant(means[None])[0]:
        warning = f"all {n} cluster means are equal: the difference test rests on no variance"
        return _DifferenceTest(effect_size=NAN, p=float(means[0] == null), warning=warning)
    mean, sd = float(means.mean()), float(means.std(ddof=1))
    p = float(2 * stdtr(n - 1, -abs(mean - null) / (sd / np.sqrt(n))))
    return _DifferenceTest(effect_size=(mean - null) / sd, p=p, warning="")


def _test_equivalence(means: FloatArray, bounds: tuple[float, float] | None, *, log: bool) -> EquivalenceResult | None:
    if bounds is None:
        return None
    low, high = (float(np.log(bound)) if log else bound for bound in bounds)
    return equivalence_test(means, low, high)


def _require(units: pd.DataFrame, value: str, null: float, bounds: tuple[float, float] | None, log: bool) -> None:
    missing = [column for column in (MODEL, CHANNEL, value) if column not in units.columns]
    if missing:
        raise ValueError(
            f"units must have the columns {MODEL}, {CHANNEL} and {value}, got none named {', '.join(missing)}; "
            "pass a unit table"
        )
    unlabelled = int(units[[MODEL, CHANNEL]].isna().any(axis=1).sum())
    if unlabelled:
        raise ValueError(
            f"{MODEL} and {CHANNEL} must be given for every unit, got {unlabelled} without; label them first"
        )
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be (low, high) with low below high, got {bounds}; state them in that order")
    if log and min(null, *(bounds or (null,))) <= 0:
        raise ValueError(
            f"null and bounds must be > 0 on the log scale, got {null} and {bounds}; pass ratios, or log=False"
        )
