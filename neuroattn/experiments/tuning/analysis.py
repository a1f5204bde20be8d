"""From recordings of all networks to units, statistics, findings and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuroattn import dims
from neuroattn.experiments.contrast import confounds
from neuroattn.experiments.protocol import Tables, stages
from neuroattn.experiments.scene_stimuli import (
    scene_notes,
)
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

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from neuroattn.experiments.tuning.protocol import Config
    from neuroattn.experiments.tuning.units import Curves, Ungated


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with their controls, and what they show."""
    import pandas as pd

    from neuroattn.experiments.tuning.findings import SHARE, findings
    from neuroattn.experiments.tuning.sentences import sentences
    from neuroattn.experiments.tuning.summary import adjusted, share_confirmed, summarise

    bounds = {"shift": config.shift_bound, "bandwidth_change": config.bandwidth_bound}
    bounds |= {f"absolute_{name}": bound for name, bound in bounds.items()}
    tables: dict[str, pd.DataFrame] = {}
    shown: dict[str, dict[str, _Shown]] = {}
    for control in ("", *config.chosen_controls):
        parts, shown[control] = [], {}
        for name, tree in recording.children.items():
            for stage in stages(tree):
                part, shown[control][str(name)] = _units(config, tree, stage, control)  # of all stages the same
                parts.append(part)
        tables[control] = pd.concat(parts, ignore_index=True)
    units = _with_shares(tables)
    parts = []
    for control, table in (tables | {"": units}).items():
        rows = summarise(
            table, REDUCTIONS, bounds=bounds, seed=config.seed, n_resamples=config.n_resamples, control=control
        )
        shares = {name: numbers.confirmed for name, numbers in shown[control].items()}
        rows = pd.concat([rows, share_confirmed(shares, control)], ignore_index=True)
        worst = min(shown[control].values(), key=lambda numbers: numbers.kept)
        # What gates of others leave of a difference is a share on the controls' stimuli.
        swapped = shown.get("shuffled_gates", {})
        fewest = min(swapped.values(), key=lambda numbers: numbers.kept, default=worst)
        of_row = [
            swapped.get(name, fewest) if what == SHARE else shown[control].get(name, worst)
            for name, what in zip(rows["model"], rows["what"], strict=True)
        ]
        kept, presented = (np.array([getattr(numbers, of) for numbers in of_row]) for of in ("kept", "presented"))
        parts.append(rows.assign(n_stimuli=kept, n_stimuli_dropped=presented - kept))
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    lines = (*scene_notes(config), *confounds(config), *sentences(statistics))
    return Tables(units=units, statistics=statistics, findings=findings(statistics), text=lines)


class _Shown(NamedTuple):
    """How many stimuli were presented in both states and kept, and in which share attention was confirmed."""

    presented: int
    kept: int
    confirmed: float


def _with_shares(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Add to the units of the networks themselves what gates of other stimuli leave of their difference.

    Stimuli for which a batch held no other with the same side attended are left out of the control alone: the share
    compares means over all of the controls' stimuli with means over those whose gates were swapped.
    """
    from neuroattn.statistics.control_share import share_of

    units = tables[""]
    if not {"intact", "shuffled_gates"} <= set(tables):
        return units
    intact, shuffled = (
        tables[name].set_index(dims.NEUROID_ID).loc[units[dims.NEUROID_ID]].reset_index()
        for name in ("intact", "shuffled_gates")
    )
    return units.assign(
        **{
            f"share_of_shuffled_gates_{reduction}": share_of(
                intact[f"difference_{reduction}"], shuffled[f"difference_{reduction}"], intact[f"total_{reduction}"]
            )
            for reduction in REDUCTIONS
        }
    )


def _units(config: Config, tree: xr.DataTree, stage: str, control: str) -> tuple[pd.DataFrame, _Shown]:
    """Return the unit table of one layer of one network, or of a control, and how many stimuli it rests on."""
    from neuroattn.experiments.tuning.units import Criteria, Curves, tuning_units

    at = f"controls/{control}/" if control else ""
    dataset = tree[f"{at}{stage}/response"].to_dataset().load().isel({dims.TIME_STEP: 0})
    # In an order of our own: a store lists its coordinates in any.
    units = dataset[list(UNIT_COLUMNS)].to_dataframe()[[*UNIT_COLUMNS, dims.TIME_STEP]]
    whole = dataset["count"].groupby("orientation").min() > 0
    orientation = whole["orientation"].values[whole.values]
    if len(orientation) < FEWEST_ORIENTATIONS:
        raise too_few_orientations(len(orientation), str(dataset[dims.MODEL].values[0]))

    def curves(half: int, reduction: str) -> Curves:
        states = []
        for state in (BAR, DISTRACTOR):
            rows = (dataset["half"] == half) & (dataset[dims.ATTENDED] == state)
            states.append(_by_unit(dataset[reduction], rows & dataset["orientation"].isin(orientation)))
        return Curves(*states)

    selection, measured = (
        {reduction: curves(half, reduction) for reduction in REDUCTIONS} for half in (SELECTION, MEASUREMENT)
    )
    criteria = Criteria(driven=config.driven, tuned=config.tuned, fitted=config.fitted)
    ungated = _ungated(tree, at if control == "untrained" else "", stage, orientation)
    table = tuning_units(units, orientation, ungated, selection, measured, criteria, fits=not control)
    if not control:
        drawn = (table["driven"] & ~table["distractor_in_field"]).to_numpy()
        table["orientations"] = [orientation.tolist() if d else None for d in drawn]
        for reduction, (attended, unattended) in measured.items():
            for state, values in (("attended", attended), ("unattended", unattended)):
                rows = [row.astype(np.float32) if d else None for row, d in zip(values, drawn, strict=True)]
                table[f"curve_{state}_{reduction}"] = rows
    used = dataset["orientation"].isin(orientation)
    kept, presented = int(dataset["count"].where(used, 0).sum()) // 2, int(dataset["presented"].sum()) // 2
    of, total = ("n_confirmed", "count") if control else ("count", "presented")
    return table, _Shown(presented, kept, float(dataset[of].sum() / dataset[total].sum()))


def _ungated(tree: xr.DataTree, at: str, stage: str, orientation: np.ndarray) -> Ungated:
    """Return the responses of one layer that select units: of step 0, the largest over bars."""
    from neuroattn.experiments.tuning.units import Ungated

    values = []
    for group in (WITH_BAR, WITHOUT_BAR):
        dataset = tree[f"{at}{group}/{stage}/response"].to_dataset().load().isel({dims.TIME_STEP: 0})
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
