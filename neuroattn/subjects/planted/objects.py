"""Attention to an object: a gain on what its ink adds to the drive, wherever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattn.subjects.planted.subject import UNCHANGED_SHAPE, DrivenUnits, PlantedSubject

if TYPE_CHECKING:
    import torch

    from neuroattn.subjects.planted.subject import Expected


class ObjectUnits(DrivenUnits):
    """Units that respond with their drive, x = x₀ + x₁ + background, in which that of the attended object counts more.

    Parameters
    ----------
    seed
        See `DrivenUnits`.
    gain
        On the part of the drive that the attended object makes.
    """

    def __init__(self, seed: int, gain: float) -> None:
        super().__init__(seed)
        self.gain = gain

    def forward(self, images: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return the responses; `attended` (batch, channel, y, x) is the picture of the attended object, if any."""
        x = self.drive(self.driven_by(images))
        response: torch.Tensor = self.response(x if attended is None else self.attending(x, attended))
        return response

    def attending(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the responses with an object attended."""
        return x + (self.gain - 1) * self.driven_by(attended)


def object_based(seed: int = 0, *, gain: float = 1.5) -> PlantedSubject:
    """Return linear units in whose drive the attended object counts `gain` times.

    With w the gain, A = w·x_own + x_other + background and N = x_own + w·x_other + background: weights w and 1, whose
    sum 1 + w is that of linear units. A unit that sees its own object alone has no cost, and N = O; where there is no
    background, A = w·N. At pixels where objects overlap, (ink of the attended − ink of the other) is weighted by w − 1,
    at every distance from the centres. Objects that overlap are clamped to white, so that there x is less than the sum.

    Examples
    --------
    >>> object_based().expected("activity_scaling")["gain_ratio"]
    (1.0, 1.5)
    """
    if not gain > 1:
        raise ValueError(f"gain must be above 1, got {gain:g}")
    index, ratio = (0.0, (gain - 1) / (gain + 1)), (1.0, gain)
    tuning = {"gain_maximum": (gain, gain), "gain_mean": (gain, gain), **UNCHANGED_SHAPE}
    expected: dict[str, Expected] = {
        "activity_scaling": {"modulation_index": index, "gain_ratio": ratio},
        "cost_and_benefit": {
            "benefit": index,
            "cost": (0.0, 0.0),
            "difference": index,
            "attended_over_ungated": ratio,
            "unattended_over_ungated": (1.0, 1.0),
        },
        "tuning": tuning,
    }
    return PlantedSubject(ObjectUnits(seed, gain), "object_based", seed, expected)
