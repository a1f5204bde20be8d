"""What a recording of the protocol holds: objects, halves of the stimuli, columns of units."""

from __future__ import annotations

from neuroattn import dims

OBJECTS = (0, 1)  # of every stimulus, from the left
SELECTION, MEASUREMENT = 0, 1  # the halves of the stimuli, in turn
FEWEST_STIMULI = 8  # that select a unit, and that measure it
UNIT_COLUMNS = (
    *(dims.MODEL, dims.NEUROID_ID, dims.LAYER, dims.AREA),
    *(dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X),
)
