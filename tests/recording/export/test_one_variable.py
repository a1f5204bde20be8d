"""What assemblies, datasets and tables are not made of."""

from __future__ import annotations

import pytest
import xarray as xr
from refused import refused

from neuroattn.recording.export.assembly import to_assembly
from neuroattn.recording.export.rsatoolbox_dataset import to_rsatoolbox
from neuroattn.recording.export.tidy import to_dataframe

EXPORTS = [to_assembly, to_rsatoolbox, to_dataframe]


@pytest.mark.parametrize("export", EXPORTS)
def test_what_is_not_one_variable(export, gate, tree):
    for data, named in ((tree, "a tree of stage1, readout"), (gate["activation"].values, "ndarray")):
        with refused(
            f"data must be the group of one variable or an array of it, got {named}; pass recording[variable]"
        ):
            export(data)


@pytest.mark.parametrize("export", EXPORTS)
def test_what_is_not_complete(export, tree):
    whole = tree.assign(done=xr.Variable("presentation", [True, False, True, False, True]))
    with refused(
        "recording must be complete, got one without 2 of 5 presentations; make the same call of record again to "
        "complete it"
    ):
        export(whole["stage1/gate"])


@pytest.mark.parametrize("export", [to_assembly, to_rsatoolbox])
def test_what_has_no_activation_of_single_presentations(export, gate, reduced):
    text = "data must have an array activation, got {}; pass one variable of a recording that was not reduced"
    dims = "dims must {}; pass a recording{}"
    cases = [
        (reduced, text.format("mean, maximum, count")),
        (gate.drop_vars("activation"), text.format("none")),
        (
            reduced["mean"],
            dims.format("include presentation, got (condition, time_step, neuroid)", ", not a part of it"),
        ),
        (gate.expand_dims("fold"), dims.format("be among presentation, neuroid, time_step, got fold too", " as it is")),
    ]
    for data, refusal in cases:
        with refused(refusal):
            export(data)
