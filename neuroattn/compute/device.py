"""The device to compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    ValueError
        If ``cuda`` is asked for and there is none.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ValueError("device must be auto or cpu on a machine without a CUDA device, got cuda")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and has_gpu) else "cpu")
