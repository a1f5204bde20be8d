"""Activity scaling: whether units respond more to their object when it is attended, where and when it begins.

``python -m neuroattn.experiments.activity_scaling``. Two digits stand side by side, or two objects in a photograph;
units that see one of them alone are recorded with it attended and with the other one attended, on the same pictures.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: Treue & Martínez-Trujillo (1999), Nature 399:575,
and McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.command.option import option
from neuroattn.experiments.activity_scaling.analysis import analysis, too_few_confirmed
from neuroattn.experiments.activity_scaling.layout import FEWEST_STIMULI, MEASUREMENT, OBJECTS, SELECTION
from neuroattn.experiments.contrast import ContrastOptions, controls_of, joined, require_few, states_needed
from neuroattn.experiments.protocol import Protocol, Tables
from neuroattn.experiments.recording import stored_configuration
from neuroattn.experiments.scene_stimuli import (
    SCENES,
    require_digit_networks,
    scene_stimuli,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.recording.object_drive import Drive
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


@dataclass(frozen=True, kw_only=True)
class Config(ContrastOptions):
    """Options of the protocol."""

    n_stimuli: int = option(
        500, "composites of embedded digits, or scenes at most; half select units, half measure", low=20, high=5000
    )
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    n_units: int = option(1000, "units a layer and network, drawn from those that see one object alone", low=1)
    driven: float = option(
        0.02,
        "a driven unit's ungated response is larger by this with its object than without it",
        unit="1",
        low=0,
        analysis=True,
    )
    strengths: tuple[float, ...] = option(
        (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "gate strengths of the dose-response curve", low=0, high=1
    )
    alone: float = option(
        0.9, "scenes: a unit sees an object alone that has this part of object pixels in its field", low=0.51, high=1
    )
    n_control_stimuli: int = option(100, "stimuli of the controls and of each gate strength", low=20)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_few(self.n_control_stimuli, self.n_stimuli)


def stimuli(config: Config, subjects: Sequence[Subject]) -> StimulusSet:
    """Return composites of two embedded digits, or scenes, in random order; every other one measures."""
    import torch

    from neuroattn.stimuli.digits import sample_composites, stimulus_set
    from neuroattn.stimuli.mnist import embedded

    if config.stimuli == SCENES:
        whole = scene_stimuli(config, subjects, config.n_stimuli, len(OBJECTS))
    else:
        require_digit_networks(config, subjects, len(OBJECTS))
        generator = torch.Generator().manual_seed(config.seed)
        composites = sample_composites(
            embedded(), config.n_stimuli, n_objects=len(OBJECTS), noise=config.noise, generator=generator
        )
        whole = stimulus_set(composites)
    whole.table["half"] = np.arange(len(whole.table)) % 2
    return whole


def check(config: Config, subject: Subject, stimuli: StimulusSet) -> None:
    """Raise unless there are units to record, and enough stimuli in which attention is confirmed."""
    from neuroattn.recording.attended import presentations

    few = stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))
    if not any(len(_sample(config, subject, name, _own(config, subject, name, few))) for name in subject.layers):
        raise ValueError(
            f"n_control_stimuli must leave units that see one object alone in {FEWEST_STIMULI} stimuli of each half, "
            f"got {len(few)} stimuli, in which there is none; show more, or lower alone"
        )
    if "choice" in subject.lacks:
        return
    order, halves = np.arange(len(stimuli)), np.zeros(2, np.int64)
    for shown in presentations(subject, stimuli, order, config.design, config.batch_size):
        halves += np.bincount(shown["half"][shown[dims.CONFIRMED]], minlength=2) // len(OBJECTS)
        if halves.min() >= FEWEST_STIMULI:
            return
    raise too_few_confirmed(halves, subject.name)


def recording(config: Config, subject: Subject, stimuli: StimulusSet) -> xr.DataTree:
    """Return a sample of units' responses at every step in both states, and which object they see alone (``own``).

    The strengths and the controls are recorded at one step, on a part of the stimuli, in groups of their own.
    """
    from neuroattn.recording.object_drive import object_drive
    from neuroattn.recording.record import record
    from neuroattn.recording.units import Units

    variables = [*subject.layers]
    own = {variable: _own(config, subject, variable, stimuli) for variable in variables}
    few = stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))
    numbers = {variable: _sample(config, subject, variable, own[variable][: len(few)]) for variable in variables}
    variables = [variable for variable in variables if len(numbers[variable])]
    options: dict[str, Any] = {
        "design": config.design,
        "configuration": stored_configuration(config),
        "units": {variable: Units(numbers=numbers[variable]) for variable in variables},
    }
    trees = {"/": record(subject, stimuli, variables, subject.steps, batch_size=config.batch_size, **options)}
    # No batch of a single stimulus: its gates could not be shuffled.
    options["batch_size"] = next((b for b in range(config.batch_size, 1, -1) if len(few) % b != 1), len(few))
    last = subject.steps[-1]
    strengths = () if "strength" in subject.lacks else config.strengths
    others = {f"/strength/{s:g}": (subject.with_strength(s), last) for s in strengths}
    others |= {f"/controls/{name}": changed for name, changed in controls_of(config, subject).items()}
    for at, (other, step) in others.items():
        trees[at] = record(other, few, variables, [step], **options)
    selecting = np.flatnonzero(stimuli.table["half"] == SELECTION)

    def drive(shown_to: Subject) -> dict[str, Drive]:
        return object_drive(
            shown_to,
            stimuli.select(selecting),
            {variable: own[variable][selecting] for variable in variables},
            options["units"],
            noise=None if config.stimuli == SCENES else config.noise,
            seed=config.seed,
            batch_size=config.batch_size,
        )

    # What the first step shows is the same at any strength and with anybody's gates, but not with other weights.
    drives = {at: drive(other) for at, (other, _) in others.items() if at == "/controls/untrained"}
    drives["/"] = drive(subject)

    def with_objects(at: str, variable: str, dataset: xr.Dataset) -> xr.Dataset:
        of_subject = drives.get(at, drives["/"])
        # Of every unit's place; a stimulus has a presentation for each object.
        y, x = dataset[dims.CHANNEL_Y].values, dataset[dims.CHANNEL_X].values
        of_units = own[variable][: dataset.sizes[dims.PRESENTATION] // len(OBJECTS), y, x].astype(np.int8)
        return dataset.assign(
            own=((dims.PRESENTATION, dims.NEUROID), of_units.repeat(len(OBJECTS), 0)),
            ungated_with_object=(dims.NEUROID, of_subject[variable].with_object),
            ungated_without_object=(dims.NEUROID, of_subject[variable].without_object),
        )

    return joined(subject, trees, with_objects)


def _own(config: Config, subject: Subject, variable: str, stimuli: StimulusSet) -> np.ndarray:
    """Return (stimulus, y, x) which object a variable's units see alone, −1 where there is none.

    The places of two digits overlap, and a unit is to be the same one's in all composites: what lies in one place alone
    are the columns that the other does not reach. In scenes objects are where they are.
    """
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE
    from neuroattn.subjects.fields import own_object

    height, width = stimuli.size[1:]
    fields = subject.fields(variable, (height, width))
    if config.stimuli == SCENES:
        objects: np.ndarray = np.any(np.asarray(stimuli.objects) > 0, axis=2)
        return own_object(fields.pixels(objects), config.alone)
    places = np.zeros((1, len(OBJECTS), height, width), bool)
    for number in OBJECTS:
        places[0, number, :, SHIFT * number : SHIFT * number + SIDE] = True
    return np.broadcast_to(own := own_object(fields.pixels(places), 1.0), (len(stimuli), *own.shape[1:]))


def _sample(config: Config, subject: Subject, variable: str, own: np.ndarray) -> np.ndarray:
    """Return the numbers of a sample of a variable's units, of those that see one object alone often enough.

    Often enough in the stimuli of the controls, so that the controls are of the same units.
    """
    halves = [(own[half::2] >= 0).sum(0) for half in (SELECTION, MEASUREMENT)]
    often = np.minimum(*halves) >= FEWEST_STIMULI
    n_channels = subject.layers[variable][0]
    numbers = np.flatnonzero(np.broadcast_to(often, (n_channels, *often.shape)))
    if len(numbers) > config.n_units:
        generator = np.random.default_rng([config.seed, *variable.encode()])
        numbers = np.sort(generator.choice(numbers, config.n_units, replace=False))
    return numbers


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
    stimuli=stimuli,
    check=check,
    recording=recording,
    analysis=analysis,
    figure=figure,
    methods=methods,
    needs=states_needed,
)
