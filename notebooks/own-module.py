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
# # A network of your own beside a shipped one
#
# Any torch module is recorded alike. This one is a small CNN with random weights, in place of yours; on the same
# composites, which pairs of stimuli does each network hold alike? The pixels are there to compare with: what they
# give is no work of a network.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import neuroattn

torch.manual_seed(0)
layers = [torch.nn.Conv2d(1, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 8, 3)]
mine = neuroattn.TimedModule(torch.nn.Sequential(*layers).eval(), variables={"V1/response": "1"}, name="mine")
shipped = neuroattn.load_model("digits-0")
stimuli = neuroattn.example_stimuli(16)


def distances(model: object, layer: str) -> np.ndarray:
    """Return 1 − Pearson's r of the responses to each pair of stimuli, at the first time step."""
    responses = neuroattn.record(model, stimuli, [layer])[layer]["activation"].isel(time_step=0)
    _, first = np.unique(responses["stimulus_id"], return_index=True)  # without feedback all phases are the same
    return 1 - np.corrcoef(responses.values[first])


# %%
of_layers = {
    "pixels": 1 - np.corrcoef(stimuli.images.reshape(len(stimuli), -1)),
    "digits-0, stage1/response": distances(shipped, "stage1/response"),
    "mine, V1/response": distances(mine, "V1/response"),
}
figure, panels = plt.subplots(1, 3, figsize=(9.6, 2.8), layout="constrained")
for axes, (name, values) in zip(panels, of_layers.items(), strict=True):
    drawn = axes.imshow(values, cmap="viridis", vmin=0)
    axes.set(xlabel="stimulus", ylabel="stimulus")
    axes.set_title(name, fontsize=9)
    figure.colorbar(drawn, ax=axes, label="1 − correlation (1)")
plt.show()
pairs = np.triu_indices(len(stimuli), 1)
r = np.corrcoef([values[pairs] for values in of_layers.values()])
print(f"correlations of {len(pairs[0])} pairs: the networks {r[1, 2]:.2f}, with pixels {r[0, 1:].round(2)}")
