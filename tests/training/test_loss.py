"""The loss of a phase."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from neuroattn.training.loss import phase_loss


def test_by_hand():
    logits = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]], requires_grad=True)
    gated = torch.tensor([0.1, 0.9, 0.4, 0.0]).reshape(2, 1, 1, 2).requires_grad_()
    target = torch.tensor([0.3, 0.8, 0.0, 0.1]).reshape(2, 1, 1, 2)
    loss = phase_loss(logits, torch.tensor([1, 2]), gated, target, 1000.0)
    classification = np.mean(
        [np.log(np.exp(1) + np.exp(2) + np.exp(4)) - 2, np.log(np.exp(0) + np.exp(0) + np.exp(3)) - 3]
    )
    attention = (0.04 + 0.01 + 0.16 + 0.01) / 4
    assert_allclose(loss.classification.item(), classification, rtol=1e-6)
    assert_allclose(loss.attention.item(), attention, rtol=1e-6)
    assert_allclose(loss.total.item(), classification + 1000 * attention, rtol=1e-6)
    loss.total.backward()
    assert_allclose(gated.grad.flatten(), 1000 * 2 / 4 * np.array([-0.2, 0.1, 0.4, -0.1]), rtol=1e-5)
    softmax = np.exp([1, 2, 4]) / np.exp([1, 2, 4]).sum()
    assert_allclose(logits.grad[0], (softmax - [0, 1, 0]) / 2, rtol=1e-5)
