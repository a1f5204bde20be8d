"""Names of variables."""

from __future__ import annotations

import re

import pytest
import torch

from neuroattn.models.probe import Probe, probes, require_variables

NAMES = [
    "stage1/gated_input",
    "stage1/response",
    "stage1/pooled",
    "stage1/gate",
    "stage2/gated_input",
    "stage2/response",
    "stage2/pooled",
    "stage2/gate",
    "readout/logits",
    "readout/feedback",
]


def test_a_probe_is_the_identity():
    value = torch.ones(2)
    probe = Probe("stage1/gate")
    assert probe(value) is value
    assert repr(probe) == "Probe(stage1/gate)"


def test_names_are_in_the_networks_order(tiny):
    assert list(probes(tiny)) == NAMES
    assert all(probe.variable == name for name, probe in probes(tiny).items())


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ([], f"variables must name at least one variable, got none; choose from {', '.join(NAMES)}"),
        (
            ["stage1/gate", "stage3/gate"],
            f"variables must be among {', '.join(NAMES)}, got 'stage3/gate'; correct the name",
        ),
        (
            ["stage2/gate", "stage1/gate", "stage2/gate", "stage1/gate", "stage1/pooled"],
            "variables must not repeat, got stage1/gate, stage2/gate more than once; name each once",
        ),
    ],
)
def test_variables_that_are_refused(tiny, variables, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        require_variables(tiny, variables)


def test_variables_in_any_order_are_accepted(tiny):
    require_variables(tiny, NAMES[::-1])
