"""Which pixels of the image a unit sees, bottom up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.models.config import GatedConfig

# The maps of a stage, in the order in which its input passes through them.
_OF_A_STAGE = ("gate", "gated_input", "response", "pooled")


def receptive_field(config: GatedConfig, variable: str) -> tuple[int, int]:
    """Return (spacing, side) in pixels of the receptive fields of a variable's units.

    The unit at (y, x) sees the square of `side` pixels whose upper left corner is (y, x) · `spacing`. Feedback widens
    what moves a unit beyond this field; this is the field of the first bottom-up sweep. A gate has the field of the
    input that it gates.

    Parameters
    ----------
    config
        Architecture.
    variable
        One of the maps of a stage: ``stage{l}/gate``, ``gated_input``, ``response`` or ``pooled``, l counted from 1.

    Raises
    ------
    ValueError
        If the variable is no map of a stage.
    """
    stage, _, of_stage = variable.removeprefix("stage").partition("/")
    stages = range(1, len(config.channels) + 1)
    if of_stage not in _OF_A_STAGE or stage not in map(str, stages):
        raise ValueError(
            f"variable must be a map of a stage (stage1/response …) to have receptive fields, got {variable!r}"
        )
    spacing, side = 1, 1  # of the image itself
    for number in range(1, int(stage) + 1):
        if number == int(stage) and of_stage in {"gate", "gated_input"}:
            break
        side += (config.kernel - 1) * spacing
        if number == int(stage) and of_stage == "response":
            break
        side += spacing  # 2 × 2 pooling
        spacing *= 2
    return spacing, side


def sees(config: GatedConfig, variable: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which places of a variable's map have a pixel of `mask` in their receptive field.

    Parameters
    ----------
    config, variable
        As for `receptive_field`.
    mask
        (y, x) of the image.

    Returns
    -------
    numpy.ndarray
        (y, x) of the variable's map, boolean.
    """
    return pixels_seen(config, variable, mask) > 0


def own_object(config: GatedConfig, variable: str, objects: NDArray[np.bool_], share: float) -> NDArray[np.int64]:
    """Return which object each place of a variable's map sees alone in each picture, −1 where there is none.

    Parameters
    ----------
    config, variable
        As for `receptive_field`.
    objects
        (picture, object, y, x) where objects are.
    share
        Fraction, above one half, of all objects' pixels in a receptive field that the own object must have: with 1 it
        is the only one.

    Returns
    -------
    numpy.ndarray
        (picture, y, x) of the variable's map.
    """
    seen = pixels_seen(config, variable, objects)
    most = seen.max(1)
    return np.where((most > 0) & (most >= share * seen.sum(1)), seen.argmax(1), -1)


def pixels_seen(config: GatedConfig, variable: str, masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many pixels of masks each place of a variable's map has in its receptive field.

    Parameters
    ----------
    config, variable
        As for `receptive_field`.
    masks
        (..., y, x) of images.

    Returns
    -------
    numpy.ndarray
        (..., y, x) of the variable's map.
    """
    spacing, side = receptive_field(config, variable)
    name, _, of_stage = variable.partition("/")
    sizes = {"response": config.response_sizes, "pooled": config.pooled_sizes}.get(of_stage, config.input_sizes)
    _, height, width = sizes[int(name.removeprefix("stage")) - 1]
    # Sums over squares are differences of the sums over all pixels above and to the left.
    edges = [(0, 0)] * (masks.ndim - 2) + [(1, 0), (1, 0)]
    above = np.pad(masks.astype(np.int64), edges).cumsum(-2).cumsum(-1)
    top, left = np.arange(height) * spacing, np.arange(width) * spacing
    down = above[..., top + side, :] - above[..., top, :]
    return np.asarray(down[..., left + side] - down[..., left])
