"""The figure of inhibition of return: gates by what an object is to a phase, and choices by what the mask is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from neuroattn.dims import CONTROLS
from neuroattn.figures.panels import CONTROL_NAMES, letter
from neuroattn.figures.style import COLUMN_WIDTH, LAYER_COLOURS, REFERENCE_COLOUR, STATE_COLOURS, house_style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

PIXEL_NAMES = {
    "attended now": "now",
    "attended before": "before",
    "never attended": "never",
    "background": "back-\nground",
}


def returns_figure(statistics: pd.DataFrame) -> Figure:
    """Draw means with 95 % intervals; open circles follow from the architecture. What has no row has no panel."""
    together = statistics[statistics["model"] == ""]
    main, controls = together[together["control"].eq("")], together[together["control"].ne("")]
    by_mask, matched = _of(main, "return", "return to place"), _of(main, "matched difference")
    above: list[tuple[Callable[[Axes, pd.DataFrame], None], pd.DataFrame]] = [
        (_draw_gates, _of(main, "gate")),
        (_draw_matched, matched),
        (_draw_controls, _of(controls, "return")),
    ]
    above = [(draw, rows) for draw, rows in above if len(rows)]
    with house_style():
        figure = Figure(figsize=(2 * COLUMN_WIDTH, 5.2), layout="constrained")
        upper, lower = np.ravel(figure.subfigures(2, 1, squeeze=False))
        panels = list(upper.subplots(1, len(above), squeeze=False)[0])
        for axes, (draw, rows) in zip(panels, above, strict=True):
            draw(axes, rows)
        of_object, of_place = (by_mask[by_mask["what"] == what] for what in ("return", "return to place"))
        widths = [max(len(rows), 3) for rows in (of_object, of_place) if len(rows)]
        lower_panels = list(lower.subplots(1, len(widths), squeeze=False, sharey=True, width_ratios=widths)[0])
        _draw_returns(lower_panels[0], of_object)
        if len(of_place):
            _draw_to_place(lower_panels[1], of_place)
        for text, axes in zip("abcde", (*panels, *lower_panels), strict=False):
            letter(axes, text, (-26, 4))
    return figure


def _of(statistics: pd.DataFrame, *what: str) -> pd.DataFrame:
    return statistics[statistics["what"].isin(what)]


def _draw_gates(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the gate over each kind of pixels in the free trial."""
    _points(axes, rows, [PIXEL_NAMES[name] for name in rows["measure"]], LAYER_COLOURS[0])
    axes.set_ylim(min(0.0, 1.1 * float(rows["interval_low"].min())), 1.03)
    axes.set_ylabel("gate of the image\n(1 inhibits)")
    axes.set_xlabel(f"pixels of objects attended now, before, never;\nfree trial ({_number(rows)})")


def _draw_returns(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw how often the second phase goes back to the first object, by its mask."""
    _points(axes, rows, [_name(row) for row in rows["condition"]], STATE_COLOURS["attended"])
    _mark_chance(axes, rows)
    axes.set_ylabel("second phase chooses the\nobject attended first (fraction)")
    axes.set_xlabel(
        f"mask of the second phase; carried, moved: objects changed places\n({_number(rows)}; open: by construction)"
    )


def _draw_to_place(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw how often the second phase chooses what stands where the first object stood."""
    _points(axes, rows, [_name(row) for row in rows["condition"]], STATE_COLOURS["unattended"])
    _mark_chance(axes, rows)
    axes.tick_params(labelleft=True)
    axes.set_ylabel("second phase chooses what\nstands where it stood (fraction)")
    axes.set_xlabel(f"objects changed places\n({_number(rows)})")


def _draw_matched(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the difference between the object attended first and never attended ones, at the same place."""
    names = [str(name).replace("response_stage", "response,\nstage ") for name in rows["measure"]]
    _points(axes, rows, names, LAYER_COLOURS[1])
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylabel("attended before − never attended,\nsame place, phase 2 (1)")
    axes.set_xlabel(f"mask imposed\n({_number(rows)})")


def _draw_controls(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw how often controls go back with the mask imposed."""
    order = [name for name in CONTROLS if name in set(rows["control"])]
    rows = rows.set_index("control").loc[order].reset_index()
    names = CONTROL_NAMES | {"untrained": "un-\ntrained"}
    _points(axes, rows, [names[name] for name in order], LAYER_COLOURS[3])
    _mark_chance(axes, rows)
    axes.set_ylabel("second phase chooses the\nobject attended first (fraction)")
    axes.set_xlabel(f"controls, mask imposed;\nT = 1 checks the code\n({_number(rows)})")


def _name(condition: str) -> str:
    return condition.replace("moved, no mask", "moved,\nno mask").replace(" alone", "\nalone")


def _mark_chance(axes: Axes, rows: pd.DataFrame) -> None:
    chance = float(rows["null"].iloc[0])
    axes.axhline(chance, color=REFERENCE_COLOUR, lw=0.8, ls="--", zorder=0)
    axes.annotate("chance", (1, chance), (2, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                  va="center", rotation=90, color=REFERENCE_COLOUR)  # fmt: skip
    axes.set_ylim(-0.03, 1.03)


def _points(axes: Axes, rows: pd.DataFrame, names: Sequence[str], colour: str) -> None:
    """Draw estimates with intervals; where their numbers of stimuli differ, these stand under the names."""
    at = np.arange(len(rows))
    given = rows["test"].str.startswith(("none: follows", "none: checks")).to_numpy()
    found = rows[~given]
    axes.vlines(at[~given], found["interval_low"], found["interval_high"], color=colour)
    axes.plot(at[~given], found["estimate"], "o", ms=3, color=colour)
    axes.plot(at[given], rows["estimate"][given], "o", ms=3, color=colour, mfc="white")
    numbers = [_stimuli(rows[number : number + 1]) for number in range(len(rows))]
    if len(set(numbers)) > 1:
        names = [f"{name}\n{number}" for name, number in zip(names, numbers, strict=True)]
    axes.set_xticks(at, names)
    axes.set_xlim(-0.5, len(rows) - 0.5)


def _stimuli(rows: pd.DataFrame) -> str:
    fewest, most = int(rows["n_stimuli"].min()), int(rows["n_stimuli_most"].max())
    return f"{fewest:,}" if fewest == most else f"{fewest:,}–{most:,}"


def _number(rows: pd.DataFrame) -> str:
    models = int(rows["n_models"].max())
    return f"n = {models} network{'s' if models > 1 else ''}, {_stimuli(rows)} stimuli"
