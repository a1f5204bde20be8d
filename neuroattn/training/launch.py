"""Device, precision and processes of a training, by Lightning Fabric."""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from neuroattn.compute.device import choose_device
from neuroattn.training.memory import keep_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from lightning_fabric import Fabric


def launched(device: str, precision: str) -> Fabric:
    """Return this process's part in a training: all of it, or one of the parts that ``torchrun`` started.

    Each process of a machine takes a GPU of its own. In the precision ``bf16`` the weights stay in 32 bits, and what
    gains by it is computed in bfloat16; for ``auto`` see `choose_precision`.

    Raises
    ------
    ValueError
        If there is no such device, or there are fewer GPUs than processes.
    """
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    where = choose_device(device)
    here, everywhere = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ.get("WORLD_SIZE", "1"))
    if where.type == "cuda" and here > torch.cuda.device_count():
        raise ValueError(
            f"device must leave every process a GPU of its own, got {here} processes on a machine with "
            f"{torch.cuda.device_count()}; start fewer, or take --device cpu"
        )
    # Its notes on how it was started are not for users.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=where.type,
        devices=here,
        num_nodes=everywhere // here,
        strategy="ddp" if everywhere > 1 else "auto",
        precision="bf16-mixed" if choose_precision(precision, where) == "bf16" else "32-true",
        # Named, so that a batch system's variables around an ordinary process do not count.
        plugins=[TorchElasticEnvironment() if everywhere > 1 else LightningEnvironment()],
    )
    fabric.launch()
    if everywhere > 1:
        # Left to the interpreter's end, its threads may outlive what they use.
        atexit.register(torch.distributed.destroy_process_group)
    keep_memory()
    return fabric


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the precision of an option ``auto``, ``32`` or ``bf16``; ``auto`` takes what the device is quick in."""
    import torch

    if precision != "auto":
        return precision
    if device.type == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Elsewhere bfloat16 would be emulated, more slowly than 32 bits. Older torch does not tell.
        tell: Callable[[], dict[str, bool]] = getattr(torch.cpu, "get_capabilities", dict)
        quick = any(tell().get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16" if quick else "32"
