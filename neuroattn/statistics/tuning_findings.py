"""What the statistics of the tuning protocol show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells; bandwidth did not change.
BIOLOGY = {"V4": 1.26, "V1": 1.08}
ALPHA = 0.05
SHAPE = {"shift": "shift", "bandwidth_change": "bandwidth change"}


def verdict(statistics: pd.DataFrame, layer: str, reduction: str) -> str:
    """Return whether attention left the shape of a layer's tuning curves: supported, contradicted or undecided.

    Invariance is a claim of equality of every unit, so it looks at the sizes of shift and bandwidth change; signed ones
    could cancel over units. Noise makes absolute sizes larger and cross-validated ones smaller, so each decides the
    question that it cannot decide wrongly: supported is the claim only if both absolute sizes are equivalent to zero
    (two one-sided tests at 5 %), contradicted if the 95 % interval of a cross-validated size lies beyond its bound.
    """
    absolute = [_row(statistics, f"absolute_{what}", layer, reduction) for what in SHAPE]
    if all(np.fmax(row["p_equivalence"], row["p_equivalence_within_network"]) < ALPHA for row in absolute):
        return "supported"
    crossvalidated = [_row(statistics, f"crossvalidated_{what}", layer, reduction) for what in SHAPE]
    bounds = [row["equivalence_high"] for row in absolute]
    if any(row["cluster_mean_low"] > bound for row, bound in zip(crossvalidated, bounds, strict=True)):
        return "contradicted"
    return "undecided"


def findings(statistics: pd.DataFrame) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    Parameters
    ----------
    statistics
        What `neuroattn.statistics.tuning_summary` made, controls included.
    """
    main = statistics[statistics["control"] == ""]
    measured = main[main["what"] == "gain"]
    scopes = sorted({str(scope) for scope in measured["scope"]} - {"no units"})
    shown, dropped = (int(main[name].iloc[0]) for name in ("n_stimuli", "n_stimuli_dropped"))
    lines = [
        *_control_warnings(statistics),
        (
            f"Tuning, {'; '.join(scopes) or 'no units'}, {shown:,} stimuli in both states "
            f"({dropped:,} dropped: attention not confirmed in both).{_caveat(scopes)}"
        ),
        "Medians over units [95 % bootstrap interval].",
    ]
    for reduction in main["reduction"].dropna().unique():
        lines.append(f"Response to an orientation: {reduction} over bars")
        for layer in measured["layer"].unique():
            lines += [*_layer(main, layer, str(reduction)), *_controls(statistics, layer, str(reduction))]
    gains = ", ".join(f"{area} {gain:g}" for area, gain in BIOLOGY.items())
    return [*lines, f"Biology (McAdams & Maunsell 1999): median gain {gains}; bandwidth unchanged."]


def _caveat(scopes: list[str]) -> str:
    if scopes == ["units of one network"]:
        return " Intervals and tests are about this network, not about networks of its kind: give several seeds."
    return ""


def _layer(main: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    gain = _row(main, "gain", layer, reduction)
    if not gain["n_units"]:
        return [f"  {layer}: no unit is left to measure ({_counts(main, layer, None, 'n_excluded')})"]
    left_out = _counts(main, layer, reduction, "n_unfitted")
    shift, change = (_row(main, what, layer, reduction) for what in SHAPE)
    offset, index, correlation = (
        _row(main, what, layer, reduction) for what in ("baseline_difference", "modulation_index", "correlation")
    )
    counted = f"{int(shift['n_units']):,} of {int(shift['n_units'] + shift['n_missing']):,} tuned units"
    lines = [
        f"  {layer}: {counted} could be fitted in both states" + (f"; not: {left_out}" if left_out else ""),
        (
            f"    gain {_interval(gain)}, n = {int(gain['n_units']):,} (∞ or 0 if silent in a state); "
            f"offset {_interval(offset)}"
        ),
        f"    shift {_interval(shift, '°')}; bandwidth change {_interval(change, '°')}, n = {int(change['n_units']):,}",
        (
            f"    driven units: modulation index {_interval(index)}, n = {int(index['n_units']):,}; "
            f"correlation of the curves {_interval(correlation)}"
        ),
    ]
    shares = main[
        main["what"].str.startswith("share_best_model") & (main["layer"] == layer) & (main["reduction"] == reduction)
    ]
    if len(shares):
        best = shares.sort_values("estimate", ascending=False)
        pairs = zip(best["what"], best["estimate"], strict=True)
        listed = ", ".join(f"{what.removeprefix('share_best_model_')} {share:.0%}" for what, share in pairs)
        lines.append(f"    best nested model by AICc: {listed}")
    return [*lines, _shape(main, layer, reduction)]


def _shape(main: pd.DataFrame, layer: str, reduction: str) -> str:
    """Return the verdict with the means that it rests on."""
    sizes = []
    for what, text in SHAPE.items():
        absolute, crossvalidated = (
            _row(main, f"{form}_{what}", layer, reduction) for form in ("absolute", "crossvalidated")
        )
        sizes.append(
            f"{text} {_cluster(absolute)} absolute, {_cluster(crossvalidated)} cross-validated, "
            f"bound {absolute['equivalence_high']:g}°"
        )
    return (
        f"    'Attention leaves the shape': {verdict(main, layer, reduction)} "
        f"(mean sizes [95 % t interval]: {'; '.join(sizes)})"
    )


def _controls(statistics: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    """Return the modulation index in every control, and a note where it does not need the stimulus's own gates."""
    rows = statistics[
        (statistics["what"] == "modulation_index")
        & (statistics["layer"] == layer)
        & (statistics["reduction"] == reduction)
        & (statistics["control"] != "")
    ].set_index("control")
    if rows.empty:
        return []
    listed = "; ".join(f"{str(name).replace('_', ' ')} {_interval(row)}" for name, row in rows.iterrows())
    lines = [f"    controls, modulation index on the same few bars: {listed}"]
    if {"intact", "shuffled_gates"} <= set(rows.index):
        intact, shuffled = rows.loc["intact"], rows.loc["shuffled_gates"]
        if shuffled["interval_high"] >= intact["interval_low"] and shuffled["interval_low"] > 0:
            lines.append(
                "    NOTE: gates of other stimuli do as much: this effect is of the place that is let through, "
                "not of the stimulus's own gates"
            )
    return lines


def _cluster(row: pd.Series[Any]) -> str:
    return f"{row['cluster_mean']:.1f}° [{row['cluster_mean_low']:.1f}, {row['cluster_mean_high']:.1f}]"


def _counts(main: pd.DataFrame, layer: str, reduction: str | None, kind: str) -> str:
    rows = main[(main["layer"] == layer) & main["what"].str.startswith(kind)]
    if reduction is not None:
        rows = rows[rows["reduction"] == reduction]
    pairs = zip(rows["estimate"], rows["what"], strict=True)
    return ", ".join(f"{int(number):,} {what.partition(': ')[2]}" for number, what in pairs)


def _interval(row: pd.Series[Any], unit: str = "") -> str:
    return f"{row['estimate']:.2f}{unit} [{row['interval_low']:.2f}, {row['interval_high']:.2f}]"


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control that shows an effect where there can be none."""
    without_effect = statistics[
        statistics["control"].isin(["zero_strength", "one_step"]) & (statistics["what"] == "response_ratio")
    ]
    wrong = without_effect[(without_effect["estimate"] - 1).abs() > 1e-3]
    return [
        f"WARNING: the control {row.control} shows a response ratio of {row.estimate:.3f} in {row.layer} "
        f"({row.reduction}), where attention cannot act; distrust this run."
        for row in wrong.itertuples()
    ]


def _row(statistics: pd.DataFrame, what: str, layer: str, reduction: str) -> pd.Series[Any]:
    chosen = statistics[
        (statistics["what"] == what)
        & (statistics["layer"] == layer)
        & (statistics["reduction"] == reduction)
        & (statistics["control"] == "")
    ]
    return chosen.iloc[0]
