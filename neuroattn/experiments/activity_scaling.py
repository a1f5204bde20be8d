"""Activity scaling: whether units respond more to their object when it is attended, where and when it begins.

``python -m neuroattn.experiments.activity_scaling``. Two digits stand side by side; units that see one of them alone
are recorded with it attended and with the other one attended, on the same pictures.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: Treue & Martínez-Trujillo (1999), Nature 399:575,
and McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import labels
from neuroattn.experiments.protocol import Protocol, ProtocolConfig, Tables, main
from neuroattn.options import check_options, option

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.statistics.scaling_units import Responses, States
    from neuroattn.stimuli.stimulus_set import StimulusSet

OBJECTS = (0, 1)  # of every stimulus, from the left
SELECTION, MEASUREMENT = 0, 1  # the halves of the stimuli
FEWEST_STIMULI = 8  # that select units, and that measure
UNIT_COLUMNS = (
    *(labels.MODEL, labels.NEUROID_ID, labels.LAYER, labels.AREA),
    *(labels.CHANNEL, labels.CHANNEL_Y, labels.CHANNEL_X, "own"),
)
METHODS = """{config.n_stimuli:,} composites of two handwritten digits (uniform background noise below
{config.noise:g}) were shown with either digit attended ({states}). Of each layer of each network up to
{config.n_units:,} units were drawn from those whose receptive field reaches the place of one digit alone; those whose
mean last response exceeded {config.driven:g} on one half of the composites were measured on the other half, with
their own digit attended (A) and with the other one attended (N), on the same pictures: modulation index (A − N)/(A +
N), ratio, difference, d′ and ROC area, and slope and offset of A on N over composites by orthogonal (Deming)
regression, which allows for errors in both. Medians over units have intervals from a hierarchical bootstrap
({config.n_resamples:,} resamples; Saravanan et al. 2020). Several networks were tested by t tests and sign-flip
permutation over network means, and by a linear mixed model with random effects of network and of layer within it;
onset by cluster permutation over time steps (Maris & Oostenveld 2007), attention to the preferred class elsewhere
(Treue & Martínez-Trujillo 1999) by permutation over composites. p values were adjusted after Benjamini & Hochberg
(1995). Controls: gate strength 0, one time step, gates of other composites, untrained weights. The paradigm is that
of Lei, Benjamin & Kording (2021, arXiv:2106.04540)."""


@dataclass(frozen=True, kw_only=True)
class Config(ProtocolConfig):
    """Options of the protocol."""

    n_stimuli: int = option(500, "composites of embedded digits; half select units, half measure", low=20, high=5000)
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    design: str = option("cued", "states cued by inhibition, or the network's free order", choices=("cued", "free"))
    n_units: int = option(1000, "units a layer and network, drawn from those that see one object alone", low=1)
    driven: float = option(0.02, "a driven unit's mean response over stimuli and states is above this", unit="1", low=0)
    strengths: tuple[float, ...] = option(
        (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "gate strengths of the dose-response curve", low=0, high=1
    )
    controls: tuple[str, ...] = option(
        labels.CONTROLS, "controls, on a part of the stimuli", choices=(*labels.CONTROLS, "none")
    )
    n_control_stimuli: int = option(100, "stimuli of the controls and of each gate strength", low=20)
    n_resamples: int = option(2000, "resamples of the hierarchical bootstrap", low=100)
    batch_size: int = option(100, "stimuli at once", low=2)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
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


def stimuli(config: Config) -> StimulusSet:
    """Return composites of two embedded digits, in random order; every other one measures."""
    import torch

    from neuroattn.stimuli.digits import sample_composites, stimulus_set
    from neuroattn.stimuli.mnist import embedded

    generator = torch.Generator().manual_seed(config.seed)
    composites = sample_composites(
        embedded(), config.n_stimuli, n_objects=len(OBJECTS), noise=config.noise, generator=generator
    )
    whole = stimulus_set(composites)
    whole.table["half"] = np.arange(len(whole.table)) % 2
    return whole


def recording(config: Config, model: GatedNetwork, stimuli: StimulusSet) -> xr.DataTree:
    """Return a sample of units' responses at the last step, and their means at every step, in both states.

    The time course, the strengths and the controls are reduced to means, in groups of their own. Only stimuli count in
    the first two whose gated image confirms the intended object in both states; elsewhere the intended object counts,
    because attention may fail there.
    """
    import xarray as xr

    from neuroattn.models.controls import control
    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction

    variables = [f"stage{number}/response" for number in range(1, len(model.config.channels) + 1)]
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    options: dict[str, Any] = {"design": config.design, "configuration": settings}
    last = model.config.steps - 1
    intended = labels.CUED if config.design == "cued" else labels.ATTENDED
    course = Reduction(["half", labels.ATTENDED], keep=labels.CONFIRMED, what=("mean",))
    trees = {
        "/": record(model, stimuli, variables, [last], batch_size=config.batch_size, **options),
        "/time_course": record(model, stimuli, variables, sink=course, batch_size=config.batch_size, **options),
    }
    few = stimuli.select(np.arange(config.n_control_stimuli))
    # No batch of a single stimulus: its gates could not be shuffled.
    options["batch_size"] = next((b for b in range(config.batch_size, 1, -1) if len(few) % b != 1), len(few))
    subjects = {f"/strength/{s:g}": (model.with_strength(s), last) for s in config.strengths}
    subjects |= {
        f"/controls/{name}": (control(name, model, config.seed), 0 if name == "one_step" else last)
        for name in config.chosen_controls
    }
    for at, (subject, step) in subjects.items():
        tree = record(subject, few, variables, [step], sink=Reduction(["half", intended], what=("mean",)), **options)
        renamed = {node.path: node.to_dataset().rename({intended: labels.ATTENDED}) for node in tree.leaves}
        trees[at] = xr.DataTree.from_dict(renamed)
        trees[at].attrs = tree.attrs
    sample = {variable: _sample(config, model, variable) for variable in variables}
    leaves = {}
    for at, tree in trees.items():
        for node in tree.leaves:
            own, index = sample[node.path.strip("/")]
            dataset = node.to_dataset().isel({labels.NEUROID: index})
            leaves[f"{at.rstrip('/')}{node.path}"] = dataset.assign_coords(own=(labels.NEUROID, own))
    whole = xr.DataTree.from_dict(leaves)
    for at, tree in trees.items():
        whole[at].attrs = tree.attrs
    return whole


def _sample(config: Config, model: GatedNetwork, variable: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a sample of a variable's units that see one object's place alone: whose, and their numbers.

    The places of two digits overlap; what lies in one alone are the columns that the other does not reach.
    """
    from neuroattn.models.receptive_field import sees
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE

    _, height, width = model.config.size
    places = []
    for number in OBJECTS:
        place = np.zeros((height, width), bool)
        place[:, SHIFT * number : SHIFT * number + SIDE] = True
        places.append(sees(model.config, variable, place))
    left, right = places
    own = np.where(left & ~right, OBJECTS[0], np.where(right & ~left, OBJECTS[1], -1))
    n_channels = model.config.channels[int(variable.removeprefix("stage").partition("/")[0]) - 1]
    every = np.broadcast_to(own, (n_channels, *own.shape)).ravel()
    numbers = np.flatnonzero(every >= 0)
    if len(numbers) > config.n_units:
        generator = np.random.default_rng([config.seed, *variable.encode()])
        numbers = np.sort(generator.choice(numbers, config.n_units, replace=False))
    return every[numbers], numbers


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with strengths and controls, and what they show."""
    import json

    import pandas as pd

    from neuroattn.statistics.scaling_findings import findings
    from neuroattn.statistics.scaling_summary import adjusted, summarise, summarise_index, summarise_similarity

    generator = np.random.default_rng(config.seed)
    units, counts, strengths = [], [], []
    shown: dict[str, list[tuple[Responses, np.ndarray, np.ndarray]]] = {}
    others: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for tree in recording.children.values():
        strengths.append(float(json.loads(tree.attrs["model_config"])["strength"]))
        for stage in sorted(child for child in tree.children if child.startswith("stage")):
            responses, stimulus_id, of_units = _responses(tree[f"{stage}/response"].to_dataset().load())
            course = tree[f"time_course/{stage}/response"].to_dataset().load()
            table = _units(config, of_units, responses, course)
            units.append(table)
            counts.append(np.bincount(responses.half, minlength=2))
            taking_part = (table["excluded_by"] == "").to_numpy()
            shown.setdefault(f"{stage}/response", []).append((responses, stimulus_id, taking_part))
        for kind in ("strength", "controls"):
            for name in tree[kind].children if kind in tree.children else ():
                tables = [_reduced(config, node.to_dataset().load()) for node in tree[f"{kind}/{name}"].leaves]
                others.setdefault((kind, name), []).extend(tables)
    whole = pd.concat(units, ignore_index=True)
    similarity = {layer: _similarities(config, networks) for layer, networks in shown.items()}
    parts = [summarise(whole, generator, config.n_resamples), summarise_similarity(whole, similarity)]
    # Of the worst network.
    selected, measured = np.min(counts, axis=0)
    numbers = {
        "n_stimuli": measured,
        "n_stimuli_selection": selected,
        "n_stimuli_dropped": config.n_stimuli - np.sum(counts, axis=1).min(),
    }
    parts = [part.assign(**numbers) for part in parts]
    for (kind, name), tables in others.items():
        about = {"strength": float(name)} if kind == "strength" else {"control": name}
        part = summarise_index(pd.concat(tables, ignore_index=True), about, generator, config.n_resamples)
        few = config.n_control_stimuli
        parts.append(part.assign(n_stimuli=few // 2, n_stimuli_selection=few - few // 2))
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    return Tables(units=whole, statistics=statistics, findings=(*_confound(config), *findings(statistics, strengths)))


def _similarities(
    config: Config, networks: list[tuple[Responses, np.ndarray, np.ndarray]]
) -> list[tuple[float, np.ndarray]]:
    """Return feature similarity and its null of each network, on the stimuli that were confirmed in all of them."""
    from functools import reduce

    from neuroattn.statistics.feature_similarity import feature_similarity

    common = reduce(np.intersect1d, [stimulus_id for _, stimulus_id, _ in networks])
    return [
        feature_similarity(
            responses.of(np.isin(stimulus_id, common)), taking_part, config.seed, n_permutations=config.n_resamples
        )
        for responses, stimulus_id, taking_part in networks
    ]


def _confound(config: Config) -> tuple[str, ...]:
    if config.design == "cued":
        return ()
    return (
        (
            "NOTE: in the free order the attended object, the phase and the inhibition in force change together; the "
            "difference between the states is not attention's alone. The cued design (--design cued) keeps them apart."
        ),
    )


def _responses(dataset: xr.Dataset) -> tuple[Responses, np.ndarray, pd.DataFrame]:
    """Return responses of one layer of one network in both states, the stimuli they are to, and the units."""
    from neuroattn.statistics.scaling_units import Responses

    dataset = dataset.isel({labels.TIME_STEP: 0})
    units = dataset[list(UNIT_COLUMNS)].to_dataframe()[[*UNIT_COLUMNS]]
    confirmed = dataset[labels.CONFIRMED].values
    halves = np.bincount(dataset["half"].values[confirmed], minlength=2) // 2
    if halves.min() < FEWEST_STIMULI:
        raise ValueError(
            f"attention was confirmed in both states of {halves[0]} stimuli that select and {halves[1]} that measure, "
            f"and must be of {FEWEST_STIMULI}; show more stimuli (--n_stimuli), or take a model that attends them"
        )
    dataset = dataset.isel({labels.PRESENTATION: confirmed}).sortby(labels.STIMULUS_ID)
    own = dataset["own"].values
    rows = [(dataset[labels.ATTENDED] == number).values for number in OBJECTS]
    activation = dataset[labels.ACTIVATION].transpose(labels.PRESENTATION, labels.NEUROID).values.astype(np.float64)
    states = [activation[row] for row in rows]
    label = np.stack([dataset[f"label_{number}"].values[rows[0]] for number in OBJECTS])
    responses = Responses(
        attended=np.where(own == OBJECTS[0], *states),
        unattended=np.where(own == OBJECTS[0], *states[::-1]),
        own=label[own].T,
        other=label[1 - own].T,
        half=dataset["half"].values[rows[0]],
    )
    return responses, dataset[labels.STIMULUS_ID].values[rows[0]], units


def _units(config: Config, units: pd.DataFrame, responses: Responses, course: xr.Dataset) -> pd.DataFrame:
    """Return the unit table of one layer of one network, with the index at every step of the time course."""
    from neuroattn.statistics.scaling_units import modulation_index, scaling_units

    table = scaling_units(units, responses, config.driven)
    for step, index in enumerate(modulation_index(_states(course, MEASUREMENT))):
        table[f"modulation_index_step_{step}"] = np.where(table["driven"], index, np.nan)
    return table


def _reduced(config: Config, dataset: xr.Dataset) -> pd.DataFrame:
    """Return the unit table of a control, or of another strength: driven units and their index."""
    from neuroattn.statistics.modulation import driven
    from neuroattn.statistics.scaling_units import modulation_index

    attended, unattended = _states(dataset, SELECTION)
    chosen = driven(attended.T, unattended.T, config.driven)
    table = dataset[list(UNIT_COLUMNS)].to_dataframe()[[*UNIT_COLUMNS]].reset_index(drop=True)
    index = modulation_index(_states(dataset, MEASUREMENT))[0]
    return table.assign(
        excluded_by=np.where(chosen, "", "not driven"), modulation_index=np.where(chosen, index, np.nan)
    )


def _states(dataset: xr.Dataset, half: int) -> States:
    """Return mean responses (step, unit) with a unit's own object attended, and with the other one."""
    from neuroattn.statistics.scaling_units import States

    own, of_half = dataset["own"].values, (dataset["half"] == half).values
    means = []
    for number in OBJECTS:
        row = of_half & (dataset[labels.ATTENDED] == number).values
        values = dataset["mean"].transpose(labels.CONDITION, labels.TIME_STEP, labels.NEUROID).values[row]
        means.append(values[0].astype(np.float64))
    return States(np.where(own == OBJECTS[0], *means), np.where(own == OBJECTS[0], *means[::-1]))


def figure(config: Config, tables: Tables) -> Figure:
    """Return the distribution of the index, its time course, both states, dose-response and controls."""
    del config  # the tables say all that the figure shows
    from neuroattn.figures.scaling import scaling_figure
    from neuroattn.statistics.scaling_findings import BIOLOGY

    return scaling_figure(tables.units, tables.statistics, BIOLOGY)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    states = (
        "cued by the inhibition of the other one alone" if config.design == "cued" else "in the network's free order"
    )
    return " ".join(METHODS.split()).format(config=config, states=states)


PROTOCOL = Protocol(
    name="activity_scaling",
    description="Responses of units to their object with it attended and with the other one attended: modulation, "
    "gain, form, onset, dose-response over gate strength, feature similarity, with controls. Offline.",
    config=Config,
    stimuli=stimuli,
    recording=recording,
    analysis=analysis,
    figure=figure,
    methods=methods,
)

if __name__ == "__main__":
    main(PROTOCOL)
