"""Which pixels of the image a unit sees, bottom up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.models.config import GatedConfig


def response_field(config: GatedConfig, stage: int) -> tuple[int, int]:
    """Return (spacing, side) in pixels of the receptive fields of a stage's response.

    The unit at (y, x) of a[l] sees the square of `side` pixels whose upper left corner is (y, x) · `spacing`. Feedback
    widens what moves a unit beyond this field; this is the field of the first bottom-up sweep.

    Parameters
    ----------
    config
        Architecture.
    stage
        Number of the stage, from 1.
    """
    spacing, side = 1, config.kernel
    for _ in range(stage - 1):
        side += spacing  # 2 × 2 pooling
        spacing *= 2
        side += (config.kernel - 1) * spacing
    return spacing, side


def sees(config: GatedConfig, stage: int, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which places of a stage's response have a pixel of `mask` in their receptive field.

    Parameters
    ----------
    config, stage
        As for `response_field`.
    mask
        (y, x) of the image.

    Returns
    -------
    numpy.ndarray
        (y, x) of the response, boolean.
    """
    spacing, side = response_field(config, stage)
    _, height, width = config.response_sizes[stage - 1]
    windows = np.lib.stride_tricks.sliding_window_view(mask, (side, side))[::spacing, ::spacing]
    seen: NDArray[np.bool_] = np.any(windows[:height, :width], axis=(2, 3))
    return seen
