"""A subject whose tuning and attention are known, to send through a protocol in place of a network.

What a protocol reports of it must be what was planted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork, GatedStage, Maps, Step

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class PlantedCurves:
    """Von Mises tuning of each channel in one state: b + a·exp(κ(cos 2(θ − θ₀) − 1)).

    Attributes
    ----------
    baseline, amplitude, kappa, preferred
        (channel,) b and a in the model's units ("1"), κ without unit, θ₀ in degrees.
    """

    baseline: Sequence[float]
    amplitude: Sequence[float]
    kappa: Sequence[float]
    preferred: Sequence[float]

    def at(self, orientation: torch.Tensor) -> torch.Tensor:
        """Return the responses (batch, channel) to orientations (batch,) in degrees."""
        b, a, kappa, preferred = (
            torch.as_tensor(values, dtype=torch.float64)
            for values in (self.baseline, self.amplitude, self.kappa, self.preferred)
        )
        angle = torch.deg2rad(2 * (orientation[:, None] - preferred))
        return b + a * torch.exp(kappa * (angle.cos() - 1))


class PlantedSubject(GatedNetwork):
    """A subject of one stage that sees a bar in its left column of pixels and a distractor in its right one.

    It reads the bar's orientation from the luminance of the left column (`neuroattn.stimuli.planted`), attends the
    right column unless that is inhibited, and responds, in its left column of units, with the planted curve of the
    state plus independent normal noise. Units of the right column see the distractor and stay silent.

    Parameters
    ----------
    attended, unattended
        Curves of its channels in either state of the bar.
    noise
        Standard deviation of a response.
    generator
        Draws the noise.
    name
        What recordings and tables call the subject.
    background
        (channel,) response to a picture without the bar, by default 0.
    """

    def __init__(
        self,
        attended: PlantedCurves,
        unattended: PlantedCurves,
        *,
        noise: float,
        generator: torch.Generator,
        name: str = "planted",
        background: Sequence[float] | None = None,
    ) -> None:
        config = GatedConfig(size=(1, 2, 2), channels=(len(attended.baseline),), classes=2, kernel=1)
        super().__init__(config, torch.Generator().manual_seed(0), name=name)
        self.attended, self.unattended, self.noise, self.generator = attended, unattended, noise, generator
        self.background = torch.zeros(len(attended.baseline)) if background is None else torch.as_tensor(background)

    def forward(
        self,
        image: torch.Tensor,
        gates: Maps,
        inhibition: Maps,
        *,
        top_down: bool = True,
        strength: float | None = None,
    ) -> Step:
        """Run one time step; see `GatedNetwork`."""
        del top_down  # it costs nothing here
        (gate,), (mask,) = gates, inhibition
        (stage,) = (stage for stage in self.stages if isinstance(stage, GatedStage))
        s = self.config.strength if strength is None else strength
        gated_image = stage.gated_input(image * (1 - s * gate))
        bar_attended = gate[:, 0, 0, 0] < gate[:, 0, 0, 1]
        orientation = decoded(image[:, 0, 0, 0])
        curve = torch.where(bar_attended[:, None], self.attended.at(orientation), self.unattended.at(orientation))
        without = image[:, 0, 0, 0] == 0
        curve = torch.where(without[:, None], self.background, curve)
        response = torch.zeros(len(image), *self.config.response_sizes[0])
        response[..., 0] = curve[:, :, None].float()
        response[..., 0] += self.noise * torch.randn(response[..., 0].shape, generator=self.generator)
        stage.response(response)
        # Open is the right column, or the left one where the right is inhibited.
        left = mask[:, :, :, 1:].float()
        signal = torch.cat([1 - left, left], 3)
        logits = self.logits_probe(torch.stack([bar_attended, ~bar_attended], 1).float())
        return Step(logits, gated_image, [stage.following_gate(signal, mask)])


def decoded(luminance: torch.Tensor) -> torch.Tensor:
    """Return the orientation in degrees that a luminance stands for: 360·(luminance − 1/2)."""
    return 360 * (luminance.double() - 0.5)
