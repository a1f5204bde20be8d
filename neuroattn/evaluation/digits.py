"""Accuracy, coverage and gating contrast of networks on composites of digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neuroattn.evaluation.trials import run_trials, summary

if TYPE_CHECKING:
    import pandas as pd

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.digits import Composites


def evaluate(model: GatedNetwork, composites: Composites, batch_size: int = 256) -> pd.DataFrame:
    """Return what a network does with composites.

    Parameters
    ----------
    model
        The network, on the device of the composites.
    composites
        At least two, each of as many digits as the network takes.
    batch_size
        Composites at once.

    Returns
    -------
    pandas.DataFrame
        ``model`` and what `neuroattn.evaluation.trials.summary` returns.
    """
    starts = range(0, len(composites), batch_size)
    batches = (composites.part(slice(start, start + batch_size)) for start in starts)
    outcomes = run_trials(model, batches, math.ceil(len(composites) / batch_size))
    n_objects = composites.labels.shape[1]
    places = ["left", "right"] if n_objects == 2 else [f"place {k + 1} from the left" for k in range(n_objects)]
    table = summary(outcomes, places, "composites")
    table.insert(0, "model", model.name)
    return table
