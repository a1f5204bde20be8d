"""From recordings of all networks to units, statistics, findings and sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from neuroattn import dims
from neuroattn.experiments.contrast import confounds
from neuroattn.experiments.layers import layers, variables
from neuroattn.experiments.pairs import FEWEST_STIMULI, OBJECTS, UNIT_COLUMNS, too_few_confirmed
from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.scene_stimuli import SCENES, scene_notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr

    from neuroattn.experiments.activity_scaling.options import Config
    from neuroattn.experiments.activity_scaling.units import Responses

K = TypeVar("K", str, float)  # how a control or a strength is named


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with strengths and controls, and what they show."""
    import pandas as pd

    from neuroattn.experiments.activity_scaling.findings import findings
    from neuroattn.experiments.activity_scaling.sentences import sentences
    from neuroattn.experiments.activity_scaling.summary import (
        index_statistics,
        scaling_statistics,
        similarity_statistics,
    )
    from neuroattn.experiments.activity_scaling.units import scaling_units
    from neuroattn.statistics.control_share import SHARE, with_shares
    from neuroattn.statistics.summary import adjusted

    tables, counts = [], []
    shown: dict[str, list[tuple[Responses, np.ndarray, np.ndarray]]] = {}
    n_shown = 0
    for layer in layers(recording):
        n_shown = layer.responses.sizes[dims.PRESENTATION] // len(OBJECTS)
        responses, stimulus_id, of_units = _responses(config, _confirmed(layer.responses))
        table = scaling_units(of_units, responses, config.driven)
        tables.append(table)
        counts.append(np.bincount(responses.half, minlength=2))
        if config.stimuli != SCENES:
            taking_part = (table["excluded_by"] == "").to_numpy()
            shown.setdefault(layer.variable, []).append((responses.last(), stimulus_id, taking_part))
    controls = _indices(config, recording, {name: f"controls/{name}" for name in config.chosen_controls})
    strengths = _indices(config, recording, {strength: f"strength/{strength:g}" for strength in config.strengths})
    units = with_shares(pd.concat(tables, ignore_index=True), controls)
    parts = [scaling_statistics(units, config.seed, config.n_resamples)]
    if config.stimuli != SCENES:  # of which too few share their classes
        similarity = {layer: _similarities(config, networks) for layer, networks in shown.items()}
        parts.append(similarity_statistics(units, similarity))
    selected, measured = np.min(counts, axis=0)  # of the worst network
    dropped = n_shown - np.sum(counts, axis=1).min()
    numbers = {"n_stimuli": measured, "n_stimuli_selection": selected, "n_stimuli_dropped": dropped}
    parts = [part.assign(**numbers) for part in parts]
    if "shuffled_gates" in controls:  # the share is of the controls' stimuli
        of_controls = controls["shuffled_gates"][["n_stimuli", "n_stimuli_selection"]].min()
        parts[0].loc[parts[0]["what"] == SHARE, [*numbers]] = [*of_controls, 0]
    others: list[tuple[dict[str, Any], pd.DataFrame]] = [
        ({"strength": float(f"{value:g}")}, table) for value, table in strengths.items()
    ]
    others += [({"control": name}, table) for name, table in controls.items()]
    parts += [index_statistics(table, about, config.seed, config.n_resamples) for about, table in others]
    statistics = pd.concat(parts, ignore_index=True)
    # Strengths are a family of their own, and so is the mixed model, which stands beside the tests of layers.
    statistics = adjusted(statistics, statistics["strength"].notna(), statistics["what"].str.startswith("mixed model"))
    architectures = [json.loads(tree.attrs["model_config"]) for tree in recording.children.values()]
    of_networks = [variables(tree) for tree in recording.children.values()]
    notes = _notes(config, units, max(of_networks, key=len))
    lines = sentences(statistics, [float(one["strength"]) for one in architectures if "strength" in one])
    text = (*notes, *confounds(config), *lines)
    return Tables(units=units, statistics=statistics, findings=findings(statistics), text=text)


def _indices(config: Config, recording: xr.DataTree, groups: Mapping[K, str]) -> dict[K, pd.DataFrame]:
    """Return the units of gate strengths or controls that any network has: all stimuli, by the intended object."""
    import pandas as pd

    from neuroattn.experiments.activity_scaling.units import scaling_index

    found: dict[K, list[pd.DataFrame]] = {}
    for name, group in groups.items():
        for layer in layers(recording, group):
            responses, _, of_units = _responses(config, layer.responses)
            numbers = dict(zip(("n_stimuli_selection", "n_stimuli"), np.bincount(responses.half), strict=True))
            confirmed = _share_confirmed(config, layer.responses)
            index = scaling_index(of_units, responses, config.driven)
            found.setdefault(name, []).append(index.assign(confirmed=confirmed, **numbers))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def _share_confirmed(config: Config, dataset: xr.Dataset) -> float:
    """Return in which share of presentations the intended object is the one that is attended."""
    attended = dataset.get(dims.ATTENDED_UNCONSTRAINED, dataset[dims.ATTENDED])  # what does not choose follows its cue
    return float((attended == dataset[config.intended]).mean())


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


def _notes(config: Config, units: pd.DataFrame, of_network: Sequence[str]) -> tuple[str, ...]:
    """Return what must be said of scenes before their findings."""
    if config.stimuli != SCENES:
        return ()
    missing = [name for name in of_network if name not in set(units[dims.LAYER])]
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


def _confirmed(dataset: xr.Dataset) -> xr.Dataset:
    """Return the presentations of the stimuli whose gated image confirms the intended object in both states."""
    confirmed = dataset[dims.CONFIRMED].values
    halves = np.bincount(dataset["half"].values[confirmed], minlength=2) // 2
    if halves.min() < FEWEST_STIMULI:
        raise too_few_confirmed(halves, str(dataset[dims.MODEL].values[0]))
    return dataset.isel({dims.PRESENTATION: confirmed})


def _responses(config: Config, dataset: xr.Dataset) -> tuple[Responses, np.ndarray, pd.DataFrame]:
    """Return responses of one layer of one network in both states, the stimuli they are to, and the units."""
    from neuroattn.experiments.activity_scaling.units import Responses

    dataset = dataset.sortby(dims.STIMULUS_ID)
    if dims.SWAPPED in dataset.coords:
        dataset = dataset.isel({dims.PRESENTATION: dataset[dims.SWAPPED].values})
    intended = dataset[config.intended].values
    rows = [intended == number for number in OBJECTS]
    own = dataset["own"].transpose(dims.PRESENTATION, dims.NEUROID).values[rows[0]].astype(np.int64)
    columns = list(UNIT_COLUMNS)
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
