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
# # Silence a gate
#
# Does the read-out still prefer the cued digit when the gate of stage 1 is held at zero? The same composites are
# recorded intact and silenced, each digit cued in turn; what is compared is the logit of the cued digit less that of
# the other. (Not of the one that the network then chose: a choice exceeds what was not chosen whatever the cue does.)
# Before any feedback both cues give the same logits, so the mean is 0 at step 0. Two digits of the same class say
# nothing and are left out. One network: this says what happens in it, not in networks at large.

# %%
import matplotlib.pyplot as plt
import numpy as np

import neuroattn
from neuroattn.recording.interventions import Silence

stimuli = neuroattn.example_stimuli(40)
stimuli = stimuli[stimuli.table["label_0"] != stimuli.table["label_1"]]
model = neuroattn.load_model("digits-0")


def margins() -> np.ndarray:
    """Return cued less other logit: (stimulus, time step), the mean over which digit is cued."""
    logits = neuroattn.record(model, stimuli, ["readout/logits"], design="cued")["readout/logits"]["activation"]
    every = np.arange(logits.sizes["presentation"])
    labels = np.stack([logits["label_0"].values, logits["label_1"].values])
    cued = logits["cued"].values.astype(int)
    attended, other = labels[cued, every], labels[1 - cued, every]
    values = logits.transpose("presentation", "neuroid", "time_step").values
    return (values[every, attended] - values[every, other]).reshape(len(stimuli), -1, logits.sizes["time_step"]).mean(1)


intact = margins()
with neuroattn.intervene(model, Silence("stage1/gate")):
    silenced = margins()

# %%
rng = np.random.default_rng(0)
drawn = rng.integers(len(intact), size=(1000, len(intact)))
figure, axes = plt.subplots(figsize=(4, 2.6), layout="constrained")
for values, name, colour, marker in ((intact, "intact", "#0072B2", "o"), (silenced, "gate silenced", "#D55E00", "s")):
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5], axis=0)
    axes.plot(values.mean(0), marker=marker, ms=4, color=colour, label=name)
    axes.fill_between(range(values.shape[1]), low, high, color=colour, alpha=0.2, lw=0)
axes.axhline(0, color="0.6", lw=0.8)
axes.set(xlabel="time step", ylabel="cued − other (logits)", xticks=range(intact.shape[1]))
axes.set_title("mean and 95 % interval over stimuli", fontsize=9)
axes.legend(frameon=False)
plt.show()
difference = (silenced - intact)[:, -1]
low, high = np.percentile(difference[drawn].mean(1), [2.5, 97.5])
print(f"last step, silenced less intact: {difference.mean():.2f} [{low:.2f}, {high:.2f}] logits, {len(intact)} stimuli")
