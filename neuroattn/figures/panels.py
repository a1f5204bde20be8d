"""What the figures of several protocols draw alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.figures.style import LAYER_COLOURS, REFERENCE_COLOUR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

CONTROL_NAMES = {
    "intact": "intact",
    "zero_strength": "s = 0",
    "one_step": "T = 1",
    "shuffled_gates": "shuffled\ngates",
    "untrained": "untrained",
}


def letter(axes: Axes, text: str, offset: tuple[int, int] = (-26, 6)) -> None:
    """Write the letter of a panel above it, `offset` points from its corner."""
    axes.annotate(text, (0, 1), offset, xycoords="axes fraction", textcoords="offset points", weight="bold", fontsize=8)


def stage(layer: str) -> str:
    """Return a layer's name for print: ``stage1/response`` is stage 1."""
    return layer.partition("/")[0].replace("stage", "stage ")


def of_layers(rows: pd.DataFrame, layers: Sequence[str]) -> Iterator[tuple[pd.DataFrame, str]]:
    """Yield the rows of every layer with its colour."""
    for layer, colour in zip(layers, LAYER_COLOURS, strict=False):
        yield rows[rows["layer"] == layer], colour


def curves(axes: Axes, rows: pd.DataFrame, x: str, layers: Sequence[str]) -> None:
    """Draw the estimates of every layer over a column, with their intervals."""
    for of_layer, colour in of_layers(rows, layers):
        shown = of_layer.sort_values(x)
        axes.fill_between(shown[x], shown["interval_low"], shown["interval_high"], color=colour, alpha=0.25, lw=0)
        axes.plot(shown[x], shown["estimate"], "o-", ms=2.5, color=colour)
    axes.axhline(0, color="black", lw=0.6)


def controls(axes: Axes, rows: pd.DataFrame, names: Mapping[str, str], layers: Sequence[str], **ticks: Any) -> None:
    """Draw the estimates of every control, layers side by side; `names` is control → its name for print, in order."""
    # A line of no points that is not clipped has no place, and no layout is found for it.
    for number, (of_layer, colour) in enumerate(of_layers(rows, layers) if names else ()):
        shown = of_layer.set_index("control").reindex(list(names))
        at = np.arange(len(names)) + (number - (len(layers) - 1) / 2) * 0.22
        low, high, middle = shown[["interval_low", "interval_high", "estimate"]].to_numpy(np.float64).T
        axes.vlines(at, low, high, color=colour)
        axes.plot(at, middle, "o", ms=2.5, color=colour, clip_on=False)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(range(len(names)), list(names.values()), **ticks)


def above(axes: Axes, row: pd.Series[Any], span: tuple[float, float], at: float, colour: str) -> None:
    """Draw an estimate with its interval above the axes; an arrow marks an end that lies beyond them."""
    style: Any = {"color": colour, "transform": axes.get_xaxis_transform(), "clip_on": False}
    low, high, middle = row[["interval_low", "interval_high", "estimate"]].clip(*span)
    axes.plot([low, high], [at, at], **style)
    axes.plot(middle, at, "o", ms=2.5, **style)
    if row["interval_low"] < span[0]:
        axes.plot(low, at, "<", ms=3.5, **style)
    if row["interval_high"] > span[1]:
        axes.plot(high, at, ">", ms=3.5, **style)


def reference(axes: Axes, biology: Mapping[str, float]) -> list[tuple[str, str]]:
    """Draw a vertical line an area's number, and return their texts with the names of their lines."""
    named = []
    ordered = sorted(biology.items(), key=lambda item: item[1])
    for (area, value), style, word in zip(ordered, (":", "--"), ("dotted", "dashed"), strict=False):
        axes.axvline(value, color=REFERENCE_COLOUR, lw=0.8, ls=style)
        named.append((f"{area} {value:g}", word))
    return named
