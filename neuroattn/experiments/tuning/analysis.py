"""From recordings of all networks to units, statistics, findings and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuroattn import dims
from neuroattn.experiments.contrast import confounds
from neuroattn.experiments.layers import Layer, unit_tables
from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.scene_stimuli import scene_notes
from neuroattn.experiments.tuning.layout import (
    BAR,
    DISTRACTOR,
    FEWEST_ORIENTATIONS,
    MEASUREMENT,
    REDUCTIONS,
    SELECTION,
    UNIT_COLUMNS,
    WITH_BAR,
    WITHOUT_BAR,
)
from neuroattn.statistics.control_share import SHARE, with_shares

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from neuroattn.experiments.tuning.options import Config
    from neuroattn.experiments.tuning.units import Curves, Ungated


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with their controls, and what they show."""
    import pandas as pd

    from neuroattn.experiments.tuning.findings import findings
    from neuroattn.experiments.tuning.sentences import sentences
    from neuroattn.experiments.tuning.summary import tuning_statistics
    from neuroattn.statistics.summary import adjusted, confirmed

    shown: dict[str, dict[str, _Shown]] = {control: {} for control in ("", *config.chosen_controls)}

    def units(layer: Layer, control: str) -> pd.DataFrame:
        dataset = layer.responses.isel({dims.TIME_STEP: 0})
        orientation = _orientations(dataset)
        shown[control][layer.model] = _shown(dataset, orientation, control)  # of all layers the same
        return _units(config, layer, dataset, orientation, control)

    tables = unit_tables(config, recording, units)
    tables[""] = with_shares(tables[""], tables, [f"_{reduction}" for reduction in REDUCTIONS])
    bounds = {"shift": config.shift_bound, "bandwidth_change": config.bandwidth_bound}
    parts = []
    for control, table in tables.items():
        rows = tuning_statistics(table, bounds, config.seed, config.n_resamples, control)
        of_network = {name: numbers.confirmed for name, numbers in shown[control].items()}
        of_control = pd.DataFrame(confirmed(of_network)).assign(control=control).reindex(columns=rows.columns)
        parts.append(_with_numbers(pd.concat([rows, of_control], ignore_index=True), shown, control))
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    lines = (*scene_notes(config), *confounds(config), *sentences(statistics))
    return Tables(units=tables[""], statistics=statistics, findings=findings(statistics), text=lines)


class _Shown(NamedTuple):
    """How many stimuli were presented in both states and kept, and in which share attention was confirmed."""

    presented: int
    kept: int
    confirmed: float


def _shown(dataset: xr.Dataset, orientation: np.ndarray, control: str) -> _Shown:
    used = dataset["orientation"].isin(orientation)
    kept, presented = int(dataset["count"].where(used, 0).sum()) // 2, int(dataset["presented"].sum()) // 2
    of, total = ("n_confirmed", "count") if control else ("count", "presented")
    return _Shown(presented, kept, float(dataset[of].sum() / dataset[total].sum()))


def _with_numbers(rows: pd.DataFrame, shown: dict[str, dict[str, _Shown]], control: str) -> pd.DataFrame:
    """Return rows with how many stimuli each rests on: of all networks, that with the fewest."""
    # What gates of others leave of a difference is a share on the controls' stimuli.
    of_shares = shown.get("shuffled_gates", shown[control])
    numbers = []
    for name, what in zip(rows["model"], rows["what"], strict=True):
        of_network = of_shares if what == SHARE else shown[control]
        numbers.append(of_network[name] if name else min(of_network.values(), key=lambda found: found.kept))
    kept, presented = (np.array([getattr(found, of) for found in numbers]) for of in ("kept", "presented"))
    return rows.assign(n_stimuli=kept, n_stimuli_dropped=presented - kept)


def _orientations(dataset: xr.Dataset) -> np.ndarray:
    """Return the orientations at which attention was confirmed in both states and both halves of the bars."""
    whole = dataset["count"].groupby("orientation").min() > 0
    orientation: np.ndarray = whole["orientation"].values[whole.values]
    if len(orientation) < FEWEST_ORIENTATIONS:
        raise too_few_orientations(len(orientation), str(dataset[dims.MODEL].values[0]))
    return orientation


def _units(config: Config, layer: Layer, dataset: xr.Dataset, orientation: np.ndarray, control: str) -> pd.DataFrame:
    """Return the unit table of one layer of one network, or of a control."""
    from neuroattn.experiments.tuning.units import Criteria, Curves, tuning_units

    # In an order of our own: a store lists its coordinates in any.
    units = dataset[list(UNIT_COLUMNS)].to_dataframe()[[*UNIT_COLUMNS, dims.TIME_STEP]]

    def curves(half: int, reduction: str) -> Curves:
        used = (dataset["half"] == half) & dataset["orientation"].isin(orientation)
        states = (used & (dataset[dims.ATTENDED] == state) for state in (BAR, DISTRACTOR))
        return Curves(*(_by_unit(dataset[reduction], rows) for rows in states))

    selection, measured = (
        {reduction: curves(half, reduction) for reduction in REDUCTIONS} for half in (SELECTION, MEASUREMENT)
    )
    criteria = Criteria(driven=config.driven, tuned=config.tuned, fitted=config.fitted)
    at = "controls/untrained/" if control == "untrained" else ""
    ungated = _ungated(layer.tree, at, layer.variable, orientation)
    table = tuning_units(units, orientation, ungated, selection, measured, criteria, fits=not control)
    if not control:
        drawn = (table["driven"] & ~table["distractor_in_field"]).to_numpy()
        table["orientations"] = [orientation.tolist() if d else None for d in drawn]
        for reduction, (attended, unattended) in measured.items():
            for state, values in (("attended", attended), ("unattended", unattended)):
                rows = [row.astype(np.float32) if d else None for row, d in zip(values, drawn, strict=True)]
                table[f"curve_{state}_{reduction}"] = rows
    return table


def _ungated(tree: xr.DataTree, at: str, variable: str, orientation: np.ndarray) -> Ungated:
    """Return the ungated responses of one layer, which select units: the largest over bars."""
    from neuroattn.experiments.tuning.units import Ungated

    values = []
    for group in (WITH_BAR, WITHOUT_BAR):
        dataset = tree[f"{at}{group}/{variable}"].to_dataset().load().isel({dims.TIME_STEP: 0})
        used = dataset["orientation"].isin(orientation) | (group == WITHOUT_BAR)
        values.append(_by_unit(dataset[REDUCTIONS[0]], used))
    curves, without = values
    return Ungated(curves, without.max(1))


def _by_unit(values: xr.DataArray, rows: xr.DataArray) -> np.ndarray:
    """Return (unit, condition) of chosen conditions."""
    return np.asarray(values[rows.values].transpose(dims.NEUROID, ...).values, np.float64)


def too_few_orientations(number: int, model: str) -> ValueError:
    """Return the error that says at how few orientations attention was confirmed."""
    return ValueError(
        f"attention was confirmed in both states at {number} orientations only, and must be at {FEWEST_ORIENTATIONS}; "
        f"{model} does not attend these stimuli: use another model, or --design free"
    )
