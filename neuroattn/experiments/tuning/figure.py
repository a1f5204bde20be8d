"""The figure of the tuning protocol: example units, and what attention did to all of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from neuroattn.dims import LAYER
from neuroattn.figures.panels import CONTROL_NAMES, above, controls, letter, reference, stage
from neuroattn.figures.style import COLUMN_WIDTH, LAYER_COLOURS, REFERENCE_COLOUR, STATE_COLOURS, house_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

N_EXAMPLES = 3
NOTE_WIDTH = 31  # characters below a panel


class _Panel(NamedTuple):
    """A distribution over units: which measure, its label, the value of no effect, and the ticks.

    The outermost ticks are the range shown; what lies beyond is counted in the outermost bins, as their ticks say.
    """

    measure: str
    label: str
    null: float
    ticks: Mapping[int, str] | Mapping[float, str]

    @property
    def span(self) -> tuple[float, float]:
        return min(self.ticks), max(self.ticks)


_DEGREES = {-30: "≤ −30", -15: "−15", 0: "0", 15: "15", 30: "≥ 30"}
PANELS = (
    _Panel("gain", "gain (ratio of amplitudes)", 1,
           {0.25: "≤ ¼", 0.5: "½", 1: "1", 2: "2", 4: "4", 8: "≥ 8\nor ∞"}),
    _Panel("baseline_difference", "offset of the baseline (1)", 0, {-1: "≤ −1", 0: "0", 1: "≥ 1"}),
    _Panel("shift", "shift of preferred orientation (°)", 0, _DEGREES),
    _Panel("bandwidth_change", "change of half width (°)", 0, _DEGREES),
)  # fmt: skip


def tuning_figure(
    examples: pd.DataFrame,
    units: pd.DataFrame,
    statistics: pd.DataFrame,
    reduction: str,
    biology: Mapping[str, float],
) -> Figure:
    """Draw example units of each layer with both curves, and the distributions of gain, offset, shift and bandwidth.

    `biology` is area → median gain of its neurons. A model's gain follows its gate strength, which the label says.
    """
    layers = units[LAYER].unique().tolist()
    with house_style():
        figure = Figure(figsize=(COLUMN_WIDTH, 1.15 * len(layers) + 5.0), layout="constrained")
        parts: Any = figure.subfigures(3, 1, height_ratios=[1.15 * len(layers), 3.7, 1.3])
        top, middle, bottom = parts
        _draw_examples(top, examples, layers)
        main = statistics[(statistics["reduction"] == reduction) & (statistics["model"] == "")]
        grid = middle.subplots(2, 2).ravel()
        for text, axes, panel in zip("bcde", grid, PANELS, strict=True):
            _draw_distribution(axes, units, main[main["control"] == ""], panel, reduction, layers, biology)
            letter(axes, text, (-24, 10))
        legends = {
            name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        controls_axes = bottom.subplots(1, 1)
        _draw_controls(controls_axes, main, layers)
        for part in (middle, bottom) if legends else ():
            part.legend(legends.values(), legends.keys(), loc="outside upper center", ncols=2, handlelength=1.2)
        letter(controls_axes, "f", (-24, 10))
    return figure


def _draw_examples(figure: Any, examples: pd.DataFrame, layers: Sequence[str]) -> None:
    grid = figure.subplots(len(layers), N_EXAMPLES, sharex=True, squeeze=False)
    for row, layer in zip(grid, layers, strict=True):
        for number, axes in enumerate(row):
            shown = examples[(examples["layer"] == layer) & (examples["example"] == number)]
            if shown.empty:
                axes.set_axis_off()
                axes.text(0.5, 0.5, "no unit fitted", ha="center", transform=axes.transAxes, color=REFERENCE_COLOUR)
                continue
            for (state, kind), curve in shown.groupby(["state", "kind"]):
                marks = {"marker": "o", "ms": 2, "ls": ""} if kind == "data" else {"ls": "-"}
                label = f"bar {state}" if kind == "fit" else None
                axes.plot(
                    curve["orientation"], curve["response"], color=STATE_COLOURS[str(state)], label=label, **marks
                )
            axes.set_title(f"{stage(layer)}{_gain(shown['gain'].iloc[0])}")
            axes.set_xticks([0, 90, 180])
            axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    figure.supxlabel("orientation of the bar (°)", fontsize=6.5)
    figure.supylabel("response (1)", fontsize=6.5)
    handles, names = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=2, handlelength=1.2)
    letter(grid[0, 0], "a", (-24, 10))


def _draw_distribution(
    axes: Axes,
    units: pd.DataFrame,
    statistics: pd.DataFrame,
    panel: _Panel,
    reduction: str,
    layers: Sequence[str],
    biology: Mapping[str, float],
) -> None:
    """Draw a histogram a layer; values beyond the range are counted in its outermost bins, and the ticks say so."""
    ratio = panel.measure == "gain"
    space = np.geomspace if ratio else np.linspace
    edges, beyond = space(*panel.span, 31).tolist(), 0
    numbers: list[str] = []
    for layer, colour in zip(layers, LAYER_COLOURS, strict=False):
        values = units.loc[units[LAYER] == layer, f"{panel.measure}_{reduction}"].dropna().to_numpy(np.float64)
        row = statistics[(statistics["what"] == panel.measure) & (statistics["layer"] == layer)]
        if not len(values):
            continue
        numbers.append(f"{len(values):,}")
        beyond += int(((values < panel.span[0]) | (values > panel.span[1])).sum())
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values.clip(*panel.span), edges, weights=weights, histtype="step", color=colour, label=stage(layer))
        at = 1.04 + 0.07 * list(layers).index(layer)
        above(axes, row.iloc[0], panel.span, at, colour)
    axes.axvline(panel.null, color="black", lw=0.6)
    if ratio:
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        for (text, _), side, at in zip(reference(axes, biology), ("right", "left"), (0.5, 0.72), strict=False):
            axes.annotate(
                text,
                (float(text.split()[-1]), at),
                (-4 if side == "right" else 4, 0),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha=side,
                color=REFERENCE_COLOUR,
            )
    axes.set_xticks(list(panel.ticks), labels=list(panel.ticks.values()))
    bound = statistics.loc[statistics["what"] == panel.measure, "equivalence_high"]
    if bound.notna().any():
        axes.axvspan(-bound.iloc[0], bound.iloc[0], color="0.9", zorder=-1, lw=0)
    # Of four stages in two lines: the panel beside begins where a longer one would end.
    notes = [textwrap.fill(f"n = {' / '.join(numbers)}", NOTE_WIDTH)] if numbers else []
    notes += [f"({beyond:,} beyond the axis)"] if beyond else []
    notes += ["(a match is a choice of s)"] if ratio and biology else []
    axes.set_xlabel("\n".join([panel.label, *notes]))
    axes.set_ylabel("fraction of units")


def _draw_controls(axes: Axes, statistics: pd.DataFrame, layers: Sequence[str]) -> None:
    """Draw the modulation index with the whole network, on the controls' stimuli, and in each control."""
    rows = statistics[statistics["what"] == "modulation_index"]
    texts = CONTROL_NAMES | {"": "all bars", "intact": "fewer bars"}
    controls(axes, rows, {name: texts[name] for name in rows["control"].unique()}, layers)
    axes.set_ylabel("modulation\nindex\n(median)")


def _gain(value: float) -> str:
    """Return in words the gain of a unit that is silent in a state."""
    if np.isinf(value) or value == 0:
        return f", silent\nwhen {'un' if value else ''}attended"
    return f", gain {value:.2f}"
