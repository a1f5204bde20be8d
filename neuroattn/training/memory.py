"""Freed memory kept at hand: fresh pages cost a training as much as its arithmetic."""

from __future__ import annotations

import ctypes
import platform
from typing import TYPE_CHECKING

from neuroattn.compute.memory import require_room

if TYPE_CHECKING:
    import torch

    from neuroattn.models.config import GatedConfig

# Parameters of glibc's mallopt (malloc.h) and their values in bytes.
_TRIM_THRESHOLD, _NEVER = -1, 2**31 - 1
_MMAP_THRESHOLD, _LARGEST = -3, 32 * 2**20


_BYTES = 4  # of a value


def require_room_for_weights(config: GatedConfig, device: torch.device) -> None:
    """Raise unless memory holds a network's weights, their gradients and Adam's two means of these."""
    if device.type != "cpu":
        return
    shown = f"{', '.join(map(str, config.channels))} channels"
    require_room("hidden", shown, 4 * _BYTES * config.n_weights, "take fewer channels")


def require_room_for_batch(
    config: GatedConfig, batch_size: int, gradient_steps: int | None, device: torch.device
) -> None:
    """Raise unless memory holds, of a batch, the responses that gradients flow back through."""
    if device.type != "cpu":
        return
    steps = min(config.steps, gradient_steps or config.steps)
    responses = sum(n * y * x for n, y, x in config.response_sizes)
    n_bytes = _BYTES * batch_size * steps * responses
    require_room("batch_size", f"{batch_size:,} pictures of a step", n_bytes, "take fewer")


def keep_memory() -> None:
    """Have the C library keep what is freed for the next batch, instead of giving it back to the system.

    A batch frees and takes the same arrays of a few megabytes again and again. What may be set for this process from
    outside is undone: the workers of a Dask cluster are told to give back all they can. Where the library is not glibc,
    nothing changes.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
