"""A subject whose mask inhibits a place, whatever stands there, through the protocol of inhibition of return."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import xarray as xr

from neuroattn.experiments.inhibition_of_return import protocol as inhibition_of_return
from neuroattn.experiments.inhibition_of_return.findings import inhibited, own_pixels, verdict
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork, GatedStage, Step
from neuroattn.subjects.adapter import subject_of


class Spatial(GatedNetwork):
    """Attends one half of the picture, that with more ink, and the other one where the mask says anything of it."""

    memory = True

    def forward(self, image, gates, inhibition, *, top_down=True, strength=None):
        """Run one time step; see `GatedNetwork`."""
        del top_down, strength
        (gate,), (mask,) = gates, inhibition
        (stage,) = (stage for stage in self.stages if isinstance(stage, GatedStage))
        gated_image = stage.gated_input(image * (1 - self.config.strength * gate))
        stage.response(gated_image)
        left = image[..., :14].sum((1, 2, 3)) > image[..., -14:].sum((1, 2, 3))
        if self.memory:
            seen = mask.flatten(2).any(1).reshape(len(image), *mask.shape[2:]).any(1)
            left = torch.where(seen.any(1), ~seen[:, 0], left)
        signal = torch.ones_like(image)
        signal[..., :21] -= left[:, None, None, None].float()
        signal[..., 21:] -= (~left)[:, None, None, None].float()
        logits = self.logits_probe(torch.stack([left, ~left], 1).float())
        return Step(logits, gated_image, [stage.following_gate(signal, torch.zeros_like(mask))])


@pytest.mark.parametrize("memory", [True, False])
def test_what_was_planted_comes_back(memory):
    config = inhibition_of_return.Config(n_stimuli=120, n_control_stimuli=20, controls=("none",), n_resamples=100)
    shape = GatedConfig(size=(1, 28, 42), channels=(1,), classes=2, kernel=1, steps=2)
    network = Spatial(shape, torch.Generator().manual_seed(0), name="spatial")
    network.memory = memory
    subject = subject_of(network)
    tree = inhibition_of_return.recording(config, subject, inhibition_of_return.stimuli(config, ()))
    tables = inhibition_of_return.analysis(config, xr.DataTree(children={"spatial": tree}))
    found = verdict(tables.statistics)
    if memory:
        assert (found, inhibited(tables.statistics)) == ("imposed by the mask", "the place")
        assert own_pixels(tables.statistics) == "none"
    else:
        assert found == "absent"
        few = dataclasses.replace(config, n_stimuli=20)
        tree = inhibition_of_return.recording(few, subject, inhibition_of_return.stimuli(few, ()))
        shown = xr.DataTree(children={"spatial": xr.DataTree.from_dict({"trials": tree["trials"].to_dataset().isel(
            stimulus=slice(9))})})  # fmt: skip
        assert verdict(inhibition_of_return.analysis(few, shown).statistics) == "undecided"
