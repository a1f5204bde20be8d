"""What the statistics of the tuning protocol show, in sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neuroattn.experiments.contrast import CHECKS
from neuroattn.experiments.tuning.findings import BIOLOGY, SHAPE, row_of, verdict
from neuroattn.experiments.tuning.summary import MEASURES
from neuroattn.experiments.tuning.units import NARROW_INCLUDED, TOO_NARROW
from neuroattn.statistics.control_share import AS_MUCH, SHARE, compared

if TYPE_CHECKING:
    import pandas as pd


ONE_NETWORK = "units of one network"  # a scope


LIMITS = {measure.name: measure.limits for measure in MEASURES}
NO_MEAN = re.compile(r"the median of (\d+) networks between the smallest and the largest, an interval of (\S+) %")


def sentences(statistics: pd.DataFrame) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    Parameters
    ----------
    statistics
        What `neuroattn.experiments.tuning.summary` made, controls included.
    """
    statistics = statistics[statistics["model"] == ""]  # of all networks together
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
        _what_is_given(scopes),
    ]
    for reduction in dict.fromkeys(main.loc[main["reduction"] != "", "reduction"]):
        lines.append(f"Response to an orientation: {reduction} over bars")
        for layer in measured["layer"].unique():
            lines += [*_layer(main, layer, str(reduction)), *_controls(statistics, layer, str(reduction))]
    gains = ", ".join(f"{area} {gain:g}" for area, gain in BIOLOGY.items())
    return [
        *lines,
        (
            f"Biology (McAdams & Maunsell 1999): median gain {gains}; bandwidth unchanged. A model's gain rises with "
            "its gate strength s about as 1/(1 − s), 1.25 at s = 0.2: a match is a choice of s."
        ),
    ]


def _what_is_given(scopes: list[str]) -> str:
    if scopes == [ONE_NETWORK]:
        return "Medians over units [95 % bootstrap interval of feature channels and units]."
    return "Means over networks of the medians over units [95 % t interval]; each network's are in the table."


def _caveat(scopes: list[str]) -> str:
    if scopes == [ONE_NETWORK]:
        return " Intervals and tests are about this network, not about networks of its kind: give several seeds."
    return ""


def _layer(main: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    gain = row_of(main, "gain", layer, reduction)
    if not gain["n_units"]:
        return [f"  {layer}: no unit is left to measure ({_counts(main, layer, None, 'n_excluded')})"]
    left_out, broad = (_counts(main, layer, reduction, kind) for kind in ("n_unfitted", "n_without_width"))
    n_tuned, n_fitted = (row_of(main, f"n_{of}_units", layer, reduction)["estimate"] for of in ("tuned", "fitted"))
    shift, change = (row_of(main, what, layer, reduction) for what in SHAPE)
    offset, index, correlation = (
        row_of(main, what, layer, reduction) for what in ("baseline_difference", "modulation_index", "correlation")
    )
    lines = [
        f"  {layer}: {int(n_fitted):,} of {int(n_tuned):,} tuned units could be fitted in both states"
        + (f"; not: {left_out}" if left_out else ""),
        (
            f"    gain {_interval(gain)}, n = {int(gain['n_units']):,} (∞ or 0 if silent in a state); "
            f"offset {_interval(offset)}"
        ),
        f"    shift {_interval(shift, '°')}; bandwidth change {_interval(change, '°')}, n = {int(change['n_units']):,}"
        + (f" (not: {broad})" if broad else ""),
        (
            f"    driven units: modulation index {_interval(index)}, n = {int(index['n_units']):,}; "
            f"correlation of the curves {_interval(correlation)}"
        ),
    ]
    return [*lines, *_best_models(main, layer, reduction), *_shape(main, layer, reduction)]


def _best_models(main: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    shares = main[
        main["what"].str.startswith("share_best_model") & (main["layer"] == layer) & (main["reduction"] == reduction)
    ]
    if shares.empty:
        return []
    best = shares.sort_values("estimate", ascending=False, kind="stable")
    listed = ", ".join(f"{row['what'].removeprefix('share_best_model_')} {_share(row)}" for _, row in best.iterrows())
    number = int(best["n_units"].iloc[0])
    return [
        f"    best nested model by AICc, n = {number:,} fitted in both states: {listed}",
        "    (a network has no noise: residuals are misfit, and AICc tells which model errs least)",
    ]


def _shape(main: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    """Return the verdict with the means that it rests on, and how many units are as the mean is."""
    answer = verdict(main, layer, reduction)
    lines = [
        (
            f"    'Attention leaves the shape', on average over units: {answer} "
            f"(mean sizes [95 % t interval]: {_sizes(main, layer, reduction, '')})"
        )
    ]
    narrow = main[(main["what"] == f"n_unfitted: {TOO_NARROW}") & (main["layer"] == layer)]
    number = int(narrow.loc[narrow["reduction"] == reduction, "estimate"].sum())
    if number:
        lines.append(
            f"    the same with the {number:,} units {TOO_NARROW} at their limit: "
            f"{_sizes(main, layer, reduction, NARROW_INCLUDED)}"
        )
    there = main[(main["layer"] == layer) & (main["reduction"] == reduction)]
    shares = [
        f"{text} {_share(row)}, n = {int(row['n_units']):,}"
        for what, text in SHAPE.items()
        for _, row in there[there["what"] == f"share_within_{what}"].iterrows()
    ]
    return lines + ([f"    units within the bounds: {'; '.join(shares)}"] if shares else [])


def _sizes(main: pd.DataFrame, layer: str, reduction: str, suffix: str) -> str:
    sizes = []
    for what, text in SHAPE.items():
        bound = row_of(main, f"absolute_{what}", layer, reduction)["equivalence_high"]
        absolute, crossvalidated = (
            row_of(main, f"{form}_{what}{suffix}", layer, reduction) for form in ("absolute", "crossvalidated")
        )
        sizes.append(
            f"{text} {_cluster(absolute)} absolute, {_cluster(crossvalidated)} cross-validated, bound {bound:g}°"
        )
    return "; ".join(sizes)


def _controls(statistics: pd.DataFrame, layer: str, reduction: str) -> list[str]:
    """Return the modulation index in every control, and what the gates of other stimuli leave of the difference."""
    of_controls = statistics[statistics["control"] != ""]
    rows = of_controls[
        (of_controls["what"] == "modulation_index")
        & (of_controls["layer"] == layer)
        & (of_controls["reduction"] == reduction)
    ]
    if rows.empty:
        return []
    confirmed = of_controls[of_controls["what"] == "share_confirmed"].set_index("control")["estimate"]
    listed = "; ".join(
        f"{CHECKS.get(row['control'], row['control'].replace('_', ' '))} {_interval(row)} "
        f"({'–' if row['control'] == 'zero_strength' else format(confirmed[row['control']], '.0%')})"
        for _, row in rows.iterrows()
    )
    checks = [text for name, text in CHECKS.items() if name in set(rows["control"])]
    lines = [
        f"    controls, modulation index on the same few bars (stimuli on which attention is confirmed): {listed}"
        + (f"; {' and '.join(checks)} check{'s' * (len(checks) == 1)} the code" if checks else "")
    ]
    shares = statistics[
        (statistics["what"] == SHARE)
        & (statistics["layer"] == layer)
        & (statistics["reduction"] == reduction)
        & (statistics["control"] == "")
    ]
    return lines + [_of_other_gates(row) for _, row in shares.iterrows()]


def _of_other_gates(row: pd.Series[Any]) -> str:
    answer = compared(row)
    text = answer if answer == "undecided" else f"gates of other stimuli do {answer}"
    return (
        f"    difference A − N under gates of other stimuli, as a share of each unit's own: {_interval(row)}, "
        f"n = {int(row['n_units']):,} ({int(row['n_missing']):,} without a difference): {text} "
        f"(as much: {AS_MUCH[0]:g} to {AS_MUCH[1]:g})"
    )


def _cluster(row: pd.Series[Any]) -> str:
    middle, low, high = (row[name] for name in ("cluster_mean", "cluster_mean_low", "cluster_mean_high"))
    if low == high:
        return f"{middle:.1f}° (all {'channels' if row['scope'] == ONE_NETWORK else 'networks'} agree)"
    return f"{middle:.1f}° [{low:.1f}, {high:.1f}]"


def _counts(main: pd.DataFrame, layer: str, reduction: str | None, kind: str) -> str:
    rows = main[(main["layer"] == layer) & main["what"].str.startswith(kind)]
    if reduction is not None:
        rows = rows[rows["reduction"] == reduction]
    pairs = zip(rows["estimate"], rows["what"], strict=True)
    return ", ".join(f"{int(number):,} {what.partition(': ')[2]}" for number, what in pairs)


def _interval(row: pd.Series[Any], unit: str = "") -> str:
    """Return an estimate with its interval, and what it is where it is no interval of the header's kind."""
    middle, low, high = (_number(row[name]) for name in ("estimate", "interval_low", "interval_high"))
    no_mean = NO_MEAN.search(row["warnings"])
    if no_mean:
        return f"{middle}{unit} [{low}, {high}] (smallest to largest of {no_mean[1]} networks, {no_mean[2]} %)"
    if row["interval_low"] == row["interval_high"]:
        agreed = "at the limit" if row["estimate"] in (LIMITS.get(row["what"]) or ()) else "agree"
        return f"{middle}{unit} (all {'resamples' if row['scope'] == ONE_NETWORK else 'networks'} {agreed})"
    return f"{middle}{unit} [{low}, {high}]"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("inf", "∞")


def _share(row: pd.Series[Any]) -> str:
    return f"{row['estimate']:.0%} [{row['interval_low']:.0%}, {row['interval_high']:.0%}]"


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
