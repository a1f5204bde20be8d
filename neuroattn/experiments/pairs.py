"""What protocols share that show two objects side by side and record units that see one of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.command.groups import Noise
from neuroattn.command.option import option
from neuroattn.experiments.contrast import ContrastOptions, controls_of, joined, require_few
from neuroattn.experiments.recording import stored_configuration
from neuroattn.experiments.scene_stimuli import SCENES, require_digit_networks, scene_stimuli
from neuroattn.explorer.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from neuroattn.recording.object_drive import Drive
    from neuroattn.recording.units import Units
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

OBJECTS = (0, 1)
SELECTION, MEASUREMENT = 0, 1  # halves of the stimuli
UNIT_COLUMNS = (
    *(dims.MODEL, dims.NEUROID_ID, dims.LAYER, dims.AREA),
    *(dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X),
    *("ungated_with_object", "ungated_without_object"),
)
# Of each half: those in which attention was confirmed in both states, and those in which a unit sees its object alone.
FEWEST_STIMULI = 8
PAIR_VIEW = View(where={"half": MEASUREMENT, dims.CONFIRMED: True})


@dataclass(frozen=True, kw_only=True)
class PairOptions(Noise, ContrastOptions):
    """Options of protocols that show pairs of objects."""

    n_stimuli: int = option(
        500, "composites of embedded digits, or scenes at most; half select units, half measure", low=20, high=5000
    )
    n_units: int = option(1000, "units a layer and network, drawn from those that see one object alone", low=1)
    driven: float = option(
        0.02,
        "a driven unit's ungated response is larger by this with its object than without it",
        unit="1",
        low=0,
        analysis=True,
    )
    alone: float = option(
        0.9, "scenes: a unit sees an object alone that has this part of object pixels in its field", low=0.51, high=1
    )
    n_control_stimuli: int = option(100, "stimuli of the controls, and of gate strengths", low=20)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_few(self.n_control_stimuli, self.n_stimuli)


def pair_stimuli(config: PairOptions, subjects: Sequence[Subject]) -> StimulusSet:
    """Return composites of two embedded digits, or scenes, in random order; every other one measures (``half``)."""
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


def require_pairs(config: PairOptions, subject: Subject, stimuli: StimulusSet) -> None:
    """Raise unless there are units to record, and enough stimuli in which attention is confirmed."""
    from neuroattn.recording.attended import presentations

    few = _few(config, stimuli)
    if not any(len(_sample(config, subject, name, own_objects(config, subject, name, few))) for name in subject.layers):
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


def record_pairs(
    config: PairOptions,
    subject: Subject,
    stimuli: StimulusSet,
    steps: Sequence[int],
    *,
    others: Mapping[str, tuple[Subject, int]] | None = None,
    undirected: Mapping[str, Mapping[str, Any]] | None = None,
) -> xr.DataTree:
    """Return a sample of units' responses in both states, and which object they see alone (``own``).

    Parameters
    ----------
    config, subject, stimuli
        What is shown to whom.
    steps
        Time steps to keep; of the controls the last one alone.
    others
        Group → subject that is shown both states beside the controls, on their stimuli, and the step to keep.
    undirected
        Group → arguments of `neuroattn.record` under which attention is directed nowhere: recorded once a stimulus, of
        the controls too (``controls/NAME/GROUP``); without ``steps`` at those of the states.

    Returns
    -------
    xarray.DataTree
        A group a variable, of the controls below ``controls/NAME``. With ``own`` (presentation, neuroid), −1 for none,
        and ``ungated_with_object``, ``ungated_without_object`` (neuroid), by which units are selected.
    """
    from neuroattn.recording.record import record
    from neuroattn.recording.units import Units

    own = {variable: own_objects(config, subject, variable, stimuli) for variable in subject.layers}
    few = _few(config, stimuli)
    numbers = {variable: _sample(config, subject, variable, own[variable][: len(few)]) for variable in own}
    variables = [variable for variable in own if len(numbers[variable])]
    options: dict[str, Any] = {
        "configuration": stored_configuration(config),
        "units": {variable: Units(numbers=numbers[variable]) for variable in variables},
        "batch_size": config.batch_size,
    }
    trees = {"/": record(subject, stimuli, variables, steps, design=config.design, **options)}
    for group, chosen in (undirected or {}).items():
        trees[f"/{group}"] = record(subject, stimuli, variables, **{"steps": steps, **chosen}, **options)
    # No batch of a single stimulus: its gates could not be shuffled.
    options["batch_size"] = next((b for b in range(config.batch_size, 1, -1) if len(few) % b != 1), len(few))
    controls = {f"controls/{name}": found for name, found in controls_of(config, subject).items()}
    for at, (other, step) in {**(others or {}), **controls}.items():
        trees[f"/{at}"] = record(other, few, variables, [step], design=config.design, **options)
        for group, chosen in (undirected or {}).items() if at in controls else ():
            trees[f"/{at}/{group}"] = record(other, few, variables, **{"steps": [step], **chosen}, **options)
    # What no attention has reached is the same at any strength and with anybody's gates, but not with other weights.
    driven = {"": subject} | {at: controls[at][0] for at in ("controls/untrained",) if at in controls}
    drives = {at: _drive(config, one, stimuli, own, options["units"]) for at, one in driven.items()}

    def with_objects(at: str, variable: str, dataset: xr.Dataset) -> xr.Dataset:
        of_subject = drives[max(name for name in drives if at.strip("/").startswith(name))][variable]
        n_shown = len(np.unique(dataset[dims.STIMULUS_ID]))
        y, x = dataset[dims.CHANNEL_Y].values, dataset[dims.CHANNEL_X].values
        of_units = own[variable][:n_shown, y, x].astype(np.int8)
        return dataset.assign(
            own=((dims.PRESENTATION, dims.NEUROID), of_units.repeat(dataset.sizes[dims.PRESENTATION] // n_shown, 0)),
            ungated_with_object=(dims.NEUROID, of_subject.with_object),
            ungated_without_object=(dims.NEUROID, of_subject.without_object),
        )

    return joined(subject, trees, with_objects)


def _drive(
    config: PairOptions,
    subject: Subject,
    stimuli: StimulusSet,
    own: Mapping[str, np.ndarray],
    units: Mapping[str, Units],
) -> dict[str, Drive]:
    """Return what its object adds to every unit's ungated response, on the half of the stimuli that selects."""
    from neuroattn.recording.object_drive import object_drive

    selecting = np.flatnonzero(stimuli.table["half"] == SELECTION)
    return object_drive(
        subject,
        stimuli.select(selecting),
        {variable: own[variable][selecting] for variable in units},
        units,
        noise=None if config.stimuli == SCENES else config.noise,
        seed=config.seed,
        batch_size=config.batch_size,
    )


def _few(config: PairOptions, stimuli: StimulusSet) -> StimulusSet:
    """Return the stimuli of the controls."""
    return stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))


def own_objects(config: PairOptions, subject: Subject, variable: str, stimuli: StimulusSet) -> np.ndarray:
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


def _sample(config: PairOptions, subject: Subject, variable: str, own: np.ndarray) -> np.ndarray:
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


def too_few_confirmed(halves: np.ndarray, model: str) -> ValueError:
    """Return the error that says in how few stimuli attention was confirmed."""
    return ValueError(
        f"attention was confirmed in both states of {halves[0]} stimuli that select and {halves[1]} that measure, "
        f"and must be of {FEWEST_STIMULI}; show more stimuli (--n_stimuli), or take another model than {model}, one "
        "that attends them"
    )
