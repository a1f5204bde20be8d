"""Virtual electrophysiology of object-based attention in recurrent gated networks.

The names below load when they are first used, so that ``import neuroattn`` stays quick and does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroattn.models.checkpoint import load_model as load_model
    from neuroattn.recording.record import record as record
    from neuroattn.recording.unit_maps import unit_maps as unit_maps
    from neuroattn.stimuli.stimulus_set import StimulusSet as StimulusSet

__version__ = "0.1.0"

_HOMES = {
    "StimulusSet": "neuroattn.stimuli.stimulus_set",
    "load_model": "neuroattn.models.checkpoint",
    "record": "neuroattn.recording.record",
    "unit_maps": "neuroattn.recording.unit_maps",
}
__all__ = ["StimulusSet", "__version__", "load_model", "record", "unit_maps"]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'neuroattn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOMES])
