"""Networks in which attention cannot work, or not as it was learnt, to show beside one in which it does."""

from __future__ import annotations

import copy

import numpy as np
import torch

from neuroattn.dims import CONTROLS
from neuroattn.models.gated import GatedNetwork


def control(name: str, model: GatedNetwork, seed: int) -> GatedNetwork:
    """Return the network that a control runs.

    Parameters
    ----------
    name
        One of `neuroattn.dims.CONTROLS`. For ``one_step`` and ``intact`` it is the network itself; the former is
        recorded at step 0.
    model
        The network under study.
    seed
        With the network's name, draws the weights of the untrained network.

    Raises
    ------
    ValueError
        If the name is none of `CONTROLS`.

    Examples
    --------
    >>> from neuroattn.models.checkpoint import load_model
    >>> control("zero_strength", load_model("digits-0"), seed=0).config.strength
    0.0
    """
    if name not in CONTROLS:
        raise ValueError(f"control must be one of {', '.join(CONTROLS)}, got {name!r}")
    if name == "zero_strength":
        return model.with_strength(0.0)
    if name == "shuffled_gates":
        return with_gates_of_others(model)
    if name == "untrained":
        # Untrained networks of one seed would be one network, however many are shown.
        of_network = np.random.default_rng([seed, *model.name.encode()]).integers(2**32)
        generator = torch.Generator().manual_seed(int(of_network))
        twin = GatedNetwork(model.config, generator, initial=model.initial, name=model.name, seed=model.seed)
        return twin.to(model.readout.weight).eval()
    return model


def with_gates_of_others(model: GatedNetwork) -> GatedNetwork:
    """Return the network whose stimuli are gated, at every step, by the gates of others of their batch.

    Gates keep their values and their statistics but not their stimulus. Whoever runs its trials takes the others from
    `donors`, of stimuli in which the intact network attends the same side: the label of a presentation stays true.
    Weights are shared.

    >>> from neuroattn.models.checkpoint import load_model
    >>> with_gates_of_others(load_model("digits-0")).gates_of_others
    True
    """
    twin = copy.copy(model)
    twin.gates_of_others = True
    return twin


def donors(side: torch.Tensor) -> torch.Tensor:
    """Return for each stimulus of a batch another one with the same side attended, itself where there is none.

    Present stimuli in random order, so that a neighbour in the batch is no neighbour in the stimulus set.

    Parameters
    ----------
    side
        (batch,) where the object stands that is attended, from the left.

    Examples
    --------
    >>> donors(torch.tensor([0, 1, 0, 1, 2]))
    tensor([2, 3, 0, 1, 4])
    """
    others = torch.arange(len(side), device=side.device)
    for one in range(int(side.max()) + 1):
        same = (side == one).nonzero()[:, 0]
        others[same] = same.roll(1)
    return others
