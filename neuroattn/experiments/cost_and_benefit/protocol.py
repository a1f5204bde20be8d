"""Cost and benefit: whether attention enhances responses to what is attended, or suppresses those to the rest.

``python -m neuroattn.experiments.cost_and_benefit``. Units that see one of two objects alone are recorded with it
attended (A), with the other one attended (N), and before attention acts (O), on the same pictures: A against O is the
benefit, N against O the cost. Both are also taken between pictures in the first phase of the free order,
which no mask has touched.

The biology: Treue & Maunsell (1999), J. Neurosci. 19:7591.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from neuroattn import dims
from neuroattn.command.option import option
from neuroattn.experiments import finding, pairs
from neuroattn.experiments.contrast import states_needed
from neuroattn.experiments.cost_and_benefit.columns import COLUMNS
from neuroattn.experiments.layers import Layer, layer_analysis
from neuroattn.experiments.protocol import Protocol, Tables
from neuroattn.statistics.population import Measure

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

METHODS = """{config.n_stimuli:,} pictures of two objects were shown with either object attended ({config.design}
design) and, once, before attention acts. Units were selected on one half of the pictures: those whose ungated response
is larger by {config.driven:g} with the object that they see alone than with it taken away. On the other half the mean
response with that object attended (A), and with the other one attended (N), was set against the mean ungated response
(O) to the same pictures: benefit (A − O)/(A + O), cost (N − O)/(N + O), which are −1 for a unit that falls silent.
Means over networks, or over the feature channels of one, have 95 % t intervals. Attention was taken to enhance where
that of the benefit lies above 0, to suppress where that of the cost lies below, and to do neither where it lies within
±{config.bound:g}. The biology: Treue & Maunsell (1999), whose responses in MT and MST were larger by 20 and 40 % with
attention inside the receptive field than outside it: (A − N)/(A + N) of 0.09 and 0.17."""
# Measure → its claim, and the side of 0 on which the claim holds.
CLAIMS = {
    "benefit": ("Attention enhances: A is above O", 1),
    "cost": ("Attention to the other object suppresses: N is below O", -1),
    "difference": ("Responses are larger with the unit's own object attended: A is above N", 1),
}
BIOLOGY = "(A − N)/(A + N) 0.09 in MT, 0.17 in MST (Treue & Maunsell 1999)"
FIRST_PHASE = "_first_phase"
MEASURES = (
    *(Measure(name, limits=(-1.0, 1.0)) for name in (*CLAIMS, "benefit_first_phase", "cost_first_phase")),
    *(Measure(name, null=1.0, log=True) for name in ("attended_over_ungated", "unattended_over_ungated")),
)


@dataclass(frozen=True, kw_only=True)
class Config(pairs.PairOptions):
    """Options of the protocol."""

    bound: float = option(0.01, "an index within ± this is none", low=0.001, high=0.5, analysis=True)


def recording(config: Config, subject: Subject, stimuli: StimulusSet) -> xr.DataTree:
    """Return responses in both states, before attention acts and, where there is one, in a first phase without mask."""
    undirected = {"ungated": subject.ungated}
    if "free" not in subject.lacks:
        undirected["first_phase"] = {"phases": 1}
    return pairs.record_pairs(config, subject, stimuli, [subject.steps[-1]], undirected=undirected)


def units(config: Config, layer: Layer, control: str) -> pd.DataFrame:
    """Return benefit and cost of every unit of a layer, of the network itself or of a control."""
    states, at = layer.responses, f"controls/{control}/" if control else ""
    ungated, first = (layer.of(f"{at}{group}") for group in ("ungated", "first_phase"))
    table = states[list(pairs.UNIT_COLUMNS)].to_dataframe()[list(pairs.UNIT_COLUMNS)].reset_index(drop=True)
    measuring = states["half"].values == pairs.MEASUREMENT
    if dims.SWAPPED in states.coords or not control:  # in controls attention may fail
        measuring &= states[dims.SWAPPED if control else dims.CONFIRMED].values
    measures, number = _measured(states, ungated, states[config.intended], measuring)
    if first is not None:  # of all pictures: what is attended was not chosen for them
        free, _ = _measured(first, ungated, first[dims.ATTENDED], first["half"].values == pairs.MEASUREMENT)
        measures |= {f"{name}{FIRST_PHASE}": free[name] for name in ("benefit", "cost")}
    driven = table["ungated_with_object"] - table["ungated_without_object"] > config.driven
    table["excluded_by"] = np.where(driven, "", "not driven by its object")
    table.loc[number < pairs.FEWEST_STIMULI, "excluded_by"] = "sees its object alone too seldom"
    return table.assign(**measures, n_stimuli=len(np.unique(states[dims.STIMULUS_ID][measuring])))


def _measured(
    states: xr.Dataset, ungated: xr.Dataset | None, attended: xr.DataArray, measuring: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the measures of every unit, and in how many pictures it sees its object in either state, at least."""
    if ungated is None:
        raise ValueError("recording must hold ungated responses, got none; record anew")
    ungated = ungated.isel({dims.TIME_STEP: 0}).swap_dims({dims.PRESENTATION: dims.STIMULUS_ID})
    before = ungated[dims.ACTIVATION].sel({dims.STIMULUS_ID: states[dims.STIMULUS_ID].values}).values.astype(np.float64)
    values, own = states[dims.ACTIVATION].isel({dims.TIME_STEP: 0}).values, states["own"].values
    used, to_it = measuring[:, None] & (own >= 0), own == attended.values[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        (a, o_a, n_a), (n, o_n, n_n) = (
            (*((part * where).sum(0) / where.sum(0) for part in (values, before)), where.sum(0))
            for where in (used & to_it, used & ~to_it)
        )
        of_both = {"benefit": (a, o_a), "cost": (n, o_n), "difference": (a, n)}
        indices = {name: (one - other) / (one + other) for name, (one, other) in of_both.items()}
        ratios = {"attended_over_ungated": a / o_a, "unattended_over_ungated": n / o_n}
        return indices | ratios, np.minimum(n_a, n_n)


def findings(config: Config, statistics: pd.DataFrame) -> tuple[finding.Finding, ...]:
    """Return whether attention enhances and suppresses in every layer."""
    nothing = (-config.bound, config.bound)
    return tuple(
        finding.Finding(
            claim=CLAIMS[name][0],
            verdict=finding.verdict_of_mean(row, 0.0, nothing, CLAIMS[name][1]),
            layer=row["layer"],
            condition="" if name == row["what"] else "first phase, no mask, between pictures",
            rests_on=(finding.Estimate.of_mean(row, "mean index", nothing),),
            n=finding.numbers_of(row),
            test=f"t interval over {finding.clusters_of(row)}",
            warnings=finding.warnings_of(row),
            biology=BIOLOGY if name == "difference" else "",
        )
        for row in finding.each_of(statistics, model="", control="")
        if (name := str(row["what"]).removesuffix(FIRST_PHASE)) in CLAIMS and row["n_units"] > 0
    )


def figure(config: Config, tables: Tables) -> Figure:
    """Return benefit and cost of every layer, beside their controls."""
    from neuroattn.experiments.cost_and_benefit.figure import indices_figure

    return indices_figure(tables.statistics, config.bound)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    return " ".join(METHODS.format(config=config).split())


PROTOCOL = Protocol(
    name="cost_and_benefit",
    description="Whether attention enhances responses to its object or suppresses those to the other one: attended and "
    "unattended over ungated responses, with controls. Offline.",
    config=Config,
    stimuli=pairs.pair_stimuli,
    check=pairs.require_pairs,
    recording=recording,
    analysis=partial(layer_analysis, units=units, measures=MEASURES, findings=findings),
    figure=figure,
    caption="(a) Benefit: responses with a unit's object attended (A) beside those before attention acts (O). (b) "
    "Cost: responses with the other object attended (N) beside O. Means with 95 % t intervals of every layer, "
    "in the network and in the controls. Within the grey band there is no effect; −1 is silence.",
    methods=methods,
    needs=states_needed,
    columns=COLUMNS,
    view=replace(pairs.PAIR_VIEW, measures=("cost", "benefit")),
)
