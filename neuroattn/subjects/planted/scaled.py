"""A subject whose units multiply, and raise, their response to what is attended on their side of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuroattn.subjects.timed_module import Target

N_STEPS = 5


class ScaledUnits(nn.Module):
    """Units relu(conv(image)) + 0.05, which attention to their side multiplies by `gain` and raises by `offset`.

    Parameters
    ----------
    in_channels, channels, kernel
        Of the convolution.
    left, right
        Units of columns below `left` are those of the left side, and from `right` on those of the right.
    gain, offset
        Planted.
    seed
        Draws the weights, within ±1/√fan-in.
    undriven
        So many channels answer to no pixel (0.35), and yet attention scales them.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        *,
        left: int,
        right: int,
        gain: float,
        offset: float = 0.0,
        seed: int = 0,
        undriven: int = 0,
    ) -> None:
        super().__init__()
        self.left, self.right, self.gain, self.offset = left, right, gain, offset
        self.conv, self.response = nn.Conv2d(in_channels, channels, kernel), nn.Identity()
        bound, generator = (in_channels * kernel**2) ** -0.5, torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.conv.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
            self.conv.weight[:undriven] = 0
            self.conv.bias[:undriven] = 0.3  # type: ignore[index]

    def forward(self, images: torch.Tensor, on_the_left: torch.Tensor | None = None) -> torch.Tensor:
        """Return the responses; `on_the_left` (batch,) says on which side the attended object is, None: none is."""
        plain = self.conv(images).relu() + 0.05
        if on_the_left is not None:
            column = torch.arange(plain.shape[3], device=plain.device)
            side = torch.where(on_the_left[:, None], column < self.left, column >= self.right)
            plain = torch.where(side[:, None, None], self.gain * plain + self.offset, plain)
        response: torch.Tensor = self.response(plain)
        return response


def scaled_subject(units: ScaledUnits, name: str = "planted") -> TimedModule:
    """Return `ScaledUnits` as a subject of five steps that can be cued; attention acts from the second step on.

    What the protocol of activity scaling must find, for the units of a side: index (gain − 1)/(gain + 1) where there is
    no offset, slope `gain` and intercept `offset`.

    Examples
    --------
    >>> scaled_subject(ScaledUnits(1, 7, 4, left=11, right=28, gain=1.5), name="planted-0")
    TimedModule 'planted-0' of ScaledUnits, 1 variables, can be cued
    """
    return TimedModule(units.eval(), run=_undirected, cue=_directed, variables=["response"], name=name)


def _undirected(module: nn.Module, images: torch.Tensor) -> Iterator[tuple[int, int]]:
    for step in range(N_STEPS):
        yield 0, step
        module(images)


def _directed(module: nn.Module, images: torch.Tensor, target: Target) -> Iterator[tuple[int, int]]:
    if target.location is None:
        raise ValueError("stimuli must say where objects are for attention to a side, got none; add location_0, …")
    for step in range(N_STEPS):
        yield 0, step
        module(images, None if step == 0 else target.location == 0)
