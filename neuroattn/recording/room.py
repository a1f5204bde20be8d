"""How much memory and disk a recording takes, whether that is there, and how many stimuli to run at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from neuroattn.compute.memory import free_memory, require_room

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from neuroattn.recording.plan import Plan

# On a CPU, what a batch computes in a step should stay near the caches; on a GPU, large batches hide the launches.
CPU_STEP_BYTES, CPU_BATCH = 32 * 2**20, 256
GPU_SHARE, GPU_BATCH = 0.25, 1024
SUGGESTIONS = "record fewer steps, variables, stimuli or units, in float16, or reduce while recording"


def free_disk(store: Path) -> int:
    """Return the bytes that are free where a store is to be."""
    place = next(path for path in store.absolute().parents if path.exists())
    return shutil.disk_usage(place).free


def require_memory(plan: Plan) -> None:
    """Raise ValueError unless a recording that is kept in memory fits there, with the bytes of every variable."""
    text = f"the recording needs {{}} of memory ({{}}), and {{}} are free; give a store to stream to, {SUGGESTIONS}"
    _require_free(plan.n_bytes(), free_memory(), text)


def require_sink_memory(plan: Plan, held: Mapping[str, int]) -> None:
    """Raise unless memory holds what a sink keeps of each variable; see `require_memory`."""
    text = (
        f"sink must fit in memory, got one that needs {{}} or more for {plan.n_presentations:,} presentations ({{}}), "
    )
    text += "and {} are free; reduce by coordinates of fewer values, or record fewer steps, variables or units"
    _require_free(held, free_memory(), text)


def require_block(plan: Plan, block_size: int) -> None:
    """Raise unless memory holds what of a recording is written at once; see `require_memory`."""
    n = min(block_size, len(plan.stimuli)) * plan.per_stimulus
    text = f"batch_size must leave room in memory, got {plan.work.batch_size}, which needs {{}} at a time ({{}}), "
    text += f"and {{}} are free; give a smaller one, or {SUGGESTIONS}"
    _require_free({name: n * plan.work.bytes_of(name) for name in plan.variables}, free_memory(), text)


def require_step(batch_size: int, step_bytes: int) -> None:
    """Raise unless memory holds what the model computes of a batch in a step, of which it may free some on the way."""
    advice = "give a smaller one, or none, and it is chosen"
    require_room("batch_size", f"{batch_size:,} stimuli at once", batch_size * step_bytes // 4, advice)


def require_disk(plan: Plan, store: Path) -> None:
    """Raise unless a recording fits where its store is to be; see `require_memory`."""
    named = str(store).replace("{", "{{").replace("}", "}}")
    text = f"store {named!r} needs up to {{}} ({{}}), and {{}} are free; {SUGGESTIONS}"
    _require_free(plan.n_bytes(), free_disk(store), text)


def _require_free(needed: Mapping[str, int], free: int, text: str) -> None:
    """Raise with a text that is told the bytes that are needed, those of each variable, and those that are free."""
    if (total := sum(needed.values())) > free:
        raise ValueError(
            text.format(_gb(total), ", ".join(f"{name} {_gb(n)}" for name, n in needed.items()), _gb(free))
        )


def estimate(plan: Plan, n_bytes_at_once: int) -> str:
    """Return in words what a plan will take, a line a variable, and the bytes held in memory at a time."""
    needed = plan.n_bytes()
    shapes = {
        name: (plan.n_presentations, len(plan.work.steps[name]), plan.work.n_units(name)) for name in plan.variables
    }
    lines = [
        f"  {name}: {' × '.join(f'{size:,}' for size in shapes[name])} (presentation × time step × neuroid) "
        f"{plan.work.precision}, {_gb(size)}"
        for name, size in needed.items()
    ]
    total = f"up to {_gb(sum(needed.values()))} on disk, {_gb(n_bytes_at_once)} of values in memory at a time"
    return "\n".join([f"{total}, {plan.work.batch_size} stimuli at once", *lines])


def choose_batch_size(device: torch.device, step_bytes: int, kept_bytes: int, n_stimuli: int) -> int:
    """Return how many stimuli to run at once, where one computes `step_bytes` a step and leaves `kept_bytes` in all."""
    import torch

    budget, most = CPU_STEP_BYTES, CPU_BATCH
    if device.type == "cuda":
        budget, most = int(GPU_SHARE * torch.cuda.mem_get_info(device)[0]), GPU_BATCH
    at_once = min(budget // max(1, step_bytes), free_memory() // 8 // max(1, kept_bytes), most)
    power: int = 1 << max(0, int(at_once).bit_length() - 1)
    return max(1, min(power, n_stimuli))


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
