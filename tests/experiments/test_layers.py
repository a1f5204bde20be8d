"""The loop over controls, networks and layers, on a constructed recording."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroattn.experiments.contrast import ContrastOptions
from neuroattn.experiments.finding import Estimate, Finding
from neuroattn.experiments.layers import layer_analysis, layers
from neuroattn.statistics.population import Measure


def recorded(gain):
    """Return the tree of a network whose channels are 3 to 5 times `gain`, listed in no order."""
    values = np.add.outer(np.zeros(13), [3.0, 4.0, 5.0])
    coords = {
        "channel": ("neuroid", [0, 1, 2]), "stimulus_id": ("presentation", np.arange(13) // 2),
        "model": ("neuroid", [f"m{gain}"] * 3),
    }  # fmt: skip

    def dataset(factor):
        return xr.Dataset({"activation": (("presentation", "neuroid"), factor * values)}, coords)

    tree = xr.DataTree.from_dict(
        {
            "/stage10/response": dataset(2 * gain),
            "/controls/untrained/stage10/response": dataset(1.0),
            "/stage2/response": dataset(gain),
            "/controls/untrained/stage2/response": dataset(1.0),
        }
    )
    tree.attrs["layers"] = json.dumps(["stage2/response", "stage3/response", "stage10/response"])
    return tree


def units(config, layer, control):
    responses = layer.responses
    gain = responses["activation"].mean("presentation").values / [3, 4, 5]
    return pd.DataFrame(
        {"model": responses["model"].values, "layer": "?", "channel": responses["channel"].values, "excluded_by": "",
         "gain": gain}
    )  # fmt: skip


def findings(config, statistics):
    row = statistics[statistics["model"] == ""].iloc[0]
    return (Finding(claim="It gains", verdict="supported", rests_on=(Estimate.of_units(row, "gain"),)),)


@pytest.fixture
def recording():
    return xr.DataTree(children={f"m{gain}": recorded(gain) for gain in (3, 2)})


def test_networks_keep_their_order_and_layers_come_bottom_up(recording):
    found = [(layer.model, layer.variable) for layer in layers(recording)]
    assert found == [(name, f"stage{number}/response") for name in ("m3", "m2") for number in (2, 10)]
    means = [float(layer.responses["activation"].mean()) for layer in layers(recording, "controls/untrained")]
    assert means == [4.0] * 4


def test_a_protocol_of_units_measures_and_findings_alone(recording):
    analysis = partial(layer_analysis, units=units, measures=[Measure("gain", null=1.0, log=True)], findings=findings)
    tables = analysis(ContrastOptions(controls=("untrained",), design="free"), recording)
    assert len(tables.units) == 12
    gain = tables.statistics[tables.statistics["what"] == "gain"].set_index(["control", "model"])["estimate"]
    assert gain.round(6).to_dict() == {
        ("", ""): round(float(np.sqrt(4.5 * 3)), 6), ("", "m3"): 4.5, ("", "m2"): 3.0,
        **{("untrained", name): 1.0 for name in ("", "m3", "m2")},
    }  # fmt: skip
    assert (tables.statistics["n_stimuli"] == 7).all()
    assert tables.text[0].startswith("NOTE: in the free order")
    assert tables.text[-1].startswith("SUPPORTED  It gains: gain ")
    assert tables.findings[0].verdict == "supported"
