"""The training of a plain network that a gain can act on: weights, then read-outs and the tuning of channels.

Lindsay & Miller (2018, eLife 7:e38105) take a trained VGG-16, train a yes/no read-out a category on single images, and
measure tuning on such images. Here the network is trained as well.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from neuroattn.compute.device import choose_device
from neuroattn.models.checkpoint import save_model
from neuroattn.models.class_tuning import class_tuning
from neuroattn.models.gain_cnn import GainCNN, GainConfig
from neuroattn.runs.folder import alone, is_free, occupied
from neuroattn.runs.output_file import replacing
from neuroattn.runs.provenance import versions
from neuroattn.stimuli.digits import composites, single_digits
from neuroattn.stimuli.mnist import N_CLASSES, load, without_embedded
from neuroattn.training.interrupt import interrupts
from neuroattn.training.loop import SAVE_SECONDS, generators
from neuroattn.training.resume import load_state, resume_file, save_state
from neuroattn.training.run import METRICS, weights_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuroattn.stimuli.labelled import Labelled
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.training.gain_config import GainTrainingConfig

    Tell = Callable[[str], None]

N_READOUT = 10_000  # digits that the yes/no read-outs are trained on
DECAY = 1e-4  # of their weights
AT_ONCE = 500  # pictures, where nothing is learnt


def train_gain_network(config: GainTrainingConfig, folder: Path, tell: Tell) -> None:
    """Train a network on digits; write weights and metrics into `folder`.

    A training of the same options that was interrupted there goes on; otherwise the folder must be free.

    Raises
    ------
    ValueError
        If `folder` holds anything else or cannot be written, or the digits cannot be had.
    FloatingPointError
        If the loss is no longer finite.
    KeyboardInterrupt
        After an interrupt, once the state is saved.
    """
    resume, weights = resume_file(folder, config.name), weights_file(folder, config.name)
    with alone(folder), interrupts() as interrupted:
        if not resume.is_file() and not is_free(folder):
            raise occupied(folder)
        digits = load(config.data, "train")
        for note in digits.notes:
            tell(f"note: {note}")
        what = "training set" if digits.is_mnist else "training set, not MNIST's own,"
        digits = without_embedded(digits)
        options = {k: v for k, v in dataclasses.asdict(config).items() if k not in {"data", "out"}}
        of = {**options, "digits": digits.identity()}
        del of["device"]  # where it is computed does not make it another training
        course = _Course(config, digits)
        state = load_state(resume, of)
        if state is not None:
            course.restore(state)
            tell(f"going on after {course.step} steps")
        while course.step < config.steps:
            if interrupted() or course.unsaved > SAVE_SECONDS:
                save_state({**course.state(), "of": of}, resume)
                if interrupted():
                    raise KeyboardInterrupt
            course.advance()
            if course.step % 100 == 0 or course.step == config.steps:
                tell(f"step {course.step}/{config.steps}  loss {course.loss:.4f}")
        metrics = course.finish()
        training = {
            "options": options,
            "digits": {"what": f"{what} without the embedded digits", "n": len(digits), "sha256": digits.identity()},
            "epochs": [metrics],
            "device": str(course.device),
            "precision": "32",
            "threads": torch.get_num_threads(),
        }
        save_model(course.network, weights, training=training, provenance=versions())
        with replacing(folder / METRICS) as file:
            pd.DataFrame([metrics]).to_csv(file, index=False)
        resume.unlink(missing_ok=True)
        tell(
            f"validation accuracy {metrics['validation_accuracy']:.4f}, balanced accuracy of the yes/no read-outs "
            f"{metrics['detection_accuracy']:.4f}"
        )
        tell(f"weights in {weights}, metrics in {folder / METRICS}")


class _Course:
    """A training under way."""

    def __init__(self, config: GainTrainingConfig, digits: Digits) -> None:
        weights, order, self._training, self._validation = generators(config.seed, 4)
        self._config, self._digits, self.device = config, digits, choose_device(config.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(weights.initial_seed())
            self.network = GainCNN(GainConfig(), name=config.name, seed=config.seed)
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on processors
        self._held_out, self._kept = torch.randperm(len(digits), generator=order).tensor_split(
            [round(config.validation * len(digits))]
        )
        counts = torch.bincount(torch.from_numpy(digits.labels.copy())[self._held_out], minlength=N_CLASSES)
        if (counts == 0).any():
            raise ValueError(
                f"validation must hold out a digit of every class, got none of {int(counts.argmin())} among "
                f"{len(self._held_out)}; hold out more, or take more digits"
            )
        self._optimiser = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.step, self.loss, self._seconds = 0, math.nan, 0.0
        self._began = self._saved = time.perf_counter()

    @property
    def unsaved(self) -> float:
        """Seconds since the state was saved last."""
        return time.perf_counter() - self._saved

    def _spent(self) -> float:
        return self._seconds + time.perf_counter() - self._began

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on."""
        self._saved = time.perf_counter()
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "training": self._training.get_state(),
            "step": self.step,
            "seconds": self._spent(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._training.set_state(state["training"])
        self.step, self._seconds = state["step"], state["seconds"]

    def _single(self, items: torch.Tensor, generator: torch.Generator) -> Labelled:
        return single_digits(self._digits, items, noise=self._config.noise, generator=generator, device=self.device)

    def advance(self) -> None:
        """Train on the next batch; with two digits, each has half of the probability."""
        drawn = torch.randint(len(self._kept), (self._config.batch_size,), generator=self._training)
        items = self._kept[drawn]
        batch = (
            self._single(items, self._training)
            if self._config.pictures == "single"
            else composites(self._digits, items, noise=self._config.noise, generator=self._training, device=self.device)
        )
        target = nn.functional.one_hot(batch.labels, self.network.config.classes).float().mean(1)
        loss = nn.functional.cross_entropy(self.network(batch.images), target)
        self.step, self.loss = self.step + 1, float(loss.detach())
        if not math.isfinite(self.loss):
            raise FloatingPointError(
                f"the loss is not finite in step {self.step}, at learning rate {self._config.learning_rate:g}; lower "
                "learning_rate"
            )
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def finish(self) -> dict[str, float]:
        """Train the yes/no read-outs, measure the tuning of the channels, and return the metrics of the training."""
        seconds, network = self._spent(), self.network.eval()
        held_out = self._single(self._held_out, self._validation)
        layers = {f"stages.{n}.response": n + 1 for n in range(len(network.stages))}
        found = class_tuning(network, [*layers], held_out.images, held_out.labels[:, 0], AT_ONCE)
        for path, number in layers.items():
            network.tuning(number).copy_(found[path])
        shown = self._single(self._kept[:N_READOUT], self._validation)
        train_detectors(network.detectors, _features(network, shown.images), shown.labels[:, 0])
        there = nn.functional.one_hot(held_out.labels[:, 0], network.config.classes).bool()
        features = _features(network, held_out.images)
        with torch.no_grad():
            named = network.readout(features).argmax(1) == held_out.labels[:, 0]
            said = network.detectors(features) > 0
        hits = (said & there).sum(0) / there.sum(0)
        rejections = (~said & ~there).sum(0) / (~there).sum(0)
        return {
            "epoch": 1,
            "training_loss": self.loss,
            "validation_accuracy": float(named.float().mean()),
            "detection_accuracy": float((hits + rejections).mean() / 2),
            "seconds": seconds,
            "pictures_per_second": self._config.steps * self._config.batch_size / seconds,
        }


@torch.no_grad()
def _features(network: GainCNN, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([network.features(some) for some in images.split(AT_ONCE)])  # type: ignore[no-untyped-call]


def train_detectors(detectors: nn.Linear, features: torch.Tensor, labels: torch.Tensor) -> None:
    """Fit a logistic yes/no read-out for each class, pictures with and without it weighing the same.

    Parameters
    ----------
    detectors
        Whose weights are set, one row a class.
    features
        (picture, unit).
    labels
        (picture,) the class of each picture.
    """
    there = nn.functional.one_hot(labels, detectors.out_features).float()
    weight = there / there.sum(0) + (1 - there) / (1 - there).sum(0)
    with torch.no_grad():
        detectors.weight.zero_()
        detectors.bias.zero_()
    fit = torch.optim.LBFGS(detectors.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        fit.zero_grad()
        wrong = nn.functional.binary_cross_entropy_with_logits(detectors(features), there, weight, reduction="sum")
        total = wrong / 2 + DECAY * detectors.weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    fit.step(loss)  # type: ignore[no-untyped-call]
