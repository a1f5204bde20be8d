"""What the statistics of activity scaling show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.activity_scaling.findings import BIOLOGY, form, row_of, verdict
from neuroattn.experiments.activity_scaling.summary import NOTHING, RECORDED, RESPONDING
from neuroattn.experiments.contrast import CHECKS
from neuroattn.statistics.control_share import AS_MUCH, SHARE, compared
from neuroattn.statistics.population import INTERVAL_OF_MEDIANS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


FEWEST_FOR_CLUSTERS = 6  # networks whose sign patterns allow p < .05


def ceiling(strength: float) -> tuple[float, float]:
    """Return the largest index one gate of a strength can give a linear unit: gates in 0 … 1, and in −1 … 1.

    A gate g turns its input x into x·(1 − s·g). Attended and unattended are at most 1 and 1 − s apart with gates in
    0 … 1, and 1 + s and 1 − s with gates in −1 … 1. Gates of several stages compound, and rectification can exceed it.
    """
    return strength / (2 - strength), strength


def sentences(statistics: pd.DataFrame, strengths: Sequence[float]) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    Parameters
    ----------
    statistics
        `neuroattn.experiments.activity_scaling.summary.summarise`, with the rows of controls and strengths.
    strengths
        Gate strengths of the networks.
    """
    statistics = statistics[statistics["model"] == ""]
    main = statistics[statistics["control"].eq("") & statistics["strength"].isna()]
    measured = main[(main["what"] == "modulation_index") & main["time_step"].isna()]
    if measured.empty:
        return ["No unit is driven by its object: nothing can be said of attention (--driven sets the threshold)."]
    first = measured.iloc[0]
    one = first["scope"] == "units of one network"
    shown, selecting, dropped = (int(first[f"n_stimuli{kind}"]) for kind in ("", "_selection", "_dropped"))
    caveat = " Intervals and tests are about this network, not about networks of its kind: give several seeds."
    lines = [
        *_control_warnings(statistics),
        (
            f"Activity scaling, {first['scope']}, {shown:,} stimuli in both states measure and {selecting:,} others "
            f"select ({dropped:,} dropped: attention not confirmed in both).{caveat if one else ''}"
        ),
        "Medians over units that their own object drives, of stimuli in which they see it alone"
        + (" [95 % bootstrap interval]." if one else "; means of the networks' medians [95 % t interval]."),
    ]
    for layer in measured["layer"]:
        lines += _layer(main, statistics, layer)
    without = [layer for layer in main["layer"].unique() if layer not in {"", *measured["layer"]}]
    lines += [f"  {layer}: no unit takes part ({_counts(main, layer)})" for layer in without]
    lines.append(_order(main))
    for strength in sorted(set(strengths)):
        low, high = ceiling(strength)
        lines.append(
            f"Ceiling of one gate of strength {strength:g} on a linear unit: index {high:.3f} ({low:.3f} while gates "
            "stay in 0 … 1); gates of stages compound."
        )
    indices = ", ".join(f"{area} {value:g}" for area, value in BIOLOGY.items())
    return [
        *lines,
        (
            f"Biology (McAdams & Maunsell 1999): modulation index {indices}. What a network shows grows with the "
            "strength of its gates (a gain of up to 1/(1 − s) a gate), which was chosen: an index like the brain's is "
            "a choice of s."
        ),
    ]


def _layer(main: pd.DataFrame, statistics: pd.DataFrame, layer: str) -> list[str]:
    index, gain, difference, d_prime, area = (
        row_of(main, what, layer) for what in ("modulation_index", "gain_ratio", "difference", "d_prime", "roc_area")
    )
    slope, offset, slope_2, offset_2 = (
        row_of(main, what, layer)
        for what in ("slope", "offset_share", "slope_proportional", "offset_share_proportional")
    )
    lines = [
        f"  {layer}: {_counts(main, layer)}",
        f"    modulation index {_interval(index)}; gain {_interval(gain)}; difference {_interval(difference)}",
        f"    d′ {_interval(d_prime)}; ROC area {_interval(area)}",
        (
            f"    over stimuli, {int(slope['n_units']):,} units that vary in both states: slope {_interval(slope)}, "
            f"offset {_interval(offset)} of the mean response; with errors in proportion to the response "
            f"{_interval(slope_2)}, {_interval(offset_2)}; the effect is {form(main, layer)}"
        ),
    ]
    for _, feature in main[(main["layer"] == layer) & (main["what"] == "feature_similarity")].iterrows():
        lines.append(
            f"    attention to the preferred class elsewhere: {_interval(feature)} of the mean response "
            f"(p = {feature['p_within_network']:.3f} over stimuli)"
        )
    doses = statistics[(statistics["layer"] == layer) & statistics["strength"].notna()].sort_values("strength")
    if len(doses):
        values = ", ".join(f"{row.strength:g}: {row.estimate:.3f} {_confirmed(row)}" for row in doses.itertuples())
        lines.append(f"    modulation index by gate strength (share of presentations confirmed): {values}")
    controls = statistics[(statistics["layer"] == layer) & statistics["control"].ne("")]
    if len(controls):
        names = [(row, CHECKS.get(str(row.control))) for row in controls.itertuples()]
        texts = [f"{row.control} {row.estimate:.3f} {_confirmed(row)}" for row, check in names if check is None]
        checks = [f"{check} {row.estimate:.3f}" for row, check in names if check]
        lines += [f"    controls (share of presentations confirmed): {', '.join(texts)}"] if texts else []
        lines += [f"    checks of the code, which must give 0: {', '.join(checks)}"] if checks else []
    lines += [
        f"    under gates of other stimuli {_interval(row)} of each unit's difference is left "
        f"(n = {int(row['n_units']):,}; as much: {AS_MUCH[0]:g} to {AS_MUCH[1]:g}): "
        f"{compared(row)}"
        for _, row in main[(main["layer"] == layer) & (main["what"] == SHARE)].iterrows()
    ]
    over = f"{int(index['n_models'])} networks" if index["n_models"] > 1 else f"{int(index['n_channels'])} channels"
    lines.append(
        f"    'Attention to its object increases a unit's activity': {verdict(main, layer)} (mean index over {over} "
        f"{index['cluster_mean']:.3f} [{index['cluster_mean_low']:.3f}, {index['cluster_mean_high']:.3f}])"
    )
    return lines


def _confirmed(row: Any) -> str:
    """Return the share of presentations whose intended object is attended; with s = 0 none is."""
    return "(–)" if row.strength == 0 or row.control == "zero_strength" else f"({row.confirmed:.2f})"


def _counts(main: pd.DataFrame, layer: str) -> str:
    """Return how many units of a layer are in which class."""
    counts = main[(main["layer"] == layer) & main["what"].str.startswith("n_")].set_index("what")["estimate"]
    whole = int(counts[RECORDED])
    order = [RESPONDING, *sorted(set(counts.index) - {RECORDED, RESPONDING}, reverse=True)]
    texts = [f"{int(counts[what]):,} {_class(what)}" for what in order if what in counts.index]
    return f"of {whole:,} units {', '.join(texts)}"


def _class(what: str) -> str:
    return what.removeprefix("n_").replace("excluded: ", "").replace(": ", " ")


def _order(main: pd.DataFrame) -> str:
    """Return which time steps differ; no test tells that none does."""
    layers = main.loc[(main["what"] == "modulation_index") & main["time_step"].isna(), "layer"]
    texts = []
    for layer in layers:
        clusters = main[(main["what"] == "cluster") & (main["layer"] == layer)]
        found = clusters[clusters[["p", "p_within_network"]].min(axis=1) < 0.05]
        found = found[found["estimate"].abs() > NOTHING].sort_values("time_step")
        spans = [f"{int(row.time_step)} to {int(row.last_step)}" for row in found.itertuples()]
        texts.append(f"{layer} {' and '.join(spans) or 'none shown'}")
    few = int(main.loc[main["what"] == "modulation_index", "n_models"].max())
    if 1 < few < FEWEST_FOR_CLUSTERS:
        texts.append(f"{few} networks cannot give p below {2 / 2**few:g}")
    return (
        f"Time steps whose index differs from 0 (cluster permutation): {'; '.join(texts)}. Gates act from step 1 on, "
        "so that a difference from there follows from the architecture and says nothing of latency."
    )


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control, but the network itself, whose index is not 0."""
    controls = statistics[statistics["control"].ne("") & (statistics["control"] != "intact")]
    shown = controls[
        ((controls["interval_low"] > 0) | (controls["interval_high"] < 0)) & (controls["estimate"].abs() > NOTHING)
    ]
    return [
        f"WARNING: the control {row.control} shows a modulation index of {row.estimate:.3f} in {row.layer}"
        + (", where attention cannot act; distrust this run." if row.control in CHECKS else ".")
        for row in shown.itertuples()
    ]


def _interval(row: pd.Series[Any]) -> str:
    names = ("estimate", "interval_low", "interval_high")
    estimate, low, high = (f"{row[name]:.3f}".replace("inf", "∞") for name in names)
    if low == high == estimate:
        return f"{estimate} (all alike)"
    between = INTERVAL_OF_MEDIANS.search(str(row["warnings"]))
    return f"{estimate} [{low}, {high}{f'; smallest to largest network, {between[1]} %' if between else ''}]"
