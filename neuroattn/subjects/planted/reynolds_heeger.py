"""The normalisation model of attention (Reynolds & Heeger 2009, Neuron 61:168), on a grid of features and positions.

With ⊛ a convolution over feature and position, A the attention field, e and s kernels that sum to 1::

    E = stimulus ⊛ e;   S = (A·E) ⊛ s;   R = A·E / (S + σ);   A = 1 + (peak − 1)·Gaussian

Read: the equations and table 1 (stimulation field 5, suppressive field 20, in units of position; tuning 30° and 180°,
of orientation; attention field 3 to 30, peak 2 or 5), and, in a port of the authors' program, that the kernels of
position end at the borders, that those of feature span one period, and σ = 1e-6 with contrasts from 1e-5 to 1.
Guessed, for pictures: that a unit of position is 0.4 px, what drives a feature at a place (the mean luminance under an
elongated field of 5 × 5 px; the paper begins with a map), σ, and that the field of attention lies at the centre of the
attended object's ink and covers all features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from neuroattn.subjects.planted.subject import PlantedSubject, centre, elongated, orientations

if TYPE_CHECKING:
    from neuroattn.subjects.planted.subject import Expected

_SIDE = 5
_TRUNCATED = 2.0  # SD at which the stimulation field of a picture's units ends, so that some see one object alone


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Gaussian kernels of the model, by their standard deviations.

    Attributes
    ----------
    field, pool
        Of stimulation field and suppressive field, in steps of the grid.
    field_tuning, pool_tuning
        Along the features, in degrees.
    period
        Of the features, in degrees: 180 of orientation, 360 of direction.
    truncated
        SD at which the kernel of the stimulation field ends, as far as the grid goes.
    """

    field: float = 5.0
    pool: float = 20.0
    field_tuning: float = 30.0
    pool_tuning: float = 180.0
    period: float = 180.0
    truncated: float = math.inf

    def driven(self, stimulus: torch.Tensor) -> torch.Tensor:
        """Return E (batch, feature, y, x) of a stimulus of this shape."""
        return _convolved(stimulus, self.field, self._tuning(stimulus, self.field_tuning), self.truncated)

    def pooled(self, weighted: torch.Tensor) -> torch.Tensor:
        """Return S of A·E."""
        return _convolved(weighted, self.pool, self._tuning(weighted, self.pool_tuning), math.inf)

    def _tuning(self, like: torch.Tensor, spread: float) -> torch.Tensor:
        """Return (feature, feature) weights whose rows sum to 1."""
        number = like.shape[1]
        steps = torch.arange(number, dtype=like.dtype, device=like.device)
        apart = (steps[:, None] - steps).abs()
        degrees = torch.minimum(apart, number - apart) * (self.period / number)
        weights = torch.exp(-(degrees**2) / (2 * spread**2))
        return weights / weights.sum(1, keepdim=True)


class Focus(NamedTuple):
    """A field of attention over positions: its centre and SD in steps of the grid, and the peak of A."""

    row: torch.Tensor
    column: torch.Tensor
    spread: float
    peak: float

    def over(self, size: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
        """Return A (batch, 1, y, x)."""
        places = [torch.arange(n, dtype=like.dtype, device=like.device) for n in size]
        profiles = [
            torch.exp(-((place - at[:, None]) ** 2) / (2 * self.spread**2))
            for place, at in zip(places, (self.row, self.column), strict=True)
        ]
        return 1 + (self.peak - 1) * (profiles[0][:, None, :, None] * profiles[1][:, None, None, :])


def normalised(drive: torch.Tensor, attention: torch.Tensor | float, kernels: Kernels, sigma: float) -> torch.Tensor:
    """Return R of a drive E (batch, feature, y, x) under a field of attention A, which broadcasts to it.

    Examples
    --------
    >>> drive = Kernels().driven(torch.ones(1, 4, 1, 7))
    >>> bool((normalised(2 * drive, 1.0, Kernels(), 1e-6) < 2 * normalised(drive, 1.0, Kernels(), 1e-6)).all())
    True
    """
    weighted = attention * drive
    return weighted / (kernels.pooled(weighted) + sigma)


def gains(drive: torch.Tensor, attention: torch.Tensor, kernels: Kernels) -> tuple[torch.Tensor, torch.Tensor]:
    """Return response gain a/κ and contrast gain κ of every unit, which hold at every contrast.

    a = A at the unit, κ = S with attention over S without. As E is linear in contrast c, exactly
    attended(c) = (a/κ)·neutral(κ·c): contrast gain alone where the field of attention is wide (κ = a), response gain
    alone where it is so narrow that the pool does not notice (κ = 1).
    """
    contrast = kernels.pooled(attention * drive) / kernels.pooled(drive)
    return attention / contrast, contrast


class NormalisationUnits(nn.Module):
    """The model before pictures: eight orientations at every pixel.

    Parameters
    ----------
    seed
        Draws the first preferred orientation.
    spread, peak
        Of the field of attention, in the paper's units and without unit.
    sigma
        σ, in units of luminance.
    pixels
        A unit of position.
    """

    weights: torch.Tensor

    def __init__(self, seed: int, *, spread: float, peak: float, sigma: float, pixels: float) -> None:
        super().__init__()
        self.register_buffer("weights", elongated(_SIDE, orientations(seed)))
        self.kernels = Kernels(field=5 * pixels, pool=20 * pixels, truncated=_TRUNCATED)
        self.spread, self.peak, self.sigma = spread * pixels, peak, sigma
        self.drive, self.response = nn.Identity(), nn.Identity()

    def forward(self, images: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return R; `attended` (batch, channel, y, x) is the picture of the attended object, if any."""
        drive, attention = self.driven_by(images), 1.0 if attended is None else self.attention(attended)
        response: torch.Tensor = self.response(normalised(self.drive(drive), attention, self.kernels, self.sigma))
        return response

    def driven_by(self, images: torch.Tensor) -> torch.Tensor:
        """Return E (batch, channel, y, x) by pictures, over the mean of their channels."""
        n_channels = images.shape[1]
        weights = self.weights.expand(-1, n_channels, -1, -1) / n_channels
        return self.kernels.driven(nn.functional.conv2d(images, weights, padding=_SIDE // 2))

    def attention(self, attended: torch.Tensor) -> torch.Tensor:
        """Return A (batch, 1, y, x)."""
        size = (int(attended.shape[2]), int(attended.shape[3]))
        return Focus(*centre(attended), self.spread, self.peak).over(size, attended)


def normalisation(
    seed: int = 0, *, spread: float = 30.0, peak: float = 2.0, sigma: float = 0.005, pixels: float = 0.4
) -> PlantedSubject:
    """Return the normalisation model with attention directed to the attended object's centre.

    On each picture A/O = a·(S₀ + σ)/(S + σ), with a = A at the unit and S, S₀ its pool with attention and without; so
    every response is between 1/`peak` and `peak` of the ungated one, and A/N between their squares. At every contrast
    attended(c) = (a/κ)·neutral(κ·c) with κ = S/S₀ (`gains`). The default field of attention, 30 units wide, makes
    nearly pure contrast gain, 3 units mostly response gain.

    Parameters
    ----------
    seed
        Draws the first preferred orientation.
    spread, peak
        Of the field of attention: 3 to 30 units of position, and 2 or 5, in the paper.
    sigma
        σ in units of luminance.
    pixels
        A unit of position.

    Examples
    --------
    >>> normalisation().expected("cost_and_benefit")["attended_over_ungated"]
    (0.5, 2.0)
    """
    given = {"spread": spread, "peak - 1": peak - 1, "sigma": sigma, "pixels": pixels}
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value:g}")
    units = NormalisationUnits(seed, spread=spread, peak=peak, sigma=sigma, pixels=pixels)
    most = (peak - 1) / (peak + 1)
    most_of_both = (peak**2 - 1) / (peak**2 + 1)
    expected: dict[str, Expected] = {
        "activity_scaling": {
            "modulation_index": (-most_of_both, most_of_both),
            "gain_ratio": (1 / peak**2, peak**2),
        },
        "cost_and_benefit": {
            "benefit": (-most, most),
            "cost": (-most, most),
            "difference": (-most_of_both, most_of_both),
            "attended_over_ungated": (1 / peak, peak),
            "unattended_over_ungated": (1 / peak, peak),
        },
    }
    return PlantedSubject(units, "normalisation", seed, expected)


def _convolved(values: torch.Tensor, spread: float, tuning: torch.Tensor, truncated: float) -> torch.Tensor:
    """Return (batch, feature, y, x) smoothed over positions, beyond whose borders there is nothing, and features."""
    number = values.shape[1]
    for axis in (2, 3):
        reach = int(min(values.shape[axis] - 1, truncated * spread))
        line = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
        kernel = torch.exp(-(line**2) / (2 * spread**2))
        sides = (len(line), 1) if axis == 2 else (1, len(line))
        weights = (kernel / kernel.sum()).reshape(1, 1, *sides).expand(number, -1, -1, -1)
        padding = (reach, 0) if axis == 2 else (0, reach)
        values = nn.functional.conv2d(values, weights, padding=padding, groups=number)
    return nn.functional.conv2d(values, tuning[:, :, None, None])
