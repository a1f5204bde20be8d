"""Summary of a column of a unit table: estimate, interval, effect size and n at each level, and only then p.

Networks are the animals. Units of a feature channel share their weights, and channels of one network share its
training, so that neither is a replicate of the experiment: a population p value needs several networks.
"""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass
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
from neuroattn.statistics.sign_flip import sign_flip_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuroattn.statistics.least_squares import FloatArray

Row: TypeAlias = dict[str, Any]  # numbers, counts and texts

NAN = float("nan")
TESTED, SIZED, DESCRIBED = "tested", "sized", "described"
_OF_DIFFERENCE = ("p", "p_within_network", "effect_size")
_OF_EQUIVALENCE = ("p_equivalence", "p_equivalence_within_network")
_MEANS = ("cluster_mean", "cluster_mean_low", "cluster_mean_high")


def included(units: pd.DataFrame) -> pd.Series[bool]:
    """Return which units nothing excludes.

    >>> included(pd.DataFrame({"excluded_by": ["", "silent"]})).tolist()
    [True, False]
    """
    return units["excluded_by"] == ""


@dataclass(frozen=True)
class Measure:
    """How a column of a unit table is summarised.

    Attributes
    ----------
    name
        Of the column, before any suffix.
    kind
        ``tested`` against what no effect gives; ``sized``: a distance from no effect, which can only be compared with
        bounds; ``described``: neither test nor mean, because noise biases it, or because there is no null.
    unit
        Physical unit.
    null
        What no effect gives: 0 for a difference, 1 for a ratio.
    log
        Whether it is a ratio: cluster means, their test and the effect size are then taken on logarithms. Values ≤ 0
        count in the median but not in the cluster means, with a warning.
    limits
        Between which it lies, such as −1 and 1 for an index; intervals over networks then lie there too.
    bounds
        Of the equivalence test, in `unit`; None for no such test.
    sign_flip
        Whether the signs of the networks' effects are permuted as well.
    units
        Unit table → which units it is measured on.
    """

    name: str
    _: KW_ONLY
    kind: str = TESTED
    unit: str = "1"
    null: float = 0.0
    log: bool = False
    limits: tuple[float, float] | None = None
    bounds: tuple[float, float] | None = None
    sign_flip: bool = False
    units: Callable[[pd.DataFrame], pd.Series[bool]] = included

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(
                f"bounds must be (low, high) with low below high, got {self.bounds}; state them in that order"
            )
        if self.log and min(self.null, *(self.bounds or (self.null,))) <= 0:
            raise ValueError(
                f"null and bounds must be > 0 on the log scale, got {self.null} and {self.bounds}; pass ratios, or "
                "log=False"
            )

    @property
    def tests(self) -> str:
        """Against what it is tested, beside the null, in words."""
        if self.bounds is None:
            return ""
        low, high = self.bounds
        return f"; two one-sided t tests against {f'±{high:g}' if low == -high else f'{low:g} to {high:g}'}"


def estimate(
    units: pd.DataFrame,
    column: str,
    measure: Measure,
    generator: np.random.Generator | None = None,
    n_resamples: int = 2000,
) -> Row:
    """Summarise one column of one layer's unit table, and test it against a null value and equivalence bounds.

    The clusters are the networks where there are at least two, else the feature channels of the one, about which alone
    the tests then say something. A cluster's value is the mean over its units. Tests are one-sample t tests over
    cluster values (two-sided, or two one-sided ones for equivalence), which assumes that they are independent and about
    normal.

    Parameters
    ----------
    units : DataFrame
        One row a unit that takes part, with ``model``, ``channel`` and `column`. NaN values are dropped and counted;
        infinite ones (a ratio to nothing) are in the median, and in no mean, as a warning says.
    measure : Measure
        What the column is.
    generator : numpy.random.Generator, optional
        Of the bootstrap of one network, without which its median has no interval, or of several networks' sign flips.

    Returns
    -------
    dict
        ``estimate`` with its 95 % interval ``interval_low``, ``interval_high``: of one network the median over units
        with a hierarchical bootstrap of channels and units; of several the mean over networks of each one's median
        (geometric of ratios) with a t interval over networks, because percentiles of resamples are too narrow for few
        of them. Where no mean of the medians can be taken, it is their median between the smallest and the largest, and
        a warning says how sure that is;
        ``cluster_mean`` (geometric of ratios) with its 95 % t interval ``cluster_mean_low``, ``cluster_mean_high``;
        ``effect_size`` (dz: cluster mean minus null over the sd of the cluster means, of ratios on the log scale);
        ``n_models``, ``n_channels``, ``n_units``, ``n_missing``, of ratios ``n_zero`` and ``n_infinite`` (a state
        without a response); ``scope``; ``unit``; ``test`` (what was tested over what); ``p`` and
        ``p_within_network``, of which at most one is a number; ``p_sign_flip``, ``smallest_p_sign_flip`` if asked
        for; ``equivalence_low``, ``equivalence_high``, ``p_equivalence``, ``p_equivalence_within_network``;
        ``warnings``.

    Raises
    ------
    ValueError
        If a column is missing, or holds nothing for a unit.

    Examples
    --------
    >>> units = pd.DataFrame({"model": [*"aabbcc"], "channel": 0, "index": [0.1, 0.2, 0.3, 0.2, 0.2, 0.4]})
    >>> row = estimate(units, "index", Measure("index", limits=(-1, 1)))
    >>> round(row["estimate"], 3), round(row["p"], 3), row["scope"]
    (0.233, 0.034, '3 networks')
    """
    _require(units, column)
    log = measure.log
    numbers = units[column].to_numpy(np.float64, na_value=np.nan)
    known = ~np.isnan(numbers)
    kept, numbers = units.loc[known], numbers[known]
    finite, warnings = np.isfinite(numbers), []
    if not finite.all():
        warnings.append(f"{int((~finite).sum())} infinite values are in the median and not in the cluster means")
    if log and (numbers <= 0).any():
        warnings.append(f"{int((numbers <= 0).sum())} values <= 0 have no logarithm and are not in the cluster means")
    n_models = int(kept[MODEL].nunique())
    if n_models > 1:
        middle, warning = _over_networks(kept[MODEL], numbers, measure.limits, log=log)
    else:
        middle, warning = _of_one_network(kept, numbers, generator, n_resamples), ""
    means = _cluster_means(kept[finite], numbers[finite], [MODEL] if n_models > 1 else [MODEL, CHANNEL], log=log)
    tests, of_tests, of_flips = _tests(means, measure, n_models, generator)
    return {
        "unit": measure.unit,
        "estimate": middle.mean,
        "interval_low": middle.low,
        "interval_high": middle.high,
        **dict(zip(_MEANS, _mean(means, measure.limits, log=log), strict=True)),
        "n_models": n_models,
        "n_channels": int(kept.groupby([MODEL, CHANNEL], observed=True).ngroups),
        "n_units": len(kept),
        "n_missing": len(units) - len(kept),
        "n_zero": int((numbers == 0).sum()) if log else NAN,
        "n_infinite": int((numbers == np.inf).sum()) if log else NAN,
        **tests,
        "warnings": "; ".join(filter(None, [*warnings, *of_tests, warning, of_flips])),
    }


def estimates(
    units: pd.DataFrame, column: str, measure: Measure, generator: np.random.Generator, n_resamples: int = 2000
) -> Iterator[Row]:
    """Yield `estimate` of all networks together, whose ``model`` is "", and of several that of each by itself.

    The latter have no interval of the median and no p, and no family of tests holds them.

    >>> units = pd.DataFrame({"model": [*"aabbcc"], "channel": 0, "index": [0.1, 0.2, 0.3, 0.2, 0.2, 0.4]})
    >>> [row["model"] for row in estimates(units, "index", Measure("index"), np.random.default_rng(0))]
    ['', 'a', 'b', 'c']
    """
    yield {"model": "", **estimate(units, column, measure, generator, n_resamples)}
    alone = dataclasses.replace(measure, bounds=None, kind=SIZED if measure.kind == TESTED else measure.kind)
    for name, of_network in of_several(units):
        yield {"model": name, **estimate(of_network, column, alone)}


def of_several(units: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield every network's name with its units; nothing for a single network, whose rows are those of the table.

    >>> [(name, len(units)) for name, units in of_several(pd.DataFrame({"model": [*"aab"]}))]
    [('a', 2), ('b', 1)]
    """
    networks = units.groupby(MODEL, sort=False, observed=True)
    yield from ((str(name), of_network) for name, of_network in (networks if networks.ngroups > 1 else ()))


def adjust(p: pd.Series[float]) -> pd.Series[float]:
    """Return Benjamini–Hochberg (1995) adjusted p values; NaN stays NaN and does not count as a test.

    >>> adjust(pd.Series([0.01, 0.04, None])).tolist()
    [0.02, 0.04, nan]
    """
    values = p.to_numpy(np.float64, na_value=np.nan, copy=True)
    outside = values[(values < 0) | (values > 1)]
    if outside.size:
        raise ValueError(f"p must be in [0, 1] or NaN, got {outside[0]}; pass p values, not test statistics")
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = false_discovery_control(values[tested])
    return pd.Series(values, index=p.index, name=p.name)


def _tests(
    means: FloatArray, measure: Measure, n_models: int, generator: np.random.Generator | None
) -> tuple[Row, list[str], str]:
    """Return the tests over cluster means, under keys that say what they generalise to, and their warnings."""
    several, null = n_models > 1, float(np.log(measure.null)) if measure.log else measure.null
    effect_size, p, warning = _test_difference(means, null)
    equivalence = _test_equivalence(means, measure.bounds, log=measure.log)
    what = f"{len(means)} network means" if several else f"{len(means)} channel means of one network"
    against = f"{measure.null:g}" + (" on the log scale" if measure.log else "")
    key = "" if several else "_within_network"
    row: Row = {
        "scope": f"{n_models} networks" if several else "units of one network" if n_models else "no units",
        "test": f"two-sided one-sample t test of {what} against {against}{measure.tests}",
        **dict.fromkeys(("p", "p_within_network", *_OF_EQUIVALENCE), NAN),
        f"p{key}": p,
        f"p_equivalence{key}": equivalence.p if equivalence else NAN,
        "effect_size": effect_size,
        "equivalence_low": measure.bounds[0] if measure.bounds else NAN,
        "equivalence_high": measure.bounds[1] if measure.bounds else NAN,
    }
    of_flips = ""
    if measure.sign_flip and several and generator is not None:
        flipped = sign_flip_test(means - null, generator)
        row |= {"p_sign_flip": flipped.p, "smallest_p_sign_flip": flipped.smallest_p}
        of_flips = flipped.warning
    if measure.kind != TESTED:
        row |= {"test": f"none{measure.tests}", **dict.fromkeys(_OF_DIFFERENCE, NAN)}
    if measure.kind == DESCRIBED:
        row |= dict.fromkeys(_MEANS, NAN)
    return row, [warning, equivalence.warning if equivalence else ""], of_flips


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


def _test_difference(means: FloatArray, null: float) -> tuple[float, float, str]:
    """Return effect size (dz), two-sided p of a t test, and what is wrong with them."""
    n = len(means)
    if n < 2:
        return NAN, NAN, f"{n} cluster(s): a difference test needs at least 2"
    if is_constant(means[None])[0]:
        return (
            NAN,
            float(means[0] == null),
            (f"all {n} cluster means are equal: the difference test rests on no variance"),
        )
    mean, sd = float(means.mean()), float(means.std(ddof=1))
    return (mean - null) / sd, float(2 * stdtr(n - 1, -abs(mean - null) / (sd / np.sqrt(n)))), ""


def _test_equivalence(means: FloatArray, bounds: tuple[float, float] | None, *, log: bool) -> EquivalenceResult | None:
    if bounds is None:
        return None
    low, high = (float(np.log(bound)) if log else bound for bound in bounds)
    return equivalence_test(means, low, high)


def _require(units: pd.DataFrame, column: str) -> None:
    missing = [name for name in (MODEL, CHANNEL, column) if name not in units.columns]
    if missing:
        raise ValueError(
            f"units must have the columns {MODEL}, {CHANNEL} and {column}, got none named {', '.join(missing)}; "
            "pass a unit table"
        )
    unlabelled = int(units[[MODEL, CHANNEL]].isna().any(axis=1).sum())
    if unlabelled:
        raise ValueError(
            f"{MODEL} and {CHANNEL} must be given for every unit, got {unlabelled} without; label them first"
        )
