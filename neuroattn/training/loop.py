"""The training loop: composites, phases, one optimiser step a phase, validation and a checkpoint an epoch."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import attend, target_images
from neuroattn.stimuli.digits import composites
from neuroattn.training.loss import phase_loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuroattn.stimuli.digits import Composites
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.training.config import DigitsConfig


class Epoch(NamedTuple):
    """What one epoch left.

    Attributes
    ----------
    network
        The network after the epoch.
    metrics
        Epoch number, losses, accuracies (fractions of phases), seconds, composites per second of training.
    """

    network: GatedNetwork
    metrics: dict[str, float]


def train(config: DigitsConfig, digits: Digits, device: torch.device) -> Iterator[Epoch]:
    """Train a network on `digits` and yield it after every epoch.

    Each training digit opens one composite an epoch. The weights, the split, the order and the composites each have a
    generator of their own, all derived from ``config.seed``.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    weights, order, training, validation = generators(config.seed, 4)
    network_config = digits_config(n_objects=config.n_objects, strength=config.strength)
    network = GatedNetwork(network_config, weights, name=config.name, seed=config.seed).to(device)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate)
    shuffled = torch.randperm(len(digits.labels), generator=order)
    held_out, kept = shuffled.tensor_split([round(config.validation * len(shuffled))])
    fixed = _draw(config, digits, held_out, validation, device)
    for number in range(1, config.epochs + 1):
        started = time.perf_counter()
        batches = kept[torch.randperm(len(kept), generator=order)].split(config.batch_size)  # type: ignore[no-untyped-call]
        drawn = (_draw(config, digits, batch, training, device) for batch in batches)
        sums = torch.zeros(3)
        progress = tqdm(
            drawn, total=len(batches), desc=f"epoch {number}/{config.epochs}", unit="batch", leave=False, disable=None
        )
        for batch in progress:
            sums += train_trial(network, batch, optimiser, config.phi)
            if not math.isfinite(float(sums[0])):
                raise FloatingPointError(f"the loss is not finite in epoch {number}; lower learning_rate or phi")
        # A step can spoil the weights under a loss that is still finite.
        if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
            raise FloatingPointError(f"weights are not finite after epoch {number}; lower learning_rate or phi")
        seconds = time.perf_counter() - started
        phases = len(kept) * config.n_objects
        metrics = {
            "epoch": number,
            "training_classification_loss": float(sums[0]) / phases,
            "training_attention_loss": float(sums[1]) / phases,
            "training_accuracy": float(sums[2]) / phases,
            "validation_accuracy": accuracy(network, fixed),
            "seconds": seconds,
            "composites_per_second": len(kept) / seconds,
        }
        yield Epoch(network, metrics)


def train_trial(network: GatedNetwork, batch: Composites, optimiser: torch.optim.Optimizer, phi: float) -> torch.Tensor:
    """Take one optimiser step a phase of one batch of trials.

    Returns
    -------
    torch.Tensor
        (3,) sums over composites and phases: classification loss, attention loss, correct decisions.
    """
    targets = target_images(batch.images, batch.objects, network.config.strength)
    rows, sums = torch.arange(len(targets), device=targets.device), torch.zeros(3)
    for phase, choice in attend(network, batch.images, batch.objects):
        label, target = batch.labels[rows, choice.attended], targets[rows, choice.attended]
        loss = phase_loss(phase.logits, label, phase.gated_image, target, phi)
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        correct = (phase.logits.argmax(1) == label).float().mean()
        sums += torch.stack([loss.classification, loss.attention, correct]).detach().cpu() * len(rows)
    return sums


@torch.no_grad()
def accuracy(network: GatedNetwork, composites: Composites, batch_size: int = 256) -> float:
    """Return the fraction of phases whose decision is the attended object's class."""
    correct = 0
    for first in range(0, len(composites.labels), batch_size):
        rows = slice(first, first + batch_size)
        for phase, choice in attend(network, composites.images[rows], composites.objects[rows]):
            attended = composites.labels[rows].gather(1, choice.attended[:, None])[:, 0]
            correct += int((phase.logits.argmax(1) == attended).sum())
    return correct / composites.labels.numel()


def generators(seed: int, number: int) -> list[torch.Generator]:
    """Return independent generators, all derived from one seed."""
    children = np.random.SeedSequence(seed).spawn(number)
    return [torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0] >> 1)) for child in children]


def _draw(
    config: DigitsConfig, digits: Digits, first: torch.Tensor, generator: torch.Generator, device: torch.device
) -> Composites:
    return composites(
        digits,
        first,
        n_objects=config.n_objects,
        noise=config.noise,
        resample=config.resample,
        generator=generator,
        device=device,
    )
