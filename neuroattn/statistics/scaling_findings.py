"""What the statistics of activity scaling show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.statistics.scaling_summary import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells, as (gain − 1)/(gain + 1).
BIOLOGY = {"V4": 0.115, "V1": 0.038}


def ceiling(strength: float) -> tuple[float, float]:
    """Return the largest index one gate of a strength can give a linear unit: gates in 0 … 1, and in −1 … 1.

    A gate g turns its input x into x·(1 − s·g). Attended and unattended are at most 1 and 1 − s apart with gates in
    0 … 1, and 1 + s and 1 − s with gates in −1 … 1. Gates of several stages compound, and rectification can exceed it.
    """
    return strength / (2 - strength), strength


def verdict(statistics: pd.DataFrame, layer: str) -> str:
    """Return whether attention to a unit's own object increases its activity: supported, contradicted or undecided.

    By the 95 % interval of the mean index, over networks, or over the feature channels of one.
    """
    row = _row(statistics, "modulation_index", layer)
    if row["cluster_mean_low"] > 0:
        return "supported"
    return "contradicted" if row["cluster_mean_high"] < 0 else "undecided"


def form(statistics: pd.DataFrame, layer: str) -> str:
    """Return the form of the effect by the intervals of slope and offset: multiplicative, additive, both or neither.

    Those of the medians: the slope of a unit that hardly responds in one state is very large.
    """
    slope, offset = (_row(statistics, what, layer) for what in ("slope", "intercept"))
    gain = abs(slope["estimate"] - 1) > NOTHING and not slope["interval_low"] <= 1 <= slope["interval_high"]
    shift = abs(offset["estimate"]) > NOTHING and not offset["interval_low"] <= 0 <= offset["interval_high"]
    return {
        (True, False): "multiplicative",
        (False, True): "additive",
        (True, True): "multiplicative and additive",
    }.get((gain, shift), "neither multiplicative nor additive")


def findings(statistics: pd.DataFrame, strengths: Sequence[float]) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    Parameters
    ----------
    statistics
        `neuroattn.statistics.scaling_summary.summarise`, with the rows of controls and strengths.
    strengths
        Gate strengths of the networks.
    """
    main = statistics[statistics["control"].isna() & statistics["strength"].isna()]
    measured = main[(main["what"] == "modulation_index") & main["time_step"].isna()]
    if measured.empty:
        return ["No unit is driven: nothing can be said of attention (--driven sets the threshold)."]
    first = measured.iloc[0]
    scope = first["scope"]
    shown, selecting, dropped = (int(first[f"n_stimuli{kind}"]) for kind in ("", "_selection", "_dropped"))
    one = " Intervals and tests are about this network, not about networks of its kind: give several seeds."
    lines = [
        *_control_warnings(statistics),
        (
            f"Activity scaling, {scope}, {shown:,} stimuli in both states measure and {selecting:,} others select "
            f"({dropped:,} dropped: attention not confirmed in both)."
            f"{one if scope == 'units of one network' else ''}"
        ),
        "Medians over driven units, of stimuli in which they see one object alone [95 % bootstrap interval].",
    ]
    for layer in measured["layer"]:
        lines += _layer(main, statistics, layer)
    silent = sorted(set(main.loc[main["what"].str.startswith("n_excluded"), "layer"]) - set(measured["layer"]))
    lines += [f"  {layer}: no unit takes part ({_counts(main, layer)})" for layer in silent]
    lines.append(_order(main))
    for strength in sorted(set(strengths)):
        low, high = ceiling(strength)
        lines.append(
            f"Ceiling of one gate of strength {strength:g} on a linear unit: index {high:.3f} ({low:.3f} while gates "
            "stay in 0 … 1); gates of stages compound."
        )
    indices = ", ".join(f"{area} {value:g}" for area, value in BIOLOGY.items())
    return [*lines, f"Biology (McAdams & Maunsell 1999): modulation index {indices}."]


def _layer(main: pd.DataFrame, statistics: pd.DataFrame, layer: str) -> list[str]:
    index, gain, difference, d_prime, area = (
        _row(main, what, layer) for what in ("modulation_index", "gain_ratio", "difference", "d_prime", "roc_area")
    )
    slope, offset = (_row(main, what, layer) for what in ("slope", "intercept"))
    told = _counts(main, layer)
    lines = [
        f"  {layer}: {int(index['n_units']):,} units" + (f" ({told})" if told else ""),
        f"    modulation index {_interval(index)}; gain {_interval(gain)}; difference {_interval(difference)}",
        f"    d′ {_interval(d_prime)}; ROC area {_interval(area)}",
        (
            f"    over stimuli: slope {_interval(slope)}, offset {_interval(offset)} (of {int(slope['n_units']):,} of "
            f"{int(slope['n_units'] + slope['n_missing']):,} units, the others do not vary in a state; the effect is "
            f"{form(main, layer)})"
        ),
    ]
    for _, feature in main[(main["layer"] == layer) & (main["what"] == "feature_similarity")].iterrows():
        lines.append(
            f"    attention to the preferred class elsewhere: {_interval(feature)} of the mean response "
            f"(p = {feature['p_within_network']:.3f} over stimuli)"
        )
    doses = statistics[(statistics["layer"] == layer) & statistics["strength"].notna()].sort_values("strength")
    if len(doses):
        values = ", ".join(f"{row.strength:g}: {row.estimate:.3f}" for row in doses.itertuples())
        lines.append(f"    modulation index by gate strength: {values}")
    controls = statistics[(statistics["layer"] == layer) & statistics["control"].notna()]
    if len(controls):
        values = ", ".join(f"{row.control} {row.estimate:.3f}" for row in controls.itertuples())
        lines.append(f"    controls: {values}")
    lines.append(f"    'Attention to its object increases a unit's activity': {verdict(main, layer)}")
    return lines


def _counts(main: pd.DataFrame, layer: str) -> str:
    """Return how many units of a layer were excluded or silent, and why."""
    counts = main[(main["layer"] == layer) & main["what"].str.startswith("n_")]
    return ", ".join(
        f"{int(n):,} {kind.removeprefix('n_').replace(': ', ' ')}"
        for n, kind in zip(counts["estimate"].astype(int), counts["what"], strict=True)
    )


def _order(main: pd.DataFrame) -> str:
    onsets = main[main["what"] == "onset"]
    if onsets.empty:
        return "No layer has a time step in which the index differs from 0."
    ordered = onsets.sort_values("estimate").to_dict("records")
    texts = [f"{row['layer']} step {int(row['estimate'])}" for row in ordered]
    silent = sorted(set(main.loc[main["what"] == "modulation_index", "layer"]) - set(onsets["layer"]))
    return (
        f"Onset (first step of a significant cluster): {', '.join([*texts, *(f'{layer} none' for layer in silent)])}."
    )


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control, but the network itself, whose index is not 0."""
    controls = statistics[statistics["control"].notna() & (statistics["control"] != "intact")]
    shown = controls[
        ((controls["interval_low"] > 0) | (controls["interval_high"] < 0)) & (controls["estimate"].abs() > NOTHING)
    ]
    return [
        f"WARNING: the control {row.control} shows a modulation index of {row.estimate:.3f} in {row.layer}"
        + (", where attention cannot act; distrust this run." if row.control in {"zero_strength", "one_step"} else ".")
        for row in shown.itertuples()
    ]


def _interval(row: pd.Series[Any]) -> str:
    return f"{row['estimate']:.3f} [{row['interval_low']:.3f}, {row['interval_high']:.3f}]"


def _row(statistics: pd.DataFrame, what: str, layer: str) -> pd.Series[Any]:
    rows = statistics[(statistics["what"] == what) & (statistics["layer"] == layer) & statistics["time_step"].isna()]
    return rows.iloc[0]
