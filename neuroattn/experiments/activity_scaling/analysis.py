"""From recordings of all networks to units, statistics, findings and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn import dims
from neuroattn.experiments.activity_scaling.layout import FEWEST_STIMULI, OBJECTS, UNIT_COLUMNS
from neuroattn.experiments.contrast import confounds
from neuroattn.experiments.protocol import Tables, stages
from neuroattn.experiments.scene_stimuli import (
    SCENES,
    scene_notes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from neuroattn.experiments.activity_scaling.protocol import Config
    from neuroattn.experiments.activity_scaling.units import Responses


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with strengths and controls, and what they show."""
    import json

    import pandas as pd

    from neuroattn.experiments.activity_scaling.findings import findings
    from neuroattn.experiments.activity_scaling.sentences import sentences
    from neuroattn.experiments.activity_scaling.summary import (
        SHARE,
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
    if "controls/shuffled_gates" in others:  # the share is of the controls' stimuli
        for column in ("n_stimuli", "n_stimuli_selection"):
            parts[0].loc[parts[0]["what"] == SHARE, column] = others["controls/shuffled_gates"][column].min()
        parts[0].loc[parts[0]["what"] == SHARE, "n_stimuli_dropped"] = 0
    for at, table in others.items():
        about = (
            {"strength": float(at.rpartition("/")[2])}
            if at.startswith("strength/")
            else {"control": at.rpartition("/")[2]}
        )
        parts.append(summarise_index(table, about, config.seed, config.n_resamples))
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    n_stages = max(len(json.loads(tree.attrs["model_config"])["channels"]) for tree in recording.children.values())
    lines = (*_notes(config, whole, n_stages), *confounds(config), *sentences(statistics, strengths))
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
    return float((dataset[dims.ATTENDED_UNCONSTRAINED] == dataset[config.intended]).mean())


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


def too_few_confirmed(halves: np.ndarray, model: str) -> ValueError:
    """Return the error that says in how few stimuli attention was confirmed."""
    return ValueError(
        f"attention was confirmed in both states of {halves[0]} stimuli that select and {halves[1]} that measure, "
        f"and must be of {FEWEST_STIMULI}; show more stimuli (--n_stimuli), or take another model than {model}, one "
        "that attends them"
    )
