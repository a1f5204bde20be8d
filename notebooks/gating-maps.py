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
# # Where a network attends, step by step
#
# The gate of stage 1 laid out as a map. A step's gate is what that step sends back: it gates the picture at the next
# one. Where it is positive it inhibits; it is lowest over the digit that is attended, another one in each phase.

# %%
import matplotlib.pyplot as plt

import neuroattn

stimuli = neuroattn.example_stimuli(4)
model = neuroattn.load_model("digits-0")
tree = neuroattn.record(model, stimuli, ["stage1/gate"])
gates = tree["stage1/gate"]["activation"]
gates = gates.isel(presentation=(gates["stimulus_id"] == 0).values)
maps = neuroattn.unit_maps(gates).isel(channel=0)

# %%
figure, panels = plt.subplots(2, 1 + maps.sizes["time_step"], figsize=(9, 2.8), layout="constrained")
low, high = float(maps.min()), float(maps.max())
for phase, row in enumerate(panels):
    row[0].imshow(stimuli.images[0, 0], cmap="gray")
    row[0].set_ylabel(f"phase {phase}\ny (pixels)")
    for step, axes in enumerate(row[1:]):
        drawn = axes.imshow(maps.isel(presentation=phase, time_step=step), cmap="viridis", vmin=low, vmax=high)
        axes.set_title(f"step {step}" if phase == 0 else "")
    for axes in row:
        axes.set(xlabel="x (pixels)" if phase else "", xticks=[0, 20, 40], yticks=[0, 20])
panels[0, 0].set_title("stimulus")
figure.colorbar(drawn, ax=panels, label="gate of stage 1 (1)")
plt.show()
