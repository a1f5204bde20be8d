"""The figure of cost and benefit: both indices of every layer and their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattn.figures.panels import CONTROL_NAMES, letter, stage
from neuroattn.figures.style import COLUMN_WIDTH, STATE_COLOURS, house_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PANELS = {"benefit": ("benefit (A − O)/(A + O)", "attended"), "cost": ("cost (N − O)/(N + O)", "unattended")}


def indices_figure(statistics: pd.DataFrame, bound: float) -> Figure:
    """Return a panel of each index: means with 95 % intervals; within the band there is no effect."""
    import matplotlib.pyplot as plt

    rows = statistics[(statistics["model"] == "") & statistics["what"].isin(PANELS)]
    layers, groups = list(dict.fromkeys(rows["layer"])), list(dict.fromkeys(rows["control"]))
    with house_style():
        figure, axes = plt.subplots(1, 2, figsize=(COLUMN_WIDTH, 2.2), sharey=True, layout="constrained")
        for panel, (what, (label, state)), name in zip(axes, PANELS.items(), "ab", strict=True):
            panel.axhspan(-bound, bound, color="0.88", lw=0)
            panel.axhline(0, color="black", lw=0.6)
            for number, layer in enumerate(layers):
                shown = rows[(rows["what"] == what) & (rows["layer"] == layer)].set_index("control").reindex(groups)
                low, high, mean = (shown[f"cluster_mean{end}"].to_numpy(float) for end in ("_low", "_high", ""))
                at = [group + (number - (len(layers) - 1) / 2) * 0.2 for group in range(len(groups))]
                panel.vlines(at, low, high, color=STATE_COLOURS[state])
                panel.plot(at, mean, "os^D"[number % 4], ms=3, color=STATE_COLOURS[state], label=stage(layer))
            names = [CONTROL_NAMES.get(control, "network").replace("\n", " ") for control in groups]
            panel.set_xticks(range(len(groups)), names, rotation=60, ha="right", rotation_mode="anchor")
            panel.set(ylabel=label, ylim=(-1.05, 1.05))
            letter(panel, name)
        axes[1].legend()
    return figure
