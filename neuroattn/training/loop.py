"""The training loop: pictures, phases, one optimiser step a phase, validation and a checkpoint an epoch."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from neuroattn.compute.progress import progress
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import attend, by_ink, choose, target_images
from neuroattn.training.loss import phase_loss
from neuroattn.training.memory import require_room_for_batch
from neuroattn.training.optimisation import Optimisation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightning_fabric import Fabric

    from neuroattn.stimuli.labelled import Labelled
    from neuroattn.stimuli.shown import Pictures
    from neuroattn.training.config import TrainingConfig
    from neuroattn.training.source import Source, Split

SAVE_SECONDS = 30.0  # between two states of a running training


class Epoch(NamedTuple):
    """The network after an epoch, the metrics of the epoch, and what is held out of the training.

    Metrics are the epoch's number, losses, accuracies (fractions of phases; of validation also the mean over classes),
    seconds, and pictures (``composites``) per second of training.
    """

    network: GatedNetwork
    metrics: dict[str, float]
    split: Split


def train(
    config: TrainingConfig,
    source: Source,
    fabric: Fabric,
    *,
    start: Mapping[str, torch.Tensor] | None = None,
    state: dict[str, Any] | None = None,
    save: Callable[[dict[str, Any]], None] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Epoch]:
    """Train a network on the pictures of a source and yield it after every epoch.

    Each item of the source that is not held out is shown once an epoch. The weights, the split and the order, the
    pictures, and those of validation each have a generator of their own, all derived from ``config.seed``. Several
    processes draw the same batches, and each trains on its share of each.

    The first process gives its state to `save` every half minute, before the end of every epoch, and on an interrupt
    (`interrupted` is asked before every batch; if any process says so, all stop). From this `state` a training goes on
    to the weights that it would have had without the interrupt, bit by bit on the same kind of machine and number of
    threads. It begins with the weights `start`, or, without them, with drawn ones.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    KeyboardInterrupt
        After an interrupt, once the state is saved.
    """
    course = _Course(config, source, fabric, start)
    if state:
        course.restore(state)

    def tell() -> None:
        if save is not None and fabric.is_global_zero:
            save(course.state())

    while course.at.epoch <= config.epochs:
        for seconds in course.batches():
            if _any(interrupted(), fabric):
                tell()
                raise KeyboardInterrupt
            if seconds > SAVE_SECONDS:
                tell()
                course.saved = time.perf_counter()
            course.step()
        course.require_finite()
        tell()
        yield Epoch(course.optimisation.trained, course.metrics(), course.split)
        course.at = Place(course.at.epoch + 1, 0, torch.zeros(3), 0.0, None)


class Place(NamedTuple):
    """How far a training is: its epoch, from 1, and of this epoch what was done, and in which order it is done.

    `batch` batches took `seconds`, and `train_trial` gave `sums` over them; a `permutation` of None is still to be
    drawn.
    """

    epoch: int
    batch: int
    sums: torch.Tensor
    seconds: float
    permutation: torch.Tensor | None


class _Course:
    """A training under way: what it works with, and how far it is."""

    def __init__(
        self, config: TrainingConfig, source: Source, fabric: Fabric, start: Mapping[str, torch.Tensor] | None
    ) -> None:
        weights, self._order, self._training, validation = generators(config.seed, 4)
        network = GatedNetwork(
            source.network_config, weights, initial=config.initial, name=config.name, seed=config.seed
        )
        if start is not None:
            network.load_state_dict(start)
        self._config, self._source, self._fabric = config, source, fabric
        self.split = source.split(config.validation, self._order)
        n_kept, weight = len(self.split.kept), self.split.class_weight
        at_once = min(config.batch_size, n_kept)
        require_room_for_batch(network.config, at_once, config.gradient_steps, fabric.device)
        self._fixed = source.held_out(self.split, validation, fabric.device)
        self._class_weight = None if weight is None else weight.to(fabric.device)
        self._n_batches = math.ceil(n_kept / config.batch_size)
        self.optimisation = Optimisation(fabric, network, config, config.epochs * self._n_batches * config.n_objects)
        self.at = Place(1, 0, torch.zeros(3), 0.0, None)
        self._items: tuple[torch.Tensor, ...] = ()  # of each batch of the epoch
        self.saved = self._started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on."""
        generators = {"order": self._order.get_state(), "training": self._training.get_state()}
        place = self.at._replace(seconds=self._seconds())._asdict()
        return {"place": dict(place), "optimisation": self.optimisation.state(), "generators": generators}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.optimisation.restore(state["optimisation"])
        self._order.set_state(state["generators"]["order"])
        self._training.set_state(state["generators"]["training"])
        self.at = Place(**state["place"])

    def _seconds(self) -> float:
        return self.at.seconds + time.perf_counter() - self._started

    def batches(self) -> Iterator[float]:
        """Yield the seconds since a state was saved last, before each batch of the epoch that is to be done."""
        self._started = self.saved = time.perf_counter()
        permutation, kept = self.at.permutation, self.split.kept
        if permutation is None:
            permutation = torch.randperm(len(kept), generator=self._order)
            self.at = self.at._replace(permutation=permutation)
        self._items = kept[permutation].split(self._config.batch_size)  # type: ignore[no-untyped-call]
        epoch = f"epoch {self.at.epoch}/{self._config.epochs}"
        here = self._fabric.is_global_zero
        with progress(epoch, "batch", total=self._n_batches, shown=here, initial=self.at.batch) as bar:
            while self.at.batch < self._n_batches:
                yield time.perf_counter() - self.saved
                bar.update()

    def step(self) -> None:
        """Train on the next batch.

        Raises
        ------
        FloatingPointError
            If its loss is not finite.
        """
        place, rate = self.at, self.optimisation.learning_rate
        batch = self._source.draw(self._items[place.batch], self._training, self._fabric.device)
        sums = place.sums + train_trial(self.optimisation, batch, self._config, self._fabric, self._class_weight)
        if not math.isfinite(float(sums[0])):
            raise FloatingPointError(
                f"the loss is not finite in epoch {place.epoch}, batch {place.batch + 1} of {self._n_batches}, at "
                f"learning rate {rate:g}; lower learning_rate or phi"
            )
        self.at = place._replace(batch=place.batch + 1, sums=sums)

    def require_finite(self) -> None:
        """Raise if a step has spoilt the weights under a loss that is still finite."""
        if not all(torch.isfinite(parameter).all() for parameter in self.optimisation.network.parameters()):
            raise FloatingPointError(
                f"weights are not finite after epoch {self.at.epoch}, at learning rate "
                f"{self.optimisation.learning_rate:g}; lower learning_rate or phi"
            )

    def metrics(self) -> dict[str, float]:
        """Return the metrics of an epoch that is done."""
        seconds, n_kept = self._seconds(), len(self.split.kept)
        classification, attention, right = (float(total) / (n_kept * self._config.n_objects) for total in self.at.sums)
        return {
            "epoch": self.at.epoch,
            "training_classification_loss": classification,
            "training_attention_loss": attention,
            "training_accuracy": right,
            # No gradients are kept, so that more fit than in a step.
            **accuracy(self.optimisation.trained, self._fixed, self._fabric, 4 * self._config.batch_size),
            "seconds": seconds,
            "composites_per_second": n_kept / seconds,
        }


def train_trial(
    optimisation: Optimisation,
    batch: Labelled,
    config: TrainingConfig,
    fabric: Fabric,
    class_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Take one optimiser step a phase of one batch of trials, the same batch in every process.

    Returns
    -------
    torch.Tensor
        (3,) sums over pictures and phases of the whole batch: classification loss, attention loss, correct decisions.
    """
    share, weight = _share(batch, fabric)
    targets = target_images(share.images, share.objects, optimisation.network.config.strength)
    order = by_ink(share.objects) if config.attended == "ink" else None
    rows, sums = torch.arange(len(share), device=fabric.device), torch.zeros(3, device=fabric.device)
    inhibition = optimisation.network.no_inhibition(len(share))
    used = torch.zeros(share.labels.shape, dtype=torch.bool, device=fabric.device)
    for number in range(config.n_objects):
        phase = optimisation.phase(share.images, inhibition)
        choice = choose(phase.gated_image, targets, used, None if order is None else order[:, number])
        label, target = share.labels[rows, choice.attended], targets[rows, choice.attended]
        loss = phase_loss(phase.logits, label, phase.gated_image, target, config.phi, class_weight)
        # The mean over processes is then that over the batch, even where their shares differ in size; but for class
        # weights, whose sum each process divides by for its own share.
        optimisation.step(loss.total * weight)
        correct = (phase.logits.argmax(1) == label).float().mean()
        sums += torch.stack([loss.classification, loss.attention, correct]).detach()
        inhibition, used = phase.inhibition, choice.used
    return _sum(sums * weight * len(batch) / fabric.world_size, fabric)


def _share(batch: Labelled, fabric: Fabric) -> tuple[Labelled, float]:
    """Return this process's part of a batch, and its size over the mean size of all parts."""
    rows = slice(fabric.global_rank, None, fabric.world_size)
    number = len(batch.images[rows])
    if number == 0:  # all must take part in the step: with any one composite, of no weight
        rows = slice(1)
    return batch.part(rows), number * fabric.world_size / len(batch)


def _sum(value: torch.Tensor, fabric: Fabric) -> torch.Tensor:
    """Return the sum over processes, on the CPU."""
    return cast("torch.Tensor", fabric.all_reduce(value, reduce_op="sum")).cpu()


def _any(flag: bool, fabric: Fabric) -> bool:
    return flag if fabric.world_size == 1 else bool(_sum(torch.tensor(float(flag)), fabric) > 0)


@torch.no_grad()
def accuracy(network: GatedNetwork, pictures: Pictures, fabric: Fabric, batch_size: int = 256) -> dict[str, float]:
    """Return how often decisions are the attended object's class; processes share the work.

    Returns
    -------
    dict
        ``validation_accuracy``, the fraction of phases, ``validation_mean_over_classes``, the mean over the classes
        that are there of each one's fraction, and ``validation_classes_decided``, how many classes decisions name.
    """
    counts = torch.zeros(3, network.config.classes, dtype=torch.float64)
    for first in range(fabric.global_rank * batch_size, len(pictures), fabric.world_size * batch_size):
        part = pictures.part(slice(first, first + batch_size)).to(fabric.device)
        for phase, choice in attend(network, part.images, part.objects):
            attended = part.labels.gather(1, choice.attended[:, None])[:, 0]
            decided = phase.logits.argmax(1)
            for row, labels in enumerate((attended[decided == attended], attended, decided)):
                counts[row] += torch.bincount(labels, minlength=counts.shape[1]).cpu()
    right, shown, decisions = _sum(counts, fabric)
    there = shown > 0
    return {
        "validation_accuracy": float(right.sum() / shown.sum()),
        "validation_mean_over_classes": float((right[there] / shown[there]).mean()),
        "validation_classes_decided": float((decisions > 0).sum()),
    }


def generators(seed: int, number: int) -> list[torch.Generator]:
    """Return independent generators, all derived from one seed."""
    children = np.random.SeedSequence(seed).spawn(number)
    return [torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0] >> 1)) for child in children]
