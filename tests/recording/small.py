"""A small network and stimuli for it, whose sizes all differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.stimulus_set import StimulusSet

N = 4


def small_network():
    config = GatedConfig(size=(1, 11, 13), channels=(3, 5), classes=7, kernel=2, strength=0.7)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="small", seed=17).eval()
    # Gates on both sides of the threshold, so that either phase inhibits some places and leaves others.
    with torch.no_grad():
        for stage in network.stages:
            stage.top_down.deconv.weight *= 4
            stage.top_down.deconv.bias.fill_(0.3)
    return network


def small_stimuli():
    images = np.random.default_rng(0).random((N, 1, 11, 13), dtype=np.float32)
    objects = np.random.default_rng(1).random((N, 2, 1, 11, 13), dtype=np.float32)
    table = pd.DataFrame(
        {
            "stimulus_id": [31, 29, 23, 19],
            "label_0": [1, 2, 5, 4],
            "label_1": [6, 0, 3, 2],
            "location_0": [1, 0, 1, 0],
            "location_1": [0, 1, 0, 1],
            "width": [0.5, 1.1, 1.7, 2.3],
            "name": ["bar", "naïve", "", "a much longer name than the others"],
            "odd": [True, False, True, True],
        }
    )
    return StimulusSet(images, objects, table)
