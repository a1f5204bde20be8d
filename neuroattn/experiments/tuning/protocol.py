"""Attention-invariant tuning: whether attending a bar scales a unit's orientation tuning and leaves its shape.

``python -m neuroattn.experiments.tuning``. A bar stands on the left, and on the right a digit, or an object cut out
of a photograph. Each unit's tuning curve is taken with the bar attended and with the distractor attended, on the same
pictures. Units are selected by what the bar adds to their response before any feedback, beside one distractor, and
measured beside others.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.experiments.contrast import controls_of, joined, states_needed
from neuroattn.experiments.protocol import Protocol, Tables
from neuroattn.experiments.recording import stored_configuration
from neuroattn.experiments.scene_stimuli import SCENES
from neuroattn.experiments.tuning.analysis import analysis, too_few_orientations
from neuroattn.experiments.tuning.columns import COLUMNS
from neuroattn.experiments.tuning.layout import (
    BAR,
    CONDITIONS,
    DISTRACTOR,
    FEWEST_ORIENTATIONS,
    MEASUREMENT,
    REDUCTIONS,
    SELECTION,
    WITH_BAR,
    WITHOUT_BAR,
)
from neuroattn.experiments.tuning.options import Config
from neuroattn.experiments.tuning.stimuli import stimuli
from neuroattn.explorer.view import View

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

METHODS = """Bars at {grid[0]} orientations, {grid[1]} widths ({widths}) and {grid[2]} × {grid[3]} places were shown
beside {distractor}, with the bar attended and with the distractor attended ({states}). Of layers of more than
{config.n_units:,} units so many were drawn. A unit's tuning curve was the maximum
(and, apart, the mean) of its last response over the bars of an orientation. Units were selected on one half of the
bars, beside {selecting}, by their responses before any feedback, where attention cannot act: they were driven if the
maximum over bars peaked by more than {config.driven:g} above the response to the same picture without the bar, and
tuned if a von Mises curve fitted it with R² of at least {config.tuned:g} and it fell by at least 10 % from its peak.
On the other half, beside {measuring}, baseline + amplitude · exp(κ(cos 2(θ − θ₀) − 1))
was fitted to each state, and nested models were compared by AICc where both states had a curve. Of one network,
medians over units have intervals from a hierarchical bootstrap ({config.n_resamples:,} resamples of feature channels
and units; Saravanan et al. 2020); of several, intervals are t intervals over networks, on logits where a measure has
limits. Tests are t tests over network means (over feature channels where there is one network), p values are adjusted
after Benjamini & Hochberg (1995). That preferred orientation and bandwidth do not change on average over units is
taken to be shown where the 95 % t intervals of their mean sizes lie within ±{config.shift_bound:g}° and
±{config.bandwidth_bound:g}° (equivalence; Schuirmann 1987). Gates of other stimuli were compared with a stimulus's own
by the share that they leave of each unit's difference between the states. The paradigm is that of Lei, Benjamin &
Kording (2021, arXiv:2106.04540); the biology that of McAdams & Maunsell (1999)."""


def check(config: Config, subject: Subject, stimuli: StimulusSet) -> None:
    """Raise unless attention is confirmed at enough orientations, in a bar of either half."""
    from neuroattn.recording.attended import presentations

    if "choice" in subject.lacks:
        return
    found: set[tuple[float, int]] = set()
    number = 0
    bars = stimuli.select(stimuli.table["bar"].to_numpy())
    order = np.random.default_rng(config.seed).permutation(len(bars))  # they are listed by their orientation
    for shown in presentations(subject, bars, order, config.design, config.batch_size):
        confirmed = shown[shown[dims.CONFIRMED]]
        found |= set(zip(confirmed["orientation"], confirmed["half"], strict=True))
        number = sum((orientation, MEASUREMENT) in found for orientation, half in found if half == SELECTION)
        if number >= FEWEST_ORIENTATIONS:
            return
    raise too_few_orientations(number, subject.name)


def recording(config: Config, subject: Subject, stimuli: StimulusSet) -> xr.DataTree:
    """Return mean and maximum over bars of every unit's last step, by orientation, half and attended object.

    Only stimuli count whose gated image confirms the intended object in both states. The controls, in groups of their
    own, keep all stimuli by the intended object, because attention may fail in them, and count the confirmed ones. What
    selects units is recorded at step 0, before any feedback.
    """
    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction

    variables, options = _options(config, subject)
    bar, half = (stimuli.table[name].to_numpy() for name in ("bar", "half"))
    bars = stimuli.select(slice(int(bar.sum())))
    sink = Reduction([*CONDITIONS, dims.ATTENDED], keep=dims.CONFIRMED, what=REDUCTIONS)
    trees = {
        "/": record(subject, bars, variables, [subject.steps[-1]], design=config.design, sink=sink, **options),
        f"/{WITH_BAR}": _ungated(subject, stimuli.select(bar & (half == SELECTION)), variables, options),
        f"/{WITHOUT_BAR}": _ungated(subject, stimuli.select(~bar), variables, options),
        **_controls(config, subject, stimuli, variables, options),
    }
    ink: np.ndarray = np.any(np.asarray(stimuli.objects)[:, DISTRACTOR] > 0, axis=(0, 1))
    return joined(subject, trees, lambda _at, _variable, dataset: _with_fields(dataset, subject, ink))


def _options(config: Config, subject: Subject) -> tuple[list[str], dict[str, Any]]:
    """Return the variables to record, and what every recording has in common."""
    from neuroattn.recording.units import Units

    layers = subject.layers
    units = {
        variable: Units(sample=config.n_units, seed=config.seed)
        for variable, shape in layers.items()
        if math.prod(shape) > config.n_units
    }
    return [*layers], {"batch_size": config.batch_size, "configuration": stored_configuration(config), "units": units}


def _ungated(subject: Subject, shown: StimulusSet, variables: list[str], options: dict[str, Any]) -> xr.DataTree:
    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction

    sink = Reduction(["orientation"], what=REDUCTIONS)
    return record(subject, shown, variables, **subject.ungated, sink=sink, **options)


def _controls(
    config: Config, subject: Subject, stimuli: StimulusSet, variables: list[str], options: dict[str, Any]
) -> dict[str, xr.DataTree]:
    """Return the recordings of the controls, by their group."""
    import xarray as xr

    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction, over_confirmed

    bar, few, half = (stimuli.table[name].to_numpy() for name in ("bar", "for_controls", "half"))
    trees: dict[str, xr.DataTree] = {}
    intended = config.intended
    # In random order, so that the stimulus whose gates are taken in the shuffled control is any.
    order = np.random.default_rng(config.seed).permutation(np.flatnonzero(few))
    shown = stimuli.select(order)
    for name, (changed, step) in controls_of(config, subject).items():
        at = f"/controls/{name}"
        keep = dims.SWAPPED if name == "shuffled_gates" else None
        sink = Reduction([*CONDITIONS, intended, dims.CONFIRMED], keep, what=REDUCTIONS)
        tree = record(changed, shown, variables, [step], design=config.design, sink=sink, **options)
        confirmed = {node.path: over_confirmed(node.to_dataset(), [*CONDITIONS, intended]) for node in tree.leaves}
        trees[at] = xr.DataTree.from_dict(
            {path: one.rename({intended: dims.ATTENDED}) for path, one in confirmed.items()}
        )
        trees[at].attrs = tree.attrs
        if name == "untrained":  # other weights select other units
            with_bar, without = stimuli.select(few & (half == SELECTION)), stimuli.select(~bar)
            trees[f"{at}/{WITH_BAR}"] = _ungated(changed, with_bar, variables, options)
            trees[f"{at}/{WITHOUT_BAR}"] = _ungated(changed, without, variables, options)
    return trees


def _with_fields(dataset: xr.Dataset, subject: Subject, ink: np.ndarray) -> xr.Dataset:
    """Add which units have the distractor in their receptive field."""
    from neuroattn.recording.units import seen

    variable = str(dataset[dims.LAYER].values[0])
    sees_it = seen(subject, variable, ink)[dataset[dims.CHANNEL_Y], dataset[dims.CHANNEL_X]]
    return dataset.assign_coords(distractor_in_field=(dims.NEUROID, sees_it))


def figure(config: Config, tables: Tables) -> Figure:
    """Return example units with both curves, and the distributions of what attention did."""
    del config  # the tables say all that the figure shows
    from neuroattn.experiments.tuning.examples import example_curves
    from neuroattn.experiments.tuning.figure import tuning_figure
    from neuroattn.experiments.tuning.findings import BIOLOGY

    examples = example_curves(tables.units, REDUCTIONS[0])
    return tuning_figure(examples, tables.units, tables.statistics, REDUCTIONS[0], BIOLOGY)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    states = (
        "cued by the inhibition of the other object alone, in a phase of its own"
        if config.design == "cued"
        else "in the network's free order"
    )
    first, *others = config.distractors
    if config.stimuli == SCENES:
        kind = "synthetic scenes" if config.synthetic else "scenes of COCO (Lin et al. 2014)"
        distractor = f"objects (the larger of each of {len(config.distractors)} {kind}), cut out, on grey"
        widths = f"σ from 1 to 4 % of the shorter side of pictures of {config.size[0]} × {config.size[1]} pixels"
        selecting, measuring = "the first of these objects", "the others" if others else "the same object"
    else:
        distractor = f"handwritten digits (uniform background noise below {config.noise:g})"
        widths = "σ 0.5 to 2 pixels"
        selecting, measuring = f"a {first}", " and ".join(f"a {label}" for label in others) or "the same digit"
    text = METHODS.format(
        config=config,
        grid=config.grid,
        states=states,
        distractor=distractor,
        widths=widths,
        selecting=selecting,
        measuring=measuring,
    )
    return " ".join(text.split())


PROTOCOL = Protocol(
    name="tuning",
    description="Tuning to orientation with the bar attended and with the object beside it attended: gain, offset, "
    "shift and bandwidth of every driven unit, with controls. Default: the paper's grid of 14,520 bars, offline.",
    config=Config,
    stimuli=stimuli,
    check=check,
    recording=recording,
    analysis=analysis,
    figure=figure,
    caption="(a) Tuning curves of example units of each layer, with the bar attended and unattended: responses and "
    "fits. (b to e) What attention to the bar did to the units of each layer, as fractions of units: gain, "
    "offset of the baseline, shift of the preferred orientation and change of half width; points above are "
    "medians with 95 % intervals, the grey range is the bound of equivalence, lines in (b) are neurons. (f) "
    "Modulation index in the controls.",
    methods=methods,
    needs=states_needed,
    columns=COLUMNS,
    view=View(
        x="orientation",
        unit="°",
        states={BAR: "attended", DISTRACTOR: "unattended"},
        of="bar",
        where={"half": MEASUREMENT},
        fit="{parameter}_{state}_{value}",
        measures=(f"gain_{REDUCTIONS[0]}", f"modulation_index_{REDUCTIONS[0]}"),
    ),
)
