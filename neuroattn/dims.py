"""Names of dimensions and coordinates, for every other module.

A recording has the dims ``(presentation, time_step, neuroid)``. The names are Brain-Score's where Brain-Score has one;
``time_step`` is an integer count of model steps and never milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

PRESENTATION = "presentation"
TIME_STEP = "time_step"
NEUROID = "neuroid"
CONDITION = "condition"  # the first dim of a reduced recording: one entry a group of presentations

ACTIVATION = "activation"

# Coordinates of a presentation, which is one phase of one stimulus.
STIMULUS_ID = "stimulus_id"
PHASE = "phase"
CUED = "cued"
ATTENDED = "attended"
ATTENDED_UNCONSTRAINED = "attended_unconstrained"
ATTENDED_LABEL = "attended_label"
UNATTENDED_LABEL = "unattended_label"
CONFIRMED = "confirmed"  # the unconstrained choice is the expected object in every presentation of the stimulus
SWAPPED = "swapped"  # of the control of shuffled gates: all presentations of the stimulus had another one's gates
PREDICTED = "predicted"
CORRECT = "correct"
LOCATION = "location"
SEED = "seed"

# Coordinates of a neuroid, the same for every layer.
NEUROID_ID = "neuroid_id"
MODEL = "model"
LAYER = "layer"
AREA = "area"
CHANNEL = "channel"
CHANNEL_Y = "channel_y"
CHANNEL_X = "channel_x"

# Controls that every protocol offers: ``intact`` is the network itself on the stimuli of the controls, ``one_step`` the
# network before any feedback; see `neuroattn.models.controls`.
CONTROLS = ("intact", "zero_strength", "one_step", "shuffled_gates", "untrained")

# Orientations are axial: 0 and 180 degrees are the same bar.
PERIOD_DEGREES = 180.0


def require_dims(array: xr.DataArray | xr.Dataset, *dims: str) -> None:
    """Raise ValueError, naming the missing dims and the present ones, unless `array` has all of `dims`."""
    missing = [dim for dim in dims if dim not in array.dims]
    if missing:
        found = ", ".join(map(str, array.dims))
        raise ValueError(f"dims must include {', '.join(missing)}, got ({found}); pass a recording, not a part of it")
