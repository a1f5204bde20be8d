"""What a recording of the protocol holds: groups, conditions, columns of units."""

from __future__ import annotations

from neuroattn import dims

BAR, DISTRACTOR = 0, 1  # the objects of every stimulus
SELECTION, MEASUREMENT = 0, 1  # the halves of the bars
REDUCTIONS = ("maximum", "mean")
CONDITIONS = ("orientation", "half")  # and the attended object
WITH_BAR, WITHOUT_BAR = "selection/with_bar", "selection/without_bar"  # groups of a recording before any feedback
FEWEST_ORIENTATIONS = 6  # that a tuning curve is fitted to
UNIT_COLUMNS = (
    *(dims.MODEL, dims.NEUROID_ID, dims.LAYER, dims.AREA),
    *(dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X, "distractor_in_field"),
)
