"""A trial: phases of time steps, the inhibition that carries over, and which object is attended.

A free trial is the paper's: one phase per object, each with the inhibition that the phases before it left. A cued trial
imposes the inhibition of one object alone in a single fresh phase, so that both states of a stimulus share phase,
pixels and the number of inhibited objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from neuroattn.models.gated import GatedNetwork, Maps

GATE_THRESHOLD = 0.5  # a gate below it passes its place, which is then inhibited in the phases that follow


class Phase(NamedTuple):
    """One phase of a trial.

    Attributes
    ----------
    logits
        (batch, class) of the last step: the phase's decision.
    gated_image
        z[1] of the last step, (batch, channel, y, x).
    gates
        g[l] after step T − 1, those that gate the last step; one tensor per stage.
    inhibition
        Boolean masks for the next phase, one tensor per stage.
    """

    logits: torch.Tensor
    gated_image: torch.Tensor
    gates: Maps
    inhibition: Maps


def phase_steps(
    network: GatedNetwork,
    image: torch.Tensor,
    inhibition: Maps,
    *,
    last_gates: bool = False,
    gradient_steps: int | None = None,
    donors: torch.Tensor | None = None,
) -> Generator[int, None, Phase]:
    """Run the T steps of one phase from open gates; yield each step's number before the step is run, return the phase.

    Parameters
    ----------
    network, image
        The network and its images (batch, channel, y, x).
    inhibition
        Boolean masks in force during the phase, one per stage.
    last_gates
        Also make the gates after the last step, which no trial needs but a recording may.
    gradient_steps
        How many of the last steps gradients flow through; None for all.
    donors
        (batch,) whose gates each image is gated by, at every step; None for its own.

    Examples
    --------
    >>> from neuroattn.models.checkpoint import load_model
    >>> network = load_model("digits-0")
    >>> list(phase_steps(network, torch.zeros(1, 1, 28, 42), network.no_inhibition(1)))
    [0, 1, 2, 3, 4]
    """
    gates, last = network.open_gates(len(image)), network.config.steps - 1
    first = 0 if gradient_steps is None else last + 1 - gradient_steps
    for step in range(last):
        yield step
        with torch.set_grad_enabled(torch.is_grad_enabled() and step >= first):
            gates = network(image, _given(gates, donors), inhibition).gates
    yield last
    decision = network(image, _given(gates, donors), inhibition, top_down=last_gates)
    return Phase(decision.logits, decision.gated_image, gates, inhibited_next(gates, inhibition))


def run_phase(
    network: GatedNetwork,
    image: torch.Tensor,
    inhibition: Maps,
    *,
    last_gates: bool = False,
    gradient_steps: int | None = None,
    donors: torch.Tensor | None = None,
) -> Phase:
    """Run the T steps of one phase at once; see `phase_steps`.

    >>> from neuroattn.models.checkpoint import load_model
    >>> network = load_model("digits-0")
    >>> run_phase(network, torch.zeros(3, 1, 28, 42), network.no_inhibition(3)).logits.shape
    torch.Size([3, 10])
    """
    steps = phase_steps(network, image, inhibition, last_gates=last_gates, gradient_steps=gradient_steps, donors=donors)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            phase: Phase = end.value
            return phase


def _given(gates: Maps, donors: torch.Tensor | None) -> Maps:
    return gates if donors is None else [gate[donors] for gate in gates]


def inhibited_next(gates: Maps, inhibition: Maps) -> Maps:
    """Return the next phase's masks: what is inhibited already, and every place whose gate let it pass.

    >>> inhibited_next([torch.tensor([0.2, 0.7, 0.7])], [torch.tensor([False, False, True])])
    [tensor([ True, False,  True])]
    """
    return [mask | (gate.detach() < GATE_THRESHOLD) for gate, mask in zip(gates, inhibition, strict=True)]


def free_trial(network: GatedNetwork, image: torch.Tensor, phases: int, *, last_gates: bool = False) -> Iterator[Phase]:
    """Yield the `phases` phases of a trial in the network's own order.

    >>> from neuroattn.models.checkpoint import load_model
    >>> [phase.logits.shape for phase in free_trial(load_model("digits-0"), torch.zeros(1, 1, 28, 42), phases=2)]
    [torch.Size([1, 10]), torch.Size([1, 10])]
    """
    inhibition = network.no_inhibition(len(image))
    for _ in range(phases):
        phase = run_phase(network, image, inhibition, last_gates=last_gates)
        yield phase
        inhibition = phase.inhibition


class Cues(NamedTuple):
    """Inhibition masks that cue an object, from a free trial of two phases.

    Attributes
    ----------
    first
        Imposed alone, they send attention to the object that the free trial attended first: what phase 2 inhibited.
    second
        The same for the object attended second: what phase 1 inhibited.
    gated_images
        z[1] of the decisions of both phases, which tell which objects those were.
    """

    first: Maps
    second: Maps
    gated_images: tuple[torch.Tensor, torch.Tensor]


@torch.no_grad()
def cues(network: GatedNetwork, image: torch.Tensor) -> Cues:
    """Return the masks that cue either object of each image (batch, channel, y, x).

    >>> from neuroattn.models.checkpoint import load_model
    >>> [tuple(mask.shape) for mask in cues(load_model("digits-0"), torch.zeros(3, 1, 28, 42)).first]
    [(3, 1, 28, 42), (3, 20, 12, 19)]
    """
    phase_1, phase_2 = free_trial(network, image, 2)
    after_1, after_2 = phase_1.inhibition, phase_2.inhibition
    only_2 = [both & ~mask for both, mask in zip(after_2, after_1, strict=True)]
    return Cues(only_2, after_1, (phase_1.gated_image, phase_2.gated_image))


def target_images(image: torch.Tensor, objects: torch.Tensor, strength: float) -> torch.Tensor:
    """Return each object's target image (1 − s)·image + s·object: the gated image when that object alone is spared.

    Parameters
    ----------
    image
        (batch, channel, y, x).
    objects
        (batch, object, channel, y, x), each object alone on black.
    strength
        Gate strength s.

    Examples
    --------
    >>> objects = torch.tensor([[[[[0.5, 0.0]]], [[[0.0, 1.0]]]]])
    >>> target_images(objects.sum(1), objects, strength=0.2).flatten(2)
    tensor([[[0.5000, 0.8000],
             [0.4000, 1.0000]]])
    """
    return (1 - strength) * image[:, None] + strength * objects


def gate_contrast(
    gate: torch.Tensor, images: torch.Tensor, objects: torch.Tensor, attended: torch.Tensor, strength: float
) -> torch.Tensor:
    """Return the mean gate of the image over the attended and the unattended pixels, (batch, 2).

    Unattended are the pixels that the attended object does not explain, background included:
    (image − target + ε)/(image + ε)/s > 0.5 with ε = 1e-6 (arXiv:2106.04540); attended are the others.

    Parameters
    ----------
    gate
        g[1] after step T − 1, (batch, channel, y, x).
    images, objects
        (batch, channel, y, x) and (batch, object, channel, y, x).
    attended
        (batch,) index of the attended object.
    strength
        Gate strength s. A mean is NaN where there is no such pixel; both are with s = 0, which tells none apart.

    Examples
    --------
    >>> objects = torch.tensor([[[[[1.0, 0.0]]], [[[0.0, 1.0]]]]])
    >>> gate_contrast(torch.tensor([[[[-0.5, 0.75]]]]), objects.sum(1), objects, torch.tensor([0]), strength=0.2)
    tensor([[-0.5000,  0.7500]])
    """
    if strength == 0:
        return torch.full((len(gate), 2), torch.nan, device=gate.device)
    rows = torch.arange(len(attended), device=attended.device)
    target = target_images(images, objects, strength)[rows, attended]
    reduced = ((images - target + 1e-6) / (images + 1e-6) / strength) > 0.5
    means = [(gate * part).sum((1, 2, 3)) / part.sum((1, 2, 3)) for part in (~reduced, reduced)]
    return torch.stack(means, 1)


class Choice(NamedTuple):
    """Which object a phase attends.

    Attributes
    ----------
    attended
        (batch,) index of the object of least error among those not attended before in the trial.
    unconstrained
        (batch,) index of the object of least error among all of them.
    used
        (batch, object) boolean: attended so far, this phase included.
    """

    attended: torch.Tensor
    unconstrained: torch.Tensor
    used: torch.Tensor


def choose(
    gated_image: torch.Tensor, targets: torch.Tensor, used: torch.Tensor, attended: torch.Tensor | None = None
) -> Choice:
    """Return the attended object: the one whose target image is nearest to the gated image, or the one that is given.

    Parameters
    ----------
    gated_image
        z[1] of the phase's last step, (batch, channel, y, x).
    targets
        `target_images`, (batch, object, channel, y, x).
    used
        (batch, object) boolean: attended earlier in the trial.
    attended
        (batch,) index of the object that counts as attended, whatever the errors; None takes that of least error.

    Examples
    --------
    >>> targets = torch.tensor([[[[[0.5, 0.8]]], [[[0.4, 1.0]]]]])
    >>> choose(torch.tensor([[[[0.4, 0.9]]]]), targets, used=torch.tensor([[False, True]])).attended
    tensor([0])
    """
    errors = (gated_image.detach()[:, None] - targets).square().sum((2, 3, 4))
    if attended is None:
        attended = errors.masked_fill(used, torch.inf).argmin(1)
    now = torch.nn.functional.one_hot(attended, errors.shape[1]).bool()
    return Choice(attended, errors.argmin(1), used | now)


def by_ink(objects: torch.Tensor) -> torch.Tensor:
    """Return the objects (batch, phase) in falling order of their ink, the summed luminance of each alone.

    >>> by_ink(torch.tensor([[[[[0.5, 0.0]]], [[[0.0, 1.0]]]]]))
    tensor([[1, 0]])
    """
    return objects.sum((2, 3, 4)).argsort(stable=True, dim=1, descending=True)


def attend(network: GatedNetwork, image: torch.Tensor, objects: torch.Tensor) -> Iterator[tuple[Phase, Choice]]:
    """Yield each phase of a free trial, one per object, with the object that it attends.

    Each phase is run when it is asked for: what a caller does to the weights in between holds for it. Images have shape
    (batch, channel, y, x), objects (batch, object, channel, y, x), each alone on black.

    Examples
    --------
    >>> from neuroattn.models.checkpoint import load_model
    >>> objects = torch.zeros(1, 2, 1, 28, 42)
    >>> objects[0, 0, 0, 4:24, 10:14] = objects[0, 1, 0, 4:24, 26:30] = 1.0  # two upright bars
    >>> [choice.attended.item() for _, choice in attend(load_model("digits-0"), objects.sum(1), objects)]
    [1, 0]
    """
    targets = target_images(image, objects, network.config.strength)
    used = torch.zeros(objects.shape[:2], dtype=torch.bool, device=image.device)
    for phase in free_trial(network, image, objects.shape[1]):
        choice = choose(phase.gated_image, targets, used)
        used = choice.used
        yield phase, choice
