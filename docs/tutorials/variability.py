"""Whether attention makes responses less variable from picture to picture."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from neuroattn import dims
from neuroattn.command.option import option
from neuroattn.experiments import finding, pairs
from neuroattn.experiments.columns import EXCLUDED_BY, UNIT, Column
from neuroattn.experiments.contrast import states_needed
from neuroattn.experiments.layers import layer_analysis
from neuroattn.experiments.protocol import Protocol
from neuroattn.statistics.population import Measure


@dataclass(frozen=True, kw_only=True)
class Config(pairs.PairOptions):
    """Those of pairs of objects, and one of its own."""

    bound: float = option(1.05, "a ratio within 1/bound and bound is no change", low=1.001, high=2, analysis=True)


def recording(config, subject, stimuli):
    """Record a sample of units at the last step, with either object attended."""
    return pairs.record_pairs(config, subject, stimuli, [subject.steps[-1]])


def units(config, layer, control):
    """Return the coefficient of variation of every unit in both states, and its ratio."""
    states = layer.responses.isel({dims.TIME_STEP: 0})
    table = states[list(pairs.UNIT_COLUMNS)].to_dataframe()[list(pairs.UNIT_COLUMNS)].reset_index(drop=True)
    measuring = states["half"].values == pairs.MEASUREMENT
    own, values = states["own"].values, states[dims.ACTIVATION].values.astype(float)
    counts = measuring[:, None] & (own >= 0)
    to_it = own == states[config.intended].values[:, None]
    for name, where in (("variation_attended", counts & to_it), ("variation_unattended", counts & ~to_it)):
        shown = np.where(where, values, np.nan)
        with np.errstate(invalid="ignore"):  # silent units have none
            table[name] = np.nanstd(shown, axis=0, ddof=1) / np.nanmean(shown, axis=0)
    table["variation_ratio"] = table["variation_attended"] / table["variation_unattended"]
    driven = table["ungated_with_object"] - table["ungated_without_object"] > config.driven
    table["excluded_by"] = np.where(driven, "", "not driven by its object")
    return table


def findings(config, statistics):
    """Return the verdict of every layer: ratios below 1 are less variable."""
    nothing = (1 / config.bound, config.bound)
    return tuple(
        finding.Finding(
            claim="Attention to its object makes a unit's responses less variable over pictures",
            verdict=finding.verdict_of_mean(row, 1.0, nothing, -1),
            layer=row["layer"],
            rests_on=(finding.Estimate.of_mean(row, "mean ratio of the coefficients of variation", nothing),),
            n=finding.numbers_of(row),
            test=f"t interval of logarithms over {finding.clusters_of(row)}",
            warnings=finding.warnings_of(row),
        )
        for row in finding.each_of(statistics, model="", control="", what="variation_ratio")
    )


def figure(config, tables):
    """Draw the ratio of every unit."""
    import seaborn as sns

    grid = sns.displot(tables.units, x="variation_ratio", hue="layer", kind="ecdf", height=2.4)
    return grid.set_axis_labels("ratio of variation, A/N (1)", "fraction of units").figure


PROTOCOL = Protocol(
    name="variability",
    description="Whether attention makes responses less variable.",
    config=Config,
    stimuli=pairs.pair_stimuli,
    check=pairs.require_pairs,
    recording=recording,
    analysis=partial(
        layer_analysis, units=units, measures=[Measure("variation_ratio", null=1.0, log=True)], findings=findings
    ),
    figure=figure,
    caption="Ratio of the coefficients of variation over pictures, attended over unattended, of all units.",
    methods=lambda config: f"{config.n_stimuli} pictures of two objects were shown with either object attended.",
    needs=states_needed,
    columns=(
        *UNIT,
        Column("ungated_with_object", "response", "Mean response before any gate acts."),
        Column("ungated_without_object", "response", "The same with the unit's object taken out of the picture."),
        EXCLUDED_BY,
        Column("variation_attended", "1", "Standard deviation over mean of the responses, its object attended."),
        Column("variation_unattended", "1", "The same with the other object attended."),
        Column("variation_ratio", "1", "The first over the second."),
        Column("n_stimuli", "count", "Stimuli that were shown."),
    ),
)
