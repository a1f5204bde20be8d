"""From recordings of all networks to trials, statistics, findings and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.scene_stimuli import (
    SCENES,
    scene_notes,
)

if TYPE_CHECKING:
    import xarray as xr

    from neuroattn.experiments.inhibition_of_return.options import Config


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the trials of every network, the statistics with controls, and what they show."""
    import pandas as pd

    from neuroattn.experiments.inhibition_of_return.findings import findings
    from neuroattn.experiments.inhibition_of_return.sentences import sentences
    from neuroattn.experiments.inhibition_of_return.summary import return_statistics
    from neuroattn.experiments.inhibition_of_return.trials import return_trials
    from neuroattn.statistics.summary import adjusted

    def trials(at: str) -> pd.DataFrame:
        tables = [return_trials(tree[at].to_dataset().load(), name) for name, tree in recording.children.items()]
        return pd.concat(tables, ignore_index=True)

    whole = trials("trials")
    parts = [
        return_statistics(whole, config.seed, config.n_resamples),
        *(
            return_statistics(trials(f"controls/{name}"), config.seed, config.n_resamples, name)
            for name in config.chosen_controls
        ),
    ]
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    scenes = ("synthetic scenes" if config.synthetic else "scenes", "objects")
    shown = scenes if config.stimuli == SCENES else ("composites", "digits")
    lines = sentences(statistics, config.n_objects, shown, config.bound)
    records = findings(statistics, config.n_objects, config.bound, aligned=config.stimuli != SCENES)
    return Tables(units=whole, statistics=statistics, findings=records, text=(*scene_notes(config), *lines))
