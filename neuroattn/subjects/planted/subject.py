"""A planted subject: units whose drive and whose attention are known, and what protocols must find of them."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

from neuroattn.command.option import suggestion
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuroattn.subjects.fields import Fields
    from neuroattn.subjects.timed_module import Target

    # Column of the unit table → the least and the most that a unit which takes part can have.
    Expected: TypeAlias = Mapping[str, tuple[float, float]]

N_ORIENTATIONS = 8
HALF_SATURATION = 0.3
_SIDE = 7  # of a receptive field, in pixels
_ACROSS, _ALONG = 0.8, 2.5  # SD of a receptive field, in pixels
NO_EFFECT: Expected = MappingProxyType(
    {"modulation_index": (0, 0), "difference": (0, 0), "gain_ratio": (1, 1), "slope": (1, 1), "intercept": (0, 0)}
)
UNCHANGED_SHAPE: Expected = MappingProxyType(
    {f"{what}_{how}": (0, 0) for what in ("shift", "bandwidth_change") for how in ("maximum", "mean")}
)


class PlantedSubject(TimedModule):
    """A planted module as a subject of two steps that can be cued: attention acts at the second step alone.

    Its receptive fields are those of its drive: what only suppresses a unit lies outside, as in a neuron's classical
    field.

    Parameters
    ----------
    module
        Called with images, and at the second step of a cued presentation with the attended object's picture; has parts
        ``drive`` and ``response``.
    kind, seed
        Its name is ``planted-KIND-SEED``.
    expected
        Protocol → what it must find.
    """

    def __init__(self, module: nn.Module, kind: str, seed: int, expected: Mapping[str, Expected]) -> None:
        name = f"planted-{kind}-{seed}"
        super().__init__(module.eval(), run=_undirected, cue=_directed, variables=["response"], name=name, seed=seed)
        self._expected = expected

    def expected(self, protocol: str) -> Expected:
        """Return what a protocol must find of every unit that takes part, but for rounding and what its docstring says.

        Returns
        -------
        Mapping
            Column of the protocol's unit table → the least and the most that it can be; a known value is both.

        Raises
        ------
        ValueError
            If nothing is known of this protocol.

        Examples
        --------
        >>> from neuroattn.subjects import planted
        >>> planted.response_gain().expected("cost_and_benefit")["attended_over_ungated"]
        (1.26, 1.26)
        """
        if protocol not in self._expected:
            known = ", ".join(self._expected)
            raise ValueError(
                f"protocol must be one that {self.name} predicts ({known}), got {shown(protocol)}"
                f"{suggestion(str(protocol), list(self._expected))}; of others nothing is known in closed form"
            )
        return self._expected[protocol]

    def fields(self, variable: str, size: tuple[int, int] | None = None) -> Fields:
        """Return the receptive fields of the drive; see `TimedModule.fields`."""
        self.tapped([variable])
        return TimedModule.fields(self._with(_known={variable: "drive"}), variable, size)


class DrivenUnits(nn.Module):
    """Units N(x) = x²/(x² + 0.3²) whose drive x is the mean luminance under an elongated field of 7 × 7 px.

    Channels prefer `N_ORIENTATIONS` orientations, equally spaced from one that the seed draws. Field weights are
    positive and sum to 1, so x is linear in the picture, lies in [0, 1], and is c before a uniform picture of
    luminance c. Attention changes this in subclasses.

    Parameters
    ----------
    seed
        Draws the first preferred orientation.
    """

    weights: torch.Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("weights", elongated(_SIDE, orientations(seed)))
        self.drive, self.response = nn.Identity(), nn.Identity()

    def forward(self, images: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return the responses; `attended` (batch, channel, y, x) is the picture of the attended object, if any."""
        x = self.drive(self.driven_by(images))
        response: torch.Tensor = self.response(saturating(x) if attended is None else self.attending(x, attended))
        return response

    def attending(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the responses to drive x (batch, channel, y, x) with an object attended."""
        raise NotImplementedError

    def driven_by(self, images: torch.Tensor) -> torch.Tensor:
        """Return the drive (batch, channel, y, x) by pictures, over the mean of their channels."""
        n_channels = images.shape[1]
        return nn.functional.conv2d(images, self.weights.expand(-1, n_channels, -1, -1) / n_channels)


def orientations(seed: int) -> list[float]:
    """Return the preferred orientations in degrees."""
    spacing = 180 / N_ORIENTATIONS
    first = spacing * float(torch.rand(1, generator=torch.Generator().manual_seed(seed)))
    return [first + spacing * number for number in range(N_ORIENTATIONS)]


def elongated(side: int, preferred: list[float]) -> torch.Tensor:
    """Return receptive fields (channel, 1, side, side) whose weights are positive and sum to 1."""
    line = torch.arange(side, dtype=torch.float64) - side // 2
    up, right = torch.meshgrid(-line, line, indexing="ij")
    fields = []
    for degrees in preferred:
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        along, across = right * cos + up * sin, up * cos - right * sin
        field = torch.exp(-((across / _ACROSS) ** 2 + (along / _ALONG) ** 2) / 2)
        fields.append(field / field.sum())
    return torch.stack(fields)[:, None].float()


def saturating(x: torch.Tensor) -> torch.Tensor:
    """Return N(x) = x²/(x² + 0.3²)."""
    return x**2 / (x**2 + HALF_SATURATION**2)


def centre(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (batch,) row and column of the centre of an object's ink; of an empty picture its middle."""
    ink = pictures.double().sum(1)
    total = ink.sum((1, 2))
    found = []
    for axis, others in ((1, 2), (2, 1)):
        place = torch.arange(ink.shape[axis], dtype=ink.dtype, device=ink.device)
        mean = (ink.sum(others) * place).sum(1) / total
        found.append(torch.where(total > 0, mean, place.mean()).to(pictures.dtype))
    return found[0], found[1]


def centres_of_fields(n_places: int, n_pixels: int, device: torch.device) -> torch.Tensor:
    """Return the pixel in the middle of each receptive field along an axis."""
    return torch.arange(n_places, device=device) + (n_pixels - n_places) / 2


def on_its_side(x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """Return (batch, 1, 1, x) which units lie in the half of the picture, left or right, of the attended object."""
    width = attended.shape[3]
    middle = (width - 1) / 2
    of_units = centres_of_fields(x.shape[3], width, x.device) < middle
    of_object = centre(attended)[1] < middle
    return (of_units == of_object[:, None])[:, None, None]


def _undirected(module: nn.Module, images: torch.Tensor) -> Iterator[tuple[int, int]]:
    for step in range(2):
        yield 0, step
        module(images)


def _directed(module: nn.Module, images: torch.Tensor, target: Target) -> Iterator[tuple[int, int]]:
    yield 0, 0
    module(images)
    yield 0, 1
    module(images, target.picture)
