"""The loss of one phase: name the attended object, and let nothing else through the gate."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F


class PhaseLoss(NamedTuple):
    """Loss of one phase, averaged over the batch.

    Attributes
    ----------
    total
        classification + φ · attention, a scalar tensor to differentiate.
    classification
        Cross-entropy of the decision (nats).
    attention
        Mean squared error of the gated image to the attended object's target image.
    """

    total: torch.Tensor
    classification: torch.Tensor
    attention: torch.Tensor


def phase_loss(
    logits: torch.Tensor,
    label: torch.Tensor,
    gated_image: torch.Tensor,
    target: torch.Tensor,
    phi: float,
    class_weight: torch.Tensor | None = None,
) -> PhaseLoss:
    """Return the loss of one phase (arXiv:2106.04540).

    Parameters
    ----------
    logits, label
        (batch, class) decisions and (batch,) classes of the attended objects.
    gated_image, target
        (batch, channel, y, x): z[1] of the decision, and (1 − s)·image + s·attended object.
    phi
        Weight of the attention term.
    class_weight
        (class,) weight of each class in the mean of the cross-entropy; None: all the same.
    """
    classification = F.cross_entropy(logits, label, weight=class_weight)
    attention = F.mse_loss(gated_image, target)
    return PhaseLoss(classification + phi * attention, classification, attention)
