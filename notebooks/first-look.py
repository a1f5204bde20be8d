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
# # Your own pictures, your own question
#
# Open it in Jupyter or VS Code (`pip install "neuroattn[notebook]"`), or run it: `python notebooks/first-look.py`.
# Put PNG or JPEG files into a folder and name it in `NEUROATTN_PICTURES`; without one, three are drawn into `my-
# pictures`.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image, ImageDraw

import neuroattn

folder = Path(os.environ.get("NEUROATTN_PICTURES", "my-pictures"))
if not folder.exists():
    folder.mkdir()
    for name, shapes in {"disc": [(10, 10, 30, 30)], "none": [], "two": [(4, 12, 20, 28), (34, 12, 50, 28)]}.items():
        picture = Image.new("L", (60, 40))
        for box in shapes:
            ImageDraw.Draw(picture).ellipse(box, fill=255)
        picture.save(folder / f"{name}.png")
stimuli = neuroattn.pictures(folder, size=(1, 28, 42))
stimuli.table

# %% [markdown]
# ## Record
#
# A network looks at each picture twice, one phase after the other; five time steps each. The gate of stage 1 has one
# value a pixel: where it is positive it inhibits.

# %%
model = neuroattn.load_model("digits-0")
tree = neuroattn.record(model, stimuli, ["stage1/gate"])
tree["stage1/gate"]["activation"]

# %% [markdown]
# ## A question
#
# How much does the gate inhibit each picture, and when? Replace this by yours: the table has one row a presentation
# and step, with the columns of your own table (`file_name`, or whatever you add to `stimuli.table`).

# %%
mean = tree["stage1/gate"]["activation"].mean("neuroid")
labels = {name: mean[name].values.repeat(mean.sizes["time_step"]) for name in ("file_name", "phase")}
steps = list(mean["time_step"].values) * mean.sizes["presentation"]
table = pd.DataFrame({**labels, "time_step": steps, "gate": mean.values.ravel()})
table.pivot_table(index="file_name", columns="phase", values="gate")

# %% [markdown]
# ## A figure from the table

# %%
first = table[table["phase"] == 0].pivot_table(index="time_step", columns="file_name", values="gate").iloc[:, :8]
figure, axes = plt.subplots(figsize=(4.4, 2.6), layout="constrained")
for (name, course), line in zip(first.items(), ["-", "--", ":", "-."] * 2, strict=False):
    axes.plot(course.index, course, line, marker="o", ms=3, label=name)
axes.set(xlabel="time step", ylabel="mean gate of stage 1 (1)", xticks=first.index, title="first phase")
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
figure.savefig("first-look.png", dpi=150)
table.to_csv("first-look.csv", index=False)
plt.show()
