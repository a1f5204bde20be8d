"""The figure of activity scaling: what has nothing to show has no panel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neuroattn.experiments.activity_scaling.figure import scaling_figure

GATED = {"time_step": [np.nan, 0, 1], "strength": [np.nan, 0.1, 0.2], "control": ["", "intact", "untrained"]}


def tables(**columns):
    """Return units, and a row of statistics of the index for each value of a column."""
    rng = np.random.default_rng(0)
    units = pd.DataFrame({"layer": "stage1/response", "excluded_by": "", "modulation_index": rng.uniform(-1, 1, 11)})
    units = units.assign(mean_attended=1.0, mean_unattended=0.5, slope=1.5, intercept=rng.uniform(-1, 1, 11))
    rows = [{name: value} for name, values in columns.items() for value in values]
    about = {"what": "modulation_index", "model": "", "layer": "stage1/response", "n_models": 1, "scope": "3 networks"}
    numbers = {"estimate": 0.1, "interval_low": 0.05, "interval_high": 0.15, "p": 1.0, "p_within_network": np.nan}
    statistics = pd.DataFrame([{**about, **numbers, "warnings": "", "test": "", **row} for row in rows])
    for name, empty in {"time_step": np.nan, "strength": np.nan, "control": ""}.items():
        statistics[name] = statistics[name].fillna(empty) if name in statistics else empty
    return units, statistics.assign(last_step=np.nan)


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (GATED, ["modulation index", "mean response", "time step", "gate strength", "slope", "controls"]),
        ({"time_step": [np.nan, 0]}, ["modulation index", "mean response", "slope"]),
        ({"time_step": [np.nan, 0], "control": ["intact"]}, ["modulation index", "mean response", "slope", "controls"]),
    ],
)
def test_what_has_nothing_to_show_has_no_panel(columns, labels):
    figure = scaling_figure(*tables(**columns), {"V4": 0.115})
    shown = [axes.get_xlabel() or "controls" for axes in figure.axes]
    assert len(shown) == len(labels)
    assert all(found.startswith(label) for found, label in zip(shown, labels, strict=True))
