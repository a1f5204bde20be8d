"""Virtual electrophysiology of object-based attention in recurrent gated networks.

The names below load when they are first used, so that ``import neuroattn`` stays quick and does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroattn.experiments.run import open_run as open_run
    from neuroattn.experiments.run import run as run
    from neuroattn.models.checkpoint import load_model as load_model
    from neuroattn.recording.export.assembly import to_assembly as to_assembly
    from neuroattn.recording.export.netcdf import to_netcdf as to_netcdf
    from neuroattn.recording.export.rsatoolbox_dataset import to_rsatoolbox as to_rsatoolbox
    from neuroattn.recording.export.tidy import to_dataframe as to_dataframe
    from neuroattn.recording.intervene import intervene as intervene
    from neuroattn.recording.record import record as record
    from neuroattn.recording.reduce import Reduction as Reduction
    from neuroattn.recording.unit_maps import unit_maps as unit_maps
    from neuroattn.recording.units import Units as Units
    from neuroattn.stimuli.stimulus_set import StimulusSet as StimulusSet
    from neuroattn.subjects.timed_module import TimedModule as TimedModule

__version__ = "0.1.0"

_HOMES = {
    "Reduction": "neuroattn.recording.reduce",
    "StimulusSet": "neuroattn.stimuli.stimulus_set",
    "TimedModule": "neuroattn.subjects.timed_module",
    "Units": "neuroattn.recording.units",
    "intervene": "neuroattn.recording.intervene",
    "load_model": "neuroattn.models.checkpoint",
    "open_run": "neuroattn.experiments.run",
    "record": "neuroattn.recording.record",
    "run": "neuroattn.experiments.run",
    "to_assembly": "neuroattn.recording.export.assembly",
    "to_dataframe": "neuroattn.recording.export.tidy",
    "to_netcdf": "neuroattn.recording.export.netcdf",
    "to_rsatoolbox": "neuroattn.recording.export.rsatoolbox_dataset",
    "unit_maps": "neuroattn.recording.unit_maps",
}
__all__ = [
    "Reduction",
    "StimulusSet",
    "TimedModule",
    "Units",
    "__version__",
    "intervene",
    "load_model",
    "open_run",
    "record",
    "run",
    "to_assembly",
    "to_dataframe",
    "to_netcdf",
    "to_rsatoolbox",
    "unit_maps",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'neuroattn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOMES])
