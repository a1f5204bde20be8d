"""What the statistics of the tuning protocol show: verdicts, each with the numbers that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from neuroattn.experiments.finding import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    Finding,
    clusters_of,
    numbers_of,
    other_gates,
    row_of,
    rows_of,
    warnings_of,
)
from neuroattn.experiments.tuning.units import NARROW_INCLUDED, TOO_NARROW
from neuroattn.statistics.control_share import SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells; bandwidth did not change.
BIOLOGY = {"V4": 1.26, "V1": 1.08}
SHAPE = {"shift": "shift", "bandwidth_change": "bandwidth change"}


class Size(NamedTuple):
    """How large a change of shape is: what it is called, its two forms (rows of statistics), and the bound of none."""

    name: str
    absolute: pd.Series[Any]
    crossvalidated: pd.Series[Any]
    bound: float


def sizes(of_layer: pd.DataFrame, suffix: str = "") -> list[Size]:
    """Return the mean sizes of the changes of shape, from the rows of one layer and reduction."""
    return [
        Size(
            text,
            row_of(of_layer, what=f"absolute_{what}{suffix}"),
            row_of(of_layer, what=f"crossvalidated_{what}{suffix}"),
            float(row_of(of_layer, what=f"absolute_{what}")["equivalence_high"]),
        )
        for what, text in SHAPE.items()
    ]


def verdict(of_layer: pd.DataFrame) -> str:
    """Return whether attention left the shape of a layer's curves on average: supported, contradicted or undecided.

    It looks at the sizes of shift and bandwidth change, because signed ones could cancel over units. Noise makes
    absolute sizes larger and cross-validated ones smaller, so each decides the question that it cannot decide wrongly:
    the claim is supported only if the 95 % t intervals of both mean absolute sizes lie below their bounds, and
    contradicted if that of a mean cross-validated size lies above its bound. It must come out alike with the units that
    are too narrow to resolve and without them, because which units those are depends on the outcome.
    """
    answers = {_decided(sizes(of_layer, suffix)) for suffix in ("", NARROW_INCLUDED)}
    return answers.pop() if len(answers) == 1 else UNDECIDED


def _decided(found: list[Size]) -> str:
    if all(size.absolute["cluster_mean_high"] < size.bound for size in found):
        return SUPPORTED
    if any(size.crossvalidated["cluster_mean_low"] > size.bound for size in found):
        return CONTRADICTED
    return UNDECIDED


def findings(statistics: pd.DataFrame) -> tuple[Finding, ...]:
    """Return what is claimed of every layer that has units to tell of it, by the maximum and by the mean over bars."""
    main = rows_of(statistics, model="", control="")
    gains = main[(main["what"] == "gain") & (main["n_units"] > 0)]
    return tuple(
        finding
        for reduction in dict.fromkeys(gains["reduction"])
        for layer in gains.loc[gains["reduction"] == reduction, "layer"]
        for finding in _of_layer(rows_of(main, layer=layer, reduction=reduction), layer, f"{reduction} over bars")
    )


def _of_layer(of_layer: pd.DataFrame, layer: str, condition: str) -> Iterator[Finding]:
    rows, estimates = [], []
    for suffix, included in (("", ""), (NARROW_INCLUDED, f", with units {TOO_NARROW}")):
        for name, absolute, crossvalidated, bound in sizes(of_layer, suffix):
            for form, row in (("absolute", absolute), ("cross-validated", crossvalidated)):
                rows.append(row)
                estimates.append(Estimate.of_mean(row, f"mean {form} {name}{included}", (-bound, bound), "°"))
    yield Finding(
        claim="Attention leaves the shape of tuning curves, on average over units",
        verdict=verdict(of_layer),
        layer=layer,
        condition=condition,
        rests_on=tuple(estimates),
        n=numbers_of(*rows),
        test=f"equivalence; t intervals over {clusters_of(rows[0])}",
        warnings=warnings_of(*rows),
        biology="bandwidth unchanged in V4 (McAdams & Maunsell 1999)",
    )
    yield from other_gates(rows_of(of_layer, what=SHARE), layer, condition)
