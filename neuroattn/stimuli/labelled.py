"""Pictures of several objects, with the class of each: what networks are trained on and evaluated with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Pictures, the objects in them, and the objects' classes, on one device.

    Parameters
    ----------
    images
        (picture, channel, y, x) float32 in [0, 1].
    objects
        (picture, object, channel, y, x) float32, each object alone on black, at its place.
    labels
        (picture, object) int64.
    """

    images: torch.Tensor
    objects: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.images)

    def part(self, rows: slice) -> Labelled:
        """Return some of the pictures."""
        return Labelled(images=self.images[rows], objects=self.objects[rows], labels=self.labels[rows])

    def to(self, device: str | torch.device) -> Labelled:
        """Return the pictures on a device."""
        return Labelled(images=self.images.to(device), objects=self.objects.to(device), labels=self.labels.to(device))
