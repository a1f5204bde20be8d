"""What a recording says of how it was made: identity, versions, seeds, in attributes that any file can hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch

import neuroattn
from neuroattn.models.checkpoint import weights_hash
from neuroattn.models.controls import control
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction
from neuroattn.stimuli.stimulus_set import StimulusSet

NAMES = ["stage1/gate", "readout/logits"]


def identity(*args, **options):
    return record(*args, **options).attrs["identity"]


def test_attributes(network, stimuli):
    configuration = {"seed": 23, "widths": [0.5, 2.0], "design": "something else"}
    attributes = record(network, stimuli, NAMES, np.array([1, 3]), configuration=configuration).attrs
    assert all(type(value) in {str, int} for value in attributes.values())
    assert attributes["schema_version"] == 2
    assert attributes["model"] == "small"
    assert attributes["weights_sha256"] == weights_hash(network)
    assert json.loads(attributes["model_config"])["size"] == [1, 11, 13]
    assert attributes["stimuli_sha256"] == stimuli.identity()
    assert json.loads(attributes["protocol"]) == {
        "seed": 23,
        "widths": [0.5, 2.0],
        "design": "free",
        "phases": 2,
        "steps": [1, 3],
    }
    assert json.loads(attributes["seeds"]) == {"model": 17, "protocol": 23}
    assert attributes["package_version"] == neuroattn.__version__
    versions = json.loads(attributes["versions"])
    assert versions["neuroattn"] == neuroattn.__version__
    assert versions["git_commit"] == attributes["git_commit"]
    for library in ("torch", "numpy", "xarray", "zarr"):
        assert versions[library] == version(library)
    assert attributes["device"] == "cpu"
    assert attributes["precision"] == "float32"
    assert len(attributes["identity"]) == 64


def test_unknown_seeds_are_null(network, stimuli):
    unseeded = GatedNetwork(network.config, torch.Generator().manual_seed(0))
    seeds = record(unseeded, stimuli, NAMES).attrs["seeds"]
    assert json.loads(seeds) == {"model": None, "protocol": None}


def test_a_reduction_is_part_of_the_protocol(network, stimuli):
    sink = Reduction(["phase", "width"], keep="odd")
    protocol = json.loads(record(network, stimuli, NAMES, [3], sink=sink).attrs["protocol"])
    assert protocol == {
        "design": "free",
        "phases": 2,
        "steps": [3],
        "reduced_by": ["phase", "width"],
        "reduced_keep": "odd",
        "reduced_to": ["mean", "variance", "maximum"],
    }


def test_a_cued_trial_has_one_phase(network, stimuli):
    protocol = json.loads(record(network, stimuli, NAMES, design="cued").attrs["protocol"])
    assert protocol == {"design": "cued", "phases": 1, "steps": [0, 1, 2, 3, 4]}


def test_a_configuration_that_is_no_json_fails_before_anything_runs(monkeypatch, network, stimuli):
    monkeypatch.setattr(network, "forward", None)
    with pytest.raises(TypeError, match="not JSON serializable"):
        record(network, stimuli, NAMES, configuration={"generator": object()})


def test_identity_is_that_of_the_work(network, stimuli):
    one = identity(network, stimuli, NAMES)
    assert identity(network, stimuli, tuple(NAMES), range(5), batch_size=3, phases=2) == one
    again = StimulusSet(np.asfortranarray(stimuli.images), stimuli.objects, stimuli.table)
    assert identity(network, again, NAMES) == one


@pytest.mark.parametrize(
    "options",
    [
        {"variables": ["stage1/gate"]},
        {"variables": NAMES[::-1]},
        {"steps": [0, 1, 2, 3]},
        {"design": "cued"},
        {"phases": 1},
    ],
    ids=str,
)
def test_identity_changes_with_what_is_recorded(network, stimuli, options):
    other = identity(network, stimuli, **{"variables": NAMES, **options})
    assert other != identity(network, stimuli, NAMES)


def test_identity_changes_with_the_network(network, stimuli):
    one = identity(network, stimuli, NAMES)
    assert identity(network.with_strength(0.5), stimuli, NAMES) != one
    assert identity(control("shuffled_gates", network, 0), stimuli, NAMES) != one
    with torch.no_grad():
        network.readout.bias[3] += 1e-6
    assert identity(network, stimuli, NAMES) != one


def test_identity_changes_with_the_stimuli(network, stimuli, images, objects, table):
    one = identity(network, stimuli, NAMES)
    brighter = images.copy()
    brighter[3, 0, 10, 12] = 1
    assert identity(network, StimulusSet(brighter, objects, table), NAMES) != one
    assert identity(network, StimulusSet(images, brighter[:, None].repeat(2, 1), table), NAMES) != one
    assert identity(network, StimulusSet(images, objects, table.assign(width=1.0)), NAMES) != one
    assert identity(network, stimuli.select([1, 0, 2, 3]), NAMES) != one


def test_identity_changes_with_a_reduction(network, stimuli):
    kept = identity(network, stimuli, NAMES)
    by_phase = identity(network, stimuli, NAMES, sink=Reduction(["phase"]))
    by_object = identity(network, stimuli, NAMES, sink=Reduction(["attended"]))
    confirmed = identity(network, stimuli, NAMES, sink=Reduction(["phase"], keep="odd"))
    assert len({kept, by_phase, by_object, confirmed}) == 4


PROGRAM = """
import numpy, torch
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
config = GatedConfig(size=(1, 11, 13), channels=(3, 5), classes=7, kernel=2)
network = GatedNetwork(config, torch.Generator().manual_seed(0))
images = numpy.linspace(0, 1, 143, dtype=numpy.float32).reshape(1, 1, 11, 13)
identity = record(network, StimulusSet(images), ["stage1/gate"], [0]).attrs["identity"]
"""


@pytest.mark.process
def test_identity_is_the_same_in_every_process():
    here = {}
    exec(PROGRAM, here)  # noqa: S102 -- the same lines that the other process runs
    there = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}print(identity)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert there.stdout.strip() == here["identity"]
