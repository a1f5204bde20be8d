"""A small network with units on both sides of every threshold, and stimuli for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recording.interventions.by_hand import SIZES, STRENGTH, N

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.stimulus_set import StimulusSet


@pytest.fixture
def network():
    """All units driven, gates on both sides of the threshold."""
    config = GatedConfig(size=SIZES[0], channels=(3, 5), classes=7, kernel=2, strength=STRENGTH)
    made = GatedNetwork(config, torch.Generator().manual_seed(0), name="small", seed=17).eval()
    with torch.no_grad():
        for stage in made.stages:
            stage.conv.bias.fill_(0.3)
            stage.top_down.deconv.weight *= 5
            stage.top_down.deconv.bias.fill_(0.2)
    return made


@pytest.fixture
def stimuli():
    rng = np.random.default_rng(0)
    return StimulusSet(rng.random((N, 1, 11, 13), dtype=np.float32), rng.random((N, 2, 1, 11, 13), dtype=np.float32))
