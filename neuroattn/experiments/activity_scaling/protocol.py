"""Activity scaling: whether units respond more to their object when it is attended, where and when it begins.

``python -m neuroattn.experiments.activity_scaling``. Two digits stand side by side, or two objects in a photograph;
units that see one of them alone are recorded with it attended and with the other one attended, on the same pictures.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: Treue & Martínez-Trujillo (1999), Nature 399:575,
and McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.command.option import MOST_AT_ONCE, MOST_RESAMPLES, check_options, option
from neuroattn.experiments.protocol import Protocol, Tables, stages
from neuroattn.experiments.scene_stimuli import (
    SCENES,
    SceneOptions,
    check_scene_options,
    require_digit_networks,
    scene_notes,
    scene_stimuli,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.experiments.activity_scaling.units import Responses
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.recording.object_drive import Drive
    from neuroattn.stimuli.stimulus_set import StimulusSet

OBJECTS = (0, 1)  # of every stimulus, from the left
SELECTION, MEASUREMENT = 0, 1  # the halves of the stimuli, in turn
UNIT_COLUMNS = (
    *(dims.MODEL, dims.NEUROID_ID, dims.LAYER, dims.AREA),
    *(dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X),
)
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
class Config(SceneOptions):
    """Options of the protocol."""

    n_stimuli: int = option(
        500, "composites of embedded digits, or scenes at most; half select units, half measure", low=20, high=5000
    )
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    design: str = option("cued", "states cued by inhibition, or the network's free order", choices=("cued", "free"))
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
    controls: tuple[str, ...] = option(
        dims.CONTROLS, "controls, on a part of the stimuli", choices=(*dims.CONTROLS, "none")
    )
    n_control_stimuli: int = option(100, "stimuli of the controls and of each gate strength", low=20)
    n_resamples: int = option(
        2000, "resamples of the hierarchical bootstrap", low=100, high=MOST_RESAMPLES, analysis=True
    )
    batch_size: int = option(100, "stimuli at once", low=2, high=MOST_AT_ONCE)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        check_scene_options(self)
        if "none" in self.controls and len(self.controls) > 1:
            raise ValueError(f"controls must be none or a list of controls, got {', '.join(self.controls)}")
        if self.n_control_stimuli > self.n_stimuli:
            raise ValueError(
                f"n_control_stimuli must be at most n_stimuli ({self.n_stimuli}), got {self.n_control_stimuli}"
            )

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """The controls to run: nothing where ``none`` was asked for."""
        return () if self.controls == ("none",) else self.controls


def stimuli(config: Config, models: Sequence[GatedNetwork]) -> StimulusSet:
    """Return composites of two embedded digits, or scenes, in random order; every other one measures."""
    import torch

    from neuroattn.stimuli.digits import sample_composites, stimulus_set
    from neuroattn.stimuli.mnist import embedded

    if config.stimuli == SCENES:
        whole = scene_stimuli(config, models, config.n_stimuli, len(OBJECTS))
    else:
        require_digit_networks(config, models, len(OBJECTS))
        generator = torch.Generator().manual_seed(config.seed)
        composites = sample_composites(
            embedded(), config.n_stimuli, n_objects=len(OBJECTS), noise=config.noise, generator=generator
        )
        whole = stimulus_set(composites)
    whole.table["half"] = np.arange(len(whole.table)) % 2
    return whole


def check(config: Config, model: GatedNetwork, stimuli: StimulusSet) -> None:
    """Raise unless there are units to record, and enough stimuli in which attention is confirmed."""
    from neuroattn.experiments.activity_scaling.units import FEWEST_STIMULI
    from neuroattn.recording.attended import presentations

    few = stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))
    variables = [f"stage{number}/response" for number in range(1, len(model.config.channels) + 1)]
    if not any(len(_sample(config, model, name, _own(config, model, name, few))) for name in variables):
        raise ValueError(
            f"n_control_stimuli must leave units that see one object alone in {FEWEST_STIMULI} stimuli of each half, "
            f"got {len(few)} stimuli, in which there is none; show more, or lower alone"
        )
    order, halves = np.arange(len(stimuli)), np.zeros(2, np.int64)
    for shown in presentations(model, stimuli, order, config.design, config.batch_size):
        halves += np.bincount(shown["half"][shown[dims.CONFIRMED]], minlength=2) // len(OBJECTS)
        if halves.min() >= FEWEST_STIMULI:
            return
    raise _too_few_confirmed(halves, model.name)


def recording(config: Config, model: GatedNetwork, stimuli: StimulusSet) -> xr.DataTree:
    """Return a sample of units' responses at every step in both states, and which object they see alone (``own``).

    The strengths and the controls are recorded at one step, on a part of the stimuli, in groups of their own.
    """
    import xarray as xr

    from neuroattn.models.controls import control
    from neuroattn.recording.object_drive import object_drive
    from neuroattn.recording.record import record
    from neuroattn.recording.units import Units

    variables = [f"stage{number}/response" for number in range(1, len(model.config.channels) + 1)]
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    own = {variable: _own(config, model, variable, stimuli) for variable in variables}
    few = stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))
    numbers = {variable: _sample(config, model, variable, own[variable][: len(few)]) for variable in variables}
    variables = [variable for variable in variables if len(numbers[variable])]
    options: dict[str, Any] = {
        "design": config.design,
        "configuration": settings,
        "units": {variable: Units(numbers=numbers[variable]) for variable in variables},
    }
    trees = {"/": record(model, stimuli, variables, batch_size=config.batch_size, **options)}
    # No batch of a single stimulus: its gates could not be shuffled.
    options["batch_size"] = next((b for b in range(config.batch_size, 1, -1) if len(few) % b != 1), len(few))
    last = model.config.steps - 1
    subjects = {f"/strength/{s:g}": (model.with_strength(s), last) for s in config.strengths}
    subjects |= {
        f"/controls/{name}": (control(name, model, config.seed), 0 if name == "one_step" else last)
        for name in config.chosen_controls
    }
    for at, (subject, step) in subjects.items():
        trees[at] = record(subject, few, variables, [step], **options)
    selecting = np.flatnonzero(stimuli.table["half"] == SELECTION)

    def drive(subject: GatedNetwork) -> dict[str, Drive]:
        return object_drive(
            subject,
            stimuli.select(selecting),
            {variable: own[variable][selecting] for variable in variables},
            options["units"],
            noise=None if config.stimuli == SCENES else config.noise,
            seed=config.seed,
            batch_size=config.batch_size,
        )

    # What the first step shows is the same at any strength and with anybody's gates, but not with other weights.
    drives = {at: drive(subject) for at, (subject, _) in subjects.items() if at == "/controls/untrained"}
    drives["/"] = drive(model)
    leaves = {}
    for at, tree in trees.items():
        of_subject = drives.get(at, drives["/"])
        for node in tree.leaves:
            dataset, variable = node.to_dataset(), node.path.strip("/")
            # Of every unit's place; a stimulus has a presentation for each object.
            y, x = dataset[dims.CHANNEL_Y].values, dataset[dims.CHANNEL_X].values
            of_units = own[variable][: dataset.sizes[dims.PRESENTATION] // len(OBJECTS), y, x].astype(np.int8)
            axes = (dims.PRESENTATION, dims.NEUROID)
            leaves[f"{at.rstrip('/')}{node.path}"] = dataset.assign(
                own=(axes, of_units.repeat(len(OBJECTS), 0)),
                ungated_with_object=(dims.NEUROID, of_subject[variable].with_object),
                ungated_without_object=(dims.NEUROID, of_subject[variable].without_object),
            )
    whole = xr.DataTree.from_dict(leaves)
    for at, tree in trees.items():
        whole[at].attrs = tree.attrs
    return whole


def _own(config: Config, model: GatedNetwork, variable: str, stimuli: StimulusSet) -> np.ndarray:
    """Return (stimulus, y, x) which object a variable's units see alone, −1 where there is none.

    The places of two digits overlap, and a unit is to be the same one's in all composites: what lies in one place alone
    are the columns that the other does not reach. In scenes objects are where they are.
    """
    from neuroattn.models.receptive_field import own_object
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE

    if config.stimuli == SCENES:
        objects: np.ndarray = np.any(np.asarray(stimuli.objects) > 0, axis=2)
        return own_object(model.config, variable, objects, config.alone)
    places = np.zeros((1, len(OBJECTS), *model.config.size[1:]), bool)
    for number in OBJECTS:
        places[0, number, :, SHIFT * number : SHIFT * number + SIDE] = True
    return np.broadcast_to(own := own_object(model.config, variable, places, 1.0), (len(stimuli), *own.shape[1:]))


def _sample(config: Config, model: GatedNetwork, variable: str, own: np.ndarray) -> np.ndarray:
    """Return the numbers of a sample of a variable's units, of those that see one object alone often enough.

    Often enough in the stimuli of the controls, so that the controls are of the same units.
    """
    from neuroattn.experiments.activity_scaling.units import FEWEST_STIMULI

    halves = [(own[half::2] >= 0).sum(0) for half in (SELECTION, MEASUREMENT)]
    often = np.minimum(*halves) >= FEWEST_STIMULI
    n_channels = model.config.channels[int(variable.removeprefix("stage").partition("/")[0]) - 1]
    numbers = np.flatnonzero(np.broadcast_to(often, (n_channels, *often.shape)))
    if len(numbers) > config.n_units:
        generator = np.random.default_rng([config.seed, *variable.encode()])
        numbers = np.sort(generator.choice(numbers, config.n_units, replace=False))
    return numbers


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with strengths and controls, and what they show."""
    import json

    import pandas as pd

    from neuroattn.experiments.activity_scaling.findings import findings
    from neuroattn.experiments.activity_scaling.sentences import sentences
    from neuroattn.experiments.activity_scaling.summary import (
        adjusted,
        summarise,
        summarise_index,
        summarise_similarity,
    )
    from neuroattn.experiments.activity_scaling.units import scaling_units

    units, counts, strengths = [], [], []
    shown: dict[str, list[tuple[Responses, np.ndarray, np.ndarray]]] = {}
    n_shown = 0
    for tree in recording.children.values():
        strengths.append(float(json.loads(tree.attrs["model_config"])["strength"]))
        for stage in stages(tree):
            dataset = tree[f"{stage}/response"].to_dataset().load()
            n_shown = dataset.sizes[dims.PRESENTATION] // len(OBJECTS)
            responses, stimulus_id, of_units = _responses(config, _confirmed(dataset))
            table = scaling_units(of_units, responses, config.driven)
            units.append(table)
            counts.append(np.bincount(responses.half, minlength=2))
            taking_part = (table["excluded_by"] == "").to_numpy()
            if config.stimuli != SCENES:
                shown.setdefault(f"{stage}/response", []).append((responses.last(), stimulus_id, taking_part))
    others = _others(config, recording)
    whole = _with_shares(pd.concat(units, ignore_index=True), others)
    parts = [summarise(whole, config.seed, config.n_resamples)]
    if config.stimuli != SCENES:  # of which too few share their classes
        similarity = {layer: _similarities(config, networks) for layer, networks in shown.items()}
        parts.append(summarise_similarity(whole, similarity))
    # Of the worst network.
    selected, measured = np.min(counts, axis=0)
    numbers = {
        "n_stimuli": measured,
        "n_stimuli_selection": selected,
        "n_stimuli_dropped": n_shown - np.sum(counts, axis=1).min(),
    }
    parts = [part.assign(**numbers) for part in parts]
    for at, table in others.items():
        about = (
            {"strength": float(at.rpartition("/")[2])}
            if at.startswith("strength/")
            else {"control": at.rpartition("/")[2]}
        )
        parts.append(summarise_index(table, about, config.seed, config.n_resamples))
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    n_stages = max(len(json.loads(tree.attrs["model_config"])["channels"]) for tree in recording.children.values())
    lines = (*_notes(config, whole, n_stages), *_confound(config), *sentences(statistics, strengths))
    return Tables(units=whole, statistics=statistics, findings=findings(statistics), text=lines)


def _others(config: Config, recording: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Return the units of every gate strength and every control, of all networks, by their group."""
    import pandas as pd

    from neuroattn.experiments.activity_scaling.units import scaling_index

    found = {}
    asked = [f"strength/{s:g}" for s in config.strengths] + [f"controls/{name}" for name in config.chosen_controls]
    for at in asked:
        tables = []
        for tree in recording.children.values():
            for stage in stages(tree):
                # All stimuli, by the intended object, because attention may fail there.
                dataset = tree[f"{at}/{stage}/response"].to_dataset().load()
                responses, _, of_units = _responses(config, dataset)
                numbers = dict(zip(("n_stimuli_selection", "n_stimuli"), np.bincount(responses.half), strict=True))
                confirmed = _share_confirmed(config, dataset)
                index = scaling_index(of_units, responses, config.driven)
                tables.append(index.assign(confirmed=confirmed, **numbers))
        found[at] = pd.concat(tables, ignore_index=True)
    return found


def _with_shares(units: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Add what gates of other stimuli leave of each unit's difference between the states."""
    from neuroattn.experiments.activity_scaling.summary import SHARE
    from neuroattn.statistics.control_share import share_of

    names = ("controls/intact", "controls/shuffled_gates")
    if not set(names) <= set(others):
        return units
    intact, shuffled = (
        others[name].set_index(dims.NEUROID_ID).loc[units[dims.NEUROID_ID]].reset_index() for name in names
    )
    return units.assign(**{SHARE: share_of(intact["difference"], shuffled["difference"], intact["total"])})


def _share_confirmed(config: Config, dataset: xr.Dataset) -> float:
    """Return in which share of presentations the intended object is the one that is attended."""
    intended = dataset[dims.CUED if config.design == "cued" else dims.ATTENDED]
    return float((dataset[dims.ATTENDED_UNCONSTRAINED] == intended).mean())


def _similarities(
    config: Config, networks: list[tuple[Responses, np.ndarray, np.ndarray]]
) -> list[tuple[float, np.ndarray]]:
    """Return feature similarity and its null of each network, on the stimuli that were confirmed in all of them."""
    from functools import reduce

    from neuroattn.experiments.activity_scaling.feature_similarity import feature_similarity

    common = reduce(np.intersect1d, [stimulus_id for _, stimulus_id, _ in networks])
    return [
        feature_similarity(
            responses.of(np.isin(stimulus_id, common)), taking_part, config.seed, n_permutations=config.n_resamples
        )
        for responses, stimulus_id, taking_part in networks
    ]


def _notes(config: Config, units: pd.DataFrame, n_stages: int) -> tuple[str, ...]:
    """Return what must be said of scenes before their findings."""
    if config.stimuli != SCENES:
        return ()
    there = set(units[dims.LAYER])
    missing = [name for k in range(n_stages) if (name := f"stage{k + 1}/response") not in there]
    seen = units.loc[units["excluded_by"] == "", "n_stimuli"]
    alone = f"at least {100 * config.alone:g} % of the object pixels in their receptive field"
    return (
        *scene_notes(config),
        *(f"NOTE: {name} is left out: no unit of it sees one object alone in enough scenes." for name in missing),
        (
            f"A unit's own object differs from scene to scene: it has {alone}. Units are measured on "
            f"{_median(seen)} scenes (median). Attention to the preferred class elsewhere is not tested: too few "
            "scenes share their classes."
        ),
    )


def _median(values: pd.Series[int]) -> str:
    return f"{values.median():.0f}" if len(values) else "no"


def _confound(config: Config) -> tuple[str, ...]:
    if config.design == "cued":
        return ()
    return (
        (
            "NOTE: in the free order the attended object, the phase and the inhibition in force change together; the "
            "difference between the states is not attention's alone. The cued design (--design cued) keeps them apart."
        ),
    )


def _confirmed(dataset: xr.Dataset) -> xr.Dataset:
    """Return the presentations of the stimuli whose gated image confirms the intended object in both states."""
    from neuroattn.experiments.activity_scaling.units import FEWEST_STIMULI

    confirmed = dataset[dims.CONFIRMED].values
    halves = np.bincount(dataset["half"].values[confirmed], minlength=2) // 2
    if halves.min() < FEWEST_STIMULI:
        raise _too_few_confirmed(halves, str(dataset[dims.MODEL].values[0]))
    return dataset.isel({dims.PRESENTATION: confirmed})


def _too_few_confirmed(halves: np.ndarray, model: str) -> ValueError:
    from neuroattn.experiments.activity_scaling.units import FEWEST_STIMULI

    return ValueError(
        f"attention was confirmed in both states of {halves[0]} stimuli that select and {halves[1]} that measure, "
        f"and must be of {FEWEST_STIMULI}; show more stimuli (--n_stimuli), or take another model than {model}, one "
        "that attends them"
    )


def _responses(config: Config, dataset: xr.Dataset) -> tuple[Responses, np.ndarray, pd.DataFrame]:
    """Return responses of one layer of one network in both states, the stimuli they are to, and the units."""
    from neuroattn.experiments.activity_scaling.units import Responses

    dataset = dataset.sortby(dims.STIMULUS_ID)
    if dims.SWAPPED in dataset.coords:
        dataset = dataset.isel({dims.PRESENTATION: dataset[dims.SWAPPED].values})
    intended = dataset[dims.CUED if config.design == "cued" else dims.ATTENDED].values
    rows = [intended == number for number in OBJECTS]
    own = dataset["own"].transpose(dims.PRESENTATION, dims.NEUROID).values[rows[0]].astype(np.int64)
    columns = [*UNIT_COLUMNS, "ungated_with_object", "ungated_without_object"]
    units = dataset[columns].to_dataframe()[columns].reset_index(drop=True)
    # Of scenes it is another one from scene to scene.
    units["own"] = np.where((own == own[0]).all(0), own[0], -1)
    axes = (dims.TIME_STEP, dims.PRESENTATION, dims.NEUROID)
    activation = dataset[dims.ACTIVATION].transpose(*axes).values.astype(np.float64)
    states = [activation[:, row] for row in rows]
    label = np.stack([dataset[f"label_{number}"].values[rows[0]] for number in OBJECTS], 1)
    responses = Responses(
        attended=np.where(own == OBJECTS[0], *states),
        unattended=np.where(own == OBJECTS[0], *states[::-1]),
        own=np.take_along_axis(label, own.clip(0), 1),
        other=np.take_along_axis(label, 1 - own.clip(0), 1),
        alone=own >= 0,
        half=dataset["half"].values[rows[0]],
    )
    return responses, dataset[dims.STIMULUS_ID].values[rows[0]], units


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
)
