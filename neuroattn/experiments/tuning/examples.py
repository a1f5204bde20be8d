"""Example units of each layer: their measured curves and the fitted ones, as a tidy table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neuroattn.dims import LAYER, NEUROID_ID, PERIOD_DEGREES
from neuroattn.statistics.tuning_curve import von_mises

STATES = ("attended", "unattended")


def example_curves(units: pd.DataFrame, reduction: str, n_examples: int = 3) -> pd.DataFrame:
    """Return the curves of units at evenly spaced quantiles of the gain, so that examples are not the best ones.

    The quantiles are (k + 1/2)/n of a layer's units that have a gain. One row a point: ``layer, neuroid_id, example``
    (number in the layer), ``gain, state, kind`` (``data`` or ``fit``), ``orientation`` (degrees) and ``response``.
    """
    parts: list[pd.DataFrame] = []
    for layer, of_layer in units.groupby(LAYER, sort=True):
        ranked = of_layer.dropna(subset=[f"gain_{reduction}"]).sort_values(f"gain_{reduction}")
        ranks = ((np.arange(n_examples) + 0.5) / n_examples * len(ranked)).astype(int)
        for number, rank in enumerate(dict.fromkeys(ranks) if len(ranked) else ()):
            unit = ranked.iloc[rank]
            about = {
                "layer": layer,
                "neuroid_id": unit[NEUROID_ID],
                "example": number,
                "gain": unit[f"gain_{reduction}"],
            }
            parts += [_curve(unit, state, reduction).assign(**about) for state in STATES]
    columns = ["layer", "neuroid_id", "example", "gain", "state", "kind", "orientation", "response"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _curve(unit: pd.Series, state: str, reduction: str) -> pd.DataFrame:
    fine = np.linspace(0, PERIOD_DEGREES, 181)
    parameters = [unit[f"{name}_{state}_{reduction}"] for name in ("baseline", "amplitude", "kappa", "preferred")]
    measured = pd.DataFrame({"orientation": unit["orientations"], "response": unit[f"curve_{state}_{reduction}"]})
    # A silent state has a flat curve, which has no width and no preference.
    curve = np.full_like(fine, parameters[0]) if np.isnan(parameters[2]) else von_mises(fine, *parameters)
    fitted = pd.DataFrame({"orientation": fine, "response": curve})
    return pd.concat([measured.assign(kind="data"), fitted.assign(kind="fit")], ignore_index=True).assign(state=state)
