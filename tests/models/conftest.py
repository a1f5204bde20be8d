"""Networks that the tests of the models share."""

from __future__ import annotations

import pytest
import torch

from neuroattn.models.checkpoint import load_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.digits import composites
from neuroattn.stimuli.mnist import from_folder

TINY = GatedConfig(size=(3, 23, 29), channels=(5, 7), classes=11, kernel=3, resize="bicubic", strength=0.3, steps=3)


@pytest.fixture
def tiny():
    """A network whose sizes are all different, with random weights large enough that gates matter."""
    network = GatedNetwork(TINY, torch.Generator().manual_seed(0), name="tiny", seed=13).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


@pytest.fixture
def images():
    return torch.rand(4, 3, 23, 29, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def paper_digits(reference):
    return load_model(reference / "reference" / "paper_mnist_model.pt")


@pytest.fixture(scope="session")
def paper_scenes(reference):
    return load_model(reference / "reference" / "paper_coco_model.pt")


@pytest.fixture(scope="session")
def test_composites(mnist):
    return composites(from_folder(mnist, "test"), torch.arange(400), generator=torch.Generator().manual_seed(0))
