"""What the columns of ``units.parquet`` mean, which here has one row an object of a trial, not one a unit."""

from __future__ import annotations

from neuroattn.experiments.columns import Column

_GATE = "Gates are g[1], of the image, mean over its channels: the larger, the more inhibited."

COLUMNS = (
    Column("model", "", "Network: its shipped name, or that of its file."),
    Column(
        "condition",
        "",
        "free: the trial as it is; otherwise a second phase with another mask: imposed, ablated, stage1 alone …, "
        "swapped, another, carried; or moved, no mask.",
    ),
    Column("phase", "", "Phase of the trial, from 1."),
    Column("stimulus_id", "", "Stimulus."),
    Column("object", "", "Object of the stimulus, from 0."),
    Column("place", "", "Where the object stands, counted from the left; of moved scenes, where it stands there."),
    Column("label", "", "Class of the object."),
    Column("status", "", "attended now, attended before, or never attended so far in the trial."),
    Column("lag", "phase", "Phases since the object was attended; empty unless it was attended before."),
    Column("first", "", "Whether the first phase attended the object."),
    Column("chosen", "", "Whether the phase chooses the object, of all objects, those attended before included."),
    Column("inhibited_place", "", "Whether the object stands where the one attended first stood."),
    Column("gate", "1", f"Mean gate over the object's own pixels, which no other object covers. {_GATE}"),
    Column("gate_attended", "1", "Mean gate over the pixels that the attended object explains; the paper's contrast."),
    Column("gate_background", "1", "Mean gate over the pixels that no object covers."),
    Column("gate_unattended", "1", "Mean gate over all other pixels, background included; the paper's contrast."),
    Column("response_stage{l}", "response", "Mean response, at the last step, of the stage's units that see it alone."),
)
