"""What the statistics of the tuning protocol show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.contrast import CHECKS
from neuroattn.experiments.finding import each_of, row_of, rows_of
from neuroattn.experiments.tuning.findings import BIOLOGY, SHAPE, sizes, verdict
from neuroattn.experiments.tuning.summary import MEASURES
from neuroattn.experiments.tuning.units import NARROW_INCLUDED, TOO_NARROW
from neuroattn.experiments.wording import (
    ONE_NETWORK,
    caveat,
    checks,
    control_warning,
    excluded,
    interval,
    other_gates,
    share,
    units,
)
from neuroattn.statistics.control_share import SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

_LIMITS = {measure.name: measure.limits for measure in MEASURES}


def sentences(statistics: pd.DataFrame) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first."""
    statistics = rows_of(statistics, model="")  # of all networks together
    main = rows_of(statistics, control="")
    measured = rows_of(main, what="gain")
    scopes = sorted({str(scope) for scope in measured["scope"]} - {"no units"})
    shown, dropped = (int(main[name].iloc[0]) for name in ("n_stimuli", "n_stimuli_dropped"))
    scope = "; ".join(scopes) or "no units"
    lines = [
        *_control_warnings(statistics),
        (
            f"Tuning, {scope}, {shown:,} stimuli in both states ({dropped:,} dropped: attention not confirmed in "
            f"both).{caveat(scope)}"
        ),
        "Medians over units [95 % bootstrap interval of feature channels and units]."
        if scope == ONE_NETWORK
        else "Means over networks of the medians over units [95 % t interval]; each network's are in the table.",
    ]
    for reduction in dict.fromkeys(main.loc[main["reduction"] != "", "reduction"]):
        lines.append(f"Response to an orientation: {reduction} over bars")
        for layer in measured["layer"].unique():
            of_layer = rows_of(statistics, layer=layer, reduction=reduction)
            reasons = excluded(rows_of(main, layer=layer), "n_excluded")
            lines += [*_layer(rows_of(of_layer, control=""), layer, reasons), *_controls(statistics, of_layer)]
    gains = ", ".join(f"{area} {gain:g}" for area, gain in BIOLOGY.items())
    return [
        *lines,
        (
            f"Biology (McAdams & Maunsell 1999): median gain {gains}; bandwidth unchanged. A model's gain rises with "
            "its gate strength s about as 1/(1 − s), 1.25 at s = 0.2: a match is a choice of s."
        ),
    ]


def _layer(of_layer: pd.DataFrame, layer: str, reasons: str) -> Iterator[str]:
    """Yield what the rows of a layer and reduction say; `reasons` by which units were left out."""
    gain = row_of(of_layer, what="gain")
    if not gain["n_units"]:
        yield f"  {layer}: no unit is left to measure ({reasons})"
        return
    unfitted, broad = (excluded(of_layer, kind) for kind in ("n_unfitted", "n_without_width"))
    n_tuned, n_fitted = (int(row_of(of_layer, what=f"n_{of}_units")["estimate"]) for of in ("tuned", "fitted"))
    shift, change = (row_of(of_layer, what=what) for what in SHAPE)
    index = row_of(of_layer, what="modulation_index")
    offset, correlation = (_interval(row_of(of_layer, what=what)) for what in ("baseline_difference", "correlation"))
    yield f"  {layer}: {n_fitted:,} of {n_tuned:,} tuned units could be fitted in both states" + (
        f"; not: {unfitted}" if unfitted else ""
    )
    yield f"    gain {_interval(gain)}, {units(gain)} (∞ or 0 if silent in a state); offset {offset}"
    yield f"    shift {_interval(shift, '°')}; bandwidth change {_interval(change, '°')}, {units(change)}" + (
        f" (not: {broad})" if broad else ""
    )
    yield (
        f"    driven units: modulation index {_interval(index)}, {units(index)}; correlation of the curves "
        f"{correlation}"
    )
    best = of_layer[of_layer["what"].str.startswith("share_best_model")]
    if len(best):
        best = best.sort_values("estimate", ascending=False, kind="stable")
        listed = [f"{row['what'].removeprefix('share_best_model_')} {share(row)}" for row in each_of(best)]
        yield f"    best nested model by AICc, {units(best.iloc[0])} fitted in both states: {', '.join(listed)}"
        yield "    (a network has no noise: residuals are misfit, and AICc tells which model errs least)"
    yield from _shape(of_layer)


def _shape(of_layer: pd.DataFrame) -> Iterator[str]:
    """Yield the verdict with the means that it rests on, and how many units are as the mean is."""
    yield (
        f"    'Attention leaves the shape', on average over units: {verdict(of_layer)} "
        f"(mean sizes [95 % t interval]: {_sizes(of_layer)})"
    )
    narrow = int(rows_of(of_layer, what=f"n_unfitted: {TOO_NARROW}")["estimate"].sum())
    if narrow:
        with_narrow = _sizes(of_layer, NARROW_INCLUDED)
        yield f"    the same with the {narrow:,} units {TOO_NARROW} at their limit: {with_narrow}"
    shares = [
        f"{text} {share(row)}, {units(row)}"
        for what, text in SHAPE.items()
        for row in each_of(of_layer, what=f"share_within_{what}")
    ]
    if shares:
        yield f"    units within the bounds: {'; '.join(shares)}"


def _sizes(of_layer: pd.DataFrame, suffix: str = "") -> str:
    return "; ".join(
        f"{name} {interval(absolute, 1, '°', of='cluster_mean')} absolute, "
        f"{interval(crossvalidated, 1, '°', of='cluster_mean')} cross-validated, bound {bound:g}°"
        for name, absolute, crossvalidated, bound in sizes(of_layer, suffix)
    )


def _controls(statistics: pd.DataFrame, of_layer: pd.DataFrame) -> Iterator[str]:
    """Yield the modulation index in every control, and what the gates of other stimuli leave of the difference."""
    rows = of_layer[(of_layer["control"] != "") & (of_layer["what"] == "modulation_index")]
    if rows.empty:
        return
    confirmed = rows_of(statistics, what="share_confirmed").set_index("control")["estimate"]
    listed = "; ".join(
        f"{CHECKS.get(row['control'], row['control'].replace('_', ' '))} {_interval(row)} "
        f"({'–' if row['control'] == 'zero_strength' else format(confirmed[row['control']], '.0%')})"
        for row in each_of(rows)
    )
    named = checks(rows["control"])
    yield (
        f"    controls, modulation index on the same few bars (stimuli on which attention is confirmed): {listed}"
        + (f"; {' and '.join(named)} check{'s' * (len(named) == 1)} the code" if named else "")
    )
    yield from (other_gates(row, 2) for row in each_of(of_layer, what=SHARE, control=""))


def _interval(row: pd.Series[Any], unit: str = "") -> str:
    return interval(row, 2, unit, limits=_LIMITS[row["what"]])


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control that shows an effect where there can be none."""
    rows = statistics[statistics["control"].isin(CHECKS) & (statistics["what"] == "response_ratio")]
    return [
        control_warning(row, "response ratio", f"{row['layer']} ({row['reduction']})")
        for row in each_of(rows[(rows["estimate"] - 1).abs() > 1e-3])
    ]
