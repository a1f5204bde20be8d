"""Planted subjects through the real protocols, at small size."""

from __future__ import annotations

import pytest
import xarray as xr

import neuroattn
from neuroattn.experiments.run import protocol_named

SMALL = {
    "activity_scaling": {"n_stimuli": 60, "n_control_stimuli": 40, "n_units": 100},
    "cost_and_benefit": {"n_stimuli": 60, "n_control_stimuli": 40, "n_units": 100},
    "tuning": {"n_orientations": 8, "n_widths": 1, "n_x": 3, "n_y": 3, "distractors": (7, 2), "n_units": 60},
}


@pytest.fixture(scope="session")
def through():
    """Return tables of subjects by the recorder and the analysis of a protocol."""

    def run(name, *subjects, **options):
        protocol = protocol_named(name)
        config = protocol.config(**{"controls": ("none",), "n_resamples": 100, **SMALL[name], **options})
        stimuli = protocol.stimuli(config, subjects)
        trees = {}
        for subject in subjects:
            facing = subject.facing(stimuli.size)
            protocol.check(config, facing, stimuli)
            trees[subject.name] = protocol.recording(config, facing, stimuli)
        return protocol.analysis(config, xr.DataTree(children=trees))

    return run


@pytest.fixture(scope="session")
def cued():
    """Return responses (object attended, stimulus, channel, y, x) at the second step."""

    def responses(subject, images, objects):
        stimuli = neuroattn.StimulusSet(images, objects)
        facing = subject.facing(stimuli.size)
        found = neuroattn.record(facing, stimuli, ["response"], steps=[1], design="cued")["response"]["activation"]
        shape = (len(images), 2, *facing.layers["response"])
        return found.to_numpy().reshape(shape).swapaxes(0, 1)

    return responses
