"""Spikes whose mean attention leaves alone, with noise that units share and that attention lowers."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from neuroattn.subjects.planted.subject import DrivenUnits, PlantedSubject, on_its_side, saturating

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN_COUNT = 10.0  # spikes of a unit whose N is 1
SHARED, SHARED_ATTENDED, PRIVATE = 0.010, 0.0065, 0.03  # variances of the gains


class NoisyUnits(DrivenUnits):
    """Units whose counts are Poisson, with mean 10·N(x)·s·u: s is drawn for each half, u for each unit.

    s and u are gamma variables of mean 1. The variance of s is lower in the half of the attended object. Picture, half
    attended and seed decide all draws, so that a presentation is the same in batches of any size: trials of one
    stimulus have to differ somewhere, as by their background.

    Parameters
    ----------
    seed
        See `DrivenUnits`; of the noise, too.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed = seed

    def forward(self, images: torch.Tensor, attended: torch.Tensor | None = None) -> torch.Tensor:
        """Return the counts; `attended` (batch, channel, y, x) is the picture of the attended object, if any."""
        mean = MEAN_COUNT * saturating(self.drive(self.driven_by(images)))
        lowered = torch.zeros(len(mean), 1, 1, mean.shape[3], dtype=torch.bool, device=mean.device)
        if attended is not None:
            lowered = on_its_side(mean, attended)
        pictures, plain = images.detach().cpu().numpy(), mean.detach().cpu().double().numpy()
        drawn = [
            self._counts(of_one, picture.tobytes(), where[0, 0])
            for of_one, picture, where in zip(plain, pictures, lowered.cpu().numpy(), strict=True)
        ]
        counts = torch.from_numpy(np.stack(drawn)).to(mean)
        response: torch.Tensor = self.response(mean + (counts - mean).detach())  # of the picture, for gradients
        return response

    def _counts(self, mean: NDArray[np.float64], picture: bytes, lowered: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the counts (channel, y, x) of one presentation; `lowered` (x,) says where attention is."""
        generator = np.random.default_rng([self.seed, zlib.crc32(picture, zlib.crc32(lowered.tobytes()))])
        column = np.arange(len(lowered))
        shared = np.ones(len(lowered))
        for half in (column < len(column) / 2, column >= len(column) / 2):
            variance = SHARED_ATTENDED if lowered[half].all() else SHARED
            shared[half] = generator.gamma(1 / variance, variance)
        private = generator.gamma(1 / PRIVATE, PRIVATE, mean.shape)
        return generator.poisson(mean * shared * private).astype(np.float64)


def shared_noise(seed: int = 0) -> PlantedSubject:
    """Return units whose counts scatter together, less so where an object is attended, about means that stay.

    Attention has no effect on any mean, and what is expected is that of the mean over seeds: a unit's index differs
    from 0 by chance, and by a chance that all units of a half share, so that units and channels of one seed are no
    independent sample. Of two units with mean count λ, by
    the variances v (shared) and u (private) of their gains::

        Fano factor F = 1 + λ((1 + v)(1 + u) − 1);   correlation r = v·λ/F

    At λ = 10: r = 0.0713, F = 1.403 where nothing is attended (v = 0.010, u = 0.03), and r = 0.0474, F = 1.367 where
    the object is (v = 0.0065); see `noise_of`. The sizes of the modulators are chosen; that attention lowers the
    variance of its own hemisphere's is after Rabinowitz et al. (2015), eLife 4:e08998.

    Examples
    --------
    >>> shared_noise()
    TimedModule 'planted-shared_noise-0' of NoisyUnits, 1 variables, can be cued
    """
    none = (0.0, 0.0)
    expected = {
        "activity_scaling": {"modulation_index": none, "difference": none},
        "cost_and_benefit": {"benefit": none, "cost": none, "difference": none},
    }
    return PlantedSubject(NoisyUnits(seed), "shared_noise", seed, expected)


def noise_of(mean: float, shared: float = SHARED, private: float = PRIVATE) -> tuple[float, float]:
    """Return Fano factor and correlation of units of `shared_noise`, of a mean count and variances of gains.

    Examples
    --------
    >>> [round(value, 4) for value in noise_of(10)]
    [1.403, 0.0713]
    """
    fano = 1 + mean * ((1 + shared) * (1 + private) - 1)
    return fano, shared * mean / fano
