# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own analysis of a run's units
#
# `units.parquet` has one row a unit and network. Here: the modulation index (A − N)/(A + N) of each unit, layer by
# layer, of units that bars drive and that do not have the digit in their field. It opens the run of the tuning
# protocol in `runs/small-tuning` (another one if `NEUROATTN_RUN` names it), and makes a small one if there is none.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import neuroattn

where = Path(os.environ.get("NEUROATTN_RUN", "runs/small-tuning"))
small = {"n_widths": 2, "n_x": 4, "n_y": 4, "controls": "none", "n_resamples": 200}
run = neuroattn.open_run(where) if where.exists() else neuroattn.run("tuning", models=["digits-0"], out=where, **small)
units = run.units
taking_part = units[units["driven"] & ~units["distractor_in_field"]]
of_layer = taking_part.groupby("layer", sort=False)["modulation_index_mean"]
of_layer.describe()

# %%
figure, axes = plt.subplots(figsize=(4, 2.6), layout="constrained")
bins = np.linspace(-1, 1, 41)
for (layer, index), colour, line in zip(
    of_layer, ["#0072B2", "#D55E00", "#009E73", "#CC79A7"], ["-", "--", "-.", ":"], strict=False
):
    axes.hist(index.dropna(), bins, histtype="step", color=colour, ls=line, lw=1.5, label=layer)
axes.axvline(0, color="0.6", lw=0.8)
axes.set(xlabel="modulation index (1)", ylabel="units")
axes.legend(frameon=False, fontsize=8)
plt.show()
print("median modulation index:", ", ".join(f"{layer} {value:.6f}" for layer, value in of_layer.median().items()))
