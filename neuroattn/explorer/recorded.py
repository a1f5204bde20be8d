"""A recording without an analysis: its units as a table, and their receptive fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.explorer.responses import curves, layout

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from neuroattn.explorer.view import View
    from neuroattn.subjects.fields import Fields

_COLUMNS = (dims.MODEL, dims.LAYER, dims.NEUROID_ID, dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X)


def recorded_units(recording: xr.DataTree, view: View) -> pd.DataFrame:
    """Return one row a unit of a recording.

    With ``mean_response`` and ``largest_response`` over conditions and states at the last step, and, of two states, the
    ``modulation_index`` of their means, (A − N)/(A + N); of two phases it is called ``phase_index``.

    Raises
    ------
    ValueError
        If it holds no responses of units.
    """
    import pandas as pd

    tables = []
    for node in recording.leaves:
        dataset = node.to_dataset()
        if dims.NEUROID_ID not in dataset.variables:
            continue
        model, layer = (str(dataset[name].values[0]) for name in (dims.MODEL, dims.LAYER))
        of = layout(dataset, view)
        if of is None or node.path.removeprefix(recording.path).strip("/") not in {layer, f"{model}/{layer}"}:
            continue  # of a control, or of what selects units
        parts = [part[:, 0, :, :, -1] for _, part in curves(dataset, of, np.arange(dataset.sizes[dims.NEUROID]))]
        responses = np.concatenate(parts)  # (unit, state, x)
        table = pd.DataFrame({name: dataset[name].values for name in _COLUMNS if name in dataset.variables})
        known = np.isfinite(responses)
        with np.errstate(invalid="ignore"):
            states = [*(np.where(known, responses, 0).sum(2) / known.sum(2)).T]
        table["mean_response"] = np.mean(states, axis=0)
        table["largest_response"] = np.fmax.reduce(responses, axis=(1, 2))
        if len(states) == 2:
            # Of phases it is no effect of attention to an object.
            name = "phase_index" if of.states[0].startswith("phase") else "modulation_index"
            with np.errstate(invalid="ignore", divide="ignore"):
                table[name] = (states[0] - states[1]) / (states[0] + states[1])
        tables.append(table)
    if not tables:
        raise ValueError("recording must hold responses of units, got none; pass what neuroattn.record returns")
    return pd.concat(tables, ignore_index=True)


def recorded_fields(recording: xr.DataTree, model: str, variable: str) -> Fields | None:
    """Return the receptive fields of a gated network's layer, by its architecture; None of what is not one."""
    from neuroattn.models.config import GatedConfig
    from neuroattn.models.receptive_field import map_size, receptive_field
    from neuroattn.subjects.fields import squares

    node: Any = recording.children.get(model, recording)
    try:
        config = GatedConfig.from_json(node.attrs["model_config"])
        return squares(*receptive_field(config, variable), map_size(config, variable))
    except (KeyError, ValueError, TypeError, IndexError):
        return None
