"""Which pixels of the image a unit sees, bottom up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

    Examples
    --------
    >>> from neuroattn.models.config import digits_config
    >>> receptive_field(digits_config(), "stage2/response")
    (2, 11)
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


def map_size(config: GatedConfig, variable: str) -> tuple[int, int]:
    """Return (y, x) of a stage's map; `variable` as for `receptive_field`.

    >>> from neuroattn.models.config import digits_config
    >>> map_size(digits_config(), "stage2/response")
    (9, 16)
    """
    name, _, of_stage = variable.partition("/")
    sizes = {"response": config.response_sizes, "pooled": config.pooled_sizes}.get(of_stage, config.input_sizes)
    _, height, width = sizes[int(name.removeprefix("stage")) - 1]
    return height, width
