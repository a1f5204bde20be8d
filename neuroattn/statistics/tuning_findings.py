"""What the statistics of the tuning protocol show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# McAdams & Maunsell (1999), J. Neurosci. 19:431: median gain of 262 V4 and 135 V1 cells; bandwidth did not change.
BIOLOGY = {"V4": 1.26, "V1": 1.08}
ALPHA = 0.05


def verdict(statistics: pd.DataFrame, layer: str, reduction: str) -> str:
    """Return whether attention left the shape of a layer's tuning curves: supported, contradicted or undecided.

    Invariance is a claim of equality, so it is supported only if the sizes of shift and bandwidth change, sign aside
    (signed ones could cancel over units), are equivalent to zero (two one-sided tests at 5 %). It is contradicted if
    the 95 % interval of either lies outside its bounds.
    """
    sizes = [_row(statistics, what, layer, reduction) for what in ("absolute_shift", "absolute_bandwidth_change")]
    p_values = [np.fmax(row["p_equivalence"], row["p_equivalence_within_network"]) for row in sizes]
    if all(p < ALPHA for p in p_values):
        return "supported"
    if any(row["cluster_mean_low"] > row["equivalence_high"] for row in sizes):
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
            lines += _layer(main, layer, str(reduction))
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
    unfitted = _counts(main, layer, reduction, "n_unfitted")
    bounds = " and ".join(f"±{_bound(main, what, layer):g}°" for what in ("shift", "bandwidth_change"))
    shape = "; ".join(
        f"{text} {_interval(_row(main, what, layer, reduction), '°')} "
        f"(its size {_interval(_row(main, f'absolute_{what}', layer, reduction), '°')})"
        for what, text in (("shift", "shift"), ("bandwidth_change", "bandwidth change"))
    )
    return [
        (
            f"  {layer}: {int(gain['n_units']):,} tuned units in {int(gain['n_channels'])} channels"
            f"{f'; left out: {unfitted}' if unfitted else ''}"
        ),
        (
            f"    gain {_interval(gain)}; offset {_interval(_row(main, 'baseline_difference', layer, reduction))}; "
            f"modulation index of driven units {_interval(_row(main, 'modulation_index', layer, reduction))}"
        ),
        f"    {shape}; correlation of the curves {_interval(_row(main, 'correlation', layer, reduction))}",
        f"    'Attention leaves the shape' (sizes within {bounds}): {verdict(main, layer, reduction)}",
    ]


def _counts(main: pd.DataFrame, layer: str, reduction: str | None, kind: str) -> str:
    rows = main[(main["layer"] == layer) & main["what"].str.startswith(kind)]
    if reduction is not None:
        rows = rows[rows["reduction"] == reduction]
    pairs = zip(rows["estimate"], rows["what"], strict=True)
    return ", ".join(f"{int(number):,} {what.partition(': ')[2]}" for number, what in pairs)


def _bound(statistics: pd.DataFrame, what: str, layer: str) -> float:
    """Return the equivalence bound that a measure was tested against."""
    rows = statistics[(statistics["what"] == what) & (statistics["layer"] == layer)]
    return float(rows["equivalence_high"].iloc[0])


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
