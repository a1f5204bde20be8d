"""Gain on the drive, on the response, or on both; an added baseline; and nothing: five subjects of one rule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from neuroattn.subjects.planted.subject import (
    HALF_SATURATION,
    NO_EFFECT,
    UNCHANGED_SHAPE,
    DrivenUnits,
    PlantedSubject,
    on_its_side,
    saturating,
)

if TYPE_CHECKING:
    from neuroattn.subjects.planted.subject import Expected


class GainUnits(DrivenUnits):
    """Units whose response R·N(k·x) + b on the side of the attended object, and N(x) elsewhere.

    Parameters
    ----------
    seed
        See `DrivenUnits`.
    response, contrast, offset
        R, k and b.
    """

    def __init__(self, seed: int, *, response: float = 1.0, contrast: float = 1.0, offset: float = 0.0) -> None:
        super().__init__(seed)
        self.of_response, self.of_contrast, self.offset = response, contrast, offset

    def attending(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return the responses with an object attended."""
        changed = self.of_response * saturating(self.of_contrast * x) + self.offset
        return torch.where(on_its_side(x, attended), changed, saturating(x))


def response_gain(seed: int = 0, *, gain: float = 1.26) -> PlantedSubject:
    """Return units that multiply their response by `gain` on the side of the attended object.

    A = g·N(x): index (g − 1)/(g + 1), 0.1150 for the default, which is the median of V4 (McAdams & Maunsell 1999);
    slope g and intercept 0 over stimuli, tuning of the same shape. N is the response before attention acts: no cost.
    Under Poisson noise d′ grows by √g.

    Examples
    --------
    >>> low, high = response_gain().expected("activity_scaling")["modulation_index"]
    >>> round(low, 4) == round(high, 4) == 0.1150
    True
    """
    units = GainUnits(seed, response=_positive("gain", gain))
    scaling = {"gain_ratio": (gain, gain), "slope": (gain, gain), "intercept": (0.0, 0.0)}
    tuning = {"gain_maximum": (gain, gain), "gain_mean": (gain, gain), **UNCHANGED_SHAPE}
    return PlantedSubject(units, "response_gain", seed, _between(gain, gain, scaling) | {"tuning": tuning})


def contrast_gain(seed: int = 0, *, gain: float = 1.51) -> PlantedSubject:
    """Return units that multiply their drive by `gain` on the side of the attended object.

    A/N = N(k·x)/N(x) falls from k² at small drives to N(k)/N(1) at x = 1: 2.021, 1.390 and 1.049 at x = 0.1, 0.3 and 1
    for the default, which is that of V4 (Reynolds, Pasternak & Desimone 2000). The tuning of the response widens as it
    saturates, by no closed form.

    Examples
    --------
    >>> low, high = contrast_gain().expected("activity_scaling")["gain_ratio"]
    >>> round(low, 3), round(high, 3)
    (1.049, 2.28)
    """
    if not gain >= 1:
        raise ValueError(f"gain must be at least 1, got {gain:g}")
    least = _saturating(gain) / _saturating(1)
    units = GainUnits(seed, contrast=_positive("gain", gain))
    return PlantedSubject(units, "contrast_gain", seed, _between(least, gain**2, {}))


def mixed_gain(seed: int = 0, *, peak: float = 2.0, share: float = 0.4) -> PlantedSubject:
    """Return units of both gains: A = (a/κ)·N(κ·x) with κ = 1 + (a − 1)·φ, peak a and share φ.

    The normalisation model's contrast response with a share φ of the suppressive pool in the attention field. A/N is
    a·κ at small drives and (a/κ)·N(κ)/N(1) at x = 1: for the defaults, contrast gain 1.4 and response gain 1.429.

    Examples
    --------
    >>> low, high = mixed_gain().expected("activity_scaling")["gain_ratio"]
    >>> round(low, 3), round(high, 3)
    (1.489, 2.8)
    """
    if not (peak >= 1 and 0 <= share <= 1):
        raise ValueError(f"peak must be at least 1 and share in [0, 1], got {peak:g} and {share:g}")
    contrast = 1 + (peak - 1) * share
    response = _positive("peak", peak) / contrast
    least = response * _saturating(contrast) / _saturating(1)
    units = GainUnits(seed, response=response, contrast=contrast)
    return PlantedSubject(units, "mixed_gain", seed, _between(least, peak * contrast, {}))


def baseline(seed: int = 0, *, offset: float = 0.1) -> PlantedSubject:
    """Return units that add `offset` on the side of the attended object.

    A = N + b, whatever drives the unit: slope 1, intercept b over stimuli, gain of tuning 1. The index b/(2N + b) is
    larger where a unit responds less, and N is below N(1) = 0.917. Under Poisson noise d′ becomes √(N/(N + b)) of what
    it was.

    Examples
    --------
    >>> baseline().expected("activity_scaling")["intercept"]
    (0.1, 0.1)
    """
    units = GainUnits(seed, offset=_positive("offset", offset))
    scaling = {"difference": (offset, offset), "slope": (1.0, 1.0), "intercept": (offset, offset)}
    raised = {f"baseline_difference_{how}": (offset, offset) for how in ("maximum", "mean")}
    tuning = {"gain_maximum": (1.0, 1.0), "gain_mean": (1.0, 1.0), **raised, **UNCHANGED_SHAPE}
    of_pairs = _between(1 + offset / _saturating(1), math.inf, scaling)
    return PlantedSubject(units, "baseline", seed, of_pairs | {"tuning": tuning})


def null(seed: int = 0) -> PlantedSubject:
    """Return units that attention does not reach: A = N = O, every index 0, every gain 1, every curve the same.

    Examples
    --------
    >>> null().expected("activity_scaling")["modulation_index"]
    (0, 0)
    """
    tuning = {"gain_maximum": (1.0, 1.0), "gain_mean": (1.0, 1.0), **UNCHANGED_SHAPE}
    return PlantedSubject(GainUnits(seed), "null", seed, _between(1, 1, NO_EFFECT) | {"tuning": tuning})


def _between(low: float, high: float, scaling: Expected) -> dict[str, Expected]:
    """Return what protocols find where A/N of every picture lies between two values, and N is the ungated response."""
    index = (1 - 2 / (low + 1), 1 - 2 / (high + 1))
    return {
        "activity_scaling": {"modulation_index": index, "gain_ratio": (low, high), **scaling},
        "cost_and_benefit": {
            "benefit": index,
            "difference": index,
            "cost": (0.0, 0.0),
            "attended_over_ungated": (low, high),
            "unattended_over_ungated": (1.0, 1.0),
        },
    }


def _saturating(x: float) -> float:
    return x**2 / (x**2 + HALF_SATURATION**2)


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value:g}")
    return value
