"""From a unit table to tidy rows: estimates of its measures, shares and counts of units, families of tests.

Every kind of row comes for all networks together, whose ``model`` is "", and beside it for each of several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuroattn.dims import LAYER
from neuroattn.statistics.estimates import with_texts
from neuroattn.statistics.intervals import fraction_interval
from neuroattn.statistics.population import Measure, Row, adjust, estimates, of_several
from neuroattn.statistics.resampling import named_generator
from neuroattn.statistics.shares import numbers, share

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

COLUMNS = (
    *("what", "model", "layer", "control", "unit", "estimate", "interval_low", "interval_high"),
    *("cluster_mean", "cluster_mean_low", "cluster_mean_high", "effect_size", "n_models", "n_channels", "n_units"),
    *(
        "n_missing",
        "n_zero",
        "n_infinite",
        "n_stimuli",
        "scope",
        "test",
        "p",
        "p_adjusted",
        "p_within_network",
        "p_within_network_adjusted",
    ),
    *("p_sign_flip", "smallest_p_sign_flip", "equivalence_low", "equivalence_high", "p_equivalence"),
    *("p_equivalence_within_network", "warnings"),
)


@dataclass(frozen=True)
class Draws:
    """The random numbers of a bootstrap, a stream for each name: no row's depend on which other rows there are.

    `before` and `after` stand in a stream's name before and after that of its measure.
    """

    seed: int
    n_resamples: int
    before: str = ""
    after: str = ""

    def stream(self, what: str) -> np.random.Generator:
        """Return the generator of one row."""
        return named_generator(self.seed, f"{self.before}{what}{self.after}")


def summarise(units: pd.DataFrame, measures: Iterable[Measure], draws: Draws, suffix: str = "") -> Iterator[Row]:
    """Yield ``what, model`` and `estimate` of every measure whose column ``{name}{suffix}`` a layer's unit table has.

    The table has ``model``, ``channel`` and what a measure's choice of units needs (``excluded_by``).

    >>> units = pd.DataFrame({"model": [*"aab"], "channel": 0, "index": [0.1, 0.2, 0.4], "excluded_by": ""})
    >>> rows = summarise(units, [Measure("index"), Measure("ratio")], Draws(seed=0, n_resamples=100))
    >>> [(row["what"], row["model"]) for row in rows]
    [('index', ''), ('index', 'a'), ('index', 'b')]
    """
    for measure in measures:
        column = measure.name + suffix
        if column in units:
            shown, stream = units[measure.units(units)], draws.stream(measure.name)
            for row in estimates(shown, column, measure, stream, draws.n_resamples):
                yield {"what": measure.name, **row}


def shares(what: str, units: pd.DataFrame, holds: pd.Series[bool], draws: Draws) -> Iterator[Row]:
    """Yield the rows of the share of units for which something holds; none of no units.

    >>> units = pd.DataFrame({"model": "a", "channel": [0, 0, 1, 1], "holds": [True, True, True, False]})
    >>> [row["estimate"] for row in shares("tuned", units, units["holds"], Draws(seed=0, n_resamples=100))]
    [0.75]
    """
    if units.empty:
        return
    about, units = {"what": what, "unit": "1"}, units.assign(holds=holds.to_numpy(np.bool_))
    yield {**about, "model": "", **share(units, units["holds"], draws.stream(what), draws.n_resamples)}
    for name, of_network in of_several(units):
        yield {**about, "model": name, **share(of_network, of_network["holds"])}


def counts(what: str, units: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows that count units.

    >>> [row["estimate"] for row in counts("n_units", pd.DataFrame({"model": [*"aab"], "channel": 0}))]
    [3, 2, 1]
    """
    for name, counted in (("", units), *of_several(units)):
        yield {"what": what, "model": name, "unit": "1", "estimate": len(counted), **numbers(counted)}


def exclusions(units: pd.DataFrame) -> Iterator[Row]:
    """Yield how many units of a layer there are, and how many are left out by what (``excluded_by``).

    >>> units = pd.DataFrame({"model": "a", "channel": 0, "excluded_by": ["", "silent", "silent"]})
    >>> [(row["what"], row["estimate"]) for row in exclusions(units)]
    [('n_recorded_units', 3), ('n_excluded: silent', 2)]
    """
    yield from counts("n_recorded_units", units)
    for reason, left_out in units[units["excluded_by"] != ""].groupby("excluded_by"):
        yield from counts(f"n_excluded: {reason}", left_out)


def confirmed(of_network: Mapping[str, float]) -> Iterator[Row]:
    """Yield in which share of presentations attention was confirmed, from network → share.

    >>> [float(row["estimate"]) for row in confirmed({"a": 1.0, "b": 0.5})]
    [0.75, 1.0, 0.5]
    """
    mean, low, high = fraction_interval(list(of_network.values()))
    about = {"what": "share_confirmed", "unit": "1"}
    yield {
        **about,
        "model": "",
        "n_models": len(of_network),
        "estimate": mean,
        "interval_low": low,
        "interval_high": high,
    }
    for name, value in of_network.items() if len(of_network) > 1 else ():
        yield {**about, "model": name, "n_models": 1, "estimate": value}


def summary(
    units: pd.DataFrame, measures: Sequence[Measure], seed: int, n_resamples: int, control: str = ""
) -> pd.DataFrame:
    """Return the estimates of all measures and the counts of units of every layer, for a protocol that has no others.

    `units` has ``model, layer, channel, excluded_by``, the measures and, where they are known, ``n_stimuli``; layers
    keep their order. With `COLUMNS`, and without adjusted p values; see `adjusted`.

    >>> units = pd.DataFrame({"model": [*"aab"], "layer": "stage1", "channel": 0, "index": [0.1, 0.2, 0.4]})
    >>> summary(units.assign(excluded_by=""), [Measure("index")], 0, 100)["what"].unique().tolist()
    ['index', 'n_recorded_units']
    """
    rows: list[Row] = []
    for layer, of_layer in units.groupby(LAYER, sort=False):
        draws = Draws(seed, n_resamples, f"{control}/{layer}/")
        found = [*summarise(of_layer, measures, draws), *exclusions(of_layer)]
        if "n_stimuli" in of_layer:
            found = [{**row, "n_stimuli": int(of_layer["n_stimuli"].min())} for row in found]
        rows += [{**row, "layer": layer, "control": control} for row in found]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame, *families: Hashable | pd.Series[bool]) -> pd.DataFrame:
    """Return a table with Benjamini–Hochberg adjusted p values of its difference tests.

    A family is all tests of one control, or of the networks themselves, that `families` (columns, or one value a row)
    does not tell apart. Equivalence is claimed only where all of its tests pass, which needs no adjustment.

    >>> table = pd.DataFrame({"control": "", "layer": ["stage1", "stage1", "stage2"], "p": [0.01, 0.04, 0.04]})
    >>> adjusted(table, "layer")["p_adjusted"].tolist()
    [0.02, 0.04, 0.04]
    """
    table = with_texts(statistics)
    grouped = table.groupby(["control", *families], sort=False)
    columns = [name for name in ("p", "p_within_network") if name in table]
    return table.assign(**{f"{name}_adjusted": grouped[name].transform(adjust) for name in columns})
