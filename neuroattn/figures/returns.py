"""The figure of inhibition of return: gates by what an object is to a phase, and choices by what the mask is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from neuroattn.figures.style import COLUMN_WIDTH, LAYER_COLOURS, REFERENCE_COLOUR, STATE_COLOURS, house_style
from neuroattn.labels import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

MOST_UPRIGHT = 8  # names that stand side by side under an axis
CONTROL_NAMES = {
    "intact": "intact",
    "zero_strength": "s = 0",
    "one_step": "T = 1",
    "shuffled_gates": "shuffled\ngates",
    "untrained": "untrained",
}


def returns_figure(statistics: pd.DataFrame) -> Figure:
    """Draw means with 95 % intervals.

    Parameters
    ----------
    statistics
        `neuroattn.statistics.return_summary.summarise`, with controls.
    """
    main = statistics[statistics["control"].isna()]
    with house_style():
        figure = Figure(figsize=(2 * COLUMN_WIDTH, 4.6), layout="constrained")
        grid = figure.subplots(2, 2, width_ratios=[1, 1.25])
        _draw_gates(grid[0, 0], main)
        _draw_returns(grid[0, 1], main)
        _draw_matched(grid[1, 0], main)
        _draw_controls(grid[1, 1], statistics)
        for letter, axes in zip("abcd", grid.ravel(), strict=True):
            axes.annotate(
                letter,
                (0, 1),
                (-26, 4),
                xycoords="axes fraction",
                textcoords="offset points",
                weight="bold",
                fontsize=8,
            )
    return figure


def _draw_gates(axes: Axes, main: pd.DataFrame) -> None:
    """Draw the gate over each kind of pixels in the free trial."""
    rows = main[main["what"] == "gate"]
    _points(axes, rows, list(rows["measure"]), LAYER_COLOURS[0])
    axes.set_ylim(min(0.0, 1.1 * float(rows["interval_low"].min())), 1.03)
    axes.set_ylabel("gate of the image\n(1 inhibits)")
    axes.set_xlabel(f"pixels in the free trial (n = {_number(rows)})")


def _draw_returns(axes: Axes, main: pd.DataFrame) -> None:
    """Draw how often the second phase goes back, by its mask."""
    rows = main[main["what"].isin(["return", "return to place"])]
    names = []
    for row in rows.to_dict("records"):
        name = str(row["condition"]).replace("moved, no mask", "moved").replace(" alone", "\nalone")
        names.append(f"{name}:\nplace" if row["what"] == "return to place" else name)
    _points(axes, rows, names, STATE_COLOURS["attended"])
    axes.axhline(float(rows["null"].iloc[0]), color=REFERENCE_COLOUR, lw=0.8, ls="--")
    axes.annotate("chance", (1, float(rows["null"].iloc[0])), (-2, 2), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", color=REFERENCE_COLOUR)  # fmt: skip
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("second phase attends the object\nthat the first attended (fraction)")
    axes.set_xlabel(
        f"mask of the second phase (n = {_number(rows)})\n"
        "carried, moved (no mask): objects changed places;\nplace: of what stands there"
    )


def _draw_matched(axes: Axes, main: pd.DataFrame) -> None:
    """Draw the difference between the object attended first and never attended ones, at the same place."""
    rows = main[main["what"] == "matched difference"]
    if rows.empty:
        axes.set_axis_off()
        axes.text(
            0.5, 0.5, "with two objects none is left\nthat was never attended", ha="center", transform=axes.transAxes
        )
        return
    names = [str(name).replace("response_stage", "response,\nstage ") for name in rows["measure"]]
    _points(axes, rows, names, LAYER_COLOURS[1])
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylabel("attended before − never attended,\nsame place, phase 2 (1)")
    axes.set_xlabel(f"mask imposed (n = {_number(rows)})")


def _draw_controls(axes: Axes, statistics: pd.DataFrame) -> None:
    """Draw how often controls go back with the mask imposed."""
    rows = statistics[(statistics["what"] == "return") & statistics["control"].notna()]
    order = [name for name in CONTROLS if name in set(rows["control"])]
    if not order:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no controls were run", ha="center", transform=axes.transAxes)
        return
    rows = rows.set_index("control").loc[order].reset_index()
    _points(axes, rows, [CONTROL_NAMES[name] for name in order], LAYER_COLOURS[3])
    axes.axhline(float(rows["null"].iloc[0]), color=REFERENCE_COLOUR, lw=0.8, ls="--")
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("second phase attends the object\nthat the first attended (fraction)")
    axes.set_xlabel(f"controls, mask imposed (n = {_number(rows)})")


def _points(axes: Axes, rows: pd.DataFrame, names: Sequence[str], colour: str) -> None:
    at = np.arange(len(rows))
    axes.vlines(at, rows["interval_low"], rows["interval_high"], color=colour)
    axes.plot(at, rows["estimate"], "o", ms=3, color=colour)
    if len(rows) > MOST_UPRIGHT:
        level = [name.replace("\n", " ") for name in names]
        axes.set_xticks(at, level, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(at, [name.replace("attended ", "attended\n") for name in names])
    axes.set_xlim(-0.5, len(rows) - 0.5)


def _number(rows: pd.DataFrame) -> str:
    models, stimuli = int(rows["n_models"].max()), int(rows["n_stimuli"].max())
    return f"{models} network{'s' if models > 1 else ''}, {stimuli:,} stimuli"
