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
# # Compare networks
#
# Trained from different seeds, do networks gate alike? For each network: the mean gate over the pixels of the other
# digit less that over the cued digit's. Above zero, the other digit is inhibited more.

# %%
import matplotlib.pyplot as plt
import numpy as np

import neuroattn

NETWORKS = ["digits-0", "digits-1", "digits-2"]  # names, or paths of your own
stimuli = neuroattn.example_stimuli(24)
pixels = stimuli.objects[:, :, 0] > 0.5  # (stimulus, object, y, x)

# %%
courses = {}
for name in NETWORKS:
    tree = neuroattn.record(neuroattn.load_model(name), stimuli, ["stage1/gate"], design="cued")
    gates = tree["stage1/gate"]["activation"]
    maps = gates.values.reshape(*gates.shape[:2], *pixels.shape[2:])
    of_stimulus = np.arange(len(stimuli)).repeat(2)  # presentations are stimulus-major
    cued = gates["cued"].values.astype(int)
    over = [
        (maps * here[:, None]).sum((2, 3)) / here.sum((1, 2))[:, None]
        for here in (pixels[of_stimulus, cued], pixels[of_stimulus, 1 - cued])
    ]
    courses[name] = (over[1] - over[0]).mean(0)

# %%
figure, axes = plt.subplots(figsize=(4, 2.6), layout="constrained")
for (name, course), colour, marker in zip(courses.items(), ["#0072B2", "#D55E00", "#009E73"], "os^", strict=True):
    axes.plot(course, marker=marker, ms=4, color=colour, label=name)
axes.axhline(0, color="0.6", lw=0.8)
axes.set(xlabel="time step", ylabel="gate: other − cued (1)", xticks=range(len(course)))
axes.legend(frameon=False)
plt.show()
last = np.array([course[-1] for course in courses.values()])
print(f"last step: {', '.join(f'{name} {value:.3f}' for name, value in zip(courses, last, strict=True))}")
