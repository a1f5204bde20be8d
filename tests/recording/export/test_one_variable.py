"""What every exporter of one variable refuses."""

from __future__ import annotations

import pytest
import xarray as xr
from recording.export.by_hand import refused

from neuroattn.recording.export.assembly import to_assembly
from neuroattn.recording.export.rsatoolbox_dataset import to_rsatoolbox
from neuroattn.recording.export.tidy import to_dataframe

EXPORTERS = [to_assembly, to_dataframe, to_rsatoolbox]


@pytest.fixture(params=EXPORTERS, ids=lambda exporter: exporter.__name__)
def exported(request):
    if request.param is to_rsatoolbox:
        pytest.importorskip("rsatoolbox")
    return request.param


def test_what_is_not_one_variable(exported, gate, tree):
    text = "data must be the group of one variable or an array of it, got {}; pass recording[variable]"
    with refused(text.format("a tree of stage1, readout")):
        exported(tree)
    with refused(text.format("ndarray")):
        exported(gate["activation"].values)


def test_what_is_not_complete(exported, tree):
    whole = tree.assign(done=xr.Variable("presentation", [True, False, True, False, True]))
    with refused(
        "recording must be complete, got one without 2 of 5 presentations; make the same call of record again to "
        "complete it"
    ):
        exported(whole["readout/logits"])
