"""What the statistics of activity scaling show: verdicts, each with the numbers that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.activity_scaling.summary import INDEX, NOTHING
from neuroattn.experiments.finding import (
    UNDECIDED,
    Estimate,
    Finding,
    clusters_of,
    intervals_of,
    numbers_of,
    other_gates,
    row_of,
    rows_of,
    verdict_of_mean,
    warnings_of,
)
from neuroattn.statistics.control_share import SHARE, clusters

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells, as (gain − 1)/(gain + 1).
BIOLOGY = {"V4": 0.115, "V1": 0.038}
SOURCE = "McAdams & Maunsell 1999"
# What counts as no gain, and as no offset (in mean responses): half of what the least gain of the biology, 1.08, does.
NO_GAIN, NO_OFFSET = (1 / 1.04, 1.04), (-0.04, 0.04)
# Of the index: half the least of the biology.
NO_EFFECT = (-0.019, 0.019)


def verdict(of_layer: pd.DataFrame) -> str:
    """Return whether attention to a unit's own object increases its activity, from the rows of a layer."""
    return verdict_of_mean(row_of(of_layer, what=INDEX), 0.0, NO_EFFECT)


def form(of_layer: pd.DataFrame) -> str:
    """Return the form of the effect, from the rows of a layer: multiplicative, additive, both, neither, or undecided.

    By the printed intervals of slope and offset, of the line with errors of equal variance and of that with errors in
    proportion to the response: there is a gain where the interval of the slope excludes 1, none where it lies within
    `NO_GAIN`, and likewise an offset. Where one of them cannot be told, or the two lines disagree, it is undecided.
    """
    found = []
    for what, null, nothing in (("slope", 1.0, NO_GAIN), ("offset_share", 0.0, NO_OFFSET)):
        equal, proportional = (
            _there(row_of(of_layer, what=f"{what}{kind}"), null, nothing) for kind in ("", "_proportional")
        )
        if {equal, proportional} == {True, False}:
            return "undecided: it depends on which state's responses scatter more"
        found.append(equal if equal == proportional else None)
    gain, offset = found
    names: dict[tuple[bool | None, bool | None], str] = {
        (True, False): "multiplicative",
        (False, True): "additive",
        (True, True): "multiplicative and additive",
        (False, False): "neither multiplicative nor additive",
    }
    return names.get((gain, offset), UNDECIDED)


def _there(row: pd.Series[Any], null: float, nothing: tuple[float, float]) -> bool | None:
    """Return whether an estimate differs from no effect; None where that cannot be told."""
    low, high = row["interval_low"], row["interval_high"]
    if clusters(row) < 2:  # an interval from one has no width, and says nothing
        return None
    if nothing[0] <= low and high <= nothing[1]:
        return False
    return True if not low <= null <= high and abs(row["estimate"] - null) > NOTHING else None


def whole(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all networks together, over all time steps, without controls and other strengths."""
    return rows_of(statistics, model="", control="", strength=None, time_step=None)


def findings(statistics: pd.DataFrame) -> tuple[Finding, ...]:
    """Return what is claimed of every layer that has units to tell of it."""
    main = whole(statistics)
    layers = rows_of(main, what=INDEX)["layer"]
    return tuple(finding for layer in layers for finding in _of_layer(rows_of(main, layer=layer), layer))


def _of_layer(of_layer: pd.DataFrame, layer: str) -> Iterator[Finding]:
    index, slope = row_of(of_layer, what=INDEX), row_of(of_layer, what="slope")
    yield Finding(
        claim="Attention to its object increases a unit's activity",
        verdict=verdict(of_layer),
        layer=layer,
        rests_on=(Estimate.of_mean(index, "mean modulation index", NO_EFFECT),),
        n=numbers_of(index),
        test=f"t interval over {clusters_of(index)}",
        warnings=warnings_of(index),
        biology=f"modulation index {', '.join(f'{value:g} in {area}' for area, value in BIOLOGY.items())} ({SOURCE})",
    )
    lines = {
        "slope": ("slope", NO_GAIN),
        "slope_proportional": ("slope, errors in proportion to the response", NO_GAIN),
        "offset_share": ("offset, of the mean response", NO_OFFSET),
        "offset_share_proportional": ("offset, errors in proportion to the response", NO_OFFSET),
    }
    yield Finding(
        claim="Does attention multiply responses, add to them, or both?",
        verdict=form(of_layer),
        layer=layer,
        rests_on=tuple(
            Estimate.of_units(row_of(of_layer, what=name), text, bounds) for name, (text, bounds) in lines.items()
        ),
        n=numbers_of(slope),
        test="Deming regression over stimuli; intervals " + intervals_of(slope),
        warnings=warnings_of(slope),
        biology=f"multiplicative in V4 ({SOURCE})",
    )
    yield from other_gates(rows_of(of_layer, what=SHARE), layer)
