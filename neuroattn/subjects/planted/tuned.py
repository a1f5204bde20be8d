"""A subject of tuned units whose curve in either state of attention is given."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuroattn.subjects.timed_module import Target

BAR = 0  # the object that the units are tuned to
NEUTRAL, ATTENDED, UNATTENDED = "neutral", "attended", "unattended"  # states of the bar


@dataclass(frozen=True, kw_only=True)
class PlantedCurves:
    """Von Mises tuning of each channel in one state: b + a·exp(κ(cos 2(θ − θ₀) − 1)).

    Attributes
    ----------
    baseline, amplitude, kappa, preferred
        (channel,) b and a in the model's units ("1"), κ without unit, θ₀ in degrees.

    Examples
    --------
    >>> curves = PlantedCurves(baseline=[1.0], amplitude=[2.0], kappa=[3.0], preferred=[45.0])
    >>> curves.at(torch.tensor([45.0, 225.0])).tolist()
    [[3.0], [3.0]]
    """

    baseline: Sequence[float]
    amplitude: Sequence[float]
    kappa: Sequence[float]
    preferred: Sequence[float]

    def at(self, orientation: torch.Tensor) -> torch.Tensor:
        """Return the responses (batch, channel) to orientations (batch,) in degrees."""
        return _von_mises(self.numbers(), orientation)

    def numbers(self) -> torch.Tensor:
        """Return (parameter, channel) in double precision."""
        values = (self.baseline, self.amplitude, self.kappa, self.preferred)
        return torch.stack([torch.as_tensor(one, dtype=torch.float64) for one in values])


class TunedUnits(nn.Module):
    """Two units a channel that see a bar, in the left column of a 2 × 2 map, and two that see what is beside it.

    The bar's orientation is the luminance of the left column of pixels (`neuroattn.stimuli.planted`). The units respond
    with the curve of the state, plus independent normal noise that the picture, the state and a seed decide. The others
    respond with the luminance of the right column.

    Parameters
    ----------
    attended, unattended
        Curves in either state of the bar; the second one is that without attention, too.
    noise
        Standard deviation of a response.
    seed
        Of the noise.
    background
        (channel,) response to a picture without a bar, by default 0.
    """

    attended: torch.Tensor
    unattended: torch.Tensor
    background: torch.Tensor

    def __init__(
        self,
        attended: PlantedCurves,
        unattended: PlantedCurves,
        *,
        noise: float,
        seed: int,
        background: Sequence[float] | None,
    ) -> None:
        super().__init__()
        self.register_buffer("attended", attended.numbers())
        self.register_buffer("unattended", unattended.numbers())
        without = torch.zeros(len(attended.baseline)) if background is None else torch.as_tensor(background)
        self.register_buffer("background", without.double())
        self.noise, self.seed = noise, seed
        self.response = nn.Identity()

    def forward(self, images: torch.Tensor, state: str) -> torch.Tensor:
        """Return the responses (batch, channel, 2, 2) in a state of the bar."""
        bar = images[:, 0, 0, 0]
        curves = _von_mises(self.attended if state == ATTENDED else self.unattended, decoded(bar))
        curves = torch.where((bar == 0)[:, None], self.background, curves)
        left = curves[:, :, None] + self.noise * self._noise(images, state)
        right = images[:, 0, :, 1].expand(left.shape[1], -1, -1).transpose(0, 1)
        response: torch.Tensor = self.response(torch.stack([left, right.double()], 3).float())
        return response

    def _noise(self, images: torch.Tensor, state: str) -> torch.Tensor:
        """Return (batch, channel, 2) numbers that are the same whenever a picture is shown in a state."""
        shape = (self.attended.shape[1], 2)
        keys = [zlib.crc32(picture.tobytes(), zlib.crc32(state.encode())) for picture in images.detach().cpu().numpy()]
        drawn = [np.random.default_rng([self.seed, key]).standard_normal(shape) for key in keys]
        return torch.from_numpy(np.stack(drawn)).to(images.device)


def tuned_subject(
    attended: PlantedCurves,
    unattended: PlantedCurves,
    *,
    noise: float = 0.0,
    seed: int = 0,
    background: Sequence[float] | None = None,
    name: str = "planted",
) -> TimedModule:
    """Return `TunedUnits` as a subject that can be cued to the bar, object 0, or away from it.

    What the protocol of tuning must find: the gain, shift and change of width that turn one curve into the other; of
    equal curves none.

    Examples
    --------
    >>> curves = PlantedCurves(baseline=[1.0], amplitude=[2.0], kappa=[3.0], preferred=[45.0])
    >>> tuned_subject(curves, curves)
    TimedModule 'planted' of TunedUnits, 1 variables, can be cued
    """
    module = TunedUnits(attended, unattended, noise=noise, seed=seed, background=background).eval()
    return TimedModule(module, run=_undirected, cue=_directed, variables=["response"], name=name)


def _undirected(module: nn.Module, images: torch.Tensor) -> Iterator[tuple[int, int]]:
    yield 0, 0
    module(images, NEUTRAL)


def _directed(module: nn.Module, images: torch.Tensor, target: Target) -> Iterator[tuple[int, int]]:
    yield 0, 0
    module(images, ATTENDED if target.number == BAR else UNATTENDED)


def _von_mises(numbers: torch.Tensor, orientation: torch.Tensor) -> torch.Tensor:
    b, a, kappa, preferred = numbers
    angle = torch.deg2rad(2 * (orientation.double()[:, None] - preferred))
    responses: torch.Tensor = b + a * torch.exp(kappa * (angle.cos() - 1))
    return responses


def decoded(luminance: torch.Tensor) -> torch.Tensor:
    """Return the orientation in degrees that a luminance stands for: 360·(luminance − 1/2)."""
    return 360 * (luminance.double() - 0.5)
