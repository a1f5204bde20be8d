"""Where to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """Return the device of an option ``auto``, ``cpu`` or ``cuda``; ``auto`` takes a GPU where there is one.

    Raises
    ------
    ValueError
        If ``cuda`` is asked for and there is none.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("device must be auto or cpu on a machine without a CUDA device, got cuda")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and there) else "cpu")
