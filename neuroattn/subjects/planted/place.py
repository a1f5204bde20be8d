"""Attention to a place: a spotlight on the attended object's centre, whatever lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from neuroattn.subjects.planted.subject import (
    DrivenUnits,
    PlantedSubject,
    centre,
    centres_of_fields,
    saturating,
)

if TYPE_CHECKING:
    from neuroattn.subjects.planted.subject import Expected


class SpotlightUnits(DrivenUnits):
    """Units (1 + h)·N(x), with h = `peak`·exp(−d²/2`spread`²) at distance d from the attended object's centre of ink.

    Parameters
    ----------
    seed
        See `DrivenUnits`.
    peak, spread
        Of h, without unit and in pixels.
    """

    def __init__(self, seed: int, peak: float, spread: float) -> None:
        super().__init__(seed)
        self.peak, self.spread = peak, spread

    def attending(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the responses with an object attended."""
        return (1 + self.spotlight(x, attended)) * saturating(x)

    def spotlight(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return h (batch, 1, y, x)."""
        row, column = centre(attended)
        down, right = (
            centres_of_fields(x.shape[axis], attended.shape[axis], x.device) - at[:, None]
            for axis, at in ((2, row), (3, column))
        )
        squared = down[:, :, None] ** 2 + right[:, None, :] ** 2
        return self.peak * torch.exp(-squared / (2 * self.spread**2))[:, None]


def spatial_only(seed: int = 0, *, peak: float = 0.5, spread: float = 7.0) -> PlantedSubject:
    """Return units with a gain that depends on their distance from the attended object, and not on its shape.

    On each picture A/O = 1 + h(d to the own object) and N/O = 1 + h(d to the other one), both between 1 and 1 + `peak`;
    of a unit nearer to its own object A is above N. There is no cost: the light's flank reaches the other object. At
    one place and one centre the gain is the same on the object's ink, on the other's, and on neither: the contrast over
    ink at matched pixels is 0, and another object with the same centre leaves all of it.

    Examples
    --------
    >>> spatial_only().expected("cost_and_benefit")["cost"]
    (0.0, 0.2)
    """
    if not (peak > 0 and spread > 0):
        raise ValueError(f"peak and spread must be above 0, got {peak:g} and {spread:g}")
    index, ratio = (0.0, peak / (2 + peak)), (1.0, 1 + peak)
    expected: dict[str, Expected] = {
        "activity_scaling": {"modulation_index": index, "gain_ratio": ratio},
        "cost_and_benefit": {
            "benefit": index,
            "cost": index,
            "difference": index,
            "attended_over_ungated": ratio,
            "unattended_over_ungated": ratio,
        },
    }
    return PlantedSubject(SpotlightUnits(seed, peak, spread), "spatial_only", seed, expected)
