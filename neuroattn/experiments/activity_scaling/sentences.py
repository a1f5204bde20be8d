"""What the statistics of activity scaling show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.activity_scaling.findings import BIOLOGY, form, verdict, whole
from neuroattn.experiments.activity_scaling.summary import INDEX, NOTHING, RECORDED, RESPONDING
from neuroattn.experiments.contrast import CHECKS
from neuroattn.experiments.finding import each_of, row_of, rows_of
from neuroattn.experiments.wording import ONE_NETWORK, caveat, control_warning, interval, other_gates
from neuroattn.statistics.control_share import SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd


FEWEST_FOR_CLUSTERS = 6  # networks whose sign patterns allow p < .05


def ceiling(strength: float) -> tuple[float, float]:
    """Return the largest index one gate of a strength can give a linear unit: gates in 0 … 1, and in −1 … 1.

    A gate g turns x into x·(1 − s·g), so that attended and unattended are at most 1 and 1 − s apart, or 1 + s and 1 −
    s. Gates of several stages compound, and rectification can exceed it.
    """
    return strength / (2 - strength), strength


def sentences(statistics: pd.DataFrame, strengths: Sequence[float]) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    `strengths` are those of the networks' gates, none where no subject has any: nothing is then said of gates.
    """
    statistics = rows_of(statistics, model="")
    main = whole(statistics)
    measured = rows_of(main, what=INDEX)
    if measured.empty:
        return ["No unit is driven by its object: nothing can be said of attention (--driven sets the threshold)."]
    first = measured.iloc[0]
    scope, one = first["scope"], first["scope"] == ONE_NETWORK
    shown, selecting, dropped = (int(first[f"n_stimuli{kind}"]) for kind in ("", "_selection", "_dropped"))
    lines = [
        *_control_warnings(statistics),
        (
            f"Activity scaling, {scope}, {shown:,} stimuli in both states measure and {selecting:,} others select "
            f"({dropped:,} dropped: attention not confirmed in both).{caveat(scope)}"
        ),
        "Medians over units that their own object drives, of stimuli in which they see it alone"
        + (" [95 % bootstrap interval]." if one else "; means of the networks' medians [95 % t interval]."),
    ]
    for layer in measured["layer"]:
        lines += [*_layer(rows_of(main, layer=layer), rows_of(statistics, layer=layer), layer)]
    without = [layer for layer in main["layer"].unique() if layer not in {"", *measured["layer"]}]
    lines += [f"  {layer}: no unit takes part ({_counts(rows_of(main, layer=layer))})" for layer in without]
    lines.append(_order(rows_of(statistics, control="", strength=None), [*measured["layer"]]))
    if strengths:
        lines[-1] += (
            " Gates act from step 1 on, so that a difference from there follows from the architecture and says nothing "
            "of latency."
        )
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
            f"Biology (McAdams & Maunsell 1999): modulation index {indices}."
            + bool(strengths)
            * (
                " What a network shows grows with the strength of its gates (a gain of up to 1/(1 − s) a gate), which "
                "was chosen: an index like the brain's is a choice of s."
            )
        ),
    ]


def _layer(of_layer: pd.DataFrame, with_others: pd.DataFrame, layer: str) -> Iterator[str]:
    """Yield what the rows of a layer say, and those with its strengths and controls."""

    def told(what: str) -> str:
        return interval(row_of(of_layer, what=what))

    yield f"  {layer}: {_counts(of_layer)}"
    yield f"    modulation index {told(INDEX)}; gain {told('gain_ratio')}; difference {told('difference')}"
    yield f"    d′ {told('d_prime')}; ROC area {told('roc_area')}"
    yield (
        f"    over stimuli, {int(row_of(of_layer, what='slope')['n_units']):,} units that vary in both states: slope "
        f"{told('slope')}, offset {told('offset_share')} of the mean response; with errors in proportion to the "
        f"response {told('slope_proportional')}, {told('offset_share_proportional')}; the effect is {form(of_layer)}"
    )
    for feature in each_of(of_layer, what="feature_similarity"):
        yield (
            f"    attention to the preferred class elsewhere: {interval(feature)} of the mean response "
            f"(p = {feature['p_within_network']:.3f} over stimuli)"
        )
    doses = with_others[with_others["strength"].notna()].sort_values("strength")
    if len(doses):
        values = ", ".join(f"{row.strength:g}: {row.estimate:.3f} {_confirmed(row)}" for row in doses.itertuples())
        yield f"    modulation index by gate strength (share of presentations confirmed): {values}"
    controls = with_others[with_others["control"] != ""]
    checking = controls["control"].isin(CHECKS)
    if len(controls[~checking]):
        rows = controls[~checking].itertuples()
        texts = [f"{row.control} {row.estimate:.3f} {_confirmed(row)}" for row in rows]
        yield f"    controls (share of presentations confirmed): {', '.join(texts)}"
    if len(controls[checking]):
        texts = [f"{CHECKS[row['control']]} {row['estimate']:.3f}" for row in each_of(controls[checking])]
        yield f"    checks of the code, which must give 0: {', '.join(texts)}"
    yield from (other_gates(row) for row in each_of(of_layer, what=SHARE))
    index = row_of(of_layer, what=INDEX)
    over = f"{int(index['n_models'])} networks" if index["n_models"] > 1 else f"{int(index['n_channels'])} channels"
    yield (
        f"    'Attention to its object increases a unit's activity': {verdict(of_layer)} (mean index over {over} "
        f"{interval(index, of='cluster_mean')})"
    )


def _confirmed(row: Any) -> str:
    """Return the share of presentations whose intended object is attended; with s = 0 none is."""
    return "(–)" if row.strength == 0 or row.control == "zero_strength" else f"({row.confirmed:.2f})"


def _counts(of_layer: pd.DataFrame) -> str:
    """Return how many units of a layer are in which class."""
    counts = of_layer[of_layer["what"].str.startswith("n_")].set_index("what")["estimate"]
    order = [RESPONDING, *sorted(set(counts.index) - {RECORDED, RESPONDING}, reverse=True)]
    texts = [f"{int(counts[what]):,} {_class(what)}" for what in order if what in counts.index]
    return f"of {int(counts[RECORDED]):,} units {', '.join(texts)}"


def _class(what: str) -> str:
    return what.removeprefix("n_").replace("excluded: ", "").replace(": ", " ")


def _order(main: pd.DataFrame, layers: Sequence[str]) -> str:
    """Return which time steps differ; no test tells that none does."""
    texts = []
    for layer in layers:
        clusters = rows_of(main, what="cluster", layer=layer)
        found = clusters[clusters[["p", "p_within_network"]].min(axis=1) < 0.05]
        found = found[found["estimate"].abs() > NOTHING].sort_values("time_step")
        spans = [f"{first:.0f} to {last:.0f}" for first, last in found[["time_step", "last_step"]].to_numpy()]
        texts.append(f"{layer} {' and '.join(spans) or 'none shown'}")
    few = int(rows_of(main, what=INDEX)["n_models"].max())
    if 1 < few < FEWEST_FOR_CLUSTERS:
        texts.append(f"{few} networks cannot give p below {2 / 2**few:g}")
    return f"Time steps whose index differs from 0 (cluster permutation): {'; '.join(texts)}."


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control, but the network itself, whose index is not 0."""
    controls = statistics[~statistics["control"].isin(["", "intact"])]
    apart = (controls["interval_low"] > 0) | (controls["interval_high"] < 0)
    shown = controls[apart & (controls["estimate"].abs() > NOTHING)]
    return [control_warning(row, "modulation index", row["layer"]) for row in each_of(shown)]
