"""The common loop of protocols that measure units: control × network × layer → unit table → statistics → findings.

A small protocol gives three things: ``units(config, layer, control) -> DataFrame`` of one layer of one network,
``MEASURES`` of its columns, and ``findings(config, statistics)``; `layer_analysis` makes its analysis of them.
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

    def of(self, group: str) -> xr.Dataset | None:
        """Return the responses of the same layer in a group of the network's recording, None where there is none."""
        found = _leaves(self.tree).get(f"{group}/{self.variable}".lstrip("/"))
        return None if found is None else found.to_dataset().load()


def variables(tree: xr.DataTree) -> list[str]:
    """Return the names of a network's layers, bottom up, those that its recording left out among them."""
    named = tree.attrs.get("layers")  # the version before did not name those of gated networks
    return list(json.loads(named) if named else GatedConfig.from_json(tree.attrs["model_config"]).layers)


def layers(recording: xr.DataTree, group: str = "") -> Iterator[Layer]:
    """Yield every recorded layer, bottom up; with a `group`, as ``controls/untrained``, of networks that have it."""
    for name, tree in recording.children.items():
        recorded = _leaves(tree)
        for variable in variables(tree):
            if node := recorded.get(f"{group}/{variable}".lstrip("/")):
                yield Layer(str(name), variable, node.to_dataset().load(), tree)


def _leaves(tree: xr.DataTree) -> dict[str, xr.DataTree]:
    return {node.path.removeprefix(tree.path).strip("/"): node for node in tree.leaves}


def unit_tables(
    config: ContrastOptions, recording: xr.DataTree, units: Callable[[Layer, str], pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Return the unit tables of all networks and layers: of themselves ("") and of every control that any has."""
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
    findings: Callable[..., tuple[Finding, ...]],
) -> Tables:
    """Return the tables of a protocol that has nothing beside measures of units, controls and findings.

    Parameters
    ----------
    units
        Options, layer, control ("" for the network itself) → one row a unit, with ``model, layer, channel,
        excluded_by`` ("" for those that take part) and the columns that are measured.
    measures
        Of these columns.
    findings
        Options, statistics → findings.

    Examples
    --------
    >>> analysis = partial(layer_analysis, units=units, measures=MEASURES, findings=findings)  # doctest: +SKIP
    """
    import numpy as np
    import pandas as pd

    from neuroattn.experiments.wording import caveat, excluded
    from neuroattn.statistics.summary import adjusted, summary

    def of_layer(layer: Layer, control: str) -> pd.DataFrame:
        table = units(config, layer, control)
        shown = layer.responses.coords.get(dims.STIMULUS_ID)
        if shown is None or "n_stimuli" in table:
            return table
        return table.assign(n_stimuli=len(np.unique(shown.values)))

    tables = unit_tables(config, recording, of_layer)
    parts = [summary(table, measures, config.seed, config.n_resamples, control) for control, table in tables.items()]
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    found = findings(config, statistics)
    first = statistics[statistics["scope"].astype(bool)].iloc[0]
    headline = f"{first['scope']}, {int(first['n_stimuli']):,} stimuli measure.{caveat(str(first['scope']))}"
    own = statistics[(statistics["model"] == "") & (statistics["control"] == "")]
    without = [
        f"  {layer}: no unit takes part ({excluded(rows, 'n_excluded')})"
        for layer, rows in own.groupby("layer", sort=False)
        if not rows.loc[rows["what"] == measures[0].name, "n_units"].gt(0).any()
    ]
    lines = (*scene_notes(config), *confounds(config), headline, *map(str, found), *without)
    return Tables(units=tables[""], statistics=statistics, findings=found, text=lines)
