"""What the columns of the unit table mean. A: bar attended; N: the object beside it attended."""

from __future__ import annotations

from neuroattn.experiments.columns import EXCLUDED_BY, SHARE_OF_OTHERS, UNIT, Column

_SIGN = "times the sign that it has on the other half of the bars; noise makes it smaller"
_NARROW = "; units too narrow to resolve are in it, at the narrowest width"

SELECTION = (
    Column("distractor_in_field", "", "Whether the unit's receptive field holds pixels of the object beside the bar."),
    Column("time_step", "step", "Time step of the responses, from 0: the last one."),
    Column("peak", "response", "Largest ungated response to a bar of the half that selects units."),
    Column("without_bar", "response", "Ungated response to the same picture without a bar."),
    Column("modulation", "1", "Fall of the ungated tuning curve from its peak to its trough, as a part of the peak."),
    Column("driven", "", "Whether peak is above without_bar by more than the option driven."),
    Column("selection_r_squared", "1", "R² of a von Mises curve fitted to the ungated tuning curve."),
    Column("tuned", "", "Whether the unit is driven, sees no distractor, is fitted well enough, and is modulated."),
    EXCLUDED_BY,
)
CURVES = (
    Column("orientations", "degree", "Orientations of the bars, in the order of the curves; empty for undriven units."),
    Column("curve_{state}_{reduction}", "response", "Tuning curve of the half that measures, a value an orientation."),
)
WITHOUT_FIT = (
    Column("slope_{reduction}", "1", "Slope of the least-squares line of curve A on curve N, over orientations."),
    Column("intercept_{reduction}", "response", "Intercept of that line."),
    Column("correlation_{reduction}", "1", "Pearson correlation of the two curves."),
    Column("difference_{reduction}", "response", "A − N of the means over orientations."),
    Column("total_{reduction}", "response", "A + N of the means over orientations."),
    Column("response_ratio_{reduction}", "1", "A/N of the means over orientations; infinite if silent in N."),
    Column("modulation_index_{reduction}", "1", "(A − N)/(A + N) of the means over orientations."),
    Column("peak_ratio_{reduction}", "1", "A/N of the largest responses over orientations."),
    Column("share_of_shuffled_gates_{reduction}", "1", SHARE_OF_OTHERS),
)
OF_FITS = (
    Column(
        "gain_{reduction}",
        "1",
        "Ratio A/N of the fitted curves' heights, peak minus trough; infinite for a unit that responds in A alone, 0 "
        "for one that responds in N alone.",
    ),
    Column("baseline_difference_{reduction}", "response", "A − N of the fitted curves' troughs."),
    *(
        column
        for name, what in (("shift", "preferred orientations"), ("bandwidth_change", "half widths at half height"))
        for form, of_form in (("", ""), ("absolute_", ", its size; noise makes it larger"), ("crossvalidated_", _SIGN))
        for column in (
            Column(
                f"{form}{name}_{{reduction}}",
                "degree",
                f"A − N of the fitted {what}{', ' + of_form if form == 'crossvalidated_' else of_form}.",
            ),
            Column(
                f"{form}{name}_narrow_included_{{reduction}}",
                "degree",
                f"The same as {form}{name}{_NARROW}.",
            ),
        )
    ),
    Column(
        "best_model_{reduction}",
        "",
        "Which of five nested models of the two curves AICc prefers: same, gain, gain_offset, width, shift.",
    ),
    Column("converged_{reduction}", "", "Whether all fits of the unit converged."),
    Column("unfitted_by_{reduction}", "", 'Why a tuned unit has no shape to compare; "" if it has, or is not tuned.'),
    Column("width_known_{reduction}", "", "Whether the change of width is measured: not at the broad limit in both."),
    Column("baseline_{state}_{reduction}", "response", "Baseline b of the fitted curve."),
    Column("amplitude_{state}_{reduction}", "response", "Amplitude a of the fitted curve."),
    Column("kappa_{state}_{reduction}", "1", "Concentration κ of the fitted curve: larger is narrower."),
    Column("preferred_{state}_{reduction}", "degree", "Preferred orientation, in [0, 180)."),
    Column("half_width_{state}_{reduction}", "degree", "Half width at half height."),
    Column("r_squared_{state}_{reduction}", "1", "R² of the fitted curve."),
    Column("at_bound_{state}_{reduction}", "", "Whether κ is at a limit, or the amplitude 0."),
)
COLUMNS = (*UNIT, *SELECTION, *WITHOUT_FIT, *OF_FITS, *CURVES)
