"""Networks in which attention cannot work, or not as it was learnt, to show beside one in which it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from neuroattn.labels import CONTROLS
from neuroattn.models.gated import GatedNetwork

if TYPE_CHECKING:
    from neuroattn.models.gated import Maps, Step


def control(name: str, model: GatedNetwork, seed: int) -> GatedNetwork:
    """Return the network that a control runs.

    Parameters
    ----------
    name
        One of `neuroattn.labels.CONTROLS`. For ``one_step`` and ``intact`` it is the network itself; the former is
        recorded at step 0.
    model
        The network under study.
    seed
        Draws the weights of the untrained network.

    Raises
    ------
    ValueError
        If the name is none of `CONTROLS`.
    """
    if name not in CONTROLS:
        raise ValueError(f"control must be one of {', '.join(CONTROLS)}, got {name!r}")
    if name == "zero_strength":
        return model.with_strength(0.0)
    if name == "shuffled_gates":
        return ShuffledGates.of(model)
    if name == "untrained":
        generator = torch.Generator().manual_seed(seed)
        twin = GatedNetwork(model.config, generator, initial=model.initial, name=model.name, seed=model.seed)
        return twin.to(model.readout.weight).eval()
    return model


class ShuffledGates(GatedNetwork):
    """A network in which every stimulus is gated by the gates of another one of its batch.

    Gates keep their values and their statistics but not their stimulus. Present stimuli in random order, so that the
    neighbour in the batch is no neighbour in the stimulus set.
    """

    @classmethod
    def of(cls, model: GatedNetwork) -> ShuffledGates:
        """Return the control of a network, with its weights."""
        twin = cls(model.config, name=model.name, seed=model.seed)
        twin.load_state_dict(model.state_dict(), assign=True)
        return twin.to(model.readout.weight).eval()

    def with_strength(self, strength: float) -> ShuffledGates:
        """Return the control, still shuffled, with another strength; see `GatedNetwork`."""
        return ShuffledGates.of(super().with_strength(strength))

    def forward(
        self,
        image: torch.Tensor,
        gates: Maps,
        inhibition: Maps,
        *,
        top_down: bool = True,
        strength: float | None = None,
    ) -> Step:
        """Run one time step with the gates of the stimulus before; see `GatedNetwork`."""
        if len(image) < 2:
            raise ValueError("batch_size must leave no batch with a single stimulus, whose gates cannot be shuffled")
        others = [gate.roll(1, 0) for gate in gates]
        return super().forward(image, others, inhibition, top_down=top_down, strength=strength)
