"""What the columns of a run's tables mean: those that protocols share; their own stand in their ``columns.py``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

# What may stand in a name that is that of several columns: its pattern.
_SEVERAL = {"{reduction}": "(?:maximum|mean)", "{state}": "(?:attended|unattended)", "{l}": r"\d+", "{t}": r"\d+"}


class Column(NamedTuple):
    """A column of a table, or field of a record.

    Attributes
    ----------
    name
        Its name; with ``{reduction}``, ``{state}``, ``{l}`` (a stage) or ``{t}`` (a time step) that of several columns.
    unit
        ``1`` for a number without a dimension, ``response`` for the activation of a unit, in the model's own units;
        "" for what is no quantity.
    meaning
        What it says, in words.
    """

    name: str
    unit: str
    meaning: str

    def describes(self, name: str) -> bool:
        """Return whether a column of this name is meant.

        >>> Column("gain_{reduction}", "1", "").describes("gain_mean")
        True
        """
        pattern = re.escape(self.name)
        for placeholder, several in _SEVERAL.items():
            pattern = pattern.replace(re.escape(placeholder), several)
        return re.fullmatch(pattern, name) is not None


# Of units in units.parquet, the first of every protocol that measures units.
UNIT = (
    Column("model", "", "Network: its shipped name, or that of its file or module."),
    Column("neuroid_id", "", "Identity of the unit: network, layer and number in the order (channel, y, x)."),
    Column("layer", "", "Layer, as the variable that was recorded."),
    Column("area", "", "First part of the layer's name, such as stage1."),
    Column("channel", "", "Feature channel, from 0; units of a channel share their weights."),
    Column("channel_y", "index", "Row of the unit in its channel's map, from 0 at the top."),
    Column("channel_x", "index", "Column of the unit in its channel's map, from 0 at the left."),
)
EXCLUDED_BY = Column("excluded_by", "", 'Why the unit takes no part; "" for one that does.')
SYNTHETIC = Column("stimuli", "", "Only if the run made its own scenes for want of photographs: synthetic scenes.")
SHARE_OF_OTHERS = (
    "What gates of other stimuli leave of the unit's difference A − N, as a share of that under its own gates, on the "
    "stimuli of the controls; 1: as much. Only with both controls intact and shuffled_gates."
)

# Of statistics.csv, one row an estimate; a protocol has those that it needs.
STATISTICS = (
    Column("what", "", "Which quantity: a measure of the unit table, a share or a count of units, or an effect."),
    Column("model", "", 'Network; "" for all networks together (the row to cite).'),
    Column("layer", "", 'Layer; "" where the row is about whole networks.'),
    Column("reduction", "", "How responses to the bars of an orientation become one: their maximum or their mean."),
    Column("measure", "", "Which objects, pixels or responses the quantity is taken of."),
    Column("condition", "", "What stands in place of the mask that the first phase left; free: the trial as it is."),
    Column("phase", "", "Phase of the trial, from 1."),
    Column("lag", "phase", "Phases since the object was attended."),
    Column("against", "", "Mixed model: the layer that the interaction is measured against."),
    Column("time_step", "step", "Time step, from 0; of a cluster its first. Empty: the last step of a presentation."),
    Column("last_step", "step", "Last time step of a cluster."),
    Column("strength", "1", "Gate strength s that was set; empty: the network's own."),
    Column("control", "", 'Control that the row is of; "" for the networks themselves.'),
    Column("confirmed", "1", "Share of presentations in which the intended object was attended."),
    Column("unit", "", "Physical unit of the estimate; 1: none."),
    Column(
        "estimate",
        "see unit",
        "Of a measure of units: the median over the units of one network, or the mean of the networks' medians "
        "(geometric of ratios). Of an effect, its mean over stimuli, or over networks. Of shares and counts, these.",
    ),
    Column("interval_low", "see unit", "Lower end of the estimate's 95 % interval."),
    Column("interval_high", "see unit", "Upper end of the estimate's 95 % interval."),
    Column("cluster_mean", "see unit", "Mean over networks, or over channels of one network; geometric of ratios."),
    Column("cluster_mean_low", "see unit", "Lower end of its 95 % t interval."),
    Column("cluster_mean_high", "see unit", "Upper end of its 95 % t interval."),
    Column("sd", "see unit", "Standard deviation over networks, or over the stimuli of one."),
    Column("null", "see unit", "What no effect would give; empty where there is no such number."),
    Column("effect_size", "1", "dz: mean less null over the standard deviation of cluster values (logs of ratios)."),
    Column("n_models", "count", "Networks."),
    Column("n_channels", "count", "Feature channels."),
    Column("n_units", "count", "Units of the model."),
    Column("n_missing", "count", "Units that take part but have no value."),
    Column("n_zero", "count", "Ratios: units whose value is 0, silent in the first state."),
    Column("n_infinite", "count", "Ratios: units whose value is infinite, silent in the second state."),
    Column("n_stimuli", "count", "Stimuli that measure; of several networks, that of the one with the fewest."),
    Column("n_stimuli_most", "count", "The same of the network with the most."),
    Column("n_stimuli_of_unit", "count", "Stimuli of the median unit: those in which it sees its object alone."),
    Column("n_stimuli_selection", "count", "Stimuli that select units."),
    Column("n_stimuli_dropped", "count", "Stimuli left out, as attention was not confirmed in both states."),
    Column("scope", "", "What the row generalises to: so many networks, or the units or stimuli of one."),
    Column("test", "", "What was tested, over what; or why nothing was."),
    Column("p", "1", "Two-sided p over networks; empty for one network, which is no sample of networks."),
    Column("p_adjusted", "1", "p adjusted for its family of tests (Benjamini–Hochberg)."),
    Column("p_within_network", "1", "p over the feature channels, or stimuli, of these networks: about them alone."),
    Column("p_within_network_adjusted", "1", "The same, adjusted."),
    Column("p_sign_flip", "1", "p of the sign-flip permutation over networks."),
    Column("smallest_p_sign_flip", "1", "The smallest p that so many networks can reach in it."),
    Column("equivalence_low", "see unit", "Lower bound within which the effect counts as none."),
    Column("equivalence_high", "see unit", "Upper bound within which the effect counts as none."),
    Column("p_equivalence", "1", "p of the two one-sided tests against these bounds, over networks."),
    Column("p_equivalence_within_network", "1", "The same over the feature channels of one network."),
    Column("converged", "1", "Share of units whose fits converged; of the mixed model, whether it did."),
    Column("warnings", "", "What weakens the row, parted by semicolons."),
    SYNTHETIC,
)

# Of findings.json, one record a claim; `rests_on` holds the estimates that decide.
FINDINGS = (
    Column("claim", "", "A sentence that can be true or false, or a question."),
    Column("verdict", "", "supported, contradicted, absent (shown by equivalence), undecided; or the answer."),
    Column("layer", "", 'Layer it is about; "" for the whole network.'),
    Column("condition", "", 'Condition it is about; "" for the only one.'),
    Column("rests_on", "", "The estimates that decide, a record each."),
    Column("rests_on.what", "", "What the estimate is, in words."),
    Column("rests_on.value", "see unit", "The estimate; null where nothing was measured, and inf as a text."),
    Column("rests_on.low", "see unit", "Lower end of its 95 % interval."),
    Column("rests_on.high", "see unit", "Upper end of its 95 % interval."),
    Column("rests_on.unit", "", "Its unit, as it is written behind the number."),
    Column("rests_on.bounds", "see unit", "Within which it counts as no effect, or as the same; null: not asked."),
    Column("n", "", "Numbers at every level (networks, feature channels, units, stimuli): the fewest."),
    Column("test", "", "Where the intervals come from."),
    Column("warnings", "", "What weakens the claim."),
    Column("biology", "", "What neurons do, with the source."),
)


def meaning_of(columns: Iterable[Column], name: str) -> Column | None:
    """Return the column that a name is of, None if none is.

    >>> meaning_of(STATISTICS, "lag").unit
    'phase'
    """
    return next((column for column in columns if column.describes(name)), None)


def data_dictionary(units: Iterable[Column]) -> pd.DataFrame:
    """Return ``table, column, unit, meaning`` of every column of a protocol's tables; `units` are its own.

    >>> from neuroattn.experiments.run import protocol_named
    >>> table = data_dictionary(protocol_named("tuning").columns).set_index(["table", "column"])
    >>> table.loc[("units.parquet", "shift_{reduction}"), "unit"]
    'degree'
    """
    import pandas as pd

    tables = {"units.parquet": (*units, SYNTHETIC), "statistics.csv": STATISTICS, "findings.json": FINDINGS}
    rows = [(table, *column) for table, columns in tables.items() for column in columns]
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])
