"""What the columns of the unit table mean.

A: own object attended; N: the other object attended; O: before attention acts, on the same pictures.
"""

from __future__ import annotations

from neuroattn.experiments.columns import EXCLUDED_BY, UNIT, Column

COLUMNS = (
    *UNIT,
    Column("ungated_with_object", "response", "Mean response before any gate acts, on the half that selects units."),
    Column("ungated_without_object", "response", "The same with the unit's object taken out of the picture."),
    EXCLUDED_BY,
    Column("benefit", "1", "(A − O)/(A + O) of mean responses at the last step."),
    Column("cost", "1", "(N − O)/(N + O): −1 for a unit that falls silent."),
    Column("difference", "1", "(A − N)/(A + N)."),
    Column("attended_over_ungated", "1", "A/O."),
    Column("unattended_over_ungated", "1", "N/O."),
    Column("benefit_first_phase", "1", "Benefit in the first phase of the free order, between pictures, without mask."),
    Column("cost_first_phase", "1", "Cost in the first phase of the free order, between pictures, without mask."),
    Column("n_stimuli", "count", "Stimuli that measure in the layer."),
)
