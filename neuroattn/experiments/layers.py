"""The common loop of protocols that measure units: control × network × layer → unit table → statistics → findings.

A small protocol gives three things: ``units(config, responses) -> DataFrame`` of one layer of one network, ``MEASURES``
of its columns, and ``findings(statistics)``; `layer_analysis` makes its analysis of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from neuroattn import dims
from neuroattn.experiments.contrast import confounds
from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.scene_stimuli import scene_notes
from neuroattn.models.config import GatedConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    import xarray as xr

    from neuroattn.experiments.contrast import ContrastOptions
    from neuroattn.experiments.finding import Finding
    from neuroattn.statistics.population import Measure


class Layer(NamedTuple):
    """What was recorded of one layer of one network: its responses, in memory, and the tree of that network."""

    model: str
    variable: str
    responses: xr.Dataset
    tree: xr.DataTree


def variables(tree: xr.DataTree) -> list[str]:
    """Return the names of a network's layers, bottom up, those that its recording left out among them."""
    named = tree.attrs.get("layers")  # the version before did not name those of gated networks
    return list(json.loads(named) if named else GatedConfig.from_json(tree.attrs["model_config"]).layers)


def layers(recording: xr.DataTree, group: str = "") -> Iterator[Layer]:
    """Yield every layer that was recorded, bottom up; with a `group`, as ``controls/untrained``, of those that have it."""
    for name, tree in recording.children.items():
        recorded = {node.path.removeprefix(tree.path).strip("/"): node for node in tree.leaves}
        for variable in variables(tree):
            if node := recorded.get(f"{group}/{variable}".lstrip("/")):
                yield Layer(str(name), variable, node.to_dataset().load(), tree)


def unit_tables(
    config: ContrastOptions, recording: xr.DataTree, units: Callable[[Layer, str], pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Return the unit tables of all networks and layers: of the networks themselves ("") and of controls that any has."""
    import pandas as pd

    tables = {
        control: [units(layer, control) for layer in layers(recording, f"controls/{control}" if control else "")]
        for control in ("", *config.chosen_controls)
    }
    return {control: pd.concat(parts, ignore_index=True) for control, parts in tables.items() if parts}


def layer_analysis(
    config: ContrastOptions,
    recording: xr.DataTree,
    *,
    units: Callable[..., pd.DataFrame],
    measures: Sequence[Measure],
    findings: Callable[[pd.DataFrame], tuple[Finding, ...]],
) -> Tables:
    """Return the tables of a protocol that has nothing beside measures of units, controls and findings.

    Parameters
    ----------
    units
        Options, responses of one layer of one network → one row a unit, with ``model, layer, channel, excluded_by`` (""
        for those that take part) and the columns that are measured.
    measures
        Of these columns.
    findings
        Statistics → findings.

    Examples
    --------
    >>> analysis = partial(layer_analysis, units=units, measures=MEASURES, findings=findings)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    from neuroattn.statistics.summary import adjusted, summary

    def of_layer(layer: Layer, _: str) -> pd.DataFrame:
        table = units(config, layer.responses)
        shown = layer.responses.coords.get(dims.STIMULUS_ID)
        return table if shown is None else table.assign(n_stimuli=len(np.unique(shown.values)))

    tables = unit_tables(config, recording, of_layer)
    parts = [summary(table, measures, config.seed, config.n_resamples, control) for control, table in tables.items()]
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    found = findings(statistics)
    lines = (*scene_notes(config), *confounds(config), *map(str, found))
    return Tables(units=tables[""], statistics=statistics, findings=found, text=lines)
