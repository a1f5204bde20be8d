"""The tuning of channels to classes, against a few lines of numpy."""

from __future__ import annotations

import numpy as np
import torch
from refused import refused
from torch import nn

from neuroattn.models.class_tuning import class_tuning


def test_tuning_is_the_z_score_over_classes_divided_by_its_largest_size():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 5 * 9, 7)).eval()
    images, labels = torch.rand(23, 1, 7, 11), torch.arange(23) % 3
    found = class_tuning(module, ["1", "3"], images, labels, batch_size=5)
    with torch.no_grad():
        responses = {"1": module[:2](images).mean((2, 3)).numpy(), "3": module(images).numpy()}
    for name, response in responses.items():
        mean = np.array([response[labels.numpy() == c].mean(0) for c in range(3)], np.float64)
        z = (mean - mean.mean(0)) / (mean.std(0) + 1e-12)  # a silent channel has no spread
        expected = z / np.maximum(np.abs(z).max(0), 1e-12)
        np.testing.assert_allclose(found[name].numpy(), expected, atol=1e-4)
        assert (np.abs(expected).max(0) > 0.9).sum() > 2


def test_a_channel_that_knows_no_class_has_no_tuning():
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()).eval()
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))
        module[0].bias.fill_(0.3)
    f = class_tuning(module, ["1"], torch.rand(8, 1, 3, 3), torch.arange(8) % 2)["1"]
    assert f[:, 0].tolist() == [0, 0]
    assert sorted(f[:, 1].tolist()) == [-1, 1]


def test_what_is_missing_is_told():
    module = nn.Sequential(nn.Conv2d(1, 2, 1)).eval()
    images = torch.rand(3, 1, 3, 3)
    with refused("layers must be modules of Sequential, got 'V4'; it has 0"):
        class_tuning(module, ["V4"], images, torch.arange(3))
    with refused("labels must have pictures of every class from 0 on, at least 2, got [1, 0, 2] of each"):
        class_tuning(module, ["0"], images, torch.tensor([0, 2, 2]))
