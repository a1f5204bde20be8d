"""Units that no object drives, and that attention scales: a selection by responses would count them."""

from __future__ import annotations

import torch

from neuroattn.subjects.planted.gain import null
from neuroattn.subjects.planted.subject import N_ORIENTATIONS, DrivenUnits, PlantedSubject, on_its_side, saturating

BACKGROUND = 0.35
N_UNDRIVEN = N_ORIENTATIONS // 2


class BackgroundUnits(DrivenUnits):
    """Units of which half respond with 0.35 to any picture, times `gain` on the attended side; no gain on the others.

    Parameters
    ----------
    seed
        See `DrivenUnits`.
    gain
        Of those that no pixel drives, the first half of the channels.
    """

    idle: torch.Tensor

    def __init__(self, seed: int, gain: float) -> None:
        super().__init__(seed)
        self.gain = gain
        self.register_buffer("idle", (torch.arange(N_ORIENTATIONS) < N_UNDRIVEN)[:, None, None])

    def forward(self, images: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return the responses; `attended` (batch, channel, y, x) is the picture of the attended object, if any."""
        x = self.drive(self.driven_by(images))
        scaled = torch.ones_like(x) if attended is None else self.attending(x, attended)
        response: torch.Tensor = self.response(torch.where(self.idle, BACKGROUND * scaled, saturating(x)))
        return response

    def attending(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the gain (batch, 1, 1, x) of what no pixel drives."""
        return torch.where(on_its_side(x, attended), self.gain, 1.0)


def undriven_background(seed: int = 0, *, gain: float = 1.5) -> PlantedSubject:
    """Return units of which half are those of `null`, and half answer to no pixel while attention scales them.

    The latter have A/N = g, an index of 0.2 by default, and are nobody's neurons: a protocol must exclude them, as not
    driven by an object, and then find nothing. One that selects by the response alone finds half of the index, 0.1, on
    average.

    Examples
    --------
    >>> undriven_background().expected("activity_scaling") == null().expected("activity_scaling")
    True
    """
    if not gain > 1:
        raise ValueError(f"gain must be above 1, got {gain:g}")
    of_null = null(seed)
    expected = {name: of_null.expected(name) for name in ("activity_scaling", "cost_and_benefit", "tuning")}
    return PlantedSubject(BackgroundUnits(seed, gain), "undriven_background", seed, expected)
