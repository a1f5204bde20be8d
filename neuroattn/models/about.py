"""What a network's file says of the training that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class About:
    """The record of a network's training, as far as its file tells.

    Attributes
    ----------
    training
        Options, data and metrics; empty for published weights and for networks that were made here.
    provenance
        Versions and machine; empty where `training` is.
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the logits."""
        names = self.training.get("classes")
        return None if names is None else tuple(names)

    @property
    def scenes(self) -> str | None:
        """Identity of the scenes that it was trained on; None for networks of digits, too."""
        identity: str | None = self.training.get("scenes", {}).get("sha256")
        return identity

    @property
    def held_out_images(self) -> tuple[int, ...] | None:
        """Ids of the images that its training held out."""
        images = self.training.get("held_out_images")
        return None if images is None else tuple(images)

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of its training."""
        found: Mapping[str, Any] = self.training.get("options", {})
        return found

    @property
    def accuracy(self) -> float | None:
        """Accuracy in its own validation, after the last epoch."""
        last = (self.training.get("epochs") or [{}])[-1]
        accuracy = last.get("validation_accuracy")
        return None if accuracy is None else float(accuracy)
