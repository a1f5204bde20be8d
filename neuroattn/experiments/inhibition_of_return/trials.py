"""From trials with and without inhibition to one row an object of a run: what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import xarray as xr

# What an object is to a phase.
NOW, BEFORE, NEVER = "attended now", "attended before", "never attended"
FREE = "free"


def return_trials(returns: xr.Dataset, model: str) -> pd.DataFrame:
    """Return one row a run, stimulus and object, from what `record_returns` gave; runs without a choice are left out.

    ``model, condition, phase, stimulus_id, object, place, label``; ``status`` (attended now, before, or never so far in
    the trial); ``lag`` (phases since it was attended; NaN for others); ``first`` (attended in the first phase);
    ``chosen`` (the unconstrained choice); ``inhibited_place`` (it stands where the first object stood); ``gate`` and
    ``response_stage{l}`` of the object, and of the run ``gate_background, gate_attended, gate_unattended``.
    """
    n_runs, n_stimuli, n_objects = returns["gate"].shape
    condition, phase = returns["condition"].values, returns["phase"].values
    # Phase in which the free trial attends each object.
    order = np.zeros((n_stimuli, n_objects), dtype=np.int64)
    rows = np.arange(n_stimuli)
    for run in np.flatnonzero(condition == FREE):
        # At strength 0 none is defined; the order then stays 0 for all.
        known = returns["attended"].values[run] >= 0
        order[rows[known], returns["attended"].values[run][known]] = phase[run]
    index = np.arange(n_objects)
    chosen = returns["chosen"].values[..., None] == index
    now = returns["attended"].values[..., None] == index
    # Outside the free trial only its first phase was before.
    past = (order > 0) & np.where((condition == FREE)[:, None, None], order < phase[:, None, None], order == 1)
    before = past & ~now
    place = np.broadcast_to(returns["place"].values[:, None, :], chosen.shape)
    first_place = np.broadcast_to((order == 1).argmax(axis=1)[None, :, None], chosen.shape)
    shape = chosen.shape
    table = pd.DataFrame(
        {
            "model": model,
            "condition": np.repeat(condition, n_stimuli * n_objects),
            "phase": np.repeat(phase, n_stimuli * n_objects),
            "stimulus_id": np.tile(np.repeat(returns["stimulus_id"].values, n_objects), n_runs),
            "object": np.tile(index, n_runs * n_stimuli),
            "place": place.ravel(),
            "label": np.broadcast_to(returns["label"].values, shape).ravel(),
            "status": np.select([now, before], [NOW, BEFORE], default=NEVER).ravel(),
            "lag": np.where(before, phase[:, None, None] - order, np.nan).ravel(),
            "first": np.broadcast_to(order == 1, shape).ravel(),
            "chosen": chosen.ravel(),
            "inhibited_place": ((place == first_place) & (order == 1).any(axis=1)[None, :, None]).ravel(),
        }
    )
    for name in sorted(map(str, returns.data_vars)):  # a store lists them in any order
        values = returns[name].values.ravel()
        if name == "gate" or name.startswith("response_"):
            table[name] = values.astype(np.float64)
        elif name.startswith("gate_"):
            table[name] = np.repeat(values.astype(np.float64), n_objects)
    return table[np.repeat((returns["chosen"].values >= 0).ravel(), n_objects)].reset_index(drop=True)
