"""What the columns of the unit table mean. A and N: the unit's own object attended, the other object attended."""

from __future__ import annotations

from neuroattn.experiments.columns import EXCLUDED_BY, SHARE_OF_OTHERS, UNIT, Column

COLUMNS = (
    *UNIT,
    Column("ungated_with_object", "response", "Mean response before any gate acts, on the half that selects units."),
    Column("ungated_without_object", "response", "The same with the unit's object taken out of the picture."),
    Column("own", "", "Object that the unit sees alone, counted from the left; −1 where it differs between scenes."),
    Column("driven", "", "Whether the object lifts the ungated response by more than the option driven."),
    EXCLUDED_BY,
    Column("silent", "", 'In which states the unit does not respond at all; "" if it responds in both.'),
    Column("mean_attended", "response", "A: mean response at the last step with its object attended."),
    Column("mean_unattended", "response", "N: mean response at the last step with the other object attended."),
    Column("difference", "response", "A − N."),
    Column("gain_ratio", "1", "A/N; infinite for a unit that is silent in N."),
    Column("modulation_index", "1", "(A − N)/(A + N)."),
    Column("d_prime", "1", "A − N over the root of the mean variance over stimuli."),
    Column("roc_area", "1", "Chance that a response in A is above one in N, ties half: area under the ROC curve."),
    Column("slope", "1", "Slope of A on N over stimuli (Deming, errors of equal variance)."),
    Column("intercept", "response", "Intercept of that line."),
    Column("offset_share", "1", "That intercept over the mean of N."),
    Column("slope_proportional", "1", "Slope of A on N with errors in proportion to the response."),
    Column("offset_share_proportional", "1", "Intercept of that line over the mean of N."),
    Column("n_stimuli", "count", "Stimuli that measure the unit: those in which it sees its object alone."),
    Column("modulation_index_step_{t}", "1", "(A − N)/(A + N) at time step t."),
    Column("share_of_shuffled_gates", "1", SHARE_OF_OTHERS),
)
