"""What the statistics of the tuning protocol show: verdicts, each with the numbers that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.finding import Estimate, Finding, intervals_of, numbers_of, warnings_of
from neuroattn.experiments.tuning.units import NARROW_INCLUDED, TOO_NARROW
from neuroattn.statistics.control_share import AS_MUCH, SHARE, compared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells; bandwidth did not change.
BIOLOGY = {"V4": 1.26, "V1": 1.08}
SHAPE = {"shift": "shift", "bandwidth_change": "bandwidth change"}


def verdict(statistics: pd.DataFrame, layer: str, reduction: str) -> str:
    """Return whether attention left the shape of a layer's curves on average: supported, contradicted or undecided.

    It looks at the sizes of shift and bandwidth change, because signed ones could cancel over units. Noise makes
    absolute sizes larger and cross-validated ones smaller, so each decides the question that it cannot decide wrongly:
    the claim is supported only if the 95 % t intervals of both mean absolute sizes lie below their bounds, and
    contradicted if that of a mean cross-validated size lies above its bound. It must come out alike with the units that
    are too narrow to resolve and without them, because which units those are depends on the outcome.
    """
    answers = {_decided(statistics, layer, reduction, suffix) for suffix in ("", NARROW_INCLUDED)}
    return answers.pop() if len(answers) == 1 else "undecided"


def _decided(statistics: pd.DataFrame, layer: str, reduction: str, suffix: str) -> str:
    bounds = [row_of(statistics, f"absolute_{what}", layer, reduction)["equivalence_high"] for what in SHAPE]
    absolute, crossvalidated = (
        [row_of(statistics, f"{form}_{what}{suffix}", layer, reduction) for what in SHAPE]
        for form in ("absolute", "crossvalidated")
    )
    if all(row["cluster_mean_high"] < bound for row, bound in zip(absolute, bounds, strict=True)):
        return "supported"
    if any(row["cluster_mean_low"] > bound for row, bound in zip(crossvalidated, bounds, strict=True)):
        return "contradicted"
    return "undecided"


def row_of(statistics: pd.DataFrame, what: str, layer: str, reduction: str) -> pd.Series[Any]:
    """Return the row of a measure of a layer, by one reduction over bars."""
    chosen = statistics[
        (statistics["what"] == what)
        & (statistics["layer"] == layer)
        & (statistics["reduction"] == reduction)
        & (statistics["control"] == "")
    ]
    return chosen.iloc[0]


def findings(statistics: pd.DataFrame) -> tuple[Finding, ...]:
    """Return what is claimed of every layer that has units to tell of it, by the maximum and by the mean over bars.

    Parameters
    ----------
    statistics
        What `neuroattn.experiments.tuning.summary` made, controls included.
    """
    main = statistics[(statistics["model"] == "") & (statistics["control"] == "")]
    gains = main[(main["what"] == "gain") & (main["n_units"] > 0)]
    return tuple(
        finding
        for reduction in dict.fromkeys(gains["reduction"])
        for layer in gains.loc[gains["reduction"] == reduction, "layer"]
        for finding in _of_layer(main, str(layer), str(reduction))
    )


def _of_layer(main: pd.DataFrame, layer: str, reduction: str) -> Iterator[Finding]:
    about = {"layer": layer, "condition": f"{reduction} over bars"}
    sizes = [*_sizes(main, layer, reduction)]
    rows = [row for row, _ in sizes]
    over = "networks" if rows[0]["n_models"] > 1 else "feature channels of one network"
    yield Finding(
        claim="Attention leaves the shape of tuning curves, on average over units",
        verdict=verdict(main, layer, reduction),
        **about,
        rests_on=tuple(estimate for _, estimate in sizes),
        n=numbers_of(*rows),
        test=f"equivalence; t intervals over {over}",
        warnings=warnings_of(*rows),
    )
    shares = main[(main["what"] == SHARE) & (main["layer"] == layer) & (main["reduction"] == reduction)]
    for _, share in shares.iterrows():
        yield Finding(
            claim="Gates of other stimuli do as much",
            verdict=compared(share),
            **about,
            rests_on=(Estimate.of_units(share, "share of each unit's difference that they leave", AS_MUCH),),
            n=numbers_of(share),
            test=f"equivalence; intervals {intervals_of(share)}",
            warnings=warnings_of(share),
        )


def _sizes(main: pd.DataFrame, layer: str, reduction: str) -> Iterator[tuple[pd.Series[Any], Estimate]]:
    """Yield the mean sizes that the verdict looks at, with the units too narrow to resolve and without them."""
    for suffix, units in (("", ""), (NARROW_INCLUDED, f", with units {TOO_NARROW}")):
        for what, text in SHAPE.items():
            bound = float(row_of(main, f"absolute_{what}", layer, reduction)["equivalence_high"])
            for form, of in (("absolute", "mean absolute"), ("crossvalidated", "mean cross-validated")):
                row = row_of(main, f"{form}_{what}{suffix}", layer, reduction)
                yield row, Estimate.of_mean(row, f"{of} {text}{units}", (-bound, bound), "°")
