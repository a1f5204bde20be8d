"""Activity scaling: whether units respond more to their object when it is attended, where and when it begins.

``python -m neuroattn.experiments.activity_scaling``. Two digits stand side by side, or two objects in a photograph;
units that see one of them alone are recorded with it attended and with the other one attended, on the same pictures.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: Treue & Martínez-Trujillo (1999), Nature 399:575,
and McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuroattn.experiments.activity_scaling.analysis import analysis
from neuroattn.experiments.activity_scaling.columns import COLUMNS
from neuroattn.experiments.activity_scaling.options import Config
from neuroattn.experiments.contrast import states_needed
from neuroattn.experiments.pairs import PAIR_VIEW, pair_stimuli, record_pairs, require_pairs
from neuroattn.experiments.protocol import Protocol, Tables
from neuroattn.experiments.scene_stimuli import SCENES

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

METHODS = """{shown} were shown with either object attended ({states}). Of each layer of each network up to
{config.n_units:,} units were drawn from those whose receptive field {field}; those that their object drives (mean
response at the first time step, before any gate, larger by {config.driven:g} with the object than with it taken out of
the picture, on one half of the stimuli) were measured on the other half, with their own object attended (A) and
with the other one attended (N), on the same pictures: modulation index (A − N)/(A + N), ratio, difference, d′ and ROC
area, and slope and offset of A on N over stimuli by Deming regression, which allows for errors in both, of equal
variance and of variance in proportion to the response. Medians over units of one network have intervals from a
hierarchical bootstrap ({config.n_resamples:,} resamples; Saravanan et al. 2020); those of several networks were
averaged, with t intervals over networks. Layers of several networks were tested by t tests and sign-flip permutation
over network means; beside these stands a linear mixed model with random effects of network and of layer within it,
which takes layers to be equally variable. Time steps that differ were found by cluster permutation (Maris & Oostenveld
2007).{similarity} p values were adjusted after Benjamini & Hochberg (1995). Controls: gate strength 0, one
time step, gates of other stimuli, untrained weights. The paradigm is that of Lei, Benjamin & Kording (2021,
arXiv:2106.04540)."""


def recording(config: Config, subject: Subject, stimuli: StimulusSet) -> xr.DataTree:
    """Return responses at every step in both states; at one step those of strengths and controls, to fewer stimuli."""
    strengths = () if "strength" in subject.lacks else config.strengths
    others = {f"strength/{s:g}": (subject.with_strength(s), subject.steps[-1]) for s in strengths}
    return record_pairs(config, subject, stimuli, subject.steps, others=others)


def figure(config: Config, tables: Tables) -> Figure:
    """Return the distribution of the index, its time course, both states, dose-response and controls."""
    del config  # the tables say all that the figure shows
    from neuroattn.experiments.activity_scaling.figure import scaling_figure
    from neuroattn.experiments.activity_scaling.findings import BIOLOGY

    return scaling_figure(tables.units, tables.statistics, BIOLOGY)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    states = (
        "cued by the inhibition of the other one alone" if config.design == "cued" else "in the network's free order"
    )
    if config.stimuli == SCENES:
        kind = "synthetic, made for this" if config.synthetic else "COCO; Lin et al. 2014"
        shown = f"Scenes of two objects ({kind}), up to {config.n_stimuli:,} of them,"
        field = "sees one object alone in enough of the scenes (in each, the object that has at least "
        field += f"{100 * config.alone:g} % of the object pixels there is the unit's own)"
        similarity = ""
    else:
        shown = f"{config.n_stimuli:,} composites of two handwritten digits (uniform background noise below "
        shown += f"{config.noise:g})"
        field = "reaches the place of one digit alone"
        similarity = " Attention to the preferred class elsewhere (Treue & Martínez-Trujillo 1999) was tested by "
        similarity += "permutation over composites."
    text = METHODS.format(config=config, states=states, shown=shown, field=field, similarity=similarity)
    return " ".join(text.split())


PROTOCOL = Protocol(
    name="activity_scaling",
    description="Responses of units to their object with it attended and with the other one attended: modulation, "
    "gain, form, onset, dose-response over gate strength, feature similarity, with controls. Offline.",
    config=Config,
    stimuli=pair_stimuli,
    check=require_pairs,
    recording=recording,
    analysis=analysis,
    figure=figure,
    caption="From the upper left, as far as there is something to show: modulation index of the units of each layer, "
    "as fractions of units (points above are medians with 95 % intervals, lines are neurons); each unit's "
    "mean response with its own object attended, against that with the other one attended; index at every "
    "time step; index over gate strength, with the most that one gate can do; offset and slope over stimuli "
    "of each unit, additive and multiplicative effects; index in the controls.",
    methods=methods,
    needs=states_needed,
    columns=COLUMNS,
    view=replace(PAIR_VIEW, measures=("gain_ratio", "modulation_index")),
)
