"""A subject whose modulation is known, for the protocol of activity scaling."""

from __future__ import annotations

import torch

from neuroattn.models.gated import GatedNetwork, Step


class ScaledSubject(GatedNetwork):
    """A network of one stage that attends what is on the right unless that is inhibited.

    Its units respond to the ungated image; from the second time step on a unit whose own side is attended has its
    response multiplied by `gain` and raised by `offset`. The first `undriven`
    channels answer to no pixel, and yet have the gain. Gates open on one side of the middle of the image; units left
    of column `left`, and from column `right` on, are those of a side.
    """

    def __init__(self, config, *, left, right, gain, offset=0.0, seed=0, undriven=0):
        super().__init__(config, torch.Generator().manual_seed(seed), name=f"planted-{seed}")
        with torch.no_grad():
            self.stages[0].conv.weight[:undriven] = 0
            self.stages[0].conv.bias[:undriven] = 0.3
        self.left, self.right, self.gain, self.offset = left, right, gain, offset

    def with_strength(self, strength):
        del strength  # what is planted does not depend on it
        return self

    def forward(self, image, gates, inhibition, *, top_down=True, strength=None):
        del top_down
        (gate,), (mask,), (stage,) = gates, inhibition, self.stages
        s, middle = self.config.strength if strength is None else strength, image.shape[3] // 2
        gated_image = stage.gated_input(image * (1 - s * gate))
        started = gate.flatten(1).any(1)
        left = gate[..., :middle].mean((1, 2, 3)) < gate[..., middle:].mean((1, 2, 3))
        response = stage.conv(image).relu() + 0.05
        attended = torch.zeros(len(image), response.shape[3], dtype=torch.bool)
        attended[:, : self.left] = (started & left)[:, None]
        attended[:, self.right :] = (started & ~left)[:, None]
        stage.response(torch.where(attended[:, None, None], self.gain * response + self.offset, response))
        inhibited = mask[..., middle:].float().mean((1, 2, 3)) > 0.5
        signal = torch.zeros_like(image)
        signal[..., middle:] = inhibited[:, None, None, None].float()
        signal[..., :middle] = 1 - inhibited[:, None, None, None].float()
        logits = self.logits_probe(torch.zeros(len(image), self.config.classes))
        return Step(logits, gated_image, [stage.following_gate(signal, mask)])
