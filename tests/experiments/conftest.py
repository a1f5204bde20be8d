"""A network of scenes, so small that protocols take seconds."""

from __future__ import annotations

import pytest
import torch

from neuroattn.models.checkpoint import save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork


@pytest.fixture
def network(tmp_path):
    """Return the file of an untrained network of three stages and two time steps."""
    config = GatedConfig(size=(3, 40, 60), channels=(4, 5, 6), classes=12, resize="bicubic", strength=0.3, steps=2)
    path = tmp_path / "small.safetensors"
    model = GatedNetwork(config, torch.Generator().manual_seed(0), name="small")
    save_model(model, path, training={}, provenance={})
    return str(path)
