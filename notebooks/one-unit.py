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
# # One unit of a run, and one statistic by hand
#
# It opens the run of the tuning protocol in `runs/small-tuning` (another one if `NEUROATTN_RUN` names it), and makes a
# small one there if there is none.

# %%
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import xarray as xr

import neuroattn
from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
from neuroattn.stimuli.mnist import embedded

run = Path(os.environ.get("NEUROATTN_RUN", "runs/small-tuning"))
if not run.exists():
    small = ["--n_widths", "2", "--n_x", "4", "--n_y", "4", "--controls", "none", "--n_resamples", "200"]
    subprocess.run([sys.executable, "-m", "neuroattn.experiments.tuning", "--out", str(run), *small], check=True)
[path.name for path in sorted(run.iterdir())]

# %% [markdown]
# ## The recording
#
# A tree with a group a network and, in it, a group a variable. This one is reduced: one entry a condition, which is an
# orientation of the bar, a half of the bars (0 selects units, 1 measures them), and the object that is attended (0 is
# the bar, 1 the digit). A neuroid is one unit: a channel at a place. In `selection` lie the responses before any
# feedback, which select units: to the bars of that half, and to the digit without a bar.

# %%
recording = xr.open_datatree(run / "recording.zarr", engine="zarr", consolidated=False)
responses = recording["digits-0/stage1/response"].to_dataset().isel(time_step=0).load()
responses

# %% [markdown]
# ## One unit
#
# The tuned unit that responds most; its tuning curve in both states, and the map of its channel: the responses of all
# units that share its weights, to bars of its preferred orientation.

# %%
units = pd.read_parquet(run / "units.parquet")
stage_1 = units[units["layer"] == "stage1/response"].reset_index(drop=True)
tuned = stage_1[stage_1["tuned"]]
number = tuned["peak"].idxmax()
unit = stage_1.loc[number]
measured = responses.isel(condition=(responses["half"] == 1).values)
of_unit = measured.isel(neuroid=int(np.flatnonzero(measured["neuroid_id"] == unit["neuroid_id"])[0]))
curves = pd.DataFrame(
    {"orientation": of_unit["orientation"], "attended": of_unit["attended"], "response": of_unit["mean"]}
).pivot_table(index="orientation", columns="attended", values="response")

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
for state, name, colour in ((0, "bar attended", "#D55E00"), (1, "digit attended", "#0072B2")):
    left.plot(curves.index, curves[state], "o-", ms=3, color=colour, label=name)
left.set(xlabel="orientation of the bar (°)", ylabel="mean response (1)", title=unit["neuroid_id"], xticks=[0, 90, 180])
left.set_ylim(0, 1.5 * float(curves.to_numpy().max()))  # room for the legend
left.legend(frameon=False)
preferred = curves.mean(axis=1).idxmax()
at_preferred = measured.isel(condition=((measured["orientation"] == preferred) & (measured["attended"] == 0)).values)
channel = at_preferred.isel(condition=0, neuroid=(measured["channel"] == unit["channel"]).values)
place = pd.DataFrame({"y": channel["channel_y"], "x": channel["channel_x"], "response": channel["mean"]})
grid = place.pivot_table(index="y", columns="x", values="response")
drawn = right.imshow(grid, cmap="viridis")
right.plot(unit["channel_x"], unit["channel_y"], "s", mfc="none", mec="white", ms=6)
right.set(xlabel="x (units)", ylabel="y (units)", title=f"channel {unit['channel']}, bars at {preferred:g}°")
figure.colorbar(drawn, label="mean response (1)")
plt.show()

# %% [markdown]
# ## Its time course
#
# Recorded anew, at every time step: bars of its preferred orientation, cued so that either object is attended on the
# same pictures. At step 0 there is no feedback yet, so both states are the same.

# %%
model = neuroattn.load_model("digits-0")
digits = embedded()
bars = tuning_grid(20, 2, 4, 4)
bars = bars[np.isclose(bars["orientation"], preferred)].reset_index(drop=True)
digit = digits.images[digits.labels == 7][0]
stimuli = bar_and_digit(bars, digit, 7, noise=0.0, generator=torch.Generator().manual_seed(0))
y, x = int(unit["channel_y"]), int(unit["channel_x"])
one = neuroattn.Units(channels=[int(unit["channel"])], y=(y, y + 1), x=(x, x + 1))
tree = neuroattn.record(model, stimuli, ["stage1/response"], design="cued", units=one)
course = tree["stage1/response"]["activation"].isel(neuroid=0)
course = course.isel(presentation=course["confirmed"].values).groupby("attended").mean("presentation")

figure, axes = plt.subplots(figsize=(3.4, 2.4), layout="constrained")
for state, name, colour in ((0, "bar attended", "#D55E00"), (1, "digit attended", "#0072B2")):
    axes.plot(course["time_step"], course.sel(attended=state), "o-", ms=3, color=colour, label=name)
axes.set(xlabel="time step", ylabel="mean response (1)", xticks=range(course.sizes["time_step"]))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## One statistic by hand
#
# The median modulation index (A − N)/(A + N) of stage 1: A and N are a unit's mean response to all orientations, with
# the bar attended and with the digit attended. It is taken over units that do not have a digit in their receptive
# field and that some bar of the *other* half lifts by more than 0.1 above their response without a bar, before any
# feedback.


# %%
def largest(group: str) -> np.ndarray:
    """Return each unit's largest response before any feedback."""
    before = recording[f"digits-0/selection/{group}/stage1/response"].to_dataset().isel(time_step=0)
    return before["maximum"].max("condition").values.astype(np.float64)


driven = largest("with_bar") - largest("without_bar") > 0.1
states = [measured.isel(condition=(measured["attended"] == state).values) for state in (0, 1)]
attended, unattended = (state["mean"].astype("float64").mean("condition").values for state in states)
taking_part = driven & ~responses["distractor_in_field"].values
with np.errstate(invalid="ignore"):  # units that are silent in both states have no index
    index = ((attended - unattended) / (attended + unattended))[taking_part]
print(f"by hand: median index {np.nanmedian(index):.6f} of {taking_part.sum()} units")

# %%
statistics = pd.read_csv(run / "statistics.csv")
row = statistics.query(
    "what == 'modulation_index' and layer == 'stage1/response' and reduction == 'mean' and control.isna()"
).iloc[0]
print(f"statistics.csv: {row['estimate']:.6f} [{row['interval_low']:.4f}, {row['interval_high']:.4f}]")
assert np.isclose(np.nanmedian(index), row["estimate"], rtol=1e-4)
