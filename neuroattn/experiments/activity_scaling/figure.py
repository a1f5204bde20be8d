"""The figure of activity scaling: what attention to its object does to a unit, when, and at which gate strength."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattn.dims import CONTROLS, LAYER
from neuroattn.figures.panels import (
    CONTROL_NAMES,
    above,
    controls,
    curves,
    letter,
    of_layers,
    reference,
    stage,
)
from neuroattn.figures.style import COLUMN_WIDTH, LAYER_COLOURS, REFERENCE_COLOUR, house_style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes


def scaling_figure(units: pd.DataFrame, statistics: pd.DataFrame, biology: Mapping[str, float]) -> Figure:
    """Draw the figure from units and statistics (strengths and controls included); `biology` is area → index.

    What has nothing to show has no panel.
    """
    layers = list(units[LAYER].unique())
    statistics = statistics[statistics["model"] == ""]
    taking_part = units[units["excluded_by"] == ""]
    main = statistics[statistics["control"].eq("") & statistics["strength"].isna()]
    strengths, by_step = statistics[statistics["strength"].notna()], main[main["time_step"].notna()]
    in_controls = statistics[statistics["control"].ne("")]
    panels: list[tuple[Callable[[Axes], None], bool]] = [
        (lambda axes: _draw_index(axes, taking_part, main, layers, biology), True),
        (lambda axes: _draw_states(axes, taking_part, layers), True),
        (lambda axes: _draw_course(axes, main, layers), len(set(by_step["time_step"])) > 1),
        (lambda axes: _draw_doses(axes, strengths, layers), len(strengths) > 0),
        (lambda axes: _draw_form(axes, taking_part, layers), bool(taking_part["slope"].notna().any())),
        (lambda axes: _draw_controls(axes, in_controls, layers), len(in_controls) > 0),
    ]
    shown = [draw for draw, there in panels if there]
    n_columns = 2 if len(shown) == 4 else 3
    n_rows = math.ceil(len(shown) / n_columns)
    with house_style():
        figure = Figure(figsize=(2 / 3 * n_columns * COLUMN_WIDTH, 2.2 * n_rows), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for number, axes in enumerate(grid):
            if number < len(shown):
                shown[number](axes)
                letter(axes, "abcdef"[number])
            else:
                axes.remove()
        handles, names = grid[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def _draw_index(
    axes: Axes, units: pd.DataFrame, main: pd.DataFrame, layers: Sequence[str], biology: Mapping[str, float]
) -> None:
    """Draw a histogram of the index a layer, with medians and intervals above."""
    edges = np.linspace(-1, 1, 41)
    for number, (layer, colour) in enumerate(zip(layers, LAYER_COLOURS, strict=False)):
        values = units.loc[units[LAYER] == layer, "modulation_index"].dropna().to_numpy(np.float64)
        if not len(values):
            continue
        weights = np.full(len(values), 1 / len(values))
        label = f"{stage(layer)}, n = {len(values):,}"
        axes.hist(values, edges.tolist(), weights=weights, histtype="step", color=colour, label=label)
        rows = main[(main["what"] == "modulation_index") & (main["layer"] == layer) & main["time_step"].isna()]
        above(axes, rows.iloc[0], (-1, 1), 1.03 + 0.05 * number, colour)
    axes.axvline(0, color="black", lw=0.6)
    lines = ", ".join(f"{text} ({line})" for text, line in reference(axes, biology))
    axes.set_xlabel(f"modulation index\n{lines}")
    axes.set_ylabel("fraction of units")


def _draw_states(axes: Axes, units: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw each unit's mean response in both states."""
    for shown, colour in of_layers(units, layers):
        axes.plot(
            shown["mean_unattended"], shown["mean_attended"], ".", ms=1.5, color=colour, alpha=0.5, rasterized=True
        )
    limit = float(np.nanmax([units["mean_unattended"].max(), units["mean_attended"].max(), 1e-6])) * 1.05
    axes.plot([0, limit], [0, limit], color="black", lw=0.6)
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.set_xlabel("mean response,\nother object attended (1)")
    axes.set_ylabel("mean response,\nown object attended (1)")


def _draw_course(axes: Axes, main: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw the index at every time step; a bar above marks significant clusters of steps."""
    rows = main[(main["what"] == "modulation_index") & main["time_step"].notna()]
    clusters = main[main["what"] == "cluster"]
    curves(axes, rows, "time_step", layers)
    for number, (of_layer, colour) in enumerate(of_layers(clusters, layers)):
        at = 1.03 + 0.05 * number
        significant = of_layer[of_layer[["p", "p_within_network"]].min(axis=1) < 0.05]
        for first, last in significant[["time_step", "last_step"]].to_numpy(np.float64):
            span = [first - 0.2, last + 0.2]
            axes.plot(span, [at, at], color=colour, transform=axes.get_xaxis_transform(), clip_on=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("time step, 0 before feedback\n(bars above: clusters with p < .05)")
    axes.set_ylabel("modulation index (median)")


def _draw_doses(axes: Axes, statistics: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw the index over gate strength, with the ceiling of one gate."""
    curves(axes, statistics, "strength", layers)
    s = np.linspace(0, 1, 51)
    axes.plot(s, s, color=REFERENCE_COLOUR, lw=0.8, ls="--")
    axes.plot(s, s / (2 - s), color=REFERENCE_COLOUR, lw=0.8, ls=":")
    axes.set_xlabel("gate strength s\n(one gate at most: dashed; within 0 … 1: dotted)")
    axes.set_ylabel("modulation index (median)")


def _draw_form(axes: Axes, units: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw slope and offset of the attended on the unattended response, over stimuli."""
    for shown, colour in of_layers(units, layers):
        slope = shown["slope"].clip(0.25, 4)
        axes.plot(slope, shown["intercept"], ".", ms=1.5, color=colour, alpha=0.5, rasterized=True)
    spread = float(np.nanquantile(np.abs(units["intercept"]), 0.99)) if units["intercept"].notna().any() else 1.0
    axes.set_ylim(-1.1 * spread, 1.1 * spread)
    axes.axvline(1, color="black", lw=0.6)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.25, 0.5, 1, 2, 4], labels=["≤¼", "½", "1", "2", "≥4"])
    axes.minorticks_off()
    axes.set_xlabel("slope over stimuli (multiplicative)")
    axes.set_ylabel("offset (additive, 1)")


def _draw_controls(axes: Axes, statistics: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw the index in each control."""
    texts = CONTROL_NAMES | {"intact": "intact,\nfewer stimuli"}
    names = {name: texts[name] for name in CONTROLS if name in set(statistics["control"])}
    controls(axes, statistics, names, layers, rotation=40, ha="right")
    axes.set_ylabel("modulation index (median)")
