"""Figures of trainings: curves and final accuracies by penalty, and what a trained network does in each phase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattn.figures.style import COLUMN_WIDTH, REFERENCE_COLOUR, house_style
from neuroattn.statistics.intervals import fraction_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

CURVES = {
    "validation_error": "validation error (1 − accuracy)",
    "training_classification_loss": "classification loss (nats)",
    "training_attention_loss": "attention loss (luminance²)",
}
_MARKERS = "osD^v<>PX*"


def curves_figure(table: pd.DataFrame) -> Figure:
    """Draw validation error and both losses over epochs, in a colour for every penalty.

    Parameters
    ----------
    table
        One row a network and epoch: ``network, phi, learning_rate, epoch`` and the metrics of training. Thin lines are
        networks; thick ones their mean where there are several.
    """
    table = table.assign(validation_error=1 - table["validation_accuracy"])
    rates = sorted(table["learning_rate"].unique())
    with house_style():
        figure = Figure(figsize=(2 * COLUMN_WIDTH, 0.4 + 1.9 * len(rates)), layout="constrained")
        panels = figure.subplots(len(rates), len(CURVES), squeeze=False, sharex=True)
        colours = _colours(table)
        for row, rate in zip(panels, rates, strict=True):
            part = table[table["learning_rate"] == rate]
            for axes, (metric, label) in zip(row, CURVES.items(), strict=True):
                _curves(axes, part, metric, colours)
                axes.set_ylabel(label)
                axes.set_xlabel("epoch")
                axes.set_xlim(0.5, table["epoch"].max() + 0.5)  # a single epoch stands in the middle
            if len(rates) > 1:
                row[0].set_title(f"learning rate {rate:g}", loc="left")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named))
    return figure


def _curves(axes: Axes, table: pd.DataFrame, metric: str, colours: dict[float, Any]) -> None:
    for index, phi in enumerate(sorted(table["phi"].unique())):
        networks = table[table["phi"] == phi]
        number = len(set(networks["network"]))
        for _, network in networks.groupby("network"):
            axes.plot(network["epoch"], network[metric], color=colours[phi], lw=0.4 if number > 1 else 1, alpha=0.6)
        mean = networks.groupby("epoch")[metric].mean()
        axes.plot(
            mean.index,
            mean,
            color=colours[phi],
            lw=1.2,
            marker=_MARKERS[index % len(_MARKERS)],
            ms=2.5,
            markevery=max(1, len(mean) // 6),
            label=f"φ = {phi:g}, {number} network{'s' if number > 1 else ''}",
        )
    if 0 < table[metric].min() < table[metric].max():
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def accuracy_figure(table: pd.DataFrame) -> Figure:
    """Draw the validation accuracy after the last epoch by penalty: means over seeds, 95 % t intervals, every network.

    Parameters
    ----------
    table
        As for `curves_figure`.
    """
    last = final(table)
    rates = sorted(last["learning_rate"].unique())
    with house_style():
        widest = max(3, table["phi"].nunique())
        figure = Figure(
            figsize=(max(COLUMN_WIDTH, 0.5 + len(rates) * (0.3 + 0.36 * widest)), 2.2), layout="constrained"
        )
        panels = figure.subplots(1, len(rates), squeeze=False, sharey=True)[0]
        colours = _colours(table)
        for axes, rate in zip(panels, rates, strict=True):
            part = last[last["learning_rate"] == rate]
            bars = accuracy_by_penalty(part).to_dict("records")
            for place, bar in enumerate(bars):
                values = part.loc[part["phi"] == bar["phi"], "validation_accuracy"]
                axes.bar(place, bar["estimate"], width=0.65, color=colours[bar["phi"]], alpha=0.55)
                if bar["n"] > 1:
                    half = [[bar["estimate"] - bar["interval_low"]], [bar["interval_high"] - bar["estimate"]]]
                    axes.errorbar(place, bar["estimate"], half, color="black", lw=0.8, capsize=2, clip_on=False)
                spread = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1)
                axes.plot(place + spread, values, "o", ms=2, mfc="white", mec="black", mew=0.5)
            axes.set_xticks(range(len(bars)), [f"{bar['phi']:g}\nn = {bar['n']}" for bar in bars])
            axes.set_xlim(-0.75, max(len(bars), 3) - 0.25)
            axes.set_xlabel("penalty φ, and number of networks")
            axes.set_title(f"learning rate {rate:g},\n{_epochs(part)}", loc="left")
        # Where networks agree an interval may reach far below all of them.
        ends = [accuracy_by_penalty(last[last["learning_rate"] == rate])["interval_low"].min() for rate in rates]
        lowest = float(np.fmin.reduce([last["validation_accuracy"].min(), *ends]))
        start = 0.0 if lowest < 0.8 else math.floor(20 * lowest - 0.5) / 20
        panels[0].set_ylim(start, 1)
        panels[0].set_ylabel("validation accuracy" + (f"\n(axis begins at {start:.2f})" if start else ""))
    return figure


def accuracy_by_penalty(last: pd.DataFrame) -> pd.DataFrame:
    """Return the mean accuracy over networks of every penalty, with its 95 % interval (NaN for one network)."""
    rows = []
    for phi in sorted(last["phi"].unique()):
        values = last.loc[last["phi"] == phi, "validation_accuracy"].to_numpy(float)
        mean, low, high = fraction_interval(values)
        rows.append({"phi": phi, "estimate": mean, "interval_low": low, "interval_high": high, "n": len(values)})
    return pd.DataFrame(rows)


def final(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each network's last epoch."""
    return table.loc[table.groupby("network")["epoch"].idxmax()]


class PhasePicture(NamedTuple):
    """What a network did with one picture in one phase.

    Attributes
    ----------
    title
        Which object it attended and how it named it.
    gated_image, gate, inhibition
        (y, x): z[1] of the decision, g[1] after step T − 1, and the mask that was imposed. Of a picture in colour the
        gated image is (y, x, 3), and gate and mask are means over the colours.
    deeper
        (channel, y, x) gates of the second stage, whose mean is drawn; None for a network of one stage.
    """

    title: str
    gated_image: NDArray[np.float32]
    gate: NDArray[np.float32]
    inhibition: NDArray[np.float32]
    deeper: NDArray[np.float32] | None


def phases_figure(image: NDArray[np.float32], phases: Sequence[PhasePicture], name: str) -> Figure:
    """Draw the gated image, the gates and the inhibition of every phase of a trial of a network.

    The image is a composite (y, x), or a scene (y, x, 3), in [0, 1].
    """
    colour = image.ndim == 3
    with house_style():
        figure = Figure(figsize=(2 * COLUMN_WIDTH, 0.35 + 1.05 * len(phases)), layout="constrained")
        figure.suptitle(f"{name}: one trial", fontsize=7)
        gate = "mean gate of the image" if colour else "gate of the image"
        headings = ["image", "gated image", gate, "imposed inhibition"]
        headings += ["mean gate, stage 2"] if phases[0].deeper is not None else []
        panels = figure.subplots(len(phases), len(headings), squeeze=False)
        for number, (row, phase) in enumerate(zip(panels, phases, strict=True)):
            shown = [image, phase.gated_image, phase.gate, phase.inhibition]
            shown += [] if phase.deeper is None else [phase.deeper.mean(0)]
            for column, (axes, heading, values) in enumerate(zip(row, headings, shown, strict=True)):
                gates = column in {2, 4}
                drawn = axes.imshow(
                    values,
                    cmap="RdBu_r" if gates else "gray",
                    vmin=-1 if gates else 0,
                    vmax=1,
                    interpolation="nearest",
                )
                axes.set(xticks=[], yticks=[])
                if number == 0:
                    axes.set_title(heading)
                if number == len(phases) - 1 and (column > 1 or not colour):
                    label = "gate (1 inhibits)" if gates else "luminance (1)"
                    if column == 3:
                        label = "fraction of colours" if colour else ""
                    bar = figure.colorbar(drawn, ax=panels[:, column], location="bottom", shrink=0.8, label=label)
                    if column == 3 and not colour:
                        bar.set_ticks([0, 1], labels=["not inhibited", "inhibited"])
            row[0].set_ylabel(f"phase {number + 1}\n{phase.title}", color=REFERENCE_COLOUR)
    return figure


def _colours(table: pd.DataFrame) -> dict[float, Any]:
    """Return a colour for every penalty, dark to light in its order."""
    penalties = sorted(table["phi"].unique())
    places = np.linspace(0.1, 0.85, len(penalties)) if len(penalties) > 1 else np.full(1, 0.3)
    return dict(zip(penalties, map(colormaps["viridis"], places), strict=True))


def _epochs(last: pd.DataFrame) -> str:
    low, high = int(last["epoch"].min()), int(last["epoch"].max())
    number = f"{low}" if low == high else f"{low} to {high}"
    return f"{number} epoch" if number == "1" else f"{number} epochs"
